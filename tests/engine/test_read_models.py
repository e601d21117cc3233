"""The read models: current after every append, equal to a fold of the log, rebuilt at will."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from support.histories import ANNA, JOB, PATTERN, WAY_TO, finished, job_cases, judged, pattern_cases, promote

from events.log import EventLog
from learnd.door import Door, Handled
from learnd.views.projection import TABLES
from learnd.views.queries import Ambiguous, NotFound, Views
from learnd.views.store import open_for_writing, read_connection, rebuild
from state import commands as c
from state.decide import Command
from state.job import JobStatus
from state.pattern import PatternStatus

COMMANDS: list[Command] = [
    command for case in (*job_cases(), *pattern_cases()) for command in (*case.given[-1:], case.when)
]
MACHINE: list[Command] = [
    c.RaiseFault("sandbox", "none here"),
    c.ClearFault("sandbox"),
    c.StartDaemon("boot", 1, "0.1", True),
    c.StopDaemon("boot", True),
    c.RegisterRepository("r", "/r", "/r/.git", 1, 2, None, "2026-01-01T00:00:00.000Z"),
    c.AddWorkTree("r", "/w", "2026-01-01T00:00:00.000Z"),
    c.MoveRepository("r", "/moved", "/moved/.git", 1, 2),
    c.RecordServed(PATTERN, "2026-03-01", 2, ("t/r",), 2, day_is_over=False),
    c.ReportUse(PATTERN, "t/r", "helped", "2026-03-01", PatternStatus.ACTIVE),
]


def contents(log: EventLog) -> dict[str, list[tuple[object, ...]]]:
    connection = read_connection(log)
    return {table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in TABLES}  # noqa: S608


@pytest.mark.parametrize("status", [s for s in JobStatus if s is not JobStatus.NEW])
def test_a_job_row_shows_the_status_of_the_fold(tmp_path: Path, status: JobStatus) -> None:
    door = Door(open_for_writing(tmp_path / "e.db"))
    for command in WAY_TO[status]:
        assert isinstance(door.handle(command, "x"), Handled)
    row = Views(read_connection(door.log)).job(JOB[:8])
    assert row.status == status
    assert row.version == door.job(JOB).version
    last = [record for record in door.log.read(f"job-{JOB}") if record.position == row.because_position]
    assert [record.type for record in last] == [row.because]


@settings(max_examples=15, deadline=None)
@for_all(commands=st.lists(st.sampled_from([*COMMANDS, *MACHINE]), max_size=40))
def test_a_rebuild_gives_the_tables_that_the_appends_gave(
    tmp_path_factory: pytest.TempPathFactory, commands: list[Command]
) -> None:
    log = open_for_writing(tmp_path_factory.mktemp("log") / "e.db")
    door = Door(log)
    for command in commands:
        door.handle(command, "x")
    before = contents(log)
    rebuild(log)
    assert contents(log) == before
    log.close()


def test_models_of_another_version_are_rebuilt_by_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "e.db"
    log = open_for_writing(path)
    door = Door(log)
    for command in WAY_TO[JobStatus.QUEUED]:
        door.handle(command, "x")
    with log.writing() as connection:
        connection.execute("UPDATE read_models SET version = -1")
        connection.execute("UPDATE jobs SET status = 'learned'")
    log.close()
    assert Views(read_connection(open_for_writing(path))).job(JOB).status == "queued"


def test_models_of_an_older_version_may_lack_what_a_new_index_names(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with open_for_writing(path) as log:
        for command in WAY_TO[JobStatus.LEARNED]:
            assert isinstance(Door(log).handle(command, "anna"), Handled)
        before = contents(log)
        with log.writing() as connection:
            connection.execute("DROP INDEX jobs_run")
            connection.execute("ALTER TABLE jobs RENAME COLUMN run_id TO run_number")
            connection.execute("DROP TABLE pattern_search")
            connection.execute("UPDATE read_models SET version = 1")
    with open_for_writing(path) as log:
        assert contents(log) == before


def test_models_that_fell_behind_catch_up(tmp_path: Path) -> None:
    path = tmp_path / "e.db"
    plain = EventLog.create_or_open(path)
    door = Door(plain)
    for command in WAY_TO[JobStatus.QUEUED]:
        door.handle(command, "x")
    plain.close()
    assert Views(read_connection(open_for_writing(path))).job(JOB).status == "queued"


def test_a_reader_folds_into_memory_where_the_models_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "e.db"
    plain = EventLog.create_or_open(path)
    Door(plain).handle(WAY_TO[JobStatus.OPENED][0], "x")
    plain.close()
    reader = EventLog.open_readonly(path)
    assert Views(read_connection(reader)).job(JOB).status == "opened"
    with pytest.raises(sqlite3.OperationalError):
        reader.connection.execute("SELECT 1 FROM jobs")


def test_a_prefix_must_be_long_enough_and_single(tmp_path: Path) -> None:
    door = Door(open_for_writing(tmp_path / "e.db"))
    other = JOB[:10] + "f" * 54
    for job_id in (JOB, other):
        run = c.RunRef("repo-1", "/repo", "/m", "t", job_id)
        door.handle(c.ObserveRun(job_id, run, None, "3" * 40, None), "x")
    views = Views(read_connection(door.log))
    with pytest.raises(NotFound, match="first 8"):
        views.job(JOB[:7])
    with pytest.raises(Ambiguous, match="2 jobs"):
        views.job(JOB[:8])
    with pytest.raises(NotFound, match="no job"):
        views.job("00000000")
    assert views.job(JOB[:11]).id == JOB


def test_a_rejected_pattern_is_a_tombstone_for_its_change(tmp_path: Path) -> None:
    door = Door(open_for_writing(tmp_path / "e.db"))
    for command in WAY_TO[JobStatus.DRAFTED]:
        door.handle(command, "x")
    door.handle_together((judged, finished), "x")
    views = Views(read_connection(door.log))
    row = views.job(JOB)
    assert row.diff_sha256 is not None
    assert views.tombstone(row.repo_id, row.diff_sha256) is None
    door.handle(c.Reject(PATTERN, ANNA), "anna")
    assert views.tombstone(row.repo_id, row.diff_sha256) == PATTERN
    assert views.tombstone("other-repo", row.diff_sha256) is None


def test_a_pattern_row_names_its_approver(tmp_path: Path) -> None:
    door = Door(open_for_writing(tmp_path / "e.db"))
    door.handle(judged, "x")
    door.handle(promote, "anna")
    row = Views(read_connection(door.log)).pattern(PATTERN)
    assert (row.status, row.approver, row.reason) == ("active", "anna", "looked at it")
