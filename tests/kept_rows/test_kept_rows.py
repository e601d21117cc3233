"""Rows that the read models keep in memory between appends count only while every append stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.histories import JOB, WAY_TO

from events.catalog import Event, JobLearned
from events.log import EventLog
from learnd.views.projection import TABLES
from learnd.views.store import open_for_writing, rebuild
from state.decide import Decided, decide
from state.job import Job, JobStatus
from state.machine import UnexpectedEvent

WHO = {"actor": "x", "at": "2026-01-01T00:00:00.000Z"}


def lived() -> list[Event]:
    """The events of a job up to its replay."""
    job, events = Job(JOB), list[Event]()
    for command in WAY_TO[JobStatus.REPLAYING]:
        answer = decide(command, job)
        assert isinstance(answer, Decided)
        assert isinstance(answer.entity, Job)
        job = answer.entity
        events.extend(answer.events)
    return events


def contents(log: EventLog) -> dict[str, list[tuple[object, ...]]]:
    query = "SELECT * FROM {} ORDER BY 1, 2"
    return {table: log.connection.execute(query.format(table)).fetchall() for table in TABLES}


@pytest.mark.parametrize("stands", range(1, 5))
def test_an_append_that_was_rolled_back_leaves_nothing_in_the_rows(tmp_path: Path, stands: int) -> None:
    events = lived()
    with open_for_writing(tmp_path / "e.db") as log:
        for version, event in enumerate(events):
            if version == stands:
                # The first event is folded in memory; the second cannot follow it, and takes both back.
                refused = JobLearned(pattern_id="f" * 64, outcome="new")
                with pytest.raises(UnexpectedEvent):
                    log.append({f"job-{JOB}": (version, [event, refused])}, **WHO)
            log.append({f"job-{JOB}": (version, [event])}, **WHO)
        appended = contents(log)
        rebuild(log)
        assert contents(log) == appended


def test_rows_stay_right_over_more_jobs_than_are_kept(tmp_path: Path) -> None:
    events = lived()
    with open_for_writing(tmp_path / "e.db") as log:
        for number in range(130):
            log.append({f"job-{number:064x}": (0, events[:2])}, **WHO)
        for number in range(130):
            log.append({f"job-{number:064x}": (2, events[2:])}, **WHO)
        appended = contents(log)
        rebuild(log)
        assert contents(log) == appended
