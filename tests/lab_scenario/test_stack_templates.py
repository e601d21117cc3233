"""Stack templates: shipped, brought by a repository, and wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from learnd.assets import agent_dir
from learnd.lab import templates
from learnd.lab.templates import TemplateInvalid, is_test_path, parse

SHIPPED = agent_dir() / templates.FOLDER.removeprefix(".agent/")
STACKS = templates.load(SHIPPED).stacks
VALID = b'name = "x"\nroots = ["a.cfg"]\n'


def command(text: str) -> bytes:
    return VALID + b"[[commands]]\n" + text.encode()


def test_five_stacks_are_shipped_each_with_a_test_and_a_build() -> None:
    assert {stack.name for stack in STACKS} == {"python", "node", "go", "rust", "make"}
    for stack in STACKS:
        assert {"test", "build"} <= {one.cls for one in stack.commands}


@pytest.mark.parametrize(
    "path",
    [
        "test_m.py", "pkg/m_test.py", "tests/helpers/data.json", "conftest.py", "a/conftest.py", "src/x.test.ts",
        "src/__tests__/x.js", "src/__snapshots__/x.snap", "x_test.go", "pkg/testdata/in.txt", "tests/it.rs",
    ],
)  # fmt: skip
def test_it_belongs_to_the_tests(path: str) -> None:
    assert is_test_path(path, STACKS)


@pytest.mark.parametrize(
    "path",
    [
        "m.py",
        "src/testing.py",
        "contest.py",
        "latest_version.py",
        "src/lib.rs",
        "attest/x.go",
        "x.ts",
        "README.md",
        "protest",
    ],
)
def test_it_belongs_to_the_source(path: str) -> None:
    assert not is_test_path(path, STACKS)


def test_rust_says_that_its_tests_stand_in_sources() -> None:
    assert [stack.name for stack in STACKS if stack.tests.inline] == ["rust"]


def test_a_repository_s_own_template_replaces_ours_by_name() -> None:
    own = b'name = "make"\nroots = ["Makefile"]\n[[commands]]\ncls = "test"\nargv = ["make", "test-fast"]\n'
    loaded = templates.load(SHIPPED, {".agent/task/templates/make.toml": own})
    make = next(stack for stack in loaded.stacks if stack.name == "make")
    assert [one.argv for one in make.commands] == [("make", "test-fast")]
    assert loaded.problems == ()


def test_a_repository_s_invalid_template_is_left_out_and_named() -> None:
    own = b'name = "make"\nroots = ["Makefile"]\n[[commands]]\ncls = "test"\nargv = ["bash", "-c", "rm -rf /"]\n'
    loaded = templates.load(SHIPPED, {"t/make.toml": own})
    assert len(loaded.stacks) == 5
    assert "t/make.toml: commands.0: `bash -c rm -rf /` is no test command of a known runner" in loaded.problems[0]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"name =", "x.toml: is no TOML"),
        (b"\xff", "x.toml: is no TOML"),
        (b'name = "x"', "x.toml: roots: Field required"),
        (b'name = 1\nroots = ["a"]', "x.toml: name: Input should be a valid string"),
        (VALID + b"colour = 1", "x.toml: colour: Extra inputs are not permitted"),
        (VALID + b'suffixes = ["py"]', "x.toml: suffixes.0:"),
        (VALID + b"[tests]\nfiles = 1", "x.toml: tests.files:"),
        (command('cls = "deploy"\nargv = ["make", "test"]'), "x.toml: commands.0.cls:"),
        (command('cls = "test"\nargv = []'), "x.toml: commands.0.argv:"),
        (command('cls = "test"\nargv = ["curl", "x"]'), "is no test command of a known runner"),
        (command('cls = "test"\nargv = ["ruff", "check"]'), "it is a lint command"),
        (command('cls = "test"\nargv = ["pytest"]\neach_argv = ["sh", "x.sh"]'), "x.toml: commands.0:"),
        (command('cls = "test"\nargv = ["pytest"]\neach = ["all"]'), "must hold one of {file}"),
        (command('cls = "test"\nargv = ["pytest", "{file}"]'), "placeholders belong into `each`"),
        (b"#" * 70_000, "x.toml: larger than 64 KB"),
        (b"a = " + b"[" * 5000, "x.toml: is no TOML"),
    ],
)
def test_an_error_names_file_and_field(data: bytes, told: str) -> None:
    with pytest.raises(TemplateInvalid) as caught:
        parse("x.toml", data)
    assert told in str(caught.value)


def test_an_installation_without_templates_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TemplateInvalid, match="install learnd again"):
        templates.load(tmp_path)
