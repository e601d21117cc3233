"""What of a run is learnd's own work, and never learned from: files that learnd wrote, runs that only called learnd.

Files are known by where they stand (`state.own_work`) or, where a person chose the folder, by learnd's mark in them.
A change that is partly own is learned from without that part: no hunk of it is tried, quoted or named.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath
from typing import Final

from learnd.harvest.store import SnapshotStore
from learnd.manifest.history import ExecutedCommand
from learnd.serving.skill_text import SKILL_FILE, mark_of
from state.own_work import is_own_place

_SKILL_MAX: Final = 200_000
_FILE = re.compile(rb"^diff --git ", re.MULTILINE)
_PYTHON = re.compile(r"python(?:\d+(?:\.\d+)*)?")
_RUNNERS: Final = (("uv", "run"), ("uvx",), ("pipx", "run"), ("poetry", "run"), ("sudo",), ("env",))


def own_paths(changed: Collection[str], base_tree: str, tree: str, store: SnapshotStore) -> tuple[str, ...]:
    """Those of the changed paths that learnd wrote. Raises SnapshotError."""
    skills = [path for path in changed if PurePosixPath(path).name == SKILL_FILE]
    marked = {
        path
        for side in ((tree, base_tree) if skills else ())
        for path, content in store.read_files(side, skills, _SKILL_MAX).items()
        if mark_of(content.decode("utf-8", "replace")) is not None
    }
    return tuple(path for path in changed if path in marked or is_own_place(path))


def without_own(diff: bytes, own: Collection[str]) -> bytes:
    """`diff` without the files that are learnd's own, by their names in git's headers."""
    starts = [match.start() for match in _FILE.finditer(diff)]
    parts = [diff[first:last] for first, last in zip(starts, [*starts[1:], len(diff)], strict=True)]
    return b"".join(part for part in parts if not _is_own(part, own))


def _is_own(part: bytes, own: Collection[str]) -> bool:
    header = part.partition(b"\n")[0].decode("utf-8", "replace")
    path = header.rpartition(" b/")[2] if " b/" in header else header.rpartition('"b/')[2].rstrip('"')
    return path in own or is_own_place(path)


def is_own_run(history: Iterable[ExecutedCommand]) -> bool:
    """Whether a run executed something, and nothing but learnd's own command."""
    commands = [command.argv or _words(command.line) for command in history]
    return bool(commands) and all(map(_is_learnd, commands))


def _words(line: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(line))
    except ValueError:
        return ()


def _is_learnd(argv: tuple[str, ...]) -> bool:
    if argv[:2] in (("bash", "-c"), ("bash", "-lc"), ("sh", "-c")) and len(argv) == 3:
        # Of several commands in a line, or words that a shell would change, nothing is taken for granted.
        return not re.search(r"[;&|<>$`\n]", argv[2]) and _is_learnd(_words(argv[2]))
    words = [word for word in argv if not re.fullmatch(r"[A-Za-z_]\w*=.*", word)]
    for runner in _RUNNERS:
        if tuple(words[: len(runner)]) == runner:
            words = words[len(runner) :]
    if words and _PYTHON.fullmatch(PurePosixPath(words[0]).name) and words[1:3] == ["-m", "learnd"]:
        return True
    return bool(words) and PurePosixPath(words[0]).name == "learnd"
