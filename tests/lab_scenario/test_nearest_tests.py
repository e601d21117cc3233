"""Which tests a change of source is judged by: those of its name, those that import it, the package's own script."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from learnd.assets import agent_dir
from learnd.lab import templates
from learnd.lab.nearest import ImportGraph, name_tested, named_after
from learnd.lab.scenario import SynthesisRequest, synthesize

STACKS = templates.load(agent_dir() / "task/templates").stacks


def graph(files: dict[str, bytes]) -> ImportGraph:
    def read(paths: Sequence[str], at_most: int) -> dict[str, bytes]:
        return {path: files[path] for path in paths if path in files}

    return ImportGraph(frozenset(files), STACKS, read)


@pytest.mark.parametrize(
    ("test", "source"),
    [
        ("tests/test_bar.py", "bar"), ("bar_test.py", "bar"), ("bar.test.ts", "bar"), ("a/bar.spec.tsx", "bar"),
        ("bar_test.go", "bar"), ("src/test/java/BarTest.java", "Bar"), ("BarTests.java", "Bar"),
        ("TestBar.java", "Bar"), ("BarIT.java", "Bar"), ("Testing.java", "Testing"), ("test-bar.js", "bar"),
        ("contest.py", "contest"),
    ],
)  # fmt: skip
def test_the_name_of_a_test_says_what_it_tests(test: str, source: str) -> None:
    assert name_tested(test) == source


def test_of_several_tests_of_a_name_the_nearest_comes_first() -> None:
    files = {"foo/bar.py", "tests/test_bar.py", "tests/foo/test_bar.py", "other/test_bar.py", "foo/test_baz.py"}
    assert named_after("foo/bar.py", files, STACKS)[0] == "tests/foo/test_bar.py"
    assert "foo/test_baz.py" not in named_after("foo/bar.py", files, STACKS)
    assert named_after("foo/__init__.py", files, STACKS) == []


@pytest.mark.parametrize(
    ("changed", "files", "expected"),
    [
        ("src/shop/tax.py", {"src/shop/tax.py": b"", "src/shop/cart.py": b"from . import tax",
          "tests/test_buying.py": b"from shop.cart import Cart", "tests/test_far.py": b"import os"},
         ["tests/test_buying.py"]),
        ("shop/tax.py", {"shop/tax.py": b"", "tests/test_direct.py": b"import shop.tax",
          "shop/cart.py": b"from shop.tax import rate", "tests/test_over.py": b"from shop import cart"},
         ["tests/test_direct.py"]),
        ("pkg/core.py", {"pkg/core.py": b"", "pkg/__init__.py": b"from .core import go", "test_all.py": b"import pkg"},
         ["test_all.py"]),
        ("pkg/sub/a.py", {"pkg/sub/a.py": b"", "pkg/sub/b.py": b"from ..sub.a import x",
          "t/test_z.py": b"from pkg.sub import b"},
         ["t/test_z.py"]),
        ("lib/tax.ts", {"lib/tax.ts": b"", "lib/cart.ts": b"export { t } from './tax.js'",
          "spec/buy.test.ts": b"import { c } from '../lib/cart'"}, ["spec/buy.test.ts"]),
        ("packages/core/src/index.ts", {"packages/core/package.json": b'{"name": "@x/core"}',
          "packages/core/src/index.ts": b"", "packages/web/a.test.ts": b"const c = require('@x/core')"},
         ["packages/web/a.test.ts"]),
        ("tax/rate.go", {"go.mod": b"module example.test/shop\n", "tax/rate.go": b"package tax",
          "tax/all_test.go": b"package tax"}, ["tax/all_test.go"]),
        ("tax/rate.go", {"go.mod": b"module example.test/shop\n", "tax/rate.go": b"package tax",
          "cart/buy_test.go": b'import (\n\t"fmt"\n\ttax "example.test/shop/tax"\n)'}, ["cart/buy_test.go"]),
        ("src/main/java/a/Tax.java", {"src/main/java/a/Tax.java": b"",
          "src/test/java/b/BuyTest.java": b"import a.Tax;"},
         ["src/test/java/b/BuyTest.java"]),
        ("a.py", {"a.py": b"", "test_b.py": b"import a\nthis is no python"}, []),
        ("a.py", {"a.py": b"import a"}, []),
    ],
)  # fmt: skip
def test_the_tests_that_import_a_source(changed: str, files: dict[str, bytes], expected: list[str]) -> None:
    assert graph(files).tests_of(changed) == expected


def test_a_circle_of_imports_ends() -> None:
    files = {"a.py": b"import b", "b.py": b"import a", "test_c.py": b"import b"}
    assert graph(files).tests_of("a.py") == ["test_c.py"]


def chosen(files: dict[str, bytes], *changed: str) -> tuple[str, list[str], str]:
    scenario = synthesize(
        SynthesisRequest(
            repo_path="/r", history=(), changed_paths=changed, files=frozenset(files), read=files.get, stacks=STACKS
        )
    )
    return scenario.source, [" ".join(command.argv) for command in scenario.commands], scenario.reason


def test_name_goes_before_imports_and_imports_before_the_package_script() -> None:
    files = {
        "package.json": b'{"scripts": {"test": "jest"}, "devDependencies": {"jest": "1"}}',
        "tax.js": b"",
        "lone.js": b"",
        "tax.test.js": b"",
        "buy.test.js": b"import './tax'; require('./vat')",
        "vat.js": b"",
    }
    assert chosen(files, "tax.js")[1] == ["npx --no-install jest tax.test.js"]
    source, argv, why = chosen(files, "vat.js")
    assert (source, argv) == ("diff", ["npx --no-install jest buy.test.js"])
    assert "import the changed sources" in why
    source, argv, why = chosen(files, "lone.js")
    assert (source, argv) == ("diff", ["npm test"])
    assert "the test script of the changed package" in why


def test_the_package_manager_in_use_runs_the_script() -> None:
    files = {"w/package.json": b'{"scripts": {"test": "./run"}}', "w/a.js": b"", "pnpm-lock.yaml": b""}
    assert chosen(files, "w/a.js")[1] == ["pnpm test"]


@pytest.mark.parametrize(
    ("files", "changed", "expected"),
    [
        ({"pom.xml": b"", "src/test/java/a/ATest.java": b"", "src/test/java/b/BTest.java": b""},
         ("src/test/java/a/ATest.java", "src/test/java/b/BTest.java"), "mvn -B -o test -Dtest=ATest,BTest"),
        ({"build.gradle": b"", "gradlew": b"", "src/test/java/a/ATest.java": b""},
         ("src/test/java/a/ATest.java",), "./gradlew --offline test --tests a.ATest"),
        ({"package.json": b'{"scripts": {"test": "node --test"}}', "test/a.js": b""}, ("test/a.js",),
         "node --test test/a.js"),
        ({"package.json": b'{"devDependencies": {"mocha": "1"}}', "test/a.js": b""}, ("test/a.js",),
         "npx --no-install mocha test/a.js"),
        ({"noxfile.py": b"def tests(session):\n    session.run('pytest', *session.posargs)", "tests/test_a.py": b""},
         ("tests/test_a.py",), "python -m pytest tests/test_a.py"),
        ({"tox.ini": b"[testenv]\ncommands = nose2 {posargs}", "tests/test_a.py": b""},
         ("tests/test_a.py",), "tox run -- tests/test_a.py"),
        ({"pyproject.toml": b"[tool.hatch.envs.test]", "tests/test_a.py": b""}, ("tests/test_a.py",),
         "hatch test tests/test_a.py"),
        ({"uv.lock": b"", "pyproject.toml": b"", "tests/test_a.py": b""}, ("tests/test_a.py",),
         "uv run pytest tests/test_a.py"),
        ({"justfile": b"test:\n  ./run\n", "a.txt": b""}, ("a.txt",), "just test"),
    ],
)  # fmt: skip
def test_each_adapter_restricts_to_the_changed_tests(
    files: dict[str, bytes], changed: tuple[str, ...], expected: str
) -> None:
    assert chosen(files, *changed)[1] == [expected]
