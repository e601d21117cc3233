"""Which service a change touches: by the operator's path rules, else by the package that each file lies in.

A rule's patterns are matched against whole paths, segment by segment: `*` and `?` stay inside one segment, `**` stands
for any number of them. The first rule that fits a file names its service. A file that none fits belongs to the nearest
folder above it that holds a package's manifest, in the snapshot's tree; the service is then that folder with a slash
behind it, `./` where it is the repository itself. So the two kinds of name cannot be mistaken for each other.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

PACKAGES = (
    "pyproject.toml", "setup.py", "setup.cfg", "package.json", "go.mod", "Cargo.toml", "pom.xml", "build.gradle",
    "build.gradle.kts", "composer.json", "Gemfile", "mix.exs", "Package.swift",
)  # fmt: skip
"""Files that say of the folder they lie in that it is a package."""

_WILD = {"*": "[^/]*", "?": "[^/]"}
"""No classes of characters: folders are called `[slug]`."""

SHOWN = 8
"""Services that are named of a change that touches many."""


def services_of(
    paths: Iterable[str], files: Collection[str], rules: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:  # fmt: skip
    """The services that the changed `paths` touch, each once, in order. `files` are all of the snapshot's tree."""
    return tuple(sorted({_service(path, files, rules) for path in paths}))


def several(services: Sequence[str]) -> tuple[str, ...]:
    """`services`; of many the first few, and how many more there are."""
    if len(services) <= SHOWN:
        return tuple(services)
    return (*services[:SHOWN], f"{len(services) - SHOWN} more")


def _service(path: str, files: Collection[str], rules: Mapping[str, Sequence[str]]) -> str:
    for name, patterns in rules.items():
        if any(matches(pattern, path) for pattern in patterns):
            return name
    return _package(path, files)


def _package(path: str, files: Collection[str]) -> str:
    folder = posixpath.dirname(path)
    while folder:
        if any(f"{folder}/{name}" in files for name in PACKAGES):
            return f"{folder}/"
        folder = posixpath.dirname(folder)
    return "./"


def matches(pattern: str, path: str) -> bool:
    """Whether `path`, relative to the repository, is one of those that `pattern` means."""
    return _compiled(pattern).fullmatch(path) is not None


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    expression = ""
    for part in pattern.split("/"):
        if part == "**":
            expression += "(?:[^/]+/)*"
        else:
            expression += "".join(_WILD.get(sign, re.escape(sign)) for sign in part) + "/"
    if pattern.endswith("**"):
        expression += "[^/]+/"
    return re.compile(expression.removesuffix("/"))
