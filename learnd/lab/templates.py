"""Stack adapters: how a stack's packages are recognised, tested, built, linted and set up, as files people can read.

One file for each is shipped (`.agent/task/templates/*.toml`). A repository may bring its own, read from the base tree
and never from the change; one of the same name stands before ours there, and adds to it. An adapter can name known
runners and installers only: whatever its words, each command has to classify as what it says it is, so an adapter is
never a way to run something else. `language` names the adapter that says how files of the language are called.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from events.values import CommandClass, Value
from learnd.lab.commands import classify
from learnd.lab.runners import ReadFile
from learnd.lab.setup_rules import SetupRule

FOLDER = ".agent/task/templates"
"""Where templates stand, in learnd's own files and in a repository."""

_MAX_BYTES = 64 * 1024
_MAX_LOOKED_AT = 40
_PLACES = ("{file}", "{folder}", "{stem}", "{class}")
_PLACES_OF_ALL = ("{files}", "{stems}")

Item = TypeVar("Item")
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
    the file's path, folder and name relative to the package, `{class}` for its name as a Java class. Runners that take
    several tests in one word have `changed` instead of repeated `each`: `{files}` and `{stems}` stand for all of them,
    with commas between. `when` lists alternatives; none means always.
    """

    cls: CommandClass
    argv: Annotated[tuple[str, ...], Field(min_length=1, max_length=20)]
    each: tuple[str, ...] = ()
    each_argv: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
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

    @field_validator("changed")
    @classmethod
    def _has_place_of_all(cls, changed: tuple[str, ...]) -> tuple[str, ...]:
        if changed and not any(place in word for word in changed for place in _PLACES_OF_ALL):
            raise ValueError(f"must hold one of {', '.join(_PLACES_OF_ALL)}")
        return changed

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
        if self.changed and len(files) > 1:
            stems = [posixpath.basename(file).rsplit(".", 1)[0] for file in files]
            all_of = {"{files}": ",".join(files), "{stems}": ",".join(dict.fromkeys(stems))}
            return (*words, *(_filled(word, all_of) for word in self.changed))
        for file in files:
            folder, name = posixpath.split(file)
            stem = name.rsplit(".", 1)[0]
            places = {"{file}": file, "{folder}": folder or ".", "{stem}": stem, "{class}": _java_class(file)}
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
    """One language, runner or build tool.

    `language` names the stack whose roots, suffixes, tests and environment are this one's too. It is recognised in a
    package when one of `when` holds there or in a folder above it (none: always). Of several the lowest `order` is
    asked first: runners (10) before what starts them (30), a language's last resort (60), what knows no language (80).
    `roots` are files that mark a package's folder; `environment` are the folders where its installed parts live
    (`.tox/*`: each folder in it).
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]
    language: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")] | None = None
    order: Annotated[int, Field(ge=0, le=100)] = 50
    roots: tuple[Annotated[str, Field(pattern=r"^[\w.-]+$")], ...] = ()
    suffixes: tuple[Annotated[str, Field(pattern=r"^\.[a-z0-9]+$")], ...] = ()
    when: tuple[When, ...] = ()
    environment: tuple[Annotated[str, Field(pattern=r"^[\w.-]+(/\*)?$")], ...] = ()
    tests: Tests = Tests()
    commands: Annotated[tuple[TemplateCommand, ...], Field(max_length=30)] = ()
    setup: Annotated[tuple[SetupRule, ...], Field(max_length=10)] = ()

    @model_validator(mode="after")
    def _marks_a_package(self) -> Stack:
        if not self.roots and self.language is None:
            raise ValueError("`roots` must name at least one file that marks a package, or `language` another stack")
        return self

    def recognised(self, package: str, files: Collection[str], read: ReadFile) -> bool:
        """Whether the package at `package` is one of this stack."""
        if not self.is_root(package, files) and package != ".":
            return False
        return not self.when or any(
            _holds(when, folder, files, read)
            for when in self.when
            for folder in (package, *_above(package))
            if folder == package or not set("*?[") & set(when.file)
        )

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
    """The shipped adapters of `folder`, with `extra` (path in the base tree → bytes) beside them, in their order.

    Raises TemplateInvalid for a shipped one; a repository's own that is invalid is left out and named in `problems`.
    """
    shipped = [parse(file.name, file.read_bytes()) for file in sorted(folder.glob("*.toml"))]
    if not shipped:
        raise TemplateInvalid(f"{folder}: no stack templates. Next: install learnd again")
    stacks = {stack.name: stack for stack in shipped}
    languages = dict(stacks)
    problems: list[str] = []
    for path, data in sorted((extra or {}).items()):
        try:
            stack = parse(path, data)
        except TemplateInvalid as error:
            problems.append(str(error))
            continue
        if stack.language is not None and stack.language not in languages:
            known = ", ".join(sorted(languages))
            problems.append(f"{path}: language: must be the name of a stack that learnd ships ({known})")
            continue
        stacks[stack.name] = _beside(stack, stacks.get(stack.name))
    for stack in shipped:
        if stack.language is not None and stack.language not in languages:
            raise TemplateInvalid(f"{stack.name}.toml: language: no stack is called {stack.language}")
    whole = [_with_language(stack, stacks.get(stack.language or "")) for stack in stacks.values()]
    return Templates(tuple(sorted(whole, key=lambda stack: stack.order)), tuple(problems))


