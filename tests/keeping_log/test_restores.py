"""A restore loses nothing in silence, leaves the old state or the new, and can be done again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from daemon_process import Daemon, until
from keeping_place import Keep, snapshot, tracing
from support.cases import thorough
from support.repos import git, make_repo

from events.catalog import LogRestored
from events.log import EventLog
from learnd.keeping.anchor import require_agreement
from learnd.keeping.manifest import check_backup


def restored(log: Path) -> list[LogRestored]:
    with EventLog.open_readonly(log) as opened:
        opened.verify()
        return [record.data for record in opened.read_all() if isinstance(record.data, LogRestored)]


def test_nothing_is_lost_in_silence_and_the_log_that_was_there_is_kept(keep: Keep) -> None:
    keep.faults(1)
    folder = keep.backup()
    keep.faults(2)
    head, before = keep.head(), keep.log.read_bytes()

    refused = keep.restore(folder)
    assert refused.returncode == 1
    assert "would be lost. Next: learnd restore" in refused.stderr
    assert "had 5 events since" in refused.stdout
    assert "2 FaultRaised, 2 FaultCleared, 1 LogBackedUp" in refused.stdout
    assert keep.log.read_bytes() == before

    asked = keep.learnd("restore-backup", folder, "--accept-loss")
    assert (asked.returncode, "nobody is at a terminal to be asked" in asked.stderr) == (2, True)
    assert keep.log.read_bytes() == before

    done = keep.restore(folder, "--accept-loss", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (event,) = restored(keep.log)
    assert (event.position, event.lost_position, event.path) == (2, head[0], str(folder))
    assert keep.types() == ["FaultRaised", "FaultCleared", "LogRestored"]
    assert keep.head(Path(told["former"])) == head
    assert Path(told["former"]).stat().st_mode & 0o777 == 0o600
    assert keep.learnd("verify").returncode == 0
    assert json.loads(keep.learnd("status", "--json").stdout)["position"] == 3
    keep.faults(1)


def test_on_a_new_machine_there_is_nothing_to_lose(keep: Keep, tmp_path: Path) -> None:
    store = keep.registered(make_repo(tmp_path / "repo"))
    tag = snapshot(store, 1)
    folder = keep.backup()
    commit = git(store.git_dir, "rev-parse", tag)
    shutil.rmtree(keep.state)
    assert keep.restore(folder).returncode == 0
    assert keep.state.stat().st_mode & 0o777 == 0o700
    assert git(store.git_dir, "rev-parse", tag) == commit
    assert store.load_record(tag.removeprefix("learning-snapshot-")) == b"{}"
    git(store.git_dir, "fsck", "--strict")
    assert restored(keep.log)[0].lost_position is None
    # And what the store's owner does with it works: another snapshot.
    snapshot(store, 2)


def test_later_snapshots_stay_and_a_damaged_store_is_set_aside(keep: Keep, tmp_path: Path) -> None:
    store = keep.registered(make_repo(tmp_path / "repo"))
    first = snapshot(store, 1)
    folder = keep.backup()
    later = snapshot(store, 2)
    assert keep.restore(folder, "--accept-loss").returncode == 0
    assert {store.tagged(first), store.tagged(later)} != {None}

    for pack in (store.git_dir / "objects").rglob("*"):
        if pack.is_file():
            pack.chmod(0o600)
            pack.write_bytes(b"")
    done = keep.restore(folder, "--accept-loss")
    assert done.returncode == 0, done.stderr
    git(store.git_dir, "fsck", "--strict")
    assert store.tagged(first)
    assert len(list((keep.state / "set-aside").glob("*/repositories/*/store.git"))) == 1


def test_the_anchors_tell_what_an_unreadable_log_cannot(keep: Keep) -> None:
    keep.faults(1)
    folder = keep.backup()
    keep.faults(3)
    garbage = b"no database at all" * 1000
    keep.log.write_bytes(garbage)
    refused = keep.restore(folder)
    assert refused.returncode == 1
    assert "what would be lost is not known for sure" in refused.stdout
    assert "7 events since" in refused.stderr
    assert keep.restore(folder, "--accept-loss").returncode == 0
    assert [event.lost_position for event in restored(keep.log)] == [9]
    assert [former.read_bytes() for former in keep.former()] == [garbage]


def test_another_history_is_noticed_though_it_is_as_long(keep: Keep, tmp_path: Path) -> None:
    keep.faults(2)
    other = Keep(tmp_path / "other")
    other.root.mkdir()
    other.faults(3)
    folder = other.backup()
    refused = keep.restore(folder)
    assert refused.returncode == 1
    assert "they part behind position 0" in refused.stdout
    assert keep.restore(folder, "--accept-loss").returncode == 0
    assert [event.lost_position for event in restored(keep.log)] == [4]
    keep.faults(1)


def test_a_newer_backup_beside_it_is_named(keep: Keep) -> None:
    keep.faults(1)
    older, newer = keep.backup(), keep.backup()
    shutil.rmtree(keep.state)
    assert f"a newer backup is beside it: {newer}" in keep.restore(older).stdout
    assert "a newer backup" not in keep.restore(newer, "--accept-loss").stdout


def test_refused_while_somebody_holds_the_log(keep: Keep) -> None:
    keep.faults(1)
    folder = keep.backup()
    with Daemon(keep.state) as daemon:
        daemon.ready()
        done = keep.restore(folder, "--accept-loss")
        assert (done.returncode, f"is held by process {daemon.pid}" in done.stderr) == (1, True)
        done = keep.learnd("verify", "--accept-loss")
        assert (done.returncode, f"is held by process {daemon.pid}" in done.stderr) == (1, True)
        assert daemon.end() == 0
    assert not restored(keep.log)


@pytest.mark.parametrize("damage", ["log", *thorough("manifest", "chain")])
def test_a_backup_that_does_not_hold_is_not_restored(keep: Keep, damage: str) -> None:
    keep.faults(1)
    folder = keep.backup()
    before = keep.log.read_bytes()
    match damage:
        case "log":
            (folder / "events.db").write_bytes((folder / "events.db").read_bytes()[:-4096])
        case "manifest":
            (folder / "backup.json").write_text("{")
        case "chain":
            said = json.loads((folder / "backup.json").read_text())
            (folder / "backup.json").write_text(json.dumps({**said, "position": 1}))
    done = keep.restore(folder, "--accept-loss")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "Next: restore another backup" in done.stderr
    assert keep.log.read_bytes() == before
    assert not list(keep.former())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user than the log's")
def test_refused_for_another_users_state(keep: Keep) -> None:
    keep.faults(1)
    folder = keep.backup()
    os.chown(keep.state, 12345, 12345)
    done = keep.restore(folder, "--accept-loss")
    assert (done.returncode, "belongs to the user with uid 12345" in done.stderr) == (1, True)


def test_a_backup_is_no_pattern_and_the_verb_for_it_is_named(keep: Keep) -> None:
    keep.faults(1)
    folder = keep.backup()
    refused = keep.learnd("restore", folder)
    assert (refused.returncode, f"Next: learnd restore-backup {folder}" in refused.stderr) == (2, True)
    assert "there is no pattern" in keep.learnd("restore", "0123456789abcdef").stderr


POINTS = ["rename:when=2", "fdatasync:when=2"]
"""The order, the new log's first appends."""
FURTHER = thorough("fsync:when=1", "link:when=1", "rename:when=4", "unlink:when=2")
"""Staging, each step of the exchange, the order's end."""


