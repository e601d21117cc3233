"""The record, its files, retries, and what a damaged snapshot is called."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from harvest_repos import JOB, User, fingerprint, listing, new_user, on_disk, request_for, settings_for

from learnd.harvest.faults import DiskFull
from learnd.harvest.snapshot import (
    SnapshotDamaged,
    SnapshotError,
    git_reports,
    rebuild_tarball,
    snapshot_id,
    take_snapshot,
    verify_snapshot,
)
from learnd.harvest.store import SnapshotStore


def test_a_snapshot_is_tagged_packed_described_and_copied(user: User, store: SnapshotStore, state: Path) -> None:
    head = user.git("rev-parse", "HEAD")
    user.write("a.py", "one = 2\n")
    user.write("new.py", "x\ny\n")
    request = request_for(user)
    record = take_snapshot(request, store, settings_for(state))
    assert record.tag == f"learning-snapshot-{snapshot_id(JOB)}"
    assert store.tagged(record.tag) == record.commit
    assert (record.base_source, record.base_commit) == ("head", head)
    assert (record.files_changed, record.insertions, record.deletions) == (2, 3, 1)
    assert record.changed_paths == ("a.py", "new.py")
    assert record.not_attributable is None
    assert record.head_moved is False
    learning = request.learning_dir
    assert names(learning) == ["diff.patch", "run-1.tar.gz"]
    copy = user.root / "learning-snapshots/task-1/run-1.tar.gz"
    assert record.storage_copy is not None
    assert Path(record.storage_copy.path) == copy
    assert copy.read_bytes() == (learning / "run-1.tar.gz").read_bytes()
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == record.tarball.sha256
    assert (user.root / "learning-snapshots/.gitignore").read_text() == "*\n"
    with tarfile.open(learning / "run-1.tar.gz") as tar:
        assert sorted(tar.getnames()) == ["a.py", "new.py"]
    verify_snapshot(record, store)


def test_nothing_of_the_users_is_touched_but_the_named_places(user: User, store: SnapshotStore, state: Path) -> None:
    user.write("a.py", "two\n")
    user.git("add", "a.py")
    request_for(user).learning_dir.mkdir(parents=True)
    (user.root / "learning-snapshots/task-1").mkdir(parents=True)
    git_folder, before = fingerprint(user.root / ".git"), on_disk(user.root)
    take_snapshot(request_for(user), store, settings_for(state))
    assert fingerprint(user.root / ".git") == git_folder
    after = on_disk(user.root)
    new = set(after) - set(before)
    assert {path: after[path] for path in before} == before
    assert new == {
        b".runs/task-1/cli/run-1/learning/diff.patch", b".runs/task-1/cli/run-1/learning/run-1.tar.gz",
        b"learning-snapshots/.gitignore", b"learning-snapshots/task-1/run-1.tar.gz",
    }  # fmt: skip


def test_an_empty_change_is_recorded_as_such(user: User, store: SnapshotStore, state: Path) -> None:
    record = take_snapshot(request_for(user), store, settings_for(state))
    assert (record.files_changed, record.changed_paths) == (0, ())
    assert Path(record.diff.path).read_bytes() == b""
    verify_snapshot(record, store)


def test_the_same_tree_gives_the_same_tarball_whenever_and_wherever(user: User, state: Path, tmp_path: Path) -> None:
    other = new_user(tmp_path / "other")
    other.write("a.py", "one = 1\n")
    first = take_snapshot(
        request_for(user, completed_at="2026-01-01T00:00:00.000Z"),
        SnapshotStore(state, "repo-1", user.root),
        settings_for(state),
    )
    os.utime(other.root / "a.py", (1, 1))
    second = take_snapshot(
        request_for(other, job_id="00" * 32), SnapshotStore(state, "repo-2", other.root), settings_for(state)
    )
    assert first.tree == second.tree
    assert first.tarball.sha256 == second.tarball.sha256
    assert Path(first.tarball.path).read_bytes()[4:8] == bytes(4)


def test_a_retry_gives_back_what_was_captured_although_the_tree_moved_on(
    user: User, store: SnapshotStore, state: Path
) -> None:
    user.write("a.py", "two\n")
    request = request_for(user)
    record = take_snapshot(request, store, settings_for(state))
    user.write("a.py", "three\n")
    assert take_snapshot(request, store, settings_for(state)) == record
    assert all_tags(store) == [record.tag]


def test_a_retry_mends_files_that_are_gone(user: User, store: SnapshotStore, state: Path) -> None:
    user.write("a.py", "two\n")
    record = take_snapshot(request_for(user), store, settings_for(state))
    shutil.rmtree(user.root / ".runs")
    shutil.rmtree(user.root / "learning-snapshots")
    user.write("a.py", "three\n")
    assert take_snapshot(request_for(user), store, settings_for(state)) == record
    verify_snapshot(record, store)
    assert record.storage_copy is not None
    assert Path(record.storage_copy.path).exists()


def test_a_retry_after_an_unfinished_attempt_leaves_one_tag(user: User, store: SnapshotStore, state: Path) -> None:
    first = take_snapshot(request_for(user), store, settings_for(state))
    # As after a crash between tag and record.
    (store.home / "records" / f"{first.tag}.json").unlink()
    user.write("a.py", "two\n")
    second = take_snapshot(request_for(user), store, settings_for(state))
    assert second.tree != first.tree
    assert all_tags(store) == [second.tag]
    verify_snapshot(second, store)


def test_the_same_tree_and_times_give_the_same_commit(user: User, state: Path) -> None:
    request = request_for(user, completed_at="2026-01-02T03:04:05.678Z")
    commits = {
        take_snapshot(request, SnapshotStore(state / name, "repo-1", user.root), settings_for(state)).commit
        for name in ("one", "two")
    }
    assert len(commits) == 1


def test_a_second_completion_writes_to_files_of_its_own(user: User, store: SnapshotStore, state: Path) -> None:
    first = take_snapshot(request_for(user), store, settings_for(state))
    user.write("a.py", "two\n")
    again = request_for(user, job_id="8e" * 32, suffix="-8e8e8e8e")
    second = take_snapshot(again, store, settings_for(state))
    assert names(again.learning_dir) == [
        "diff-8e8e8e8e.patch", "diff.patch", "run-1-8e8e8e8e.tar.gz", "run-1.tar.gz",
    ]  # fmt: skip
    verify_snapshot(first, store)
    verify_snapshot(second, store)


def test_copies_go_to_the_operators_folder_and_take_no_name_from_others(
    user: User, store: SnapshotStore, state: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "copies/task-1/run-1.tar.gz"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"another repository's")
    record = take_snapshot(request_for(user), store, settings_for(state, snapshot_dir=tmp_path / "copies"))
    assert taken.read_bytes() == b"another repository's"
    assert record.storage_copy is not None
    assert Path(record.storage_copy.path) == tmp_path / f"copies/task-1/run-1-{JOB[:12]}.tar.gz"
    assert not (user.root / "learning-snapshots").exists()


def test_a_relative_folder_for_copies_is_the_repositorys(user: User, store: SnapshotStore, state: Path) -> None:
    record = take_snapshot(request_for(user), store, settings_for(state, snapshot_dir=Path("kept/copies")))
    assert record.storage_copy is not None
    assert Path(record.storage_copy.path) == user.root / "kept/copies/task-1/run-1.tar.gz"
    assert set(listing(store, store.take_tree().tree)) == {"a.py"}


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from harvest_repos import User, request_for, settings_for
from learnd.harvest.snapshot import take_snapshot
from learnd.harvest.store import SnapshotStore
user, state = User(Path(sys.argv[1])), Path(sys.argv[2])
request = request_for(user, completed_at="2026-01-01T00:00:00.000Z")
store = SnapshotStore(state, "repo-1", user.root)
print("ready", flush=True)
take_snapshot(request, store, settings_for(state))
"""


