"""The door: decided against the log as it is, appended whole, retried when somebody was faster."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from support.histories import ANNA, AT, JOB, ORIGIN, PATTERN, RUN, WAY_TO, finished, judged, open_job

from events.log import EventLog
from learnd.door import Door, Handled
from learnd.views.store import open_for_writing
from state import commands as c
from state.job import JobStatus
from state.refusal import Refused


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(open_for_writing(tmp_path / "events.db"))


def drive(door: Door, status: JobStatus) -> None:
    for command in WAY_TO[status]:
        assert isinstance(door.handle(command, "test"), Handled)


@pytest.mark.parametrize("status", [s for s in JobStatus if s is not JobStatus.NEW])
def test_the_log_gives_back_the_job_that_the_commands_made(door: Door, status: JobStatus) -> None:
    drive(door, status)
    assert door.job(JOB).status is status
    door.log.verify()


def test_a_refusal_leaves_the_log_as_it_was(door: Door) -> None:
    drive(door, JobStatus.OPENED)
    head = door.log.head()
    assert isinstance(door.handle(open_job(), "test"), Refused)
    assert door.log.head() == head


def test_commands_handled_together_are_appended_together_or_not_at_all(door: Door) -> None:
    drive(door, JobStatus.DRAFTED)
    head = door.log.head()
    wrong = c.FinishJob("ff" * 32, PATTERN, "new")
    assert isinstance(door.handle_together((judged, wrong), "test"), Refused)
    assert door.log.head() == head
    done = door.handle_together((judged, finished), "test")
    assert isinstance(done, Handled)
    assert [r.type for r in done.recorded] == ["PatternStaged", "PatternProposed", "JobLearned"]
    assert {r.correlation for r in done.recorded} == {f"pattern-{PATTERN}"}


def test_events_name_the_event_that_they_were_decided_after(door: Door) -> None:
    drive(door, JobStatus.SNAPSHOTTED)
    opened, taken = door.log.read(f"job-{JOB}")
    assert opened.causation is None
    assert taken.causation == opened.id


def test_of_many_who_open_the_same_job_at_once_one_does(tmp_path: Path) -> None:
    door = Door(open_for_writing(tmp_path / "events.db"))
    outcomes: list[object] = []
    threads = [threading.Thread(target=lambda: outcomes.append(door.handle(open_job(), "x"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(outcome, Handled) for outcome in outcomes) == 1
    assert len(door.log.read(f"job-{JOB}")) == 1


def test_who_hears_hears_of_what_was_appended_and_of_nothing_else(tmp_path: Path) -> None:
    heard: list[str] = []
    door = Door(open_for_writing(tmp_path / "e.db"), lambda records: heard.extend(r.type for r in records))
    door.handle(open_job(), "x")
    door.handle(open_job(), "x")
    assert heard == ["JobOpened"]


def test_the_actor_is_on_every_event(door: Door) -> None:
    door.handle(c.EndRun(JOB, RUN, "failed", AT, AT), "learnd:intake")
    assert door.log.read(f"job-{JOB}")[0].actor == "learnd:intake"


def test_a_log_that_is_opened_again_goes_on(tmp_path: Path) -> None:
    log = open_for_writing(tmp_path / "events.db")
    drive(Door(log), JobStatus.QUEUED)
    log.close()
    again = Door(open_for_writing(tmp_path / "events.db"))
    assert again.job(JOB).status is JobStatus.QUEUED
    assert isinstance(again.handle(c.Dismiss(JOB, ANNA), "anna"), Handled)
    assert isinstance(again.log, EventLog)
    assert ORIGIN.job_id == JOB
