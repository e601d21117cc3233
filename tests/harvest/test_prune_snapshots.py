"""Retention gives back what a snapshot occupied, and nothing that another one needs."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
from harvest_repos import User, request_for, settings_for

from events.values import SnapshotRecord
from learnd.harvest.retention import StoredSnapshots
from learnd.harvest.snapshot import take_snapshot, verify_snapshot
from learnd.harvest.store import SnapshotStore


def prune(record: SnapshotRecord, store: SnapshotStore, spared: tuple[str, ...] = ()) -> int:
    """Remove a snapshot and clean the store; returns the bytes that were said to be freed by it."""
    stored = StoredSnapshots(store.home, [store.repo])
    freed = stored.bytes_of(record, spared)
    stored.remove(record, spared)
    stored.clean()
    return freed


def age(store: SnapshotStore, days: int) -> None:
    """Let everything in the store be `days` old."""
    then = time.time() - days * 86_400
    for file in store.git_dir.rglob("*"):
        os.utime(file, (then, then))


def test_tag_files_and_objects_go_and_shared_objects_stay(user: User, store: SnapshotStore, state: Path) -> None:
    user.write("shared", os.urandom(50_000))
    user.write("own", os.urandom(80_000))
    first = take_snapshot(request_for(user), store, settings_for(state))
    (user.root / "own").unlink()
    second = take_snapshot(request_for(user, job_id="33" * 32, suffix="-3"), store, settings_for(state))
    own = next(entry.object_id for entry in store.list_files(first.tree) if entry.path == "own")
    age(store, 40)
    freed = prune(first, store)
    # Two tarballs of 130 KB and one object of 80 KB.
    assert 330_000 < freed < 360_000
    assert store.tagged(first.tag) is None
    assert not store.has(own)
    assert not Path(first.tarball.path).exists()
    assert first.storage_copy is not None
    assert not Path(first.storage_copy.path).exists()
    verify_snapshot(second, store)
    assert prune(first, store) == 0


def test_objects_younger_than_a_day_stay_for_replays_at_work(user: User, store: SnapshotStore, state: Path) -> None:
    user.write("own", os.urandom(80_000))
    record = take_snapshot(request_for(user), store, settings_for(state))
    prune(record, store)
    assert store.intact(record.tree) is None
    stored = StoredSnapshots(store.home, [store.repo])
    assert not stored.cleaning_due()
    age(store, 2)
    os.utime(store.home / "cleaned", (1, time.time() - 2 * 86_400))
    assert stored.cleaning_due(), "a day later they are due"
    stored.clean()
    assert not store.has(record.tree)
    os.utime(store.home / "cleaned", (1, 1))
    assert not stored.cleaning_due(), "nothing is left to sweep"


def test_a_removal_that_a_crash_cut_short_is_seen_and_finished(user: User, store: SnapshotStore, state: Path) -> None:
    record = take_snapshot(request_for(user), store, settings_for(state))
    stored = StoredSnapshots(store.home, [store.repo])
    stored.clean()
    stored.remove_outside(record, ())
    assert [known.tag for known, _ in stored.records()] == [record.tag]
    stored.remove(record, ())
    stored.remove(record, ())
    assert list(stored.records()) == []
    assert stored.cleaning_due()


def test_a_tarball_that_another_snapshot_needs_stays(user: User, store: SnapshotStore, state: Path) -> None:
    record = take_snapshot(request_for(user), store, settings_for(state))
    assert record.storage_copy is not None
    prune(record, store, (record.storage_copy.path,))
    assert Path(record.storage_copy.path).exists()
    assert not Path(record.tarball.path).exists()


def test_what_is_not_the_tarball_that_was_recorded_is_not_removed(
    user: User, store: SnapshotStore, state: Path
) -> None:
    record = take_snapshot(request_for(user), store, settings_for(state))
    Path(record.tarball.path).write_bytes(b"somebody's own")
    prune(record, store)
    assert Path(record.tarball.path).read_bytes() == b"somebody's own"


def test_a_snapshot_of_a_repository_that_is_gone_is_pruned(user: User, store: SnapshotStore, state: Path) -> None:
    user.write("own", os.urandom(80_000))
    record = take_snapshot(request_for(user), store, settings_for(state, snapshot_dir=state / "copies"))
    shutil.rmtree(user.root)
    age(store, 40)
    assert 160_000 < prune(record, store) < 170_000, "the object and the copy"
    assert StoredSnapshots(store.home, []).size() < 10_000
    assert list((state / "copies").rglob("*.gz")) == []


def test_a_tree_held_for_a_run_in_progress_outlives_other_snapshots(
    user: User, store: SnapshotStore, state: Path
) -> None:
    record = take_snapshot(request_for(user), store, settings_for(state))
    user.write("b.py", "only in the observed tree\n")
    observed = store.observe()
    stored = StoredSnapshots(store.home, [store.repo])
    assert stored.let_go(()) == 0, "held just now: the run may not be in the log yet"
    age(store, 400)
    assert stored.let_go({observed.tree}) == 0
    prune(record, store)
    assert store.intact(observed.tree) is None
    age(store, 400)
    assert stored.let_go(()) == 1
    assert stored.cleaning_due()
    stored.clean()
    assert not store.has(observed.tree)


def test_a_tree_can_be_taken_again_after_its_objects_were_pruned(user: User, store: SnapshotStore, state: Path) -> None:
    os.utime(user.root / "a.py", (1, 1))
    record = take_snapshot(request_for(user), store, settings_for(state))
    age(store, 40)
    prune(record, store)
    assert not store.has(record.tree)
    again = take_snapshot(request_for(user), store, settings_for(state))
    assert again.tree == record.tree
    verify_snapshot(again, store)


def test_pruning_follows_no_link_out_of_the_repository(
    user: User, store: SnapshotStore, state: Path, tmp_path: Path
) -> None:
    record = take_snapshot(request_for(user), store, settings_for(state))
    learning = Path(record.tarball.path).parent
    outside = tmp_path / "outside"
    learning.rename(outside)
    learning.symlink_to(outside)
    prune(record, store)
    assert (outside / "run-1.tar.gz").exists()


@pytest.mark.parametrize("packed", [False, True])
def test_a_tag_in_the_users_repository_goes_and_others_stay(
    user: User, store: SnapshotStore, state: Path, packed: bool
) -> None:
    user.git("tag", "theirs")
    record = take_snapshot(request_for(user), store, settings_for(state, tag_in_repository=True))
    if packed:
        user.git("pack-refs", "--all")
    assert user.git("tag").split() == [record.tag, "theirs"]
    prune(record, store)
    assert user.git("tag") == "theirs"
    assert user.git("rev-parse", "theirs") == user.git("rev-parse", "main")


def test_a_repository_whose_objects_are_a_link_can_be_pruned(user: User, store: SnapshotStore, state: Path) -> None:
    record = take_snapshot(request_for(user), store, settings_for(state))
    (user.root / ".git/objects").rename(user.root / ".git/elsewhere")
    (user.root / ".git/objects").symlink_to("elsewhere")
    prune(record, store)
    assert store.tagged(record.tag) is None


def test_leftovers_of_killed_captures_are_swept_when_they_are_a_day_old(
    user: User, store: SnapshotStore, state: Path
) -> None:
    record = take_snapshot(request_for(user), store, settings_for(state))
    for name in ("capture-old", "tarball-old", "index-young"):
        (store.home / name).mkdir()
        (store.home / name / "file").write_bytes(b"x")
    for name in ("capture-old", "tarball-old"):
        os.utime(store.home / name, (1, 1))
    prune(record, store)
    assert [folder.name for folder in store.home.glob("*-*") if folder.is_dir()] == ["index-young"]


def test_a_copy_in_the_operators_folder_goes_as_well(
    user: User, store: SnapshotStore, state: Path, tmp_path: Path
) -> None:
    record = take_snapshot(request_for(user), store, settings_for(state, snapshot_dir=tmp_path / "copies"))
    prune(record, store)
    assert list((tmp_path / "copies").rglob("*.gz")) == []
