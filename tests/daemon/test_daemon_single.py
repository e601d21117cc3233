"""One daemon a log, and what it says of itself."""

from __future__ import annotations

import signal
from pathlib import Path

from daemon_process import PATIENCE_S, Daemon, events, until
from support.repos import git, make_repo, manifest, put_manifest

from events.catalog import DaemonStarted, DaemonStopped, JobOpened, WorkTreeAdded
from learnd.control import health
from learnd.requests import RegisterRepo


def test_a_second_daemon_on_the_same_log_is_refused_with_the_pid_of_the_first(state: Path, repo: Path) -> None:
    with Daemon(state, [repo]) as first:
        first.ready()
        with Daemon(state) as second:
            assert second.process.wait(PATIENCE_S) == 1
            assert f"process {first.pid}" in second.said()
        assert first.health(), "the first one's socket was taken away"
        assert first.end() == 0
    assert [event.pid for event in events(state, DaemonStarted)] == [first.pid]


def test_the_socket_of_a_daemon_that_was_killed_does_not_stop_the_next(state: Path, repo: Path) -> None:
    with Daemon(state) as first:
        first.ready()
        first.kill()
    assert (state / "control.sock").exists()
    with Daemon(state) as second:
        second.ready()
        assert second.end() == 0
    assert not (state / "control.sock").exists()
    assert len(events(state, DaemonStopped)) == 1, "a killed daemon says nothing"


def test_a_system_service_answers_in_its_runtime_folder_too(state: Path, repo: Path) -> None:
    shared = state.parent / "run"
    shared.mkdir()
    with Daemon(state, RUNTIME_DIRECTORY=str(shared)) as daemon:
        daemon.ready()
        assert health(shared)["pid"] == health(state)["pid"] == daemon.pid
        assert daemon.end() == 0
    assert list(shared.iterdir()) == []


def test_a_reload_keeps_the_lock_of_the_log(state: Path, repo: Path) -> None:
    """Between the engine of before and the one after, nobody else may get in."""
    with Daemon(state) as daemon:
        daemon.ready()
        inode = (state / "events.db.lock").stat().st_ino
        holder = f":{inode} "
        for boot in (2, 3):
            daemon.signal(signal.SIGHUP)
            while daemon.boots() < boot:
                assert holder in Path("/proc/locks").read_text()
                daemon.health()
        assert daemon.end() == 0
    assert len({event.boot_id for event in events(state, DaemonStarted)}) == 3
    assert [event.drained for event in events(state, DaemonStopped)] == [True] * 3


def test_a_repository_registered_while_the_daemon_runs_is_watched_at_once(state: Path, repo: Path) -> None:
    with Daemon(state) as daemon:
        daemon.ready()
        late = make_repo(repo.parent / "late")
        assert daemon.ask(RegisterRepo(path=str(late))).ok
        put_manifest(late)
        daemon.waits_for(JobOpened)
        linked = repo.parent / "linked"
        git(late, "worktree", "add", "-q", str(linked), "-b", "other")
        assert daemon.ask(RegisterRepo(path=str(linked))).ok
        daemon.waits_for(WorkTreeAdded)
        put_manifest(linked, manifest(run="run-2"))
        opened = daemon.waits_for(JobOpened, 2)
        assert [event.repo_path for event in opened] == [str(late), str(linked)]
        assert len({event.repo_id for event in opened}) == 1
        until(lambda: not daemon.health() or daemon.health()["troubles"] == {}, "nothing left to publish")
