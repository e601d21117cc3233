"""The Markdown body of a pattern: level-two headings that mean something, and text between them.

Headings are read outside fenced code only: a `## Solution` in a quoted shell script is a comment. What is
written is made safe first (`clean`): a heading of level one or two inside a section goes down to level
three, and a fence left open is closed, so that no section can swallow or forge another one.

- `clean` is idempotent, and `split(join(sections)) == sections` for clean sections.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import BeforeValidator

from events.values import Value

HEADINGS = {
    "problem": "Problem",
    "solution": "Solution",
    "rationale": "Rationale",
    "applies_when": "Applies when",
    "does_not_apply_when": "Does not apply when",
}
REQUIRED = ("problem", "solution", "rationale")

_OPENING = re.compile(r" {0,3}(?:(`{3,})[^`]*|(~{3,}).*)")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*")


class SectionsUnreadable(Exception):
    """The body's headings are not those of a pattern; the message names the heading."""


def encodable(text: object) -> object:
    """`text` without half surrogate pairs: a model's JSON may hold them, no file and no event can."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


Text = Annotated[str, BeforeValidator(encodable)]


class Sections(Value):
    """What a pattern says, in Markdown. The optional two are empty when there is nothing to say."""

    problem: Text
    solution: Text
    rationale: Text
    applies_when: Text = ""
    does_not_apply_when: Text = ""

    def cleaned(self) -> Sections:
        return Sections(**{name: clean(text) for name, text in self.model_dump().items()})


def one_line(text: str) -> str:
    """`text` on one line: titles, tags and reasons. Every run of white space becomes one space."""
    return " ".join(text.split())


def clean(text: str) -> str:
    """A section's text as it is stored: LF, no trailing white space, no loose fence, no higher heading."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    kept: list[str] = []
    fence = ""
    for line in lines:
        inside, fence = _step(fence, line)
        heading = None if inside else _HEADING.fullmatch(line)
        lower = heading is not None and len(heading[1]) < 3
        kept.append(f"### {line.lstrip().lstrip('#').lstrip()}".rstrip() if lower else line)
    return "\n".join([*kept, fence] if fence else kept)


def fenced(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each line with the fence that it stands in or belongs to (CommonMark 4.5), empty outside of code."""
    fence = ""
    for line in lines:
        inside, fence = _step(fence, line)
        yield line, inside


def join(title: str, note: str, sections: Sections) -> str:
    """The body: title, learnd's note on the evidence, then the sections that are not empty."""
    parts = [f"# {title}", note]
    for name, heading in HEADINGS.items():
        text = getattr(sections, name)
        if text:
            parts.append(f"## {heading}\n\n{text}")
    return "\n\n".join(part for part in parts if part) + "\n"


def split(body: str) -> tuple[str, Sections]:
    """(what stands before the first section, the sections). Raises SectionsUnreadable."""
    names = {heading: name for name, heading in HEADINGS.items()}
    found: dict[str, list[str]] = {}
    before: list[str] = []
    current = before
    for line, fence in fenced(body.replace("\r\n", "\n").split("\n")):
        heading = None if fence else _HEADING.fullmatch(line)
        if heading is None or len(heading[1]) != 2:
            current.append(line)
            continue
        name = names.get(heading[2] or "")
        if name is None:
            raise SectionsUnreadable(f"`{line.strip()}` is no section of a pattern; use a heading of level three")
        if name in found:
            raise SectionsUnreadable(f"`{line.strip()}` stands there twice")
        current = found[name] = []
    missing = [HEADINGS[name] for name in REQUIRED if name not in found]
    if missing:
        raise SectionsUnreadable(f"the section {missing[0]} is missing")
    texts = {name: clean("\n".join(lines)) for name, lines in found.items()}
    return "\n".join(before).strip(), Sections(**texts)


def _step(fence: str, line: str) -> tuple[str, str]:
    """(the fence that `line` belongs to, the fence that is open after it)."""
    if not fence:
        opening = _OPENING.fullmatch(line)
        opened = (opening[1] or opening[2]) if opening else ""
        return opened, opened
    mark = line.strip()
    closes = len(line) - len(line.lstrip(" ")) < 4 and len(mark) >= len(fence) and set(mark) == {fence[0]}
    return fence, "" if closes else fence
