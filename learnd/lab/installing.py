"""Which environments a change asks for: one for each package whose lock or requirement files it changes. Pure.

A change that leaves the dependencies as they were (a linter's table in pyproject.toml, a script in package.json) asks
for none. What is to be installed is written down in the scenario; `environments.py` makes it.
"""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from events.values import Installation
from learnd.lab.runners import ReadFile
from learnd.lab.templates import Stack

LOCK_NAME = ".learnd-requirements.txt"
_TESTING = ("test", "tests", "testing", "dev", "develop", "ci")
_WANTED = re.compile(rf"requirements([-_.]({'|'.join(_TESTING)}))?\.txt|({'|'.join(_TESTING)})[-_]requirements\.txt")
_NODE = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies", "workspaces", "overrides",
         "resolutions", "engines", "packageManager", "pnpm")  # fmt: skip
_POETRY = ("dependencies", "dev-dependencies", "group", "extras", "source", "requires-poetry", "requires-plugins")
"""Of poetry's table what asks for packages; its version and description change with every release."""
_PYTHON = (("project", "dependencies"), ("project", "optional-dependencies"), ("project", "requires-python"),
           ("dependency-groups",), ("build-system",), *(("tool", "poetry", name) for name in _POETRY),
           ("tool", "uv"), ("tool", "pdm"), ("tool", "setuptools", "dynamic"))  # fmt: skip


def installations(
    changed: Sequence[str], files: Collection[str], stacks: Sequence[Stack], before: ReadFile, after: ReadFile
) -> tuple[Installation, ...]:
    """What must be installed for a change of these paths. `before` and `after` read base and snapshot."""
    asking = [path for path in changed if not same_dependencies(path, before(path), after(path))]
    found: dict[tuple[str, str], Installation] = {}
    for stack in stacks:
        for package in dict.fromkeys(stack.package_of(path, files) for path in asking):
            if not stack.setup or not stack.recognised(package, files, after):
                continue
            for rule in stack.setup:
                asked = any(rule.asks_for(path, package) for path in asking)
                if not asked or not rule.applies(package, files) or (package, rule.folder) in found:
                    continue
                found[package, rule.folder] = Installation(
                    stack=stack.name,
                    package=package,
                    files=rule.seen(package, files),
                    blank=rule.named(package, files)[:2000],
                    commands=rule.commands,
                    folder=rule.folder,
                    env=rule.env,
                )
    return tuple(found.values())


def same_dependencies(path: str, before: bytes | None, after: bytes | None) -> bool:
    """Whether a file asks for the same before and after, as far as its form is understood."""
    if before == after:
        return True
    reader = _READERS.get(posixpath.basename(path))
    if reader is None and re.fullmatch(r".*requirements.*\.txt|constraints.*\.txt", posixpath.basename(path)):
        reader = _lines
    if reader is None or before is None or after is None:
        return False
    try:
        return reader(before.decode()) == reader(after.decode())
    except (ValueError, RecursionError, AttributeError):
        return False


def _lines(text: str) -> object:
    bare = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.replace("\\\n", " ").splitlines())
    return sorted(line for line in bare if line)


def _of_pyproject(text: str) -> object:
    document = tomllib.loads(text)
    return [_inside(document, keys) for keys in _PYTHON]


def _of_package(text: str) -> object:
    document = json.loads(text)
    return [document.get(key) for key in _NODE]


def _of_cargo(text: str) -> object:
    document = tomllib.loads(text)
    tables = [document.get(key) for key in ("target", "workspace", "patch", "features", "replace")]
    return [tables, [document.get(f"{kind}dependencies") for kind in ("", "dev-", "build-")]]


def _of_go(text: str) -> object:
    return sorted(line for line in (re.sub(r"//.*", "", line).strip() for line in text.splitlines()) if line)


_READERS: Mapping[str, Callable[[str], object]] = {
    "pyproject.toml": _of_pyproject,
    "package.json": _of_package,
    "Cargo.toml": _of_cargo,
    "go.mod": _of_go,
}


def _inside(document: object, keys: Sequence[str]) -> object:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def requirements(package: str, contents: Mapping[str, bytes]) -> str:
    """One requirement file for all that a Python package's own files ask for, those of its tests among them."""
    prefix = "" if package == "." else f"{package}/"
    names = [path.removeprefix(prefix) for path in contents if path.endswith(".txt") and "constraints" not in path]
    wanted = [name for name in names if _WANTED.fullmatch(posixpath.basename(name))] or names
    lines = [f"-r {name}" for name in wanted]
    if (data := contents.get(f"{prefix}pyproject.toml")) is not None:
        lines += _of_project(data)
    return "".join(f"{line}\n" for line in lines)


def _of_project(data: bytes) -> Iterator[str]:
    try:
        document = tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        return
    lists = [_inside(document, ("project", "dependencies"))]
    lists += [_inside(document, ("project", "optional-dependencies", name)) for name in _TESTING]
    lists += [_inside(document, ("dependency-groups", name)) for name in _TESTING]
    for entries in lists:
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, str) and "\n" not in entry and not entry.lstrip().startswith("-"):
                yield entry
