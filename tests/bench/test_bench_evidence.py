"""The evidence bench: a pair of releases made here goes the whole way through it, without any registry."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.daemon import registered
from bench.evidence.archives import NotFetched, archive, unpack
from bench.evidence.learned import NothingCame, learn
from bench.evidence.pairs import NothingToRun, Pair, Release, read_pairs
from bench.evidence.project import CommandFailed, begin, finish
from bench.evidence.table import kept_in, page, told, told_of_none
from bench.job import FEW
from bench.sample import BROKEN, MENDED, NEW_TEST, TESTS

FEWER = {**FEW, "LEARND_LAB__SHUFFLE": "false"}


def release(place: Path, version: str, files: Mapping[str, str]) -> tuple[Path, Release]:
    """A release's archive as registries have it: all files in one folder."""
    path = place / f"calc-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"calc-{version}/{name}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return path, Release(version=version, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def pair_of(old: Release, new: Release, command: str = f"{sys.executable} -m unittest -q {{tests}}") -> Pair:
    return Pair(
        package="calc", registry="pypi", old=old, new=new, layout="flat", runner="unittest", command=command,
        tests=("test_*.py",),
    )  # fmt: skip


def older_and_newer(place: Path) -> tuple[Path, Path, Pair]:
    extra = "\n\ndef half(value):\n    return value / 2\n"
    older, old = release(place, "1", {"calc.py": BROKEN, "test_calc.py": TESTS, "gone.py": "x = 1\n"})
    newer, new = release(place, "2", {"calc.py": MENDED + extra, "test_calc.py": TESTS + NEW_TEST})
    return older, newer, pair_of(old, new)


@pytest.mark.sandbox
def test_a_pair_goes_the_whole_way_and_its_row_says_what_the_log_says(tmp_path: Path) -> None:
    older, newer, pair = older_and_newer(tmp_path)
    repo = begin(pair, older, tmp_path / "work")
    registered(tmp_path / "state", repo)
    project = finish(pair, newer, repo)
    assert not (repo / "gone.py").exists()
    assert project.line.endswith("-m unittest -q test_calc.py")
    learned = learn(project, tmp_path / "state", **FEWER)
    evidence = learned.evidence
    assert evidence.verdict == "proven"
    assert evidence.transitions is not None
    assert evidence.transitions.fail_to_pass.count == 1
    # the two fixes, and the module that is gone
    assert learned.hunks() == {"exercised": 1, "unexercised": 2}
    assert evidence.minimal is not None
    # both sides, each hunk alone, and at least the smallest change, as often as a side
    assert learned.replays >= len(evidence.base) + len(evidence.snapshot) + len(evidence.hunks) + 3
    assert 0 < learned.inside < learned.seconds
    assert learned.foreign_share is not None
    assert 0 < learned.foreign_share < 1
    cells = told(pair, learned).split(" | ")
    assert cells[0] == "| calc 1 → 2"
    assert cells[2:7] == ["**proven**", "1", "1", "0", "0"]
    assert cells[7:12] == ["1", "2", "0", "0", "1 of 3"]


def test_a_command_that_fails_by_hand_is_never_said_to_have_succeeded(tmp_path: Path) -> None:
    older, newer, pair = older_and_newer(tmp_path)
    failing = pair.model_copy(update={"command": "false {tests} | cat"})
    repo = begin(failing, older, tmp_path / "work")
    with pytest.raises(CommandFailed, match="exit code 1"):
        finish(failing, newer, repo)
    assert not (repo / ".runs").exists()


def test_a_release_that_changes_no_test_has_nothing_to_run(tmp_path: Path) -> None:
    older, _, pair = older_and_newer(tmp_path)
    repo = begin(pair, older, tmp_path / "work")
    with pytest.raises(NothingToRun, match=r"calc 1 → 2 changes none of test_\*\.py"):
        finish(pair, older, repo)


def test_an_archive_that_is_not_the_pinned_one_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    older, _, pair = older_and_newer(tmp_path)
    kept = tmp_path / "learnd-bench/archives" / f"{pair.old.sha256}.tar.gz"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(older.read_bytes())
    assert archive(pair, pair.old) == kept
    kept.write_bytes(b"something else")
    with pytest.raises(NotFetched, match=pair.old.sha256):
        archive(pair, pair.old)
    assert not kept.exists()


def test_an_archive_cannot_leave_the_folder_that_it_is_laid_over(tmp_path: Path) -> None:
    source, _ = release(tmp_path, "1", {"../../outside.py": "x = 1\n"})
    (tmp_path / "work").mkdir()
    with pytest.raises(tarfile.OutsideDestinationError):
        unpack(source, tmp_path / "work/repo")
    assert not list(tmp_path.rglob("outside.py"))


def test_every_pair_is_pinned_and_is_a_version_and_another() -> None:
    pairs = read_pairs()
    assert len({pair.name for pair in pairs}) == len(pairs) >= 10
    for pair in pairs:
        assert len(pair.old.sha256) == len(pair.new.sha256) == 64
        assert pair.old.version != pair.new.version
        assert pair.old.sha256 != pair.new.sha256
        assert "{tests}" in pair.command


def test_a_page_keeps_every_row_whatever_came_of_it(tmp_path: Path) -> None:
    _, _, pair = older_and_newer(tmp_path)
    other = pair.model_copy(update={"package": "other"})
    rows = [told_of_none(pair, NothingCame("said | so,\nin two lines")), told_of_none(other, NotFetched("gone"))]
    assert kept_in(page(rows)) == {pair.title: rows[0], other.title: rows[1]}
    assert "said \\| so, in two lines" in page(rows)
