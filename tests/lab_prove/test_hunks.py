"""A real `git diff` is split into units, and each unit's patch takes away that unit and nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from learnd.lab.hunks import DiffUnreadable, Unit, added_names, defined, missing_names, split

ENV = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@localhost",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@localhost",
}


def git(repo: Path, *args: str, stdin: bytes | None = None) -> bytes:
    return subprocess.run(["git", *args], cwd=repo, env=ENV, input=stdin, check=True, capture_output=True).stdout


def diff_of(repo: Path, before: dict[str, bytes | None], after: dict[str, bytes | None]) -> bytes:
    """Commit `before`, then leave `after` in the work tree; the diff learnd takes of that."""
    repo.mkdir()
    git(repo, "init", "-q")
    write(repo, before)
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "base", "--allow-empty")
    write(repo, after)
    git(repo, "add", "-A")
    return git(repo, "diff", "--cached", "--binary", "--full-index", "--no-renames")


def write(repo: Path, files: dict[str, bytes | None]) -> None:
    for name, content in files.items():
        path = repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)


def reverted(repo: Path, unit: Unit) -> Path:
    git(repo, "apply", "-R", "--whitespace=nowarn", stdin=unit.patch)
    return repo / unit.file


def is_test(path: str) -> bool:
    return path.startswith("tests/")


LINES = [b"line %d\n" % n for n in range(1, 41)]


def edited(**changes: bytes) -> bytes:
    lines = list(LINES)
    for at, text in changes.items():
        lines[int(at[1:]) - 1] = text
    return b"".join(lines)


def test_each_hunk_is_a_unit_with_its_lines_in_the_snapshot(tmp_path: Path) -> None:
    diff = diff_of(tmp_path / "r", {"m.py": b"".join(LINES)}, {"m.py": edited(l5=b"five\nand more\n", l30=b"thirty\n")})
    first, second = split(diff, is_test)
    assert (first.file, first.lines, first.added, first.removed) == ("m.py", (5, 6), ("five", "and more"), ("line 5",))
    assert second.lines == (31, 31)


@pytest.mark.parametrize("index", [0, 1])
def test_reverting_one_hunk_leaves_the_other(tmp_path: Path, index: int) -> None:
    repo = tmp_path / "r"
    units = split(
        diff_of(repo, {"m.py": b"".join(LINES)}, {"m.py": edited(l5=b"five\nand more\n", l30=b"thirty\n")}), is_test
    )
    left = [edited(l30=b"thirty\n"), edited(l5=b"five\nand more\n")][index]
    assert reverted(repo, units[index]).read_bytes() == left


def test_tests_and_binary_files_are_no_units(tmp_path: Path) -> None:
    after: dict[str, bytes | None] = {
        "m.py": b"x = 1\n",
        "tests/test_m.py": b"def test(): pass\n",
        "logo.png": bytes(range(256)),
    }
    assert [unit.file for unit in split(diff_of(tmp_path / "r", {}, after), is_test)] == ["m.py"]


def test_the_patterns_that_learnd_laid_beside_a_change_are_no_units(tmp_path: Path) -> None:
    after: dict[str, bytes | None] = {
        "m.py": b"x = 1\n", ".agent/patterns/candidates/answer-zero-0a1b2c3d.md": b"# Answer zero\n",
        "docs/patterns/README.md": b"# Patterns\n", ".agent/patterns.py": b"y = 2\n",
    }  # fmt: skip
    assert [unit.file for unit in split(diff_of(tmp_path / "r", {}, after), is_test)] == [".agent/patterns.py", "m.py"]


def test_added_and_deleted_files_are_whole_units(tmp_path: Path) -> None:
    repo = tmp_path / "r"
    diff = diff_of(repo, {"old.py": b"a = 1\nb = 2\n"}, {"old.py": None, "new.py": b"c = 3\nd = 4\n"})
    new, old = split(diff, is_test)
    assert (new.file, new.lines, new.added_file) == ("new.py", (1, 2), True)
    assert (old.file, old.lines, old.added_file) == ("old.py", (1, 1), False)
    assert not reverted(repo, new).exists()
    assert reverted(repo, old).read_bytes() == b"a = 1\nb = 2\n"


def test_a_pure_deletion_names_the_line_it_stood_before(tmp_path: Path) -> None:
    repo = tmp_path / "r"
    kept = LINES[:9] + LINES[12:]
    (unit,) = split(diff_of(repo, {"m.py": b"".join(LINES)}, {"m.py": b"".join(kept)}), is_test)
    assert unit.lines == (10, 10)
    assert reverted(repo, unit).read_bytes() == b"".join(LINES)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("crlf.py", b"a\r\nb\r\n", b"a\r\nc\r\n"),
        ("no-newline.py", b"a\nb", b"a\nc"),
        ("latin.py", b"# caf\xe9\nx = 1\n", b"# caf\xe9\nx = 2\n"),
        ("feeds.py", b"a\x0cb\x85\x1c\nx\n", b"a\x0cb\x85\x1c\ny\n"),
        ("trailing.py", b"x\n \t\n\n", b"y\n \t\n\n"),
        ("na\u00efve file.py", b"x\n", b"y\n"),
        ('quo"te\tand\nnewline.py', b"x\n", b"y\n"),
        ("dashes.sql", b"x\n-- a comment\n", b"x\n"),
    ],
)
def test_odd_bytes_and_names_revert_exactly(tmp_path: Path, name: str, before: bytes, after: bytes) -> None:
    repo = tmp_path / "r"
    (unit,) = split(diff_of(repo, {name: before}, {name: after}), is_test)
    assert unit.file == name
    assert reverted(repo, unit).read_bytes() == before


def test_code_comes_before_prose(tmp_path: Path) -> None:
    after: dict[str, bytes | None] = {
        "CHANGELOG": b"new\n",
        "README.md": b"r\n",
        "docs/use.txt": b"u\n",
        "z.py": b"z = 1\n",
    }
    assert split(diff_of(tmp_path / "r", {}, after), is_test)[0].file == "z.py"


def test_a_torn_diff_is_refused(tmp_path: Path) -> None:
    diff = diff_of(tmp_path / "r", {"m.py": b"".join(LINES)}, {"m.py": edited(l5=b"five\n")})
    with pytest.raises(DiffUnreadable, match="cannot be split"):
        split(diff[:-30], is_test)


def test_names_added_are_those_defined_anew(tmp_path: Path) -> None:
    before = b"def kept():\n    pass\n\n\ndef moved(a):\n    pass\n"
    after = (
        b"def kept():\n    pass\n\n\nLIMIT: int = 3\n\n\ndef moved(a, b):\n    pass\n\n\nclass Fresh:\n    slot = 1\n"
    )
    units = split(diff_of(tmp_path / "r", {"m.py": before}, {"m.py": after, "src/p/sub.py": b"q = 1\n"}), is_test)
    names = added_names(units)
    assert {"LIMIT", "Fresh", "slot", "q"} <= names.symbols
    assert "moved" not in names.symbols
    assert "kept" not in names.symbols
    assert names.has("p.sub")
    assert not names.has("p.other")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("    async def fetch(self):", "fetch"),
        ("export function render(x) {", "render"),
        ("func (s *Server) Close() error {", "Close"),
        ("pub fn parse<T>(x: T) {", "parse"),
        ("from .core import run as start, stop", "start"),
        ("        self.cache = {}", "cache"),
        ("exports.open = open", "open"),
    ],
)
def test_definitions_are_seen_in_several_languages(line: str, name: str) -> None:
    assert name in defined([line])


def test_comments_and_comparisons_define_nothing() -> None:
    assert not defined(["# x = 1", "// class Foo {", "    if x == 1 and call(y):"])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("E   ImportError: cannot import name 'slug' from 'p.m' (/r/p/m.py)", "slug"),
        ("E   ModuleNotFoundError: No module named 'p.extra'", "p.extra"),
        ("E   AttributeError: module 'p' has no attribute 'slug'", "slug"),
        ("./m_test.go:7:9: undefined: Slug", "Slug"),
        ("error[E0425]: cannot find function `slug` in this scope", "slug"),
        ("TypeError: m.slug is not a function", "slug"),
    ],
)
def test_what_is_missing_is_read_from_the_message(text: str, name: str) -> None:
    assert missing_names(text) == {name}
