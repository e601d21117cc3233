"""Which programs verify something: from the words of one command to its class and runner, or why it verifies nothing.

Closed world: a program that is not named here is not run. Flags that would make a runner verify nothing (list tests,
rewrite snapshots, wait for edits) turn the command down, so that a recorded success of it is never taken for proof.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import replace

from learnd.lab.programs import FORMATS, INSTALLERS, NOTHING, ORDER, OUTSIDE, RUN_FLAGS, SERVICES, SHELLS, names
from learnd.lab.runners import builders, node, python
from learnd.lab.runners.kinds import MAX_DEPTH, Judged, Known, ReadFile, Scope, Unfit, Verb, with_flags

__all__ = ["Judged", "Known", "ReadFile", "Scope", "Unfit", "judge"]

_SHELL_FLAG = re.compile(r"-[a-z]*c")


_PYTHON = re.compile(r"(python|pypy)(\d+(\.\d+)*)?t?")


_SECRET = re.compile(r"--?[\w-]*(token|password|passwd|secret|api[-_]?key)\b([= ]|$)", re.IGNORECASE)


_PLAIN: dict[str, Known] = {
    "pytest": Known("test", "pytest"),
    "py.test": Known("test", "pytest"),
    "jest": Known("test", "jest"),
    "mocha": Known("test", "mocha"),
    "vitest": Known("test", "vitest"),
    "ava": Known("test", "ava"),
    **{
        name: Known("lint", name)
        for name in names(
            "flake8 mypy pyright pylint pyflakes bandit basedpyright eslint stylelint standard xo "
            "golangci-lint staticcheck shellcheck lint-imports"
        )
    },
}


def judge(words: Sequence[str], scope: Scope) -> Judged:
    """What the command `words` verifies, or why it is unfit. Never raises, never runs anything."""
    if scope.judge is None:
        scope = replace(scope, judge=judge, programs=frozenset((*_PLAIN, *_VERBS)))
    words = list(words)
    if not words or not words[0]:
        return Unfit("there is no command")
    if scope.depth > MAX_DEPTH:
        return Unfit("wrappers are nested too deep")
    if any(_SECRET.match(word) for word in words[1:]):
        return Unfit("it carries a secret as an argument")
    name = posixpath.basename(words[0])
    arguments = words[1:]
    if verb := _VERBS.get(name):
        return verb(arguments, scope)
    if _PYTHON.fullmatch(name):
        return python.python(arguments, scope)
    if known := _PLAIN.get(name):
        return with_flags(known, arguments)
    return _unknown(name)


def _unknown(name: str) -> Unfit:
    if name in SERVICES:
        return Unfit(f"it needs a service (`{name}`), and a replay has none", needs=name)
    if name in OUTSIDE:
        return Unfit(f"`{name}` acts outside of the tree and verifies nothing here", silent=True)
    if name in INSTALLERS:
        return Unfit(f"`{name}` installs and verifies nothing", silent=True)
    if name in NOTHING:
        return Unfit(f"`{name}` verifies nothing", silent=True)
    if name in SHELLS or name.endswith((".sh", ".bash")):
        return Unfit("it runs a script, whose commands are not known")
    if name == "sudo":
        return Unfit("it asks for root")
    return Unfit(f"`{name[:60]}` is not a known runner")


def _formatter(*needed: str) -> Verb:
    def inner(arguments: Sequence[str], _: Scope) -> Judged:
        if any(flag in arguments for flag in needed):
            return with_flags(Known("lint", "formatter"), arguments)
        return Unfit(FORMATS)

    return inner


def _ruff(arguments: Sequence[str], _: Scope) -> Judged:
    if arguments[:1] == ["format"] and not {"--check", "--diff"} & set(arguments):
        return Unfit(FORMATS)
    return with_flags(Known("lint", "ruff"), arguments)


def _shell(arguments: Sequence[str], scope: Scope) -> Judged:
    """`bash -lc LINE` inside a wrapper: as good as the line's best part."""
    for at, word in enumerate(arguments):
        if _SHELL_FLAG.fullmatch(word) and len(arguments) > at + 1 and scope.lines and scope.depth < MAX_DEPTH:
            judged = scope.lines(arguments[at + 1], scope.deeper())
            known = [one for one in judged if isinstance(one, Known)]
            if known:
                best = min(known, key=lambda one: ORDER.index(one.cls))
                return Known(best.cls, "make" if best.runner in ("go", "cargo", "jest", "vitest") else best.runner)
            return judged[0] if judged else Unfit("there is no command")
        if not word.startswith("-"):
            break
    return Unfit("it runs a script, whose commands are not known")


_VERBS: dict[str, Verb] = {
    "uv": python.behind("run", flags_with_value=RUN_FLAGS),
    "poetry": python.behind("run", flags_with_value=frozenset(("-C", "--directory"))),
    "pdm": python.behind("run", flags_with_value=frozenset(("-p", "--project"))),
    "hatch": python.hatch,
    "tox": python.sessions("tox", "-e"),
    "nox": python.sessions("nox", "-s", "-e", "--session", "--sessions"),
    "cross-env": node.cross_env,
    "pipenv": python.behind("run"),
    "rye": python.behind("run"),
    "corepack": python.behind(),
    "npx": node.npx,
    "npm": node.package_manager,
    "pnpm": node.package_manager,
    "yarn": node.package_manager,
    "node": node.node,
    "go": builders.go,
    "cargo": builders.cargo,
    "make": builders.make,
    "gmake": builders.make,
    "just": builders.just,
    "mvn": builders.maven,
    "mvnw": builders.maven,
    "mvnd": builders.maven,
    "gradle": builders.gradle,
    "gradlew": builders.gradle,
    "coverage": python.coverage,
    "pre-commit": python.pre_commit,
    "ruff": _ruff,
    "tsc": node.tsc,
    "black": _formatter("--check", "--diff"),
    "isort": _formatter("--check", "--check-only", "-c", "--diff"),
    "prettier": _formatter("--check", "-c", "--list-different", "-l"),
    "bash": _shell,
    "sh": _shell,
}
