"""What an append does, and what it leaves undone."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from log_samples import APPROVED, AT, DISMISSED, SKIPPED, WHO

from events.catalog import CrystalizationStarted, Event, JobSkipped, RunApproved
from events.log import AppendFailed, EventLog, EventUnstorable, WrongExpectedVersion
from events.recorded import Recorded


def test_recorded_events_carry_the_whole_envelope(log: EventLog) -> None:
    first, second = log.append(
        {"job-1": (0, [SKIPPED, APPROVED])}, actor="user:7", at=AT, correlation="job-1", causation="cause"
    )
    assert (first.position, first.stream, first.version, first.type, first.schema) == (1, "job-1", 1, "JobSkipped", 1)
    assert (second.position, second.version, second.data) == (2, 2, APPROVED)
    assert (second.actor, second.at, second.correlation, second.causation) == ("user:7", AT, "job-1", "cause")
    assert first.id != second.id
    assert log.read("job-1") == list(log.read_all()) == [first, second]
    assert log.find(second.id) == second
    assert log.find("no such id") is None
    assert log.head() == (2, second.hash)


def test_envelope_is_json_and_tells_the_type_once(log: EventLog) -> None:
    (recorded,) = log.append({"job-1": (0, [SKIPPED])}, **WHO)
    envelope = json.loads(json.dumps(recorded.envelope()))
    assert envelope["type"] == "JobSkipped"
    assert envelope["data"] == {"cause": "no_proof", "detail": "nothing turned"}
    assert set(envelope) == set(Recorded._fields)


def test_versions_count_each_stream_on_its_own(log: EventLog) -> None:
    log.append({"job-1": (0, [SKIPPED]), "job-2": (0, [SKIPPED, APPROVED])}, **WHO)
    log.append({"job-1": (1, [APPROVED])}, **WHO)
    assert [(e.position, e.stream, e.version) for e in log.read_all()] == [
        (1, "job-1", 1),
        (2, "job-2", 1),
        (3, "job-2", 2),
        (4, "job-1", 2),
    ]
    assert (log.version("job-1"), log.version("job-2"), log.version("job-3")) == (2, 2, 0)
    assert log.read("job-3") == []


@pytest.mark.parametrize("expected", [0, 2, 7, -1])
def test_refused_when_the_stream_is_elsewhere(log: EventLog, expected: int) -> None:
    log.append({"job-1": (0, [SKIPPED])}, **WHO)
    with pytest.raises(WrongExpectedVersion) as caught:
        log.append({"job-1": (expected, [APPROVED])}, **WHO)
    assert (caught.value.stream, caught.value.expected, caught.value.found) == ("job-1", expected, 1)
    assert log.head()[0] == 1


def test_one_conflict_of_two_streams_appends_to_neither(log: EventLog) -> None:
    log.append({"pattern-1": (0, [SKIPPED])}, **WHO)
    with pytest.raises(WrongExpectedVersion):
        log.append({"job-1": (0, [SKIPPED]), "pattern-1": (0, [APPROVED])}, **WHO)
    assert log.read("job-1") == []
    assert log.version("pattern-1") == 1
    log.append({"job-1": (0, [SKIPPED]), "pattern-1": (1, [APPROVED])}, **WHO)
    assert log.verify().count == 3


def test_a_stream_without_events_is_only_checked(log: EventLog) -> None:
    log.append({"job-1": (0, [SKIPPED])}, **WHO)
    with pytest.raises(WrongExpectedVersion):
        log.append({"pattern-1": (0, [SKIPPED]), "job-1": (0, [])}, **WHO)
    assert len(log.append({"pattern-1": (0, [SKIPPED]), "job-1": (1, [])}, **WHO)) == 1
    assert log.append({}, **WHO) == []
    assert log.head()[0] == 2


def test_all_is_read_over_several_pages(log: EventLog) -> None:
    log.append({"job-1": (0, [SKIPPED, APPROVED] * 1300)}, **WHO)
    assert [e.position for e in log.read_all()] == list(range(1, 2601))
    assert [e.position for e in log.read_all(after=2598)] == [2599, 2600]
    assert list(log.read_all(after=2600)) == []


def test_some_types_of_many_streams_are_read_and_counted_and_no_others(log: EventLog) -> None:
    streams = [f"job-{number}" for number in range(1201)]
    log.append({stream: (0, [SKIPPED, APPROVED]) for stream in reversed(streams)}, **WHO)
    log.append({"job-elsewhere": (0, [SKIPPED, APPROVED])}, **WHO)
    found = log.read_types(streams, {APPROVED.type})
    assert {record.stream for record in found} == set(streams)
    assert {record.type for record in found} == {APPROVED.type}
    assert [record.position for record in found] == sorted(record.position for record in found)
    assert log.count_types(streams) == {SKIPPED.type: 1201, APPROVED.type: 1201}
    assert log.read_types([], {APPROVED.type}) == []
    assert log.count_types([]) == {}


def test_read_all_holds_no_transaction_while_its_caller_works(log: EventLog) -> None:
    log.append({"job-1": (0, [SKIPPED] * 1100)}, **WHO)
    events = log.read_all()
    next(events)
    log.append({"job-1": (1100, [APPROVED])}, **WHO)
    with log.writing():
        pass
    busy, frames, checkpointed = log._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert (busy, frames, checkpointed) == (0, 0, 0)
    assert [e.position for e in events] == list(range(2, 1102))


def test_events_that_would_not_read_back_are_refused(log: EventLog) -> None:
    infinite = CrystalizationStarted(
        attempt=1,
        boot_id="b",
        author="openai",
        model=None,
        reserved_usd=float("inf"),
        prompt_pack="p",
        prompt_pack_stamp="s",
    )

    class Unknown(Event):
        type: str = "Unknown"

    for event in (infinite, JobSkipped(cause="no_proof", detail="\ud800"), Unknown()):
        with pytest.raises(EventUnstorable):
            log.append({"job-1": (0, [SKIPPED, event])}, **WHO)
    assert log.head()[0] == 0


def test_projection_failure_rolls_the_append_back(path: Path) -> None:
    class Refused(Exception):
        pass

    def project(connection: sqlite3.Connection, recorded: Sequence[Recorded]) -> None:
        for event in recorded:
            connection.execute("INSERT INTO seen VALUES (?)", (event.position,))
            if isinstance(event.data, RunApproved):
                raise Refused

    with EventLog.create_or_open(path, project) as log:
        with log.writing() as connection:
            connection.execute("CREATE TABLE seen (position INTEGER PRIMARY KEY) STRICT")
        log.append({"job-1": (0, [SKIPPED])}, **WHO)
        with pytest.raises(Refused):
            log.append({"job-1": (1, [SKIPPED, APPROVED])}, **WHO)
        assert log.connection.execute("SELECT position FROM seen").fetchall() == [(1,)]
        assert log.version("job-1") == 1
        log.append({"job-1": (1, [DISMISSED])}, **WHO)
        assert log.connection.execute("SELECT position FROM seen").fetchall() == [(1,), (2,)]
        log.verify()


def test_read_models_roll_back_on_an_exception(log: EventLog) -> None:
    def half() -> None:
        with log.writing() as connection:
            connection.execute("CREATE TABLE half (x INTEGER) STRICT")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        half()
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        log.connection.execute("SELECT * FROM half")


REST = "type, schema, at, actor, correlation, causation, data, hash FROM events WHERE position = 1"
STATEMENTS = [
    "UPDATE events SET actor = 'other' WHERE position = 1",
    "UPDATE OR REPLACE events SET position = 2 WHERE position = 1",
    "DELETE FROM events",
    "INSERT OR REPLACE INTO events SELECT * FROM events WHERE position = 1",
    f"REPLACE INTO events SELECT 3, stream, version, 'new', {REST}",
    f"REPLACE INTO events SELECT 3, stream, 3, id, {REST}",
    f"INSERT INTO events SELECT 9, stream, 3, 'new', {REST}",
    f"INSERT INTO events SELECT 3, stream, 9, 'new', {REST}",
    "INSERT INTO events SELECT * FROM events WHERE position = 1 ON CONFLICT DO UPDATE SET actor = 'other'",
]


@pytest.mark.parametrize("recursive", ["ON", "OFF"])
@pytest.mark.parametrize("statement", STATEMENTS)
def test_events_are_append_only_for_every_connection(log: EventLog, statement: str, recursive: str) -> None:
    log.append({"job-1": (0, [SKIPPED, APPROVED])}, **WHO)
    before = list(log.read_all())
    other = sqlite3.connect(log.path)
    other.execute(f"PRAGMA recursive_triggers={recursive}")
    with pytest.raises(sqlite3.IntegrityError, match=r"events (are never|follow)"):
        other.execute(statement)
    other.close()
    assert list(log.read_all()) == before


def test_the_log_itself_writes_with_recursive_triggers_and_full_sync(log: EventLog) -> None:
    with log.writing() as connection:
        assert connection.execute("PRAGMA recursive_triggers").fetchone() == (1,)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA wal_autocheckpoint").fetchone() == (1000,)


def test_threads_append_one_after_the_other_and_read_committed_events_only(log: EventLog) -> None:
    seen: list[int] = []

    def work(number: int) -> None:
        for version in range(20):
            log.append({f"job-{number}": (version, [SKIPPED]), f"pattern-{number}": (version, [APPROVED])}, **WHO)
            seen.append(sum(1 for _ in log.read_all()))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.verify().count == 160
    assert len(seen) == 80
    assert all(count % 2 == 0 for count in seen)


def test_threads_that_come_and_go_leave_no_open_files_behind(log: EventLog) -> None:
    log.append({"job-1": (0, [SKIPPED])}, **WHO)
    counts = []
    for _ in range(30):
        thread = threading.Thread(target=log.read, args=("job-1",))
        thread.start()
        thread.join()
        counts.append(len(list(Path("/proc/self/fd").iterdir())))
    assert counts[-1] == counts[2]


COUNTER = """
import sys
from pathlib import Path
from log_samples import SKIPPED, WHO
from events.log import EventLog, WrongExpectedVersion

log = EventLog.create_or_open(Path(sys.argv[1]))
done = conflicts = 0
while done < 30:
    try:
        log.append({"job-shared": (log.version("job-shared"), [SKIPPED])}, **WHO)
        done += 1
    except WrongExpectedVersion:
        conflicts += 1
print(done, conflicts)
"""


def test_processes_with_optimistic_versions_lose_nothing(log: EventLog) -> None:
    here = str(Path(__file__).parent)
    writers = [
        subprocess.Popen([sys.executable, "-c", COUNTER, str(log.path)], cwd=here, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for writer in writers:
        output, _ = writer.communicate()
        assert writer.returncode == 0
        assert output.split()[0] == "30"
    assert [e.version for e in log.read("job-shared")] == list(range(1, 91))
    assert log.verify().count == 90


def test_a_log_opened_for_reading_refuses_to_append(log: EventLog) -> None:
    with EventLog.open_readonly(log.path) as reader, pytest.raises(AppendFailed, match="reading only"):
        reader.append({"job-1": (0, [SKIPPED])}, **WHO)