@tracing
@pytest.mark.parametrize("at", [*POINTS, *FURTHER])
def test_killed_on_the_way_it_is_the_old_log_or_the_new_and_again_finishes_it(keep: Keep, at: str) -> None:
    keep.faults(1)
    folder = keep.backup()
    keep.faults(1)
    old = keep.head()
    keep.killed(at, "restore-backup", folder, "--yes", "--accept-loss")
    begun = (keep.state / "restoring.json").exists()
    if not begun and not restored(keep.log):
        assert keep.head() == old, "not begun, so nothing has changed"
    assert keep.log.exists()

    done = keep.restore(folder, "--accept-loss")
    assert done.returncode == 0, done.stderr
    assert keep.types()[:2] == ["FaultRaised", "FaultCleared"]
    assert set(keep.types()[2:]) == {"LogRestored"}
    assert not (keep.state / "restoring.json").exists()
    assert not list(keep.state.glob("*.restoring"))
    assert old in [keep.head(former) for former in keep.former()], "the old log is kept"
    require_agreement(keep.log)
    check_backup(folder)


@tracing
@pytest.mark.parametrize("at", ["rename:when=3", *thorough("fdatasync:when=2")])
def test_a_restore_that_was_killed_is_finished_by_the_next_start_of_anything(keep: Keep, at: str) -> None:
    keep.faults(1)
    folder = keep.backup()
    keep.faults(1)
    assert keep.killed(at, "restore-backup", folder, "--yes", "--accept-loss")
    assert (keep.state / "restoring.json").exists()
    with Daemon(keep.state) as daemon:
        daemon.ready()
        assert daemon.end() == 0
    assert keep.types() == ["FaultRaised", "FaultCleared", "LogRestored", "DaemonStarted", "DaemonStopped"]
    assert [event.lost_position for event in restored(keep.log)] == [5]
    assert keep.learnd("verify").returncode == 0


def test_whoever_follows_the_log_hears_of_the_restore_and_goes_on(keep: Keep) -> None:
    keep.faults(1)
    folder = keep.backup()
    keep.faults(1)
    argv = [sys.executable, "-u", "-m", "learnd", "tail", "-f", "--json"]
    out, err = keep.root / "tail.out", keep.root / "tail.err"
    with out.open("wb") as shown, err.open("wb") as said:
        follower = subprocess.Popen(argv, env=keep.env, stdout=shown, stderr=said)
        try:
            until(lambda: out.read_text().count("\n") == 5, "the five events that are there")
            assert keep.restore(folder, "--accept-loss").returncode == 0
            until(lambda: "LogRestored" in out.read_text(), "the restore")
            keep.faults(1)
            until(lambda: out.read_text().count("\n") == 8, "what came after it")
        finally:
            follower.terminate()
            follower.wait()
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["position"] for line in lines] == [1, 2, 3, 4, 5, 3, 4, 5]
    assert "was replaced while it was followed" in err.read_text()
    assert "going on behind position 2" in err.read_text()


def test_the_record_of_the_backup_itself_is_no_loss_and_status_goes_on_showing_the_backup(keep: Keep) -> None:
    keep.faults(1)
    folder = keep.backup()
    assert keep.types() == ["FaultRaised", "FaultCleared", "LogBackedUp"]
    done = keep.restore(folder)
    assert done.returncode == 0, done.stderr
    (event,) = restored(keep.log)
    assert event.lost_position is None
    assert keep.learnd("verify").returncode == 0
    told = json.loads(keep.learnd("status", "--json").stdout)["backup"]
    assert (told["path"], told["position"]) == (str(folder), event.position)
