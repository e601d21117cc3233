"""Which tests are near a changed source file: by name and path first, then by who imports whom.

    shop/cart.py  →  tests/test_cart.py, shop/test_cart.py      (name; the more folders in common the nearer)
                  →  the tests that import shop.cart             (import graph, over at most three other modules)

Imports are read from text, never by importing: Python by its syntax tree, JavaScript and TypeScript by the strings that
`import`, `export … from` and `require` name, Go by packages, Java by `import` lines. What cannot be parsed imports
nothing. All of it is bounded: a tree too large to be read gives what was read.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from learnd.lab.templates import Stack

ReadMany = Callable[[Sequence[str], int], Mapping[str, bytes]]
"""The contents of files by path, in the order asked for, until so many bytes are read; a missing one is left out."""

NEAREST_MAX = 5
FARTHEST = 4
"""Imports between a test and the changed file: the test's own, and those of three modules in between."""

READ_FILES_MAX = 3000
READ_BYTES_MAX = 48 << 20
_NAMELESS = frozenset(("__init__", "__main__", "index", "main", "mod", "lib", "conftest", "setup"))
_JS = (".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs", ".vue", ".svelte")
_JAVA = (".java", ".kt", ".scala", ".groovy")
_JS_IMPORT = re.compile(r"""(?:\bfrom|\bimport|\brequire\s*\(|\bimport\s*\(|\bmock\s*\()\s*['"]([^'"\n]{1,300})['"]""")
_GO_IMPORT = re.compile(r'^\s*(?:import\s+)?(?:[\w.]+\s+)?"([\w./~-]{1,300})"', re.MULTILINE)
_GO_MODULE = re.compile(r"^module\s+(\S+)", re.MULTILINE)
_JAVA_IMPORT = re.compile(r"^\s*import\s+(?:static\s+)?([\w.]+)", re.MULTILINE)


def named_after(source: str, files: Collection[str], stacks: Sequence[Stack]) -> list[str]:
    """The test files called after a source file, the nearest first by shared folders; at most three."""
    stem = posixpath.basename(source).split(".", 1)[0]
    if stem in _NAMELESS:
        return []
    found = {
        path
        for stack in stacks
        if stack.owns(source)
        for path in files
        if stack.owns(path) and name_tested(path) == stem and stack.runnable_test(path)
    }
    return sorted(found, key=lambda path: (-_shared(source, path), path))[:3]


def name_tested(test: str) -> str:
    """The name of the source that a test file is called after: `test_x.py`, `x_test.go`, `x.test.ts`, `XTest.java`."""
    stem = posixpath.basename(test)
    stem, _, suffix = stem.rpartition(".")
    before = ""
    while before != stem:
        before, stem = stem, re.sub(r"^(test|spec)[_-]|([._-])(test|spec)s?$", "", stem)
    if f".{suffix}" in _JAVA:
        stem = re.sub(r"^Test(?=[A-Z])|(Tests?|IT|TestCase|Spec)$", "", stem)
    return stem


def _shared(one: str, other: str) -> int:
    """How many folders two paths have in common, in any place: `src/a/x.py` and `tests/a/test_x.py` share `a`."""
    return len(set(one.split("/")[:-1]) & set(other.split("/")[:-1]))


