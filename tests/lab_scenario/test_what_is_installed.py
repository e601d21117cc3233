"""Which environments a change asks for, and from what."""

from __future__ import annotations

import pytest

from events.values import Installation
from learnd.assets import agent_dir
from learnd.lab import templates
from learnd.lab.installing import installations, requirements, same_dependencies

STACKS = templates.load(agent_dir() / "task/templates").stacks


def of(before: dict[str, bytes], after: dict[str, bytes]) -> list[Installation]:
    changed = tuple(path for path in after if before.get(path) != after[path])
    return list(installations(changed, frozenset(after), STACKS, before.get, after.get))


@pytest.mark.parametrize(
    ("path", "before", "after", "same"),
    [
        ("pyproject.toml", b"[tool.ruff]\nline-length = 80", b"[tool.ruff]\nline-length = 120", True),
        ("pyproject.toml", b"[project]\ndependencies = []", b"[project]\ndependencies = ['six']", False),
        ("pyproject.toml", b"[dependency-groups]\ntest = []", b"[dependency-groups]\ntest = ['six']", False),
        ("pyproject.toml", b"[tool.poetry]\nversion = '1'", b"[tool.poetry]\nversion = '2'\ndescription = 'x'", True),
        ("pyproject.toml", b"[tool.poetry.group.dev.dependencies]\nsix = '1'", b"", False),
        ("pyproject.toml", b"[tool.poetry.dependencies]\nsix = '1'", b"[tool.poetry.dependencies]\nsix = '2'", False),
        ("package.json", b'{"scripts": {}}', b'{"scripts": {"test": "jest"}}', True),
        ("a/package.json", b"{}", b'{"devDependencies": {"jest": "1"}}', False),
        ("requirements-dev.txt", b"six==1 # old\n\n", b"# why\nsix==1\n", True),
        ("requirements.txt", b"six==1", b"six==2", False),
        ("go.mod", b"module a\nrequire b v1", b"module a\n\nrequire b v1 // indirect", True),
        ("Cargo.toml", b"[package]\nversion = '1'", b"[package]\nversion = '2'", True),
        ("Cargo.toml", b"[dependencies]\na = '1'", b"[dependencies]\na = '2'", False),
        ("package-lock.json", b"{}", b'{"a": 1}', False),
        ("package.json", b"{", b"{}", False),
        ("package.json", None, b"{}", False),
    ],
)
def test_only_what_changes_the_dependencies_asks(path: str, before: bytes | None, after: bytes, same: bool) -> None:
    assert same_dependencies(path, before, after) is same


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"requirements.txt": b"a"}, {"requirements.txt": b"b", "m.py": b""}, ("python", ".", ".venv")),
        ({"uv.lock": b"a"}, {"uv.lock": b"b", "pyproject.toml": b"[tool.uv]"}, ("uv", ".", ".venv")),
        ({"poetry.lock": b"a"}, {"poetry.lock": b"b", "pyproject.toml": b"[tool.poetry]"}, ("poetry", ".", ".venv")),
        ({}, {"package.json": b'{"dependencies": {"a": "1"}}'}, ("npm", ".", "node_modules")),
        ({"w/yarn.lock": b""}, {"w/package.json": b"{}", "w/yarn.lock": b"x"}, ("yarn", "w", "node_modules")),
        ({}, {"package.json": b'{"dependencies": {}}', "pnpm-lock.yaml": b""}, ("pnpm", ".", "node_modules")),
        ({"go.sum": b"a"}, {"go.mod": b"module a", "go.sum": b"b"}, ("go", ".", ".learnd-gomodcache")),
        ({"Cargo.lock": b"a"}, {"Cargo.toml": b"", "Cargo.lock": b"b"}, ("rust", ".", ".learnd-cargo")),
        ({"pom.xml": b"a"}, {"pom.xml": b"b"}, ("maven", ".", ".learnd-m2")),
    ],
)  # fmt: skip
def test_the_stack_in_use_installs(
    before: dict[str, bytes], after: dict[str, bytes], expected: tuple[str, str, str]
) -> None:
    assert [(one.stack, one.package, one.folder) for one in of(before, after)] == [expected]


def test_a_change_of_source_alone_asks_for_nothing() -> None:
    assert of({"m.py": b"a", "requirements.txt": b""}, {"m.py": b"b", "requirements.txt": b""}) == []


def test_a_set_up_sees_its_files_and_no_source() -> None:
    after = {"Cargo.toml": b"[package]", "Cargo.lock": b"b", "src/lib.rs": b"x", "README.md": b""}
    found = of({}, after)[0]
    assert found.files == ("Cargo.lock", "Cargo.toml")
    assert found.blank == ("src/lib.rs",)


def test_one_requirement_file_is_made_of_all_that_tests_need() -> None:
    contents = {
        "w/requirements.txt": b"a",
        "w/requirements-test.txt": b"b",
        "w/requirements-docs.txt": b"c",
        "w/pyproject.toml": b"[project]\ndependencies = ['d>1']\noptional-dependencies.test = ['e', '-r /etc/passwd']\n"
        b"[dependency-groups]\ndev = ['f', {include-group = 'x'}]\n",
    }
    text = requirements("w", contents)
    assert text == "-r requirements.txt\n-r requirements-test.txt\nd>1\ne\nf\n"