def _beside(own: Stack, ours: Stack | None) -> Stack:
    """A repository's own adapter in front of ours of the same name: it adds, and takes nothing away."""
    if ours is None:
        return own
    tests = Tests(
        files=_both(own.tests.files, ours.tests.files),
        folders=_both(own.tests.folders, ours.tests.folders),
        support=_both(own.tests.support, ours.tests.support),
        inline=own.tests.inline or ours.tests.inline,
    )
    return own.model_copy(
        update={
            "language": own.language or ours.language,
            "order": min(own.order, ours.order),
            "roots": _both(own.roots, ours.roots),
            "suffixes": _both(own.suffixes, ours.suffixes),
            "when": (*own.when, *ours.when) if own.when and ours.when else (),
            "environment": _both(own.environment, ours.environment),
            "tests": tests,
            "commands": _both(own.commands, ours.commands),
            "setup": _both(own.setup, ours.setup),
        }
    )


def _both(first: Sequence[Item], then: Sequence[Item]) -> tuple[Item, ...]:
    return (*first, *(item for item in then if item not in first))


def _with_language(stack: Stack, language: Stack | None) -> Stack:
    """The stack with what its language says wherever it says nothing itself."""
    if language is None:
        return stack
    fields = ("roots", "suffixes", "environment")
    update = {name: getattr(language, name) for name in fields if not getattr(stack, name)}
    return stack.model_copy(update=update | ({"tests": language.tests} if stack.tests == Tests() else {}))


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
        field = "roots" if message.startswith("`roots`") else field
        if first["type"] == "extra_forbidden":
            message = f"is no key of an adapter; those are {', '.join(_keys(first['loc']))}"
        raise TemplateInvalid(f"{file}: {field}: {message}") from error


def _keys(location: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys that may stand where an unknown one was found."""
    tables: dict[int | str, type[Value]] = {
        "commands": TemplateCommand, "setup": SetupRule, "tests": Tests, "when": When
    }  # fmt: skip
    inside = next((tables[part] for part in reversed(location[:-1]) if part in tables), Stack)
    return tuple(inside.model_fields)


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


def _above(package: str) -> tuple[str, ...]:
    """The folders above a package, the nearest first; the root is `.`."""
    found: list[str] = []
    while package not in (".", ""):
        package = posixpath.dirname(package) or "."
        found.append(package)
    return tuple(found)


def _java_class(file: str) -> str:
    """`src/test/java/a/b/CTest.java` → `a.b.CTest`: what stands behind the last source folder."""
    inside = re.sub(r"^.*?(^|/)src/\w+/(java|kotlin|groovy|scala)/", "", file)
    return inside.rsplit(".", 1)[0].replace("/", ".")


def _filled(word: str, places: Mapping[str, str]) -> str:
    for place, text in places.items():
        word = word.replace(place, text)
    return posixpath.normpath(word) if word.startswith(".//") else word
