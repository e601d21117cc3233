"""Every row of both tables is needed: decide emits its event from its status, and nothing without it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.histories import JOB, PATTERN, PATTERN_WAY_TO, WAY_TO, Case, given, job_cases, pattern_cases

from events import catalog as e
from state import job as jobs
from state import job_rules, pattern_rules
from state import pattern as patterns
from state.decide import Decided, decide
from state.job import Job, JobStatus
from state.machine import Row, Table, TableIncomplete, UnexpectedEvent, compile_table, mermaid
from state.pattern import Pattern, PatternStatus

JOB_CASES = list(job_cases())
PATTERN_CASES = list(pattern_cases())


def new_entity(case: Case) -> Job | Pattern:
    return Job(JOB) if hasattr(case.when, "job_id") and not hasattr(case.when, "pattern_id") else new_other(case)


def new_other(case: Case) -> Job | Pattern:
    from state.commands import JobCommand

    return Job(JOB) if isinstance(case.when, JobCommand) else Pattern(PATTERN)


def emitted(case: Case) -> tuple[str, ...]:
    entity = given(case.given, new_entity(case))
    answer = decide(case.when, entity)
    return tuple(event.type for event in answer.events) if isinstance(answer, Decided) else ()


@pytest.mark.parametrize("case", JOB_CASES + PATTERN_CASES, ids=lambda c: f"{c.status}-{c.event}")
def test_decide_emits_the_event_from_the_status(case: Case) -> None:
    assert case.event in emitted(case)


def test_there_is_a_case_for_every_row_of_the_job_table() -> None:
    covered = {(case.status, case.event) for case in JOB_CASES}
    # ApprovalAwaited follows SnapshotTaken in one decision, JobSkipped (no proof) ChangeValidated.
    covered |= {("snapshotted", "ApprovalAwaited")}
    assert set(jobs.TABLE.next) <= covered


def test_there_is_a_case_for_every_row_of_the_pattern_table() -> None:
    covered = {(case.status, case.event) for case in PATTERN_CASES} | {("staged", "PatternProposed")}
    assert set(patterns.TABLE.next) <= covered


@pytest.mark.parametrize("missing", sorted(jobs.TABLE.next), ids="-".join)
def test_without_a_row_of_the_job_table_a_case_of_decide_fails(
    missing: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    crippled = _without(jobs.TABLE, missing)
    monkeypatch.setattr(jobs, "TABLE", crippled)
    monkeypatch.setattr(job_rules, "TABLE", crippled)
    assert any(_fails(case) for case in JOB_CASES if case.event == missing[1])


@pytest.mark.parametrize("missing", sorted(patterns.TABLE.next), ids="-".join)
def test_without_a_row_of_the_pattern_table_a_case_of_decide_fails(
    missing: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    crippled = _without(patterns.TABLE, missing)
    monkeypatch.setattr(patterns, "TABLE", crippled)
    monkeypatch.setattr(pattern_rules, "TABLE", crippled)
    assert any(_fails(case) for case in PATTERN_CASES if case.event == missing[1])


def _without(table: Table, row: tuple[str, str]) -> Table:
    return replace(table, next={key: value for key, value in table.next.items() if key != row})


def _fails(case: Case) -> bool:
    try:
        return case.event not in emitted(case)
    except (UnexpectedEvent, AssertionError):
        return True


@pytest.mark.parametrize("status", JobStatus)
def test_every_job_status_is_reached_by_commands(status: JobStatus) -> None:
    job = given(WAY_TO[status], Job(JOB))
    assert job.status == status


@pytest.mark.parametrize("status", PatternStatus)
def test_every_pattern_status_is_reached_by_commands(status: PatternStatus) -> None:
    assert given(PATTERN_WAY_TO[status], Pattern(PATTERN)).status == status


def test_a_table_that_forgets_an_event_is_refused_at_import() -> None:
    with pytest.raises(TableIncomplete, match="no row for JobOpened"):
        compile_table("t", [], initial=JobStatus.NEW, terminal=(), events=(e.JobOpened,))


def test_a_table_with_an_unreachable_status_is_refused_at_import() -> None:
    rows = [row for row in jobs.JOB_ROWS if row.event is not e.PatternDrafted]
    with pytest.raises(TableIncomplete, match="drafted"):
        compile_table("t", rows, initial=JobStatus.NEW, terminal=(), events=())


def test_a_table_that_leaves_a_terminal_status_is_refused_at_import() -> None:
    rows = [*jobs.JOB_ROWS, Row((JobStatus.LEARNED,), e.JobRequeued, JobStatus.OPENED)]
    with pytest.raises(TableIncomplete, match="terminal"):
        compile_table("t", rows, initial=JobStatus.NEW, terminal=jobs.TERMINAL, events=())


def test_two_targets_for_one_event_are_refused_at_import() -> None:
    rows = [*jobs.JOB_ROWS, Row((JobStatus.NEW,), e.JobOpened, JobStatus.QUEUED)]
    with pytest.raises(TableIncomplete, match="leads to 2"):
        compile_table("t", rows, initial=JobStatus.NEW, terminal=(), events=())


def test_the_diagram_names_every_status() -> None:
    text = mermaid(jobs.TABLE)
    assert all(status.value in text for status in JobStatus if status is not JobStatus.NEW)
    assert text == mermaid(jobs.TABLE)
