"""A follower gets every event once and in order, and notices another log in its place."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from log_samples import APPROVED, SKIPPED, WHO

from events.log import EventLog, LogMissing, LogReplaced
from events.recorded import Recorded

HERE = Path(__file__).parent
POLL_S = 0.01


class Following:
    """A follower in a thread: what it saw, and how it ended."""

    def __init__(self, path: Path, after: int) -> None:
        self.seen: list[Recorded] = []
        self.error: Exception | None = None
        self.stop = threading.Event()
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._follow, args=(path, after))
        self._thread.start()

    def _follow(self, path: Path, after: int) -> None:
        try:
            with EventLog.open_readonly(path) as log:
                for event in log.follow(after, stop=self.stop, poll_s=POLL_S):
                    with self._news:
                        self.seen.append(event)
                        self._news.notify_all()
        except LogReplaced as error:
            self.error = error

    def until(self, count: int) -> list[Recorded]:
        with self._news:
            assert self._news.wait_for(lambda: len(self.seen) >= count or not self._thread.is_alive(), 30)
        return self.seen

    def ended(self) -> Exception | None:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self.error


@contextmanager
def following(path: Path, after: int = 0) -> Iterator[Following]:
    follower = Following(path, after)
    try:
        yield follower
    finally:
        follower.stop.set()
        follower.ended()


APPENDER = """
import sys
from pathlib import Path
from log_samples import SKIPPED, WHO
from events.log import EventLog

with EventLog.create_or_open(Path(sys.argv[1])) as log:
    for version in range(int(sys.argv[3])):
        log.append({sys.argv[2]: (version, [SKIPPED])}, **WHO)
"""


def test_nothing_is_lost_across_processes_that_come_and_go(log: EventLog) -> None:
    with following(log.path) as follower:
        for round_ in range(2):
            writers = [
                subprocess.Popen([sys.executable, "-c", APPENDER, str(log.path), f"job-{round_}-{n}", "150"], cwd=HERE)
                for n in range(2)
            ]
            assert [writer.wait() for writer in writers] == [0, 0]
        seen = follower.until(600)
    assert seen == list(log.read_all())
    assert [event.position for event in seen] == list(range(1, 601))


def test_follows_through_a_restart_of_the_only_writer(path: Path) -> None:
    EventLog.create_or_open(path).close()
    with following(path) as follower:
        for version in range(5):
            with EventLog.create_or_open(path) as log:
                log.append({"job-1": (version, [SKIPPED])}, **WHO)
            follower.until(version + 1)
        assert [event.version for event in follower.seen] == [1, 2, 3, 4, 5]


def test_starts_after_the_given_position_and_pages_through_what_is_there(log: EventLog) -> None:
    log.append({"job-1": (0, [SKIPPED] * 2500)}, **WHO)
    with following(log.path, after=100) as follower:
        follower.until(2400)
        log.append({"job-1": (2500, [APPROVED])}, **WHO)
        assert [event.position for event in follower.until(2401)] == list(range(101, 2502))


def test_wakes_for_events_of_its_own_process_and_thread(log: EventLog) -> None:
    stop = threading.Event()
    events = log.follow(0, stop=stop, poll_s=POLL_S)
    for version in range(3):
        log.append({"job-1": (version, [SKIPPED])}, **WHO)
        assert next(events).version == version + 1
    stop.set()
    assert list(events) == []


def test_ends_when_stop_is_set_also_in_the_middle_of_a_page(log: EventLog) -> None:
    log.append({"job-1": (0, [SKIPPED] * 10)}, **WHO)
    stop = threading.Event()
    events = log.follow(0, stop=stop)
    next(events)
    stop.set()
    assert list(events) == []


def test_keeps_no_transaction_open_while_its_caller_works(log: EventLog) -> None:
    log.append({"job-1": (0, [SKIPPED] * 1500)}, **WHO)
    events = log.follow(0, stop=threading.Event(), poll_s=POLL_S)
    next(events)
    with sqlite3.connect(log.path) as other:
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    other.close()
    events.close()


def backup(source: Path, target: Path) -> None:
    connection = sqlite3.connect(source)
    connection.execute("VACUUM INTO ?", (str(target),))
    connection.close()


def test_a_log_put_in_its_place_is_noticed(log: EventLog, tmp_path: Path) -> None:
    log.append({"job-1": (0, [SKIPPED] * 3)}, **WHO)
    backup(log.path, tmp_path / "backup.db")
    with following(log.path, after=1) as follower:
        follower.until(2)
        (tmp_path / "backup.db").replace(log.path)
        error = follower.ended()
    assert isinstance(error, LogReplaced)
    assert error.position == 3
    assert "another file stands in its place" in str(error)


def test_a_removed_log_is_noticed(log: EventLog) -> None:
    log.append({"job-1": (0, [SKIPPED])}, **WHO)
    with following(log.path) as follower:
        follower.until(1)
        log.path.unlink()
        assert isinstance(follower.ended(), LogReplaced)


@pytest.mark.parametrize("later", [0, 5], ids=["shorter", "other events at the cursor"])
def test_a_log_restored_into_the_same_file_is_noticed(path: Path, tmp_path: Path, later: int) -> None:
    copy = tmp_path / "backup.db"
    with EventLog.create_or_open(path) as log:
        log.append({"job-1": (0, [SKIPPED] * 3)}, **WHO)
        backup(path, copy)
        log.append({"job-1": (3, [SKIPPED] * 2)}, **WHO)
    with EventLog.create_or_open(copy) as log:
        log.append({"job-1": (3, [APPROVED] * later)}, **WHO)
    with following(path) as follower:
        follower.until(5)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        # Another process, as people would: closing the file in this one would drop this one's SQLite locks.
        subprocess.run(["cp", str(copy), str(path)], check=True)
        assert isinstance(follower.ended(), LogReplaced)
    assert [event.position for event in follower.seen] == [1, 2, 3, 4, 5]


def test_a_log_written_over_with_something_else_is_noticed(path: Path) -> None:
    with EventLog.create_or_open(path) as log:
        log.append({"job-1": (0, [SKIPPED])}, **WHO)
    with following(path) as follower:
        follower.until(1)
        subprocess.run(["cp", __file__, str(path)], check=True)
        assert isinstance(follower.ended(), LogReplaced)


def test_a_cursor_past_the_end_is_another_logs(log: EventLog) -> None:
    log.append({"job-1": (0, [SKIPPED])}, **WHO)
    with pytest.raises(LogReplaced, match="the log ends before it"):
        next(log.follow(2, stop=threading.Event()))


def test_a_missing_log_cannot_be_followed(tmp_path: Path) -> None:
    with pytest.raises(LogMissing):
        EventLog.open_readonly(tmp_path / "events.db")
    assert list(tmp_path.iterdir()) == []
