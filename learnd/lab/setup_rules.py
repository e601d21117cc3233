"""How a stack's environment is made from lock and requirement files: a rule in its adapter, read and checked here.

A rule can name installers only, each in the form that installs what files say and nothing else, so that an adapter
brought by a repository is no way to run something else. Nothing here runs anything.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from events.values import Value

ENV = "{env}"
"""Stands for the environment's place inside the sandbox, absolute."""

LOCK = "{lock}"
"""Stands for a requirement file made of all that the rule's own say, relative to the package."""

_INSTALLERS = tuple(
    re.compile(pattern)
    for pattern in (
        r"python3 -m venv( --without-pip| --system-site-packages)* \{env\}",
        r"\{env\}/bin/python -m pip install( -[\w-]+(=\S+)?)* (-r|--requirement) \{lock\}",
        r"npm (ci|install)( --[\w-]+(=\S+)?)*",
        r"pnpm install( --[\w-]+(=\S+)?)*",
        r"(corepack )?(yarn|pnpm) install( --[\w-]+(=\S+)?)*",
        r"uv sync( --[\w-]+(=\S+)?)*",
        r"poetry install( --[\w-]+(=\S+)?)*",
        r"go mod download",
        r"cargo fetch( --locked)?",
        r"mvn( -[\w.-]+(=\S+)?)* dependency:(go-offline|resolve)",
    )
)


FilePattern = Annotated[str, Field(pattern=r"^(\*\*/)?[\w.*?\[\]-]+(/[\w.*?\[\]-]+)*$", max_length=200)]


class SetupRule(Value):
    """One way to an environment.

    `files` are patterns of paths relative to the package (`**/` in front: at any depth): where one matches, the rule
    applies. `shows` are further files that the set-up sees, `blank` those it sees empty, for their names alone: an
    environment is made of what it is keyed by. `commands` run in order, with the network; they leave the environment in
    `folder`, relative to the package. `env` are variables that the set-up and the replays get.
    """

    files: Annotated[tuple[FilePattern, ...], Field(min_length=1)]
    shows: tuple[FilePattern, ...] = ()
    blank: tuple[FilePattern, ...] = ()
    commands: Annotated[tuple[tuple[str, ...], ...], Field(min_length=1, max_length=5)]
    folder: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    env: dict[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")], str] = Field(default_factory=dict)

    @field_validator("files", "shows", "blank")
    @classmethod
    def _inside_the_package(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        if any(".." in pattern.split("/") for pattern in patterns):
            raise ValueError("must name files of the package, without `..`")
        return patterns

    @field_validator("folder")
    @classmethod
    def _a_folder_of_its_own(cls, folder: str) -> str:
        if folder in (".", "..", ".git"):
            raise ValueError("must be a folder of its own in the package")
        return folder

    @field_validator("commands")
    @classmethod
    def _installers_only(cls, commands: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        for argv in commands:
            if not any(form.fullmatch(" ".join(argv)) for form in _INSTALLERS):
                raise ValueError(f"`{' '.join(argv)}` is no command that installs from a lock or requirement file")
        return commands

    @model_validator(mode="after")
    def _variables_are_the_environment_s(self) -> SetupRule:
        for name, value in self.env.items():
            if ENV not in value:
                raise ValueError(f"`env.{name}` must name the environment by {ENV}")
        return self

    def applies(self, package: str, files: Collection[str]) -> bool:
        """Whether `package` has a file that this rule installs from."""
        return any(_matching(self.files, package, path) for path in files)

    def seen(self, package: str, files: Collection[str]) -> tuple[str, ...]:
        """Every file of the package that the set-up gets to see, sorted."""
        return tuple(sorted(path for path in files if self.asks_for(path, package)))

    def named(self, package: str, files: Collection[str]) -> tuple[str, ...]:
        """Every file of the package that it sees empty, sorted."""
        return tuple(sorted(path for path in files if _matching(self.blank, package, path)))

    def asks_for(self, path: str, package: str) -> bool:
        """Whether a change of the file `path` changes what this rule installs."""
        return _matching((*self.files, *self.shows), package, path)


def _matching(patterns: Collection[str], package: str, path: str) -> bool:
    prefix = "" if package == "." else f"{package}/"
    if not path.startswith(prefix) or "node_modules/" in path:
        return False
    have = path[len(prefix) :].split("/")
    for pattern in patterns:
        want = pattern.removeprefix("**/").split("/")
        tail = have[-len(want) :] if pattern.startswith("**/") else have
        if len(tail) == len(want) and all(map(fnmatch.fnmatchcase, tail, want)):
            return True
    return False
