"""Python's runners, and what starts them: modules, scripts, environment and session tools."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from learnd.lab.programs import FORMATS, class_by_name
from learnd.lab.runners.kinds import Judged, Known, Scope, Unfit, Verb, with_flags


def python(arguments: Sequence[str], scope: Scope) -> Judged:
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] not in ("-m", "-c", "-"):
        flag = rest.pop(0)
        if flag in ("-W", "-X") and rest:
            rest.pop(0)
        elif re.fullmatch(r"-[A-Za-z]*m", flag):
            rest.insert(0, "-m")
        elif flag in ("-V", "--version", "-h", "--help") or re.fullmatch(r"-[A-Za-z]*[ci]", flag):
            return Unfit("it runs a piece of code or tells about itself: no known runner")
    if not rest or rest[0] in ("-c", "-"):
        return Unfit("it runs a piece of code: no known runner")
    if rest[0] == "-m":
        return _python_module(rest[1], rest[2:], scope) if len(rest) > 1 else Unfit("`-m` without a module")
    return _python_script(rest[0], rest[1:], scope)


def _python_module(module: str, arguments: Sequence[str], scope: Scope) -> Judged:
    if module == "unittest":
        return with_flags(Known("test", "unittest"), arguments)
    if module == "doctest":
        return Known("test", "doctest")
    if module in ("build", "compileall", "py_compile"):
        return Known("build", module)
    if module in ("pip", "venv", "http.server", "ensurepip"):
        return Unfit(f"`python -m {module}` verifies nothing", silent=True)
    return scope.behind([{"pre_commit": "pre-commit"}.get(module, module), *arguments])


def _python_script(script: str, arguments: Sequence[str], scope: Scope) -> Judged:
    name = posixpath.basename(script)
    if name == "manage.py":
        return Known("test", "django") if arguments[:1] == ["test"] else Unfit("only `manage.py test` verifies")
    if name == "setup.py":
        return Known("build", "setup.py") if arguments[:1] == ["build"] else Unfit("only `setup.py build` verifies")
    text = scope.file(script) or ""
    if re.fullmatch(r"test_.*\.py|.*_test\.py|tests?\.py", name) and "unittest.main(" in text:
        return Known("test", "unittest")
    return Unfit("it runs a script, which is not a known runner")


def behind(*verbs: str, flags_with_value: frozenset[str] = frozenset()) -> Verb:
    """A wrapper such as `uv run CMD`: judged by the command behind it."""

    def inner(arguments: Sequence[str], scope: Scope) -> Judged:
        rest = list(arguments)
        if verbs:
            while rest and rest[0].startswith("-"):
                rest.pop(0)
            if not rest or rest[0] not in verbs:
                return Unfit("it installs or manages packages and verifies nothing", silent=True)
            rest.pop(0)
        while rest and rest[0].startswith("-"):
            flag = rest.pop(0)
            if flag == "--":
                break
            if flag in ("-m", "--module") and verbs:
                return scope.behind(["python", "-m", *rest])
            if flag in flags_with_value and rest:
                rest.pop(0)
        return scope.behind(rest)

    return inner


def hatch(arguments: Sequence[str], scope: Scope) -> Judged:
    """`hatch test` is pytest; `hatch run [env:]NAME` may be a script of pyproject.toml, known by its name alone."""
    if arguments[:1] == ["test"]:
        return with_flags(Known("test", "pytest"), arguments[1:])
    if list(arguments[:1]) == ["fmt"]:
        return Known("lint", "hatch") if "--check" in arguments else Unfit(FORMATS)
    judged = behind("run", flags_with_value=frozenset(("-e", "--env")))(arguments, scope)
    names = [word for word in arguments if not word.startswith("-")]
    if isinstance(judged, Known) or names[:1] != ["run"] or len(names) < 2:
        return judged
    script = names[1].rsplit(":", 1)[-1]
    if len(names) > 2 and isinstance(known := scope.behind([script, *names[2:]]), Known):
        return known
    by_name = class_by_name(script)
    return Known(by_name, "hatch") if by_name else judged


def sessions(runner: str, *flags: str) -> Verb:
    """tox and nox: a test run, unless every environment named is for building or linting."""

    def inner(arguments: Sequence[str], _: Scope) -> Judged:
        names: list[str] = []
        for at, word in enumerate(arguments):
            if word in flags and len(arguments) > at + 1:
                names += arguments[at + 1].split(",")
            elif word == "--":
                break
        classes = {class_by_name(name) for name in names}
        named = next(iter(classes)) if len(classes) == 1 else None
        return with_flags(Known(named or "test", runner), arguments)

    return inner


def coverage(arguments: Sequence[str], scope: Scope) -> Judged:
    if arguments[:1] != ["run"]:
        return Unfit("only `coverage run` verifies", silent=True)
    rest = list(arguments[1:])
    while rest and rest[0].startswith("-") and rest[0] != "-m":
        flag = rest.pop(0)
        if (
            flag in ("--rcfile", "--source", "--omit", "--include", "--data-file", "--context", "--concurrency")
            and rest
        ):
            rest.pop(0)
    return python(rest, scope)


def pre_commit(arguments: Sequence[str], _: Scope) -> Judged:
    return Known("lint", "pre-commit") if arguments[:1] == ["run"] else Unfit("only `pre-commit run` verifies")
