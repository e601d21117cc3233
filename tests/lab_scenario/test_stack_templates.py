"""Stack templates: shipped, brought by a repository, and wrong ones."""

from __future__ import annotations

import re
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


NAMES = {
    "pytest", "unittest", "tox", "nox", "hatch", "poetry", "uv", "python",
    "npm", "pnpm", "yarn", "jest", "vitest", "mocha", "node-test", "node",
    "go", "rust", "maven", "gradle", "make", "just",
}  # fmt: skip


def test_every_stack_is_one_file_and_says_how_it_is_recognised_and_tested() -> None:
    assert {stack.name for stack in STACKS} == NAMES == {file.stem for file in SHIPPED.glob("*.toml")}
    for stack in STACKS:
        assert stack.roots, stack.name
        assert stack.name == "node" or "test" in {one.cls for one in stack.commands}, stack.name
        assert stack.name in ("make", "just") or (stack.suffixes and stack.tests.files), stack.name


def test_the_documentation_s_table_names_every_stack() -> None:
    page = (agent_dir().parent / "docs/evidence.md").read_text()
    table = page[page.index("## Stacks") : page.index("## Set-up")]
    rows = " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| "))
    assert set(re.findall(r"`([a-z-]+)`", rows)) == NAMES


def test_runners_are_asked_before_what_starts_them() -> None:
    order = [stack.name for stack in STACKS]
    assert order.index("pytest") < order.index("uv") < order.index("tox") < order.index("python") < order.index("make")
    assert order.index("vitest") < order.index("pnpm") < order.index("npm") < order.index("node")


def test_a_runner_s_stack_has_the_files_of_its_language() -> None:
    found = {stack.name: stack for stack in STACKS}
    assert found["poetry"].tests == found["python"].tests
    assert found["jest"].suffixes == found["node"].suffixes
    assert found["mocha"].runnable_test("test/a.js")
    assert found["mocha"].runnable_test("test.js")
    assert not found["jest"].runnable_test("test/a.js")


@pytest.mark.parametrize(
    "path",
    [
        "test_m.py", "pkg/m_test.py", "tests/helpers/data.json", "conftest.py", "a/conftest.py", "src/x.test.ts",
        "src/__tests__/x.js", "src/__snapshots__/x.snap", "x_test.go", "pkg/testdata/in.txt", "tests/it.rs",
        "test.js", "packages/a/test.mjs", "array-test.js",
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
        "latest.js",
    ],
)
def test_it_belongs_to_the_source(path: str) -> None:
    assert not is_test_path(path, STACKS)


def test_rust_says_that_its_tests_stand_in_sources() -> None:
    assert [stack.name for stack in STACKS if stack.tests.inline] == ["rust"]


def test_a_repository_s_own_template_stands_before_ours_and_takes_nothing_away() -> None:
    own = b'name = "make"\nroots = ["Makefile"]\n[[commands]]\ncls = "test"\nargv = ["make", "test-fast"]\n'
    loaded = templates.load(SHIPPED, {".agent/task/templates/make.toml": own})
    make = next(stack for stack in loaded.stacks if stack.name == "make")
    assert [one.argv for one in make.commands][:2] == [("make", "test-fast"), ("make", "test")]
    assert loaded.problems == ()
    less = b'name = "python"\nroots = ["x.toml"]\n[tests]\nfiles = ["check_*.py"]\n'
    with_less = templates.load(SHIPPED, {"t/python.toml": less}).stacks
    assert is_test_path("tests/test_m.py", with_less)
    assert is_test_path("check_m.py", with_less)


def test_an_own_stack_of_an_unknown_language_is_left_out_and_named() -> None:
    loaded = templates.load(SHIPPED, {"t/x.toml": b'name = "x"\nlanguage = "cobol"\n'})
    assert len(loaded.stacks) == len(NAMES)
    assert loaded.problems[0].startswith("t/x.toml: language: must be the name of a stack that learnd ships (go, ")


def test_a_repository_s_invalid_template_is_left_out_and_named() -> None:
    own = b'name = "make"\nroots = ["Makefile"]\n[[commands]]\ncls = "test"\nargv = ["bash", "-c", "rm -rf /"]\n'
    loaded = templates.load(SHIPPED, {"t/make.toml": own})
    assert len(loaded.stacks) == len(NAMES)
    assert "t/make.toml: commands.0: `bash -c rm -rf /` is no test command of a known runner" in loaded.problems[0]


def setup(text: str) -> bytes:
    return VALID + b"[[setup]]\n" + text.encode()


NPM = 'folder = "e"\ncommands = [["npm", "ci"]]'


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"name =", "x.toml: is no TOML"),
        (b"\xff", "x.toml: is no TOML"),
        (b'name = "x"', "x.toml: roots: `roots` must name at least one file"),
        (b'name = 1\nroots = ["a"]', "x.toml: name: Input should be a valid string"),
        (VALID + b"colour = 1", "x.toml: colour: is no key of an adapter; those are name, language"),
        (command('cls = "test"\nargv = ["pytest"]\nwehn = 1'), "commands.0.wehn: is no key of an adapter; those are"),
        (VALID + b'environment = ["../x"]', "x.toml: environment.0:"),
        (setup('files = ["a"]\nfolder = ".."\ncommands = [["npm", "ci"]]'), "setup.0.folder: must be a folder"),
        (setup('files = ["a"]\nfolder = "e"\ncommands = [["sh", "x.sh"]]'), "`sh x.sh` is no command that installs"),
        (setup('files = ["a"]\nfolder = "e"\ncommands = [["npm", "ci", "x"]]'), "is no command that installs"),
        (setup(f'files = ["../a"]\n{NPM}'), "x.toml: setup.0.files: must name files of the package"),
        (setup(f'files = ["a"]\n{NPM}\nenv = {{ A = "b" }}'), "`env.A` must name the environment by {env}"),
        (command('cls = "test"\nargv = ["mvn", "test"]\nchanged = ["-Dtest=A"]'), "must hold one of {files}, {stems}"),
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
