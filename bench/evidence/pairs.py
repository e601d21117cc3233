"""The pairs: two releases of a package, one after the other, and the command that verifies the newer one.

`pairs.toml` is the only place that names packages, versions and digests. A pair's command is what the run that made the
change is said to have executed; `{tests}` stands for the test files that the newer release changed.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

PAIRS = Path(__file__).with_name("pairs.toml")


class Release(BaseModel):
    """One release's source archive: a source distribution or a package tarball, by its digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    sha256: str


class Pair(BaseModel):
    """`tests` are globs (`*` crosses folders) of the files that the command may be given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: str
    registry: Literal["pypi", "npm"]
    old: Release
    new: Release
    layout: str
    runner: str
    command: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        """The package's name as a folder may be called."""
        return self.package.rpartition("/")[2] if self.package.startswith("@") else self.package

    @property
    def title(self) -> str:
        return f"{self.package} {self.old.version} → {self.new.version}"

    def run_line(self, changed: Sequence[str]) -> str:
        """The command for the test files among `changed`. Raises NothingToRun where there are none."""
        tests = sorted(path for path in changed if any(fnmatchcase(path, glob) for glob in self.tests))
        if not tests:
            raise NothingToRun(f"{self.title} changes none of {', '.join(self.tests)}")
        return self.command.replace("{tests}", shlex.join(tests))


class NothingToRun(Exception):
    """A pair's newer release changes no test; the message says of which."""


def read_pairs(path: Path = PAIRS) -> tuple[Pair, ...]:
    """All pairs, in their order."""
    with path.open("rb") as file:
        return tuple(Pair.model_validate(pair) for pair in tomllib.load(file)["pair"])