@dataclass
class ImportGraph:
    """Who imports whom in one tree, read once and only when asked."""

    files: Collection[str]
    stacks: Sequence[Stack]
    read_many: ReadMany
    _importers: dict[str, set[str]] | None = None
    _texts: Mapping[str, bytes] = field(default_factory=dict)
    _by_tail: dict[str, list[str]] = field(default_factory=dict)
    _packages: dict[str, str] = field(default_factory=dict)

    def tests_of(self, source: str) -> list[str]:
        """The test files that import a source file, over the fewest other modules first; at most NEAREST_MAX."""
        importers = self._graph()
        far, reached = {source}, {source}
        for _ in range(FARTHEST):
            far = {path for one in far for path in importers.get(one, ())} - reached
            reached |= far
            tests = [path for path in far if any(stack.runnable_test(path) for stack in self.stacks)]
            if tests:
                return sorted(tests, key=lambda path: (-_shared(source, path), path))[:NEAREST_MAX]
        return []

    def _graph(self) -> dict[str, set[str]]:
        if self._importers is None:
            self._importers = {}
            sources = self._readable()
            self._texts = self.read_many([*self._marks(), *sources], READ_BYTES_MAX)
            self._index()
            for path in sources:
                for imported in self._imports(path):
                    if imported != path:
                        self._importers.setdefault(imported, set()).add(path)
        return self._importers

    def _readable(self) -> list[str]:
        """Sources of the languages whose imports are understood; tests first, as those are looked for."""
        mine = [path for path in self.files if path.endswith((".py", ".go", *_JS, *_JAVA))]
        mine = [path for path in mine if "node_modules/" not in path and not path.startswith("vendor/")]
        is_test = {path: any(stack.runnable_test(path) for stack in self.stacks) for path in mine}
        return sorted(mine, key=lambda path: (not is_test[path], path))[:READ_FILES_MAX]

    def _marks(self) -> list[str]:
        """The files that name packages."""
        marks = [path for path in self.files if posixpath.basename(path) in ("package.json", "go.mod")]
        return sorted(path for path in marks if "node_modules/" not in path)[:READ_FILES_MAX]

    def _index(self) -> None:
        for path in self.files:
            name = posixpath.basename(path)
            if path.endswith((".py", ".pyi")):
                module = path.rsplit(".", 1)[0].removesuffix("/__init__")
                self._by_tail.setdefault(module.rsplit("/", 1)[-1], []).append(path)
            elif path.endswith(_JAVA):
                self._by_tail.setdefault(name.rsplit(".", 1)[0], []).append(path)
            elif name == "package.json" and "node_modules/" not in path:
                if called := _package_name(self._texts.get(path)):
                    self._packages[called] = posixpath.dirname(path) or "."
            elif name == "go.mod" and (found := _GO_MODULE.search(self._text(path))):
                self._packages[found.group(1)] = posixpath.dirname(path) or "."

    def _text(self, path: str) -> str:
        return self._texts.get(path, b"")[: 1 << 20].decode("utf-8", "replace")

    def _imports(self, path: str) -> Iterator[str]:
        text = self._text(path)
        if path.endswith(".py"):
            for module in _python_imports(text, path):
                yield from self._named(module)
        elif path.endswith(".go"):
            yield from self._go_imports(path, text)
        elif path.endswith(_JS):
            for named in _JS_IMPORT.findall(text):
                yield from self._js_files(named, posixpath.dirname(path))
        else:
            for imported in _JAVA_IMPORT.findall(text):
                yield from self._named(imported)

    def _named(self, dotted: str) -> Iterator[str]:
        """The files that a dotted name may be, wherever its root folder stands (`src`, a package's own folder)."""
        want = "/" + dotted.replace(".", "/")
        for found in self._by_tail.get(dotted.rsplit(".", 1)[-1], ()):
            if f"/{found.rsplit('.', 1)[0].removesuffix('/__init__')}".endswith(want):
                yield found

    def _js_files(self, named: str, folder: str) -> Iterator[str]:
        if named.startswith("."):
            at = posixpath.normpath(posixpath.join(folder, named))
        elif named.startswith(("@/", "~/", "src/")):  # the usual alias of the source folder
            at = "src/" + named.split("/", 1)[1]
        else:
            package = next((name for name in self._packages if named == name or named.startswith(f"{name}/")), None)
            if package is None:
                return
            at = posixpath.normpath(f"{self._packages[package]}/{named[len(package) + 1 :]}")
        bare = re.sub(r"\.[cm]?jsx?$", "", at)  # TypeScript names the file that its source becomes
        inner = [f"{at}/{name}{end}" for name in ("index", "src/index") for end in _JS]
        tried = (at, *(f"{bare}{end}" for end in _JS), *inner)
        yield from (path for path in dict.fromkeys(tried) if path in self.files)

    def _go_imports(self, path: str, text: str) -> Iterator[str]:
        if path.endswith("_test.go"):
            yield from self._go_files(posixpath.dirname(path))
        for imported in _GO_IMPORT.findall(text):
            for module, at in self._packages.items():
                if imported == module or imported.startswith(f"{module}/"):
                    yield from self._go_files(posixpath.normpath(f"{at}/{imported[len(module) + 1 :]}"))

    def _go_files(self, folder: str) -> Iterator[str]:
        folder = "" if folder == "." else folder
        yield from (
            path
            for path in self.files
            if path.endswith(".go") and posixpath.dirname(path) == folder and not path.endswith("_test.go")
        )


def _python_imports(text: str, path: str) -> Iterator[str]:
    """The dotted names that a Python file imports; of `from a import b` both `a` and `a.b`, either may be a module."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    package = posixpath.dirname(path).replace("/", ".").split(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join(filter(None, (*above, node.module or "")))
            if module:
                yield module
            yield from (f"{module}.{alias.name}" if module else alias.name for alias in node.names)


def _package_name(data: bytes | None) -> str | None:
    try:
        document = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return None
    name = document.get("name") if isinstance(document, dict) else None
    return name if isinstance(name, str) and name else None
