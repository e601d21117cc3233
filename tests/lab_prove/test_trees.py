"""Fresh folders, nothing left, and a sweep that touches what no living job owns and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from learnd.lab.trees import NoRoomForTrees, Workspace, choose_root, remove_tree, sweep_work, work_roots


@pytest.fixture(autouse=True)
def no_folder_in_memory(tmp_path: Path) -> Iterator[None]:
    """What a test makes us take in memory goes with it."""
    yield
    for work_dir in (tmp_path, tmp_path / "x", tmp_path / "disk"):
        shutil.rmtree(work_roots(work_dir, None)[0], ignore_errors=True)


def restore(folder: Path) -> None:
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/file").write_text("x")


def test_each_place_is_fresh_and_a_discarded_one_is_gone_at_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with Workspace(root, "job-1") as workspace:
        first, second = workspace.fresh(restore), workspace.fresh(restore)
        assert first.tree != second.tree
        (first.tree / "left").write_text("by a replay")
        workspace.discard(first)
        assert not first.folder.exists()
        assert sorted(path.name for path in second.tree.iterdir()) == ["sub"]
    assert not root.exists()


def test_what_a_replay_locked_away_is_removed_as_well(tmp_path: Path) -> None:
    root = tmp_path / "root"
    with Workspace(root, "job-1") as workspace:
        place = workspace.fresh(restore)
        (place.tree / "sub").chmod(0)
        place.tree.chmod(0)
        workspace.discard(place)
    assert not root.exists()


def test_what_a_crash_of_the_same_job_left_is_cleared(tmp_path: Path) -> None:
    root = tmp_path / "root"
    restore(root / "job-1/git")
    with Workspace(root, "job-1") as workspace:
        assert list(workspace.folder.iterdir()) == []


def test_an_error_inside_leaves_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"

    def fail() -> None:
        with Workspace(root, "job-1") as workspace:
            workspace.fresh(restore)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not root.exists()


def test_removing_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").write_text("x")
    (tmp_path / "doomed").mkdir()
    (tmp_path / "doomed/link").symlink_to(tmp_path / "outside")
    remove_tree(tmp_path / "doomed")
    assert (tmp_path / "outside/kept").exists()


def test_the_sweep_removes_what_no_living_job_owns(tmp_path: Path) -> None:
    for job in ("dead", "alive"):
        restore(tmp_path / job / "replay-x/tree")
    (tmp_path / "a file").write_text("not ours to judge")
    assert sweep_work(tmp_path, {"alive"}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a file", "alive"]
    assert sweep_work(tmp_path / "missing", set()) == 0


def test_trees_go_into_memory_or_to_the_override_alone_where_there_is_one(tmp_path: Path) -> None:
    memory, disk = work_roots(tmp_path, None)
    assert memory.is_relative_to("/dev/shm")
    assert disk == tmp_path
    assert choose_root(tmp_path, None, 1) in (memory, disk)
    (own,) = work_roots(tmp_path / "disk", tmp_path / "own")
    assert own.parent == tmp_path / "own"
    assert choose_root(tmp_path / "disk", tmp_path / "own", 1) == own


def test_daemons_of_two_logs_share_no_root(tmp_path: Path) -> None:
    for override in (None, tmp_path / "own"):
        one, other = (set(work_roots(tmp_path / name, override)) for name in ("one", "other"))
        assert not one & other


def test_a_tree_too_large_for_memory_goes_to_disk_and_one_too_large_for_both_is_refused(tmp_path: Path) -> None:
    memory = shutil.disk_usage("/dev/shm").total
    if shutil.disk_usage(tmp_path).free > memory // 2:
        assert choose_root(tmp_path, None, memory // 2) == tmp_path
    with pytest.raises(NoRoomForTrees, match="MB wanted"):
        choose_root(tmp_path, None, 1 << 60)


def test_a_root_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (root,) = work_roots(tmp_path / "x", tmp_path / "own")
    root.parent.mkdir()
    (tmp_path / "real").mkdir()
    root.symlink_to(tmp_path / "real")
    with pytest.raises(NoRoomForTrees, match="not a folder of user"):
        choose_root(tmp_path / "x", tmp_path / "own", 1)


@pytest.mark.parametrize("job_id", ["", "../up", ".hidden"])
def test_a_job_id_that_cannot_name_a_folder_is_refused(tmp_path: Path, job_id: str) -> None:
    with pytest.raises(ValueError, match="cannot name a folder"):
        Workspace(tmp_path, job_id)
