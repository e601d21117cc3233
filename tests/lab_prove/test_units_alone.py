"""Each unit is reverted alone: its patch takes away one run of changed lines and nothing else."""

from __future__ import annotations

import difflib
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.repos import ENVIRONMENT

from learnd.lab.hunks import combined, split

LINES = st.lists(st.sampled_from(["a", "b", "c", "", "d e"]), max_size=14)


def git(folder: Path, *argv: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(["git", *argv], cwd=folder, env=ENVIRONMENT, input=stdin, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@settings(max_examples=40, deadline=None)
@given(old=LINES, new=LINES, ending=st.sampled_from(["\n", ""]))
def test_a_units_patch_takes_away_one_run_of_lines_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, old: list[str], new: list[str], ending: str
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    for name, lines in (("old", ["x", *old]), ("new", ["x", *new])):
        (folder / name).mkdir()
        (folder / name / "f.txt").write_text("\n".join(lines) + ending)
    snapshot = (folder / "new/f.txt").read_text()
    diff = git(folder, "diff", "--no-index", "--no-prefix", "old", "new")
    diff = diff.replace(b" old/", b" a/").replace(b" new/", b" b/")
    units = split(diff, lambda _path: False) if diff else ()
    for unit in units:
        (folder / "new/f.txt").write_text(snapshot)
        done = subprocess.run(
            ["git", "apply", "-R", "--unidiff-zero", "--whitespace=nowarn", "-"],
            cwd=folder / "new", env={**ENVIRONMENT, "GIT_CEILING_DIRECTORIES": str(folder)},
            input=unit.patch, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (done.stderr, unit.patch)
        reverted = (folder / "new/f.txt").read_text()
        assert reverted != snapshot
        after, before = snapshot.splitlines(keepends=True), reverted.splitlines(keepends=True)
        head = next((i for i, pair in enumerate(zip(after, before, strict=False)) if pair[0] != pair[1]), None)
        assert head is None or unit.lines[0] - 1 <= len(after)
        kept = [line for line in difflib.ndiff(before, after) if line.startswith("+ ")]
        assert len(kept) <= max(len(unit.added), 1)


@settings(max_examples=60, deadline=None)
@given(
    old=st.lists(st.sampled_from(["a", "b", "c", "", "d e"]), max_size=30),
    new=st.lists(st.sampled_from(["a", "b", "c", "", "d e"]), max_size=30),
    ending=st.sampled_from(["\n", ""]),
    chosen=st.sets(st.integers(0, 8)),
)
def test_the_patch_of_several_units_takes_away_these_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, old: list[str], new: list[str], ending: str, chosen: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    for name, lines in (("old", old), ("new", new)):
        (folder / name).mkdir()
        (folder / name / "f.txt").write_text("\n".join(lines) + ending)
    before, snapshot = (folder / "old/f.txt").read_text(), (folder / "new/f.txt").read_text()

    def diff(context: int) -> bytes:
        found = git(folder, "diff", "--no-index", "--no-prefix", f"-U{context}", "old", "new")
        return found.replace(b" old/", b" a/").replace(b" new/", b" b/")

    units = split(diff(3), lambda _path: False) if diff(3) else ()
    wanted = [unit for number, unit in enumerate(units) if number in chosen]
    if not wanted:
        return
    runs = re.findall(rb"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", diff(0), re.MULTILINE)
    done = subprocess.run(
        ["git", "apply", "-R", "--unidiff-zero", "--whitespace=nowarn", "-"],
        cwd=folder / "new", env={**ENVIRONMENT, "GIT_CEILING_DIRECTORIES": str(folder)},
        input=combined(wanted), capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stderr, combined(wanted))
    # Without context every run is a hunk of its own: the expected text is spliced together from those.
    expected = snapshot.splitlines(keepends=True)
    for number, (source, sources, target, targets) in reversed(list(enumerate(runs))):
        if number in chosen:
            lines = before.splitlines(keepends=True)
            was = lines[int(source) - 1 :][: int(sources or 1)] if int(sources or 1) else []
            at = int(target) - 1 if int(targets or 1) else int(target)
            expected[at : at + int(targets or 1)] = was
    assert (folder / "new/f.txt").read_text() == "".join(expected)
