"""Which runners here can run their tests in another order, how they are asked to, and whether they said that they did.

pytest and unittest are shuffled by our reporter, whatever their version. The others have flags of their own, which an
older version would take for a mistake: so their version is read from where they are installed, and nothing is run for
it. cargo shuffles in its nightly versions alone, node's and mocha not at all.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from learnd.lab.outcomes.results import ReportUnreadable, read_bounded

_SINCE = {"jest": (29, 5), "vitest": (1, 0), "go": (1, 17)}
_FLAGS = {
    "jest": ("--randomize", "--seed={seed}"),
    "vitest": ("--sequence.shuffle", "--sequence.seed={seed}"),
    "go": ("-shuffle={seed}",),
}
_CHOSEN = re.compile(r"--?(randomize|seed|sequence|shuffle)\b")
_TOLD = {
    "jest": re.compile(r"^Seed:\s+(\d+)\s*$", re.MULTILINE),
    "vitest": re.compile(r"Running tests with seed \"(\d+)\""),
    "go": re.compile(r"^-test\.shuffle (\d+)\s*$", re.MULTILINE),
}
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def shufflers(folders: Iterable[Path], path: str) -> frozenset[str]:
    """The runners that can shuffle: of those in `folders` (each a node_modules) and of the go first on `path`."""
    found = {tool for folder in folders for tool in ("jest", "vitest") if _can(tool, _of_package(folder / tool))}
    program = shutil.which("go", path=path)
    if program is not None and _can("go", _text(Path(program).resolve().parent.parent / "VERSION")):
        found.add("go")
    return frozenset(found)


def shuffling(tool: str, argv: Sequence[str], seed: int) -> tuple[str, ...]:
    """What is added to a command of `tool` to shuffle its tests by `seed`; nothing where it chose an order itself."""
    if tool not in _FLAGS or any(_CHOSEN.match(word) for word in argv):
        return ()
    return tuple(flag.format(seed=seed) for flag in _FLAGS[tool])


def told_seed(tool: str, printed: str) -> int | None:
    """The seed that the runner printed, or None."""
    found = _TOLD[tool].search(_ANSI.sub("", printed))
    return int(found.group(1)) if found else None


def _can(tool: str, version: str) -> bool:
    numbers = re.match(r"(?:go)?(\d+)\.(\d+)", version)
    return numbers is not None and (int(numbers.group(1)), int(numbers.group(2))) >= _SINCE[tool]


def _of_package(folder: Path) -> str:
    try:
        document = json.loads(_text(folder / "package.json") or "{}")
    except (ValueError, RecursionError):
        return ""
    return str(document.get("version", "")) if isinstance(document, dict) else ""


def _text(file: Path) -> str:
    try:
        return (read_bounded(file.resolve()) or b"").decode("utf-8", "replace")
    except (ReportUnreadable, OSError):
        return ""
