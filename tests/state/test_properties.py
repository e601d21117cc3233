"""What holds for any interleaving: decide emits what evolve accepts, and folding repeats the steps."""

from __future__ import annotations

from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from support.histories import ANNA, JOB, PATTERN, job_cases, pattern_cases

from events.catalog import EVENT, Event
from state import commands as c
from state import job as jobs
from state import pattern as patterns
from state.decide import Decided, decide
from state.effects import Effect, Rest, WaitUntil, lost_in_a_crash, next_effect
from state.job import BLOCKED, Job, JobStatus
from state.pattern import Pattern
from state.refusal import Refused

NOW = "2026-01-02T03:04:06.000Z"
JOB_COMMANDS = [command for case in job_cases() for command in (*case.given[-1:], case.when)]
PATTERN_COMMANDS = [command for case in pattern_cases() for command in (*case.given[-1:], case.when)]
MONEY = st.floats(0, 2, allow_nan=False)


def spending() -> st.SearchStrategy[c.JobCommand]:
    return st.one_of(
        st.builds(lambda usd: c.StartCrystalization(JOB, "b", "openai", "m", usd, 9, "p", "c3" * 32), MONEY),
        st.builds(lambda share: ("settle", share), st.floats(0, 1)),  # type: ignore[arg-type] # resolved below
        st.builds(lambda usd: c.Approve(JOB, ANNA, grant_usd=usd), MONEY),
    )


def run(commands: list[c.JobCommand], job: Job) -> tuple[Job, list[Event]]:
    history: list[Event] = []
    for command in commands:
        answer = decide(command, job)
        if isinstance(answer, Decided):
            assert isinstance(answer.entity, Job)
            job = answer.entity
            history.extend(answer.events)
        else:
            assert isinstance(answer, Refused)
            assert answer.reason
    return job, history


@settings(max_examples=300, deadline=None)
@for_all(st.lists(st.sampled_from(JOB_COMMANDS), max_size=40))
def test_any_sequence_of_job_commands_folds_to_the_state_reached_step_by_step(commands: list[c.JobCommand]) -> None:
    job, history = run(commands, Job(JOB))
    stored = [EVENT.validate_json(event.model_dump_json()) for event in history]
    assert jobs.fold(JOB, stored) == job
    assert job.version == len(history)


@settings(max_examples=200, deadline=None)
@for_all(st.lists(st.sampled_from(PATTERN_COMMANDS), max_size=30))
def test_any_sequence_of_pattern_commands_folds_to_the_state_reached_step_by_step(
    commands: list[c.PatternCommand],
) -> None:
    pattern = Pattern(PATTERN)
    history: list[Event] = []
    for command in commands:
        answer = decide(command, pattern)
        if isinstance(answer, Decided):
            assert isinstance(answer.entity, Pattern)
            pattern = answer.entity
            history.extend(answer.events)
    assert patterns.fold(PATTERN, history) == pattern


@settings(max_examples=200, deadline=None)
@for_all(st.lists(st.sampled_from(JOB_COMMANDS), max_size=40))
def test_every_job_either_has_work_or_waits_or_rests(commands: list[c.JobCommand]) -> None:
    job, _ = run(commands, Job(JOB))
    answer = next_effect(job, NOW)
    assert isinstance(answer, Effect | WaitUntil | Rest)
    if isinstance(answer, Rest):
        assert answer.blocked == (job.status in BLOCKED)


@settings(max_examples=200, deadline=None)
@for_all(st.lists(st.sampled_from(JOB_COMMANDS), max_size=40))
def test_no_blocked_job_moves_without_a_recorded_approver(commands: list[c.JobCommand]) -> None:
    job = Job(JOB)
    for command in commands:
        answer = decide(command, job)
        if not isinstance(answer, Decided):
            continue
        moved = job.status in BLOCKED and answer.entity.status != job.status
        if moved and answer.entity.status is not JobStatus.SUPERSEDED:
            assert any(getattr(event, "approver", None) for event in answer.events)
        assert isinstance(answer.entity, Job)
        job = answer.entity


@settings(max_examples=300, deadline=None)
@for_all(st.lists(spending(), max_size=30))
def test_what_a_job_reserves_and_spends_never_exceeds_budget_and_grants(steps: list[object]) -> None:
    from support.histories import TO_VALIDATED

    job, _ = run(list(TO_VALIDATED), Job(JOB))
    for step in steps:
        if isinstance(step, tuple):
            # A call costs at most what was reserved for it.
            todo: list[c.JobCommand] = [
                c.SettleModelCall(JOB, "m", job.reserved_usd * step[1], None),
                c.RecordCrystalizationFailure(JOB, "invalid", "", 9, NOW),
            ]
        else:
            assert isinstance(step, c.JobCommand)
            todo = [step]
        job, _ = run(todo, job)
        assert job.spent_usd + job.reserved_usd <= job.budget_usd + job.granted_usd + 1e-6


def test_a_fault_of_the_machine_makes_work_wait_and_blocks_no_job() -> None:
    from support.histories import job_in

    waiting = next_effect(job_in(JobStatus.SCENARIO_READY), NOW, frozenset({"sandbox"}))
    assert waiting == WaitUntil("machine fault: sandbox", fault="sandbox")
    assert next_effect(job_in(JobStatus.QUEUED), NOW, frozenset({"sandbox"})) is Effect.SYNTHESIZE_SCENARIO


def test_a_retry_waits_for_its_time() -> None:
    from support.histories import capture_failed, open_job

    job, _ = run([open_job(), capture_failed], Job(JOB))
    assert next_effect(job, "2026-01-02T03:04:04.999Z") == WaitUntil("next attempt after tag_refused", at=job.retry_at)
    assert next_effect(job, NOW) is Effect.TAKE_SNAPSHOT


def test_an_effect_of_another_boot_was_lost_in_a_crash() -> None:
    from support.histories import job_in

    replaying = job_in(JobStatus.REPLAYING)
    assert lost_in_a_crash(replaying, "boot-2")
    assert not lost_in_a_crash(replaying, "boot-1")
    assert not lost_in_a_crash(job_in(JobStatus.QUEUED), "boot-2")
