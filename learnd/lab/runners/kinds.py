"""What is said of a command, and what may be looked at to say it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from events.values import CommandClass
from learnd.lab.programs import LINT_FLAGS, LOOKS, UNFIT_FLAGS

ReadFile = Callable[[str], bytes | None]
"""The bytes of a file of the tree, by its path relative to the root; None where there is none."""


@dataclass(frozen=True)
class Known:
    """A command that verifies something. `runner` is who reports, behind all wrappers."""

    cls: CommandClass
    runner: str


@dataclass(frozen=True)
class Unfit:
    """Why a command is not replayed. `needs` names a service when that is the reason; `silent`: it verifies nothing."""

    why: str
    needs: str | None = None
    silent: bool = False


Judged = Known | Unfit
Verb = Callable[[Sequence[str], "Scope"], Judged]
"""Judges a program by its arguments."""


@dataclass(frozen=True)
class Scope:
    """What may be looked at while judging: the tree's files (by `read`), and the folder the command runs in.

    `judge` is who judges what stands behind a wrapper, `programs` are the names that it knows.
    """

    cwd: str = "."
    read: ReadFile | None = None
    depth: int = 0
    lines: Callable[[str, Scope], list[Judged]] | None = None
    files: Collection[str] = ()
    judge: Verb | None = None
    programs: Collection[str] = ()

    def behind(self, words: Sequence[str]) -> Judged:
        """What the command behind a wrapper verifies."""
        assert self.judge is not None  # noqa: S101 - whoever is asked, was asked by it
        return self.judge(words, self.deeper())

    def deeper(self) -> Scope:
        """One level further in: wrappers and scripts may nest, but not for ever."""
        return replace(self, depth=self.depth + 1)

    def at(self, folder: str) -> Scope:
        """The same in another folder."""
        return replace(self, cwd=posixpath.normpath(posixpath.join(self.cwd, folder)))

    def file(self, name: str) -> str | None:
        """The text of `name` in the command's folder; None where it is absent or must not be read."""
        path = posixpath.normpath(posixpath.join(self.cwd, name))
        if self.read is None or path.startswith(("/", "..")):
            return None
        data = self.read(path)
        return None if data is None else data[:1_000_000].decode("utf-8", "replace")


MAX_DEPTH = 6


def with_flags(known: Known, arguments: Sequence[str]) -> Judged:
    """`known`, unless a flag before `--` makes it verify nothing."""
    unfit = UNFIT_FLAGS.get(known.runner, LINT_FLAGS if known.cls == "lint" else LOOKS)
    for argument in arguments:
        if argument == "--":
            break
        if why := unfit.get(argument.split("=", 1)[0]):
            return Unfit(f"`{known.runner} {argument[:40]}`: {why}")
    if known.runner == "vitest" and arguments[:1] and arguments[0] in ("watch", "dev", "bench", "list", "init"):
        return Unfit(f"`vitest {arguments[0]}` is no test run")
    return known
