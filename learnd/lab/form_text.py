"""The text of a form that a person filled in: the one TOML block in it, and what they are told is wrong with it.

A byte-order mark, CRLF, another fence, indentation and Markdown around the block are taken as they come; a file
without any fence is the block itself. Two blocks are refused: nobody could say which of them is meant.
"""

from __future__ import annotations

import difflib
import re
import textwrap
from dataclasses import dataclass

MAX_CHARACTERS = 256 * 1024
_OPENS = re.compile(r"\s*(`{3,}|~{3,})\s*(\w*)\s*$")


MUST = {
    "entrypoint": "the one command that verifies the change, as typed in a shell",
    "setup": 'a list of commands, ["make gen"]',
    "cwd": "a folder of the snapshot, relative to the repository's root",
    "env": 'a table of variables, { MODE = "fast" }',
    "fixtures": "a list of files or folders of the snapshot, relative to the repository's root",
    "services": 'a list of tables, [{ name = "db", command = "redis-server", ports = [6379] }]',
    "expected_signals": 'a list of short texts, ["3 passed"]',
    "timeout_minutes": "a number from 0.1 to 120",
    "approver": "the name of the person who vouches for this scenario",
    "date": "the day it was written, as YYYY-MM-DD",
}


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of the form."""

    field: str
    problem: str


@dataclass(frozen=True)
class TomlBlock:
    """The block's text; its first line is the file's line `first`, counted from 1."""

    text: str
    first: int


def toml_block(text: str) -> TomlBlock | FieldError:
    """The block in `text`, or why there is not exactly one."""
    if len(text) > MAX_CHARACTERS:
        return FieldError("(the file)", f"is larger than {MAX_CHARACTERS // 1024} KB: that is no scenario template")
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not any(_OPENS.match(line) for line in lines) and any(line.strip() for line in lines):
        return TomlBlock("\n".join(lines), 1)
    blocks: list[TomlBlock] = []
    fence, first = "", 0
    for at, line in enumerate(lines):
        opens = _OPENS.match(line)
        if not fence and opens and opens.group(2).lower() == "toml":
            fence, first = opens.group(1), at + 1
        elif fence and line.strip() == fence:
            blocks.append(TomlBlock(textwrap.dedent("\n".join(lines[first:at])), first + 1))
            fence = ""
    if fence:
        return FieldError("(the file)", f"the ```toml block that begins in line {first} has no end: close it with ```")
    if len(blocks) != 1:
        return FieldError(
            "(the file)", f"must hold one ```toml block, found {len(blocks)}: start from the template again"
        )
    return blocks[0]


def toml_problem(block: TomlBlock, error: Exception) -> FieldError:
    """Why the block cannot be read, with the line of the file instead of the block's."""
    told = re.sub(r"at line (\d+)", lambda line: f"at line {int(line[1]) + block.first - 1} of the file", str(error))
    return FieldError("(the toml block)", f"is no TOML: {told}. Texts stand in double quotes, lists in [ ]")


def field_problem(location: tuple[int | str, ...], message: str, kind: str) -> FieldError:
    """One of pydantic's errors in words for whoever fills the form in: the field, what is wrong, what it must be."""
    kinds = ("[key]", "float", "int", "str", "date")  # pydantic's own steps into a key, and into one of several types
    where = [str(part) for at, part in enumerate(location) if at == 0 or part not in kinds]
    field = where[0] if where else ""
    name = ".".join(where) or "(the toml block)"
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(field, MUST, 1) if len(where) == 1 else []
        return FieldError(name, f"is not a field of this form{f'; did you mean {near[0]}?' if near else ''}")
    problem = "is missing" if kind == "missing" else message.removeprefix("Value error, ")
    problem = problem[:1].lower() + problem[1:]
    return FieldError(name, f"{problem}; it must be {MUST[field]}" if field in MUST else problem)
