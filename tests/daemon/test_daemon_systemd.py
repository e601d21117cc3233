"""What systemd hears, and settings that change while the daemon runs."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_process import Daemon, events, recorded, until
from support.cases import thorough
from support.repos import fix, manifest, put_manifest

from events.catalog import ApprovalAwaited, DaemonStarted, JobOpened, JobSkipped, RunEnded, SnapshotTaken


class Manager:
    """The listening end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        """Everything heard so far."""
        while True:
            try:
                self.heard += self._socket.recv(65536).decode().splitlines()
            except BlockingIOError:
                return self.heard

    def words(self) -> list[str]:
        """Without the pings."""
        return [word for word in self.listen() if word != "WATCHDOG=1"]

    def pings(self) -> int:
        return self.listen().count("WATCHDOG=1")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    made = Manager(tmp_path_factory.mktemp("n") / "s")
    yield made
    made.close()


def configure(state: Path, text: str) -> None:
    file = state.parent / "config/learnd/config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def reload(daemon: Daemon) -> None:
    """SIGHUP, and wait until it serves again."""
    boots = until(daemon.boots, "a daemon that says that it serves, which comes after its first answer")
    daemon.signal(signal.SIGHUP)
    until(lambda: daemon.boots() > boots, "a daemon that serves again")


def test_systemd_hears_that_it_is_ready_alive_reloading_and_stopping(state: Path, repo: Path, manager: Manager) -> None:
    with Daemon(state, NOTIFY_SOCKET=str(manager.path)) as daemon:
        until(lambda: "READY=1" in manager.words(), "READY=1")
        assert daemon.health(), "it was ready before it answered"
        until(lambda: manager.pings() >= 2, "pings")
        daemon.signal(signal.SIGHUP)
        until(lambda: manager.words().count("READY=1") == 2, "READY=1 after the reload")
        pings = manager.pings()
        until(lambda: manager.pings() > pings, "pings after the reload")
        assert daemon.end() == 0
    passing = ("STATUS=", "EXTEND_TIMEOUT_USEC=")
    words = [word for word in manager.words() if not word.startswith(passing)]
    assert words == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


def test_pings_stop_while_the_daemon_is_stopped_and_come_again(state: Path, repo: Path, manager: Manager) -> None:
    with Daemon(state, NOTIFY_SOCKET=str(manager.path)) as daemon:
        until(lambda: manager.pings() > 0, "a ping")
        daemon.signal(signal.SIGSTOP)
        until(lambda: Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "a stop")
        pings = manager.pings()
        time.sleep(2)
        assert manager.pings() == pings
        daemon.signal(signal.SIGCONT)
        until(lambda: manager.pings() > pings, "pings again")
        assert daemon.end() == 0


def test_a_reload_takes_up_new_settings_for_runs_to_come(state: Path, repo: Path) -> None:
    with Daemon(state) as daemon:
        daemon.ready()
        configure(state, 'trigger = "approved"\n')
        reload(daemon)
        fix(repo)
        put_manifest(repo)
        daemon.waits_for(ApprovalAwaited)
        assert daemon.end() == 0


@pytest.mark.parametrize("text", ['trigger = "when it suits"\n', *thorough("trigger = \n", "no_such_setting = 1\n")])
def test_settings_that_cannot_be_used_change_nothing_and_are_complained_of(state: Path, repo: Path, text: str) -> None:
    configure(state, 'trigger = "approved"\n')
    with Daemon(state) as daemon:
        daemon.ready()
        configure(state, text)
        reload(daemon)
        assert "settings not reloaded" in daemon.said()
        assert str(state.parent / "config/learnd/config.toml") in daemon.said()
        fix(repo)
        put_manifest(repo)
        daemon.waits_for(ApprovalAwaited)
        assert daemon.end() == 0


def test_another_state_folder_is_not_taken_up_while_the_daemon_runs(state: Path, repo: Path) -> None:
    with Daemon(state) as daemon:
        daemon.ready()
        configure(state, f'state_dir = "{state.parent / "elsewhere"}"\n')
        reload(daemon)
        put_manifest(repo, manifest(status="failed"))
        daemon.waits_for(RunEnded)
        assert daemon.end() == 0
    assert not (state.parent / "elsewhere").exists()


def test_learning_that_is_off_is_visible_opens_no_job_and_loses_nothing(
    state: Path, repo: Path, manager: Manager
) -> None:
    with Daemon(state, LEARNING_PIPELINE_ENABLED="0", NOTIFY_SOCKET=str(manager.path)) as daemon:
        daemon.ready()
        until(lambda: "STATUS=learning is off" in manager.words(), "the status in systemd")
        until(lambda: manager.pings() > 0, "a ping: it lives, though it does not learn")
        put_manifest(repo)
        health = daemon.health()
        assert health is not None
        assert health["learning_enabled"] is False
        pings = manager.pings()
        until(lambda: manager.pings() > pings + 3, "more pings")
        assert daemon.end() == 0
    assert [event.learning_enabled for event in events(state, DaemonStarted)] == [False]
    assert not [record for record in recorded(state) if record.stream.startswith("job-")]
    with Daemon(state) as daemon:
        daemon.waits_for(JobOpened)
        assert daemon.end() == 0


def test_learning_that_is_turned_off_and_on_by_reloads_loses_nothing(state: Path, repo: Path) -> None:
    with Daemon(state) as daemon:
        daemon.ready()
        put_manifest(repo, manifest(run="before"))
        daemon.waits_for(JobSkipped)
        configure(state, "learning_enabled = false\n")
        reload(daemon)
        put_manifest(repo, manifest(run="meanwhile"))
        configure(state, "learning_enabled = true\n")
        reload(daemon)
        daemon.waits_for(JobSkipped, 2)
        put_manifest(repo, manifest(run="after"))
        daemon.waits_for(JobSkipped, 3)
        assert daemon.end() == 0
    assert len(events(state, JobOpened)) == len(events(state, SnapshotTaken)) == 3