@pytest.mark.parametrize("after_ms", [30, 120, 300])
def test_killed_at_any_moment_a_retry_ends_the_same(user: User, state: Path, after_ms: int) -> None:
    for number in range(300):
        user.write(f"many/{number}", os.urandom(2000))
    command = [sys.executable, "-c", KILLED, str(user.root), str(state), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(after_ms / 1000)
        os.killpg(process.pid, signal.SIGKILL)
    store = SnapshotStore(state, "repo-1", user.root)
    record = take_snapshot(request_for(user, completed_at="2026-01-01T00:00:00.000Z"), store, settings_for(state))
    verify_snapshot(record, store)
    assert all_tags(store) == [record.tag]
    # A `.part` of the killed one may remain in the run's folder; what has a name is whole.
    named = [name for name in names(request_for(user).learning_dir) if not name.startswith(".")]
    assert named == ["diff.patch", "run-1.tar.gz"]


def test_a_lock_left_by_a_killed_git_does_not_block_the_next(user: User, store: SnapshotStore, state: Path) -> None:
    tags = store.git_dir / "refs/tags"
    (tags / f"learning-snapshot-{snapshot_id(JOB)}.lock").write_bytes(b"")
    (store.git_dir / "packed-refs.lock").write_bytes(b"")
    record = take_snapshot(request_for(user), store, settings_for(state))
    assert store.tagged(record.tag) == record.commit


def test_refused_when_the_operators_folder_for_copies_cannot_be_made(
    user: User, store: SnapshotStore, state: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SnapshotError) as refused:
        take_snapshot(request_for(user), store, settings_for(state, snapshot_dir=tmp_path / "file/copies"))
    assert refused.value.cause == "not_writable"


# --- links that lead elsewhere ----------------------------------------------------------------------


@pytest.mark.parametrize("planted", [".runs", ".runs/task-1", ".runs/task-1/cli/run-1/learning"])
def test_refused_when_the_learning_folder_is_a_link_out_of_the_repository(
    user: User, store: SnapshotStore, state: Path, tmp_path: Path, planted: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (user.root / planted).parent.mkdir(parents=True, exist_ok=True)
    (user.root / planted).symlink_to(outside)
    with pytest.raises(SnapshotError, match="leads out of") as refused:
        take_snapshot(request_for(user), store, settings_for(state))
    assert refused.value.cause == "link_refused"
    assert list(outside.iterdir()) == []
    assert all_tags(store) == []


def test_refused_when_the_folder_for_copies_is_a_link_out_of_the_repository(
    user: User, store: SnapshotStore, state: Path, tmp_path: Path
) -> None:
    (user.root / "learning-snapshots").symlink_to(tmp_path)
    with pytest.raises(SnapshotError, match="leads out of"):
        take_snapshot(request_for(user), store, settings_for(state))
    assert not (tmp_path / "task-1").exists()
    assert not (tmp_path / ".gitignore").exists()


def test_a_link_planted_as_a_file_is_replaced_not_followed(
    user: User, store: SnapshotStore, state: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched\n")
    learning = request_for(user).learning_dir
    learning.mkdir(parents=True)
    for name in ("diff.patch", "run-1.tar.gz"):
        (learning / name).symlink_to(victim)
    verify_snapshot(take_snapshot(request_for(user), store, settings_for(state)), store)
    assert victim.read_text() == "untouched\n"


@pytest.mark.parametrize("changes", [{"run_id": "../x"}, {"task_id": "a/b"}, {"task_id": ".."}, {"run_id": ""}])
def test_refused_when_an_id_is_no_file_name(
    user: User, store: SnapshotStore, state: Path, changes: dict[str, str]
) -> None:
    with pytest.raises(SnapshotError) as refused:
        take_snapshot(request_for(user, **changes), store, settings_for(state))
    assert refused.value.cause == "bad_name"


@pytest.mark.parametrize("value", ["--output=/x", "HEAD", "a" * 39, "refs/heads/main"])
def test_nothing_but_an_object_id_reaches_git_as_one(user: User, store: SnapshotStore, value: str) -> None:
    with pytest.raises(SnapshotError) as refused:
        store.tree_of(value)
    assert refused.value.cause == "bad_object_id"
    with pytest.raises(SnapshotError):
        store.tag(f"--{value}", "a" * 40)


# --- what the user does afterwards ------------------------------------------------------------------


def test_the_users_objects_may_vanish(user: User, store: SnapshotStore, state: Path, tmp_path: Path) -> None:
    for number in range(120):
        user.write(f"many/{number}", f"{number}\n")
    user.commit()
    observed = store.observe()
    user.write("a.py", "two\n")
    user.write("many/7", "changed\n")
    request = request_for(user, base_tree=observed.tree)
    record = take_snapshot(request, store, settings_for(state))
    by_head = take_snapshot(request_for(user, job_id="11" * 32, suffix="-1"), store, settings_for(state))
    assert (record.base_source, by_head.base_source) == ("observed", "head")
    expected = {path: was for path, was in on_disk(user.root).items() if path.startswith((b"a.py", b"many/"))}
    shutil.rmtree(user.root / ".git/objects")
    (user.root / ".git/objects").mkdir()
    for one in (record, by_head):
        verify_snapshot(one, store)
        store.restore(one.base_tree, tmp_path / f"base-{one.snapshot_id}")
    store.restore(record.tree, tmp_path / "dest")
    assert on_disk(tmp_path / "dest") == expected


# --- damage -----------------------------------------------------------------------------------------


def test_a_tampered_tarball_is_called_digest_and_can_be_rebuilt(user: User, store: SnapshotStore, state: Path) -> None:
    record = take_snapshot(request_for(user), store, settings_for(state))
    tarball = Path(record.tarball.path)
    tarball.write_bytes(gzip.compress(b"not it"))
    assert damage(record, store) == "digest"
    tarball.unlink()
    assert damage(record, store) == "missing"
    assert rebuild_tarball(record, store) == record.tarball
    verify_snapshot(record, store)


def test_a_tampered_diff_is_called_diff(user: User, store: SnapshotStore, state: Path) -> None:
    user.write("a.py", "two\n")
    record = take_snapshot(request_for(user), store, settings_for(state))
    patch = Path(record.diff.path)
    patch.write_bytes(patch.read_bytes().replace(b"two", b"ten"))
    assert damage(record, store) == "diff"
    # Even a record that was changed along with it: base + diff is not the tree.
    changed = hashlib.sha256(patch.read_bytes()).hexdigest()
    forged = record.model_copy(update={"diff": record.diff.model_copy(update={"sha256": changed})})
    assert damage(forged, store) == "diff"
    patch.unlink()
    assert damage(record, store) == "missing"


def test_a_moved_tag_is_called_checkout_and_a_lost_one_missing(user: User, store: SnapshotStore, state: Path) -> None:
    record = take_snapshot(request_for(user), store, settings_for(state))
    other = store.commit(store.empty_tree, parent_tree_commit=None, message="x", at="2026-01-01T00:00:00.000Z")
    store.tag(record.tag, other)
    assert damage(record, store) == "checkout"
    (store.git_dir / "refs/tags" / record.tag).unlink()
    assert damage(record, store) == "missing"


@pytest.mark.parametrize("way", ["garbled", "exchanged", "lost"])
def test_a_damaged_object_is_called_checkout(user: User, store: SnapshotStore, state: Path, way: str) -> None:
    user.write("b.py", "other\n")
    record = take_snapshot(request_for(user), store, settings_for(state))
    ids = {entry.path: entry.object_id for entry in store.list_files(record.tree)}
    victim, other = (store.git_dir / "objects" / ids[path][:2] / ids[path][2:] for path in ("b.py", "a.py"))
    content = other.read_bytes()
    victim.chmod(0o644)
    if way == "lost":
        victim.unlink()
    else:
        victim.write_bytes(content if way == "exchanged" else b"garbage")
    assert damage(record, store) == "checkout"


def test_status_and_log_reports_say_what_git_would(user: User, store: SnapshotStore) -> None:
    head = user.commit("second")
    user.write("a.py", "two\n")
    user.write("new")
    os.mkfifo(user.root / "pipe")
    status, log = git_reports(store, request_for(user).learning_dir)
    assert Path(status.path).read_text() == (
        f"HEAD {head}\nM\ta.py\nA\tnew\n# left out: a pipe, socket or device: pipe\n"
    )
    assert [line.split(": ")[1] for line in Path(log.path).read_text().splitlines()] == ["second", "first"]


# --- the machine ------------------------------------------------------------------------------------


def test_a_full_disk_is_the_machines_fault_and_work_goes_on_when_there_is_room(user: User, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", small], check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        (small / "filler").write_bytes(bytes(200_000))
        store = SnapshotStore(small, "repo-1", user.root)
        user.write("big", os.urandom(450_000))
        with pytest.raises(DiskFull):
            take_snapshot(request_for(user), store, settings_for(tmp_path))
        (user.root / "big").unlink()
        (small / "filler").unlink()
        record = take_snapshot(request_for(user), store, settings_for(tmp_path))
        assert record.files_changed == 0
    finally:
        subprocess.run(["umount", small], check=True)


def test_the_operator_may_have_the_tag_in_the_repository_as_well(user: User, store: SnapshotStore, state: Path) -> None:
    user.write("a.py", "two\n")
    record = take_snapshot(request_for(user), store, settings_for(state, tag_in_repository=True))
    assert user.git("show", f"{record.tag}:a.py") == "two"
    user.git("fsck", "--strict")
    assert user.git("tag") == record.tag


def test_the_tag_stays_in_learnds_repository_by_default(user: User, store: SnapshotStore, state: Path) -> None:
    take_snapshot(request_for(user), store, settings_for(state))
    assert user.git("tag") == ""


def test_the_record_can_stand_in_an_event(user: User, store: SnapshotStore, state: Path) -> None:
    user.write(b"latin-\xe9", "x\n")
    record = take_snapshot(request_for(user), store, settings_for(state))
    assert json.loads(record.model_dump_json())["changed_paths"] == ["latin-\\xe9"]


def all_tags(store: SnapshotStore) -> list[str]:
    return names(store.git_dir / "refs/tags")


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def damage(record: object, store: SnapshotStore) -> str:
    with pytest.raises(SnapshotDamaged) as found:
        verify_snapshot(record, store)  # type: ignore[arg-type]
    return found.value.cause
