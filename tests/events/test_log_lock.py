"""One holder at a time, named to the second, gone with its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from events.log import LogLock, LogLocked, LogUnusable

HOLDER = """
import subprocess, sys, time
from pathlib import Path
from events.log import LogLock

lock = LogLock(Path(sys.argv[1]))
lock.acquire()
child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, close_fds=False)
print(child.pid, flush=True)
sys.stdin.read()
"""


def hold(path: Path) -> tuple[subprocess.Popen[str], int]:
    """A process that holds the lock, and the id of the child it started meanwhile."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    return holder, int(holder.stdout.readline())


def test_a_second_holder_is_refused_with_the_pid_of_the_first(path: Path) -> None:
    holder, child = hold(path)
    try:
        with pytest.raises(LogLocked) as caught:
            LogLock(path).acquire()
        assert caught.value.pid == holder.pid
        assert f"process {holder.pid}" in str(caught.value)
    finally:
        holder.kill()
        holder.communicate()
        os.kill(child, signal.SIGKILL)


def test_the_lock_goes_with_its_process_even_when_a_child_lives_on(path: Path) -> None:
    holder, child = hold(path)
    holder.kill()
    holder.communicate()
    try:
        with LogLock(path):
            os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)


def test_refused_in_the_same_process_too_and_free_after_release(path: Path) -> None:
    first, second = LogLock(path), LogLock(path)
    first.acquire()
    with pytest.raises(LogLocked) as caught:
        second.acquire()
    assert caught.value.pid == os.getpid()
    first.release()
    first.release()
    with second, pytest.raises(LogLocked):
        first.acquire()


def test_a_release_frees_the_lock_though_a_fork_has_a_copy(path: Path) -> None:
    first = LogLock(path)
    first.acquire()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    try:
        first.release()
        with LogLock(path):
            pass
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(child, 0)


def test_two_names_of_one_log_meet_at_one_lock(path: Path, tmp_path: Path) -> None:
    with LogLock(path):
        path.touch()
        (tmp_path / "alias.db").symlink_to(path)
        with pytest.raises(LogLocked):
            LogLock(tmp_path / "alias.db").acquire()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["alias.db", "state"]


def test_the_lock_file_is_private_and_stays(path: Path) -> None:
    with LogLock(path):
        pass
    file = path.with_name("events.db.lock")
    assert file.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_link_in_the_locks_place_is_refused(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    path.with_name("events.db.lock").symlink_to(victim)
    with pytest.raises(LogUnusable, match="cannot be opened"):
        LogLock(path).acquire()
    assert victim.read_text() == "mine"
