"""ast-grep, run as a program: rules in, matches out, within bounds.

- It is given a configuration of our own that says nothing. Without one it reads the `sgconfig.yml` of the folder where
  it stands or of any above, which agents may write: that may name rules of theirs and native libraries to load.
- It gets no configuration, variable or home of the user's.
- Rules are data of a model's: time and output are bounded, and a rule that ast-grep refuses is an error of ours.
- What it says is read as JSON, one match a line; anything else in between is an error, never a match left out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

CONFIG = "sgconfig.yml"
CONFIG_TEXT = "ruleDirs: []\n"
RULES = "rules.yml"
EVERY_FILE = tuple(f"--no-ignore={kind}" for kind in ("hidden", "dot", "exclude", "global", "parent", "vcs"))
SECONDS = 600.0
OUTPUT = 256 << 20
"""Bytes of matches: some hundred thousand. More is a rule that matches everything."""
_SAID = 600


class AstGrepFailed(Exception):
    """ast-grep is not there, refused, took too long or said too much; the message says which, and what it said."""


@dataclass(frozen=True)
class Match:
    """A match of the rule `name`. Offsets are bytes, lines and columns count from 1; the end is exclusive.

    `replacement` goes in the place of the bytes `replaces`, where the rule has a fix.
    """

    name: str
    path: str
    start: int
    end: int
    lines: tuple[int, int]
    column: int
    end_column: int
    text: str
    replacement: str | None = None
    replaces: tuple[int, int] = (0, 0)


@cache
def program() -> Path:
    """The installed ast-grep: the one beside our own Python, which is locked. Raises AstGrepFailed."""
    own = Path(sys.executable).parent / "ast-grep"
    found = own if own.is_file() else shutil.which("ast-grep")
    if found is None:
        raise AstGrepFailed("ast-grep is not installed. Next: pip install ast-grep-cli, into learnd's environment")
    return Path(found)


@cache
def version() -> str:
    """`ast-grep 0.51.1`. Raises AstGrepFailed."""
    done = subprocess.run([program(), "--version"], capture_output=True, text=True, check=False, env={}, timeout=30)
    return done.stdout.strip() or "ast-grep"


def scan_argv(ast_grep: str, folder: str) -> tuple[str, ...]:
    """The command that runs the rules in `folder/RULES`, under the configuration beside them."""
    return (ast_grep, "scan", "-c", f"{folder}/{CONFIG}", "--rule", f"{folder}/{RULES}", "--json=stream")


def nodes_argv(ast_grep: str, folder: str, language: str) -> tuple[str, ...]:
    """The command that names every named node of the files that follow."""
    return (ast_grep, "run", "-c", f"{folder}/{CONFIG}", "--lang", language, "--pattern", "$A", "--json=stream")


def write_rules(folder: Path, rules: Iterable[str]) -> None:
    """Write what `scan_argv` and `nodes_argv` read."""
    (folder / CONFIG).write_text(CONFIG_TEXT)
    (folder / RULES).write_text("---\n".join(rules))


def scan(rules: Sequence[str], root: Path, paths: Sequence[str], *, seconds: float = SECONDS) -> Iterator[Match]:
    """The matches of `rules` (their texts) in files and folders below `root`, as ast-grep finds them.

    It walks as ast-grep does: what git ignores and hidden files are left out. Paths of matches are relative to `root`.
    Raises AstGrepFailed.
    """
    with tempfile.TemporaryDirectory(prefix="learnd-rules-") as folder, tempfile.TemporaryFile() as said:
        write_rules(Path(folder), rules)
        argv = [*scan_argv(str(program()), folder), "--", *paths]
        process = subprocess.Popen(
            argv, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, env={"HOME": folder}
        )
        assert process.stdout is not None  # noqa: S101 - it was asked for
        late = threading.Timer(seconds, process.kill)
        late.start()
        try:
            yield from _read(process.stdout)
            process.wait()
        finally:
            process.kill()
            process.wait()
            finished = late.is_alive()
            late.cancel()
        if not finished:
            raise AstGrepFailed(f"ast-grep took more than {seconds:.0f} s")
        if process.returncode != 0:
            said.seek(0)
            raise AstGrepFailed(told(said.read().decode("utf-8", "replace")))


def _read(stream: IO[bytes]) -> Iterator[Match]:
    size = 0
    for line in stream:
        size += len(line)
        if size > OUTPUT:
            raise AstGrepFailed(f"ast-grep said more than {OUTPUT >> 20} MiB: a rule matches nearly everything")
        yield parsed(line)


def parsed(line: bytes) -> Match:
    """A line of `--json=stream`. Raises AstGrepFailed."""
    try:
        said = json.loads(line)
        place, offsets = said["range"], said["range"]["byteOffset"]
        replaces = said.get("replacementOffsets") or offsets
        # A match that ends in column 0 ends with the line before.
        last = place["end"]["line"] + (1 if place["end"]["column"] else 0)
        return Match(
            name=str(said.get("ruleId", "")),
            path=str(said["file"]).removeprefix("./"),
            start=int(offsets["start"]),
            end=int(offsets["end"]),
            lines=(place["start"]["line"] + 1, max(last, place["start"]["line"] + 1)),
            column=place["start"]["column"] + 1,
            end_column=place["end"]["column"] + 1,
            text=str(said["text"]),
            replacement=said.get("replacement"),
            replaces=(int(replaces["start"]), int(replaces["end"])),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise AstGrepFailed(f"ast-grep said what is no match: {line[:120]!r} ({error!r})") from error


def told(stderr: str) -> str:
    """What ast-grep said when it failed, on one line."""
    return f"ast-grep refused: {' '.join(stderr.split())[:_SAID] or 'it said nothing'}"
