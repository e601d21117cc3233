"""Stack templates: how a language's packages are recognised, tested, built and linted, as files people can read.

Five are shipped (`.agent/task/templates/*.toml`). A repository may bring its own, read from the base tree and never
from the change; one of the same name replaces ours there. A template can name known runners only: whatever its words,
each command has to classify as what it says it is, so a template is never a way to run something else.
"""

from __future__ import annotations

import fnmatch
import posixpath
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator, model_validator

from events.values import CommandClass, Value
from learnd.lab.commands import classify
from learnd.lab.runners import ReadFile

FOLDER = ".agent/task/templates"
"""Where templates stand, in learnd's own files and in a repository."""

_MAX_BYTES = 64 * 1024
_MAX_LOOKED_AT = 40
_PLACES = ("{file}", "{folder}", "{stem}")

Pattern = Annotated[str, Field(min_length=1, max_length=200)]


class TemplateInvalid(Exception):
    """A template that cannot be used; the message names its file, the field and what it must be."""


class When(Value):
    """A condition: a file of the package matches `file` (`*` crosses folders) and holds the text `contains`."""

    file: Pattern
    contains: str = ""


class TemplateCommand(Value):
    """A command for a whole package; with `each`, also one for single test files.

    `each` is repeated for each file, after `each_argv` (default: `argv`); `{file}`, `{folder}` and `{stem}` stand for
    the file's path, folder and name relative to the package. `when` lists alternatives; none means always.
    """

    cls: CommandClass
    argv: Annotated[tuple[str, ...], Field(min_length=1, max_length=20)]
    each: tuple[str, ...] = ()
    each_argv: tuple[str, ...] = ()
    when: tuple[When, ...] = ()

    @field_validator("argv", "each_argv")
    @classmethod
    def _no_places(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if any("{" in word for word in argv):
            raise ValueError("placeholders belong into `each`")
        return argv

    @field_validator("each")
    @classmethod
    def _has_place(cls, each: tuple[str, ...]) -> tuple[str, ...]:
        if each and not any(place in word for word in each for place in _PLACES):
            raise ValueError(f"must hold one of {', '.join(_PLACES)}")
        return each

    @model_validator(mode="after")
    def _known_runner(self) -> TemplateCommand:
        for argv in filter(None, (self.argv, self.each_argv)):
            found = classify(argv)
            if found.cls != self.cls:
                reason = found.why_not or f"it is a {found.cls} command"
                raise ValueError(f"`{' '.join(argv)}` is no {self.cls} command of a known runner: {reason}")
        return self

    def for_files(self, files: Sequence[str]) -> tuple[str, ...]:
        """The words that run `files` (relative to the package) alone."""
        words = list(self.each_argv or self.argv)
        for file in files:
            folder, name = posixpath.split(file)
            places = {"{file}": file, "{folder}": folder or ".", "{stem}": name.rsplit(".", 1)[0]}
            filled = [_filled(word, places) for word in self.each]
            if len(filled) > 1 or filled[0] not in words:
                words += filled
        return tuple(words)


class Tests(Value):
    """Which files are tests. `files` can be run alone, `folders` and `support` hold what belongs to tests.

    A pattern without `/` matches a file's name anywhere, one with `/` the end of its path. `inline`: the language keeps
    tests inside source files too.
    """

    __test__ = False  # pytest would otherwise try to collect this class

    files: tuple[Pattern, ...] = ()
    folders: tuple[Pattern, ...] = ()
    support: tuple[Pattern, ...] = ()
    inline: bool = False


class Stack(Value):
    """One language or build tool. `roots` are files that mark a package's folder, `environment` its installed parts."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]
    roots: Annotated[tuple[Annotated[str, Field(pattern=r"^[\w.-]+$")], ...], Field(min_length=1)]
    suffixes: tuple[Annotated[str, Field(pattern=r"^\.[a-z0-9]+$")], ...] = ()
    environment: tuple[str, ...] = ()
    tests: Tests = Tests()
    commands: Annotated[tuple[TemplateCommand, ...], Field(max_length=30)] = ()

    def owns(self, path: str) -> bool:
        """Whether a file is written in this stack's language."""
        return path.endswith(self.suffixes) if self.suffixes else False

    def package_of(self, path: str, files: Collection[str]) -> str:
        """The folder of the package that `path` belongs to: the nearest with a root file, else the repository's."""
        folder = posixpath.dirname(path)
        while folder:
            if self.is_root(folder, files):
                return folder
            folder = posixpath.dirname(folder)
        return "."

    def is_root(self, folder: str, files: Collection[str]) -> bool:
        prefix = "" if folder == "." else f"{folder}/"
        return any(f"{prefix}{root}" in files for root in self.roots)

    def runnable_test(self, path: str) -> bool:
        """Whether a file can be named to the runner as a test."""
        return any(_matches(path, pattern) for pattern in self.tests.files)

    def test_matter(self, path: str) -> bool:
        """Whether a file belongs to tests: a test, what stands in a test folder, or what tests are set up by."""
        folders = posixpath.dirname(path).split("/")
        return (
            self.runnable_test(path)
            or any(fnmatch.fnmatchcase(part, folder) for part in folders for folder in self.tests.folders)
            or any(_matches(path, pattern) for pattern in self.tests.support)
        )

    def applicable(self, package: str, files: Collection[str], read: ReadFile) -> tuple[TemplateCommand, ...]:
        """The commands whose condition holds in `package`, in the template's order."""
        return tuple(
            one for one in self.commands if not one.when or any(_holds(w, package, files, read) for w in one.when)
        )


@dataclass(frozen=True)
class Templates:
    """The stacks in use; `problems` says which of the repository's own templates were left out and why."""

    stacks: tuple[Stack, ...]
    problems: tuple[str, ...] = ()


def load(folder: Path, extra: Mapping[str, bytes] | None = None) -> Templates:
    """The shipped templates of `folder`, with `extra` (path in the base tree → bytes) over them by name.

    Raises TemplateInvalid for a shipped one; a repository's own that is invalid is left out and named in `problems`.
    """
    shipped = [parse(file.name, file.read_bytes()) for file in sorted(folder.glob("*.toml"))]
    if not shipped:
        raise TemplateInvalid(f"{folder}: no stack templates. Next: install learnd again")
    stacks = {stack.name: stack for stack in shipped}
    problems: list[str] = []
    for path, data in sorted((extra or {}).items()):
        try:
            stack = parse(path, data)
        except TemplateInvalid as error:
            problems.append(str(error))
        else:
            stacks[stack.name] = stack
    return Templates(tuple(stacks.values()), tuple(problems))


def parse(file: str, data: bytes) -> Stack:
    """One template. Raises TemplateInvalid, naming `file` and the field."""
    if len(data) > _MAX_BYTES:
        raise TemplateInvalid(f"{file}: larger than {_MAX_BYTES // 1024} KB")
    try:
        return Stack.model_validate(tomllib.loads(data.decode()))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise TemplateInvalid(f"{file}: is no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(the whole)"
        message = first["msg"].removeprefix("Value error, ")
        raise TemplateInvalid(f"{file}: {field}: {message}") from error


def is_test_path(path: str, stacks: Sequence[Stack]) -> bool:
    """Whether a changed file belongs to the tests, not to the source, of any of the stacks."""
    return any(stack.test_matter(path) for stack in stacks)


def _matches(path: str, pattern: str) -> bool:
    want = pattern.split("/")
    have = path.split("/")[-len(want) :]
    return len(have) == len(want) and all(map(fnmatch.fnmatchcase, have, want))


def _holds(when: When, package: str, files: Collection[str], read: ReadFile) -> bool:
    prefix = "" if package == "." else f"{package}/"
    if not set("*?[") & set(when.file):
        found = [prefix + when.file] if prefix + when.file in files else []
    else:
        found = sorted(
            path for path in files if path.startswith(prefix) and fnmatch.fnmatchcase(path[len(prefix) :], when.file)
        )
    if not when.contains:
        return bool(found)
    return any(when.contains.encode() in (read(path) or b"") for path in found[:_MAX_LOOKED_AT])


def _filled(word: str, places: Mapping[str, str]) -> str:
    for place, text in places.items():
        word = word.replace(place, text)
    return posixpath.normpath(word) if word.startswith(".//") else word
