"""What a person might want to run where learnd itself dares nothing: proposals for the manual form, never commands.

learnd takes known runners only, and only what succeeded. A person may know that the script the run called is the
check, that the failing test fails for another reason, or that `make verify` is what they always type. So the form
names what comes into question, each with where it was found. Texts only; nothing here runs anything.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from learnd.lab.commands import parts
from learnd.lab.scenario import SynthesisRequest

MOST = 5
_INTERPRETERS = frozenset({"sh", "bash", "dash", "zsh", "python", "python3", "node", "ruby", "perl"})
_CHECKS = re.compile(
    r"(run[-_]?)?(all[-_]?)?(tests?|checks?|verify|ci|smoke)([-_](all|tests?))?\.(sh|bash|py|js|mjs|rb)"
)
_SCRIPT_FOLDERS = ("", "scripts", "script", "bin", "tools", "ci", "test", "tests", "hack")
_TARGET = re.compile(rb"^(tests?|checks?|verify|ci)\s*:(?!=)", re.MULTILINE)
_MAKEFILES = {"Makefile": "make", "GNUmakefile": "make", "makefile": "make", "justfile": "just", "Justfile": "just"}


@dataclass(frozen=True)
class Suggestion:
    """A line that may be typed as an entrypoint, and why it comes into question."""

    line: str
    why: str


def suggestions(request: SynthesisRequest) -> tuple[Suggestion, ...]:
    """At most MOST, the likeliest first; none where neither the run nor the snapshot says what checks it."""
    kept: dict[str, Suggestion] = {}
    for found in (*_of_history(request), *_of_tree(request)):
        kept.setdefault(found.line, found)
    return tuple(islice(kept.values(), MOST))


def _of_history(request: SynthesisRequest) -> Iterator[Suggestion]:
    """What the run executed, the newest first: tests that did not succeed, and programs that lie in the tree."""
    for executed in reversed(request.history):
        line = " ".join(executed.line.split())
        ended = "succeeded" if executed.succeeded else f"ended with {executed.exit_code}"
        found = parts(executed.argv or executed.line, read=request.read, files=request.files)
        if any(part.cls == "test" for part in found):
            yield Suggestion(line, f"the run executed it; it {ended}")
        elif any(_in_tree(part.argv, request) for part in found):
            yield Suggestion(line, f"the run executed this program of the repository; it {ended}")


def _in_tree(argv: tuple[str, ...], request: SynthesisRequest) -> bool:
    """Whether the program, or the script that an interpreter is given, is a file of the snapshot."""
    words = [word for word in argv if not word.startswith("-")]
    if words and posixpath.basename(words[0]) in _INTERPRETERS:
        words = words[1:]
    if not words:
        return False
    path = words[0].removeprefix(f"{request.repo_path.rstrip('/')}/")
    return posixpath.normpath(path) in request.files


def _of_tree(request: SynthesisRequest) -> Iterator[Suggestion]:
    """Scripts and targets of the snapshot whose names say that they check something."""
    for path in sorted(request.files):
        folder, name = posixpath.split(path)
        if folder in _SCRIPT_FOLDERS and _CHECKS.fullmatch(name):
            yield Suggestion(_started(path), "a file of the snapshot, called like a check")
        elif not folder and name in _MAKEFILES:
            for target in dict.fromkeys(match.group(1) for match in _TARGET.finditer(request.read(path) or b"")):
                yield Suggestion(f"{_MAKEFILES[name]} {target.decode()}", f"a target of {name}")


def _started(path: str) -> str:
    """The line that starts a script by its ending: it need not be executable."""
    starters = {".py": "python3", ".js": "node", ".mjs": "node", ".rb": "ruby"}
    return shlex.join([starters.get(posixpath.splitext(path)[1], "bash"), path])
