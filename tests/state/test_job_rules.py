"""The rules of a job, by given / when / then."""

from __future__ import annotations

import pytest
from support.histories import (
    ANNA,
    AT,
    FILE,
    JOB,
    PATTERN,
    SCENARIO,
    TO_QUEUED,
    TO_READY,
    TO_VALIDATED,
    capture_failed,
    crystalize,
    given,
    job_in,
    no_scenario,
    open_job,
    pass_only,
    replay,
    settled,
    snapshot,
    stalled,
    taken,
    too_dear,
)

from events.catalog import Event
from events.values import FileRef
from state import commands as c
from state.decide import Decided, decide
from state.job import Job, JobStatus
from state.pattern import PatternStatus
from state.refusal import Refused

S = JobStatus
BORIS = c.Person("boris", frozenset({"anna"}))


def after(*commands: c.JobCommand) -> Job:
    job = given(commands, Job(JOB))
    assert isinstance(job, Job)
    return job


def events(command: c.JobCommand, job: Job) -> tuple[Event, ...]:
    answer = decide(command, job)
    assert isinstance(answer, Decided), answer
    return answer.events


def types(command: c.JobCommand, job: Job) -> list[str]:
    return [event.type for event in events(command, job)]


def refusal(command: c.JobCommand, job: Job) -> Refused:
    answer = decide(command, job)
    assert isinstance(answer, Refused), answer
    return answer


def test_a_run_older_than_the_registration_is_left_alone_and_says_how_to_learn_it_anyway() -> None:
    old = open_job(registered_at="2026-02-01T00:00:00.000Z")
    refused = refusal(old, Job(JOB))
    assert refused.code == "older_than_registration"
    assert "learnd learn /repo/.runs/t/cli/r/manifest.json" in refused.reason


def test_an_old_run_is_opened_when_a_person_asks_for_it() -> None:
    assert types(open_job(registered_at="2026-02-01T00:00:00.000Z", requested=True), Job(JOB)) == ["JobOpened"]


def test_a_job_is_not_opened_twice() -> None:
    assert refusal(open_job(), job_in(S.OPENED)).code == "wrong_status"


def test_the_observed_base_is_kept_when_the_job_opens() -> None:
    job = after(c.ObserveRun(JOB, open_job().run, None, "9" * 40, "8" * 40), open_job())
    assert (job.base_tree, job.base_commit) == ("9" * 40, "8" * 40)


@pytest.mark.parametrize("step", ["capture", "enqueue"])
def test_the_third_failure_of_a_snapshot_is_the_last(step: str) -> None:
    start = (open_job(),) if step == "capture" else (open_job(), taken)
    assert types(capture_failed, after(*start, capture_failed)) == ["SnapshotAttemptFailed"]
    assert types(capture_failed, after(*start, capture_failed, capture_failed)) == ["SnapshotFailed"]


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"files_changed": 0, "changed_paths": ()}, "empty_diff"),
        ({"not_attributable": "two runs overlapped"}, "not_attributable"),
        ({"changed_paths": (".agent/patterns/active/x.md", "docs/patterns/README.md")}, "own_work"),
        ({"changed_paths": (".runs/t/cli/r/learning/diff.patch", "learning-snapshots/a.tar.gz")}, "own_work"),
        ({"changed_paths": (".claude/skills/x/SKILL.md",), "own_paths": (".claude/skills/x/SKILL.md",)}, "own_work"),
    ],
)
def test_a_change_with_nothing_to_learn_is_skipped_with_its_cause(changes: dict[str, object], cause: str) -> None:
    job = after(open_job(), c.RecordSnapshot(JOB, snapshot(**changes)))
    assert (job.status, job.cause) == (S.SKIPPED, cause)


@pytest.mark.parametrize(
    "path",
    [
        "a.py",
        ".agent/patterns.py",
        "docs/patterns/retry.md",
        ".runs/t/notes.md",
        "learning/x.py",
        "x/learning-snapshots/y",
    ],
)
def test_a_change_that_touches_more_than_learnds_own_files_is_not_own_work(path: str) -> None:
    job = after(open_job(), c.RecordSnapshot(JOB, snapshot(changed_paths=(".agent/patterns/active/x.md", path))))
    assert job.status is S.SNAPSHOTTED


def test_a_change_whose_pattern_was_rejected_is_not_learned_again() -> None:
    job = after(open_job(), c.RecordSnapshot(JOB, snapshot(), tombstone=PATTERN))
    assert (job.status, job.cause) == (S.SKIPPED, "tombstone")


def test_the_trigger_approved_waits_after_the_snapshot() -> None:
    assert types(taken, after(open_job("approved"))) == ["SnapshotTaken", "ApprovalAwaited"]


def test_the_second_scenario_failure_asks_for_a_person() -> None:
    assert types(no_scenario, after(*TO_QUEUED)) == ["ScenarioAttemptFailed"]
    assert types(no_scenario, after(*TO_QUEUED, no_scenario)) == ["ManualScenarioRequired"]


def test_a_drain_costs_no_attempt_and_a_crash_does() -> None:
    drained = after(*TO_READY, replay, c.InterruptReplay(JOB, "drain"))
    crashed = after(*TO_READY, replay, c.InterruptReplay(JOB, "crash"))
    assert (drained.attempts, crashed.attempts) == (0, 1)


def test_replays_that_crash_three_times_end_as_inconclusive() -> None:
    job = after(*TO_READY, *(replay, c.InterruptReplay(JOB, "crash")) * 3, replay)
    assert (job.status, job.cause) == (S.VALIDATION_FAILED, "crashed")


def test_pass_only_is_skipped_without_any_spend() -> None:
    assert types(pass_only, after(*TO_READY, replay)) == ["ChangeValidated", "JobSkipped"]


def test_pass_only_that_a_person_accepted_goes_on() -> None:
    job = after(*TO_READY, replay, pass_only, c.Approve(JOB, ANNA, accept_unproven=True))
    assert (job.status, job.unproven_accepted) == (S.VALIDATED, True)


def test_a_call_that_may_cost_more_than_is_left_is_not_made() -> None:
    job = after(*TO_VALIDATED, crystalize, settled, c.RecordCrystalizationFailure(JOB, "invalid", "", 3, AT))
    again = c.StartCrystalization(JOB, "b", "openai", "gpt-4o", 0.41, 3, "p", "c3" * 32)
    assert types(again, job) == ["BudgetExhausted"]


def test_a_call_that_just_fits_is_made() -> None:
    job = after(*TO_VALIDATED, crystalize, settled, c.RecordCrystalizationFailure(JOB, "invalid", "", 3, AT))
    again = c.StartCrystalization(JOB, "b", "openai", "gpt-4o", 0.40, 3, "p", "c3" * 32)
    assert types(again, job) == ["CrystalizationStarted"]


def test_a_grant_pays_for_what_the_budget_could_not() -> None:
    job = after(
        *TO_VALIDATED,
        c.StartCrystalization(JOB, "b", "openai", "gpt-4o", 0.7, 3, "p", "c3" * 32),
        c.Approve(JOB, ANNA, grant_usd=0.3),
    )
    assert types(c.StartCrystalization(JOB, "b", "openai", "gpt-4o", 0.7, 3, "p", "c3" * 32), job) == [
        "CrystalizationStarted"
    ]


def test_a_call_of_unknown_cost_counts_as_its_whole_reservation() -> None:
    (event,) = events(c.SettleModelCall(JOB, "gpt-4o", None, None), after(*TO_VALIDATED, crystalize))
    assert (event.cost_usd, event.assumed) == (0.2, True)  # type: ignore[attr-defined] # it is ModelCallSettled


def test_what_was_paid_is_recorded_though_the_job_was_dismissed_meanwhile() -> None:
    job = after(*TO_VALIDATED, crystalize, c.Dismiss(JOB, ANNA), settled)
    assert (job.status, job.spent_usd) == (S.DISMISSED, 0.1)


def test_a_machine_fault_costs_the_author_no_attempt() -> None:
    fault = c.RecordCrystalizationFailure(JOB, "model", "503", 1, AT, fault=True)
    job = after(*TO_VALIDATED, crystalize, fault)
    assert (job.status, job.attempts) == (S.VALIDATED, 0)


@pytest.mark.parametrize(
    "command",
    [
        c.Approve(JOB, c.Person("mallory", frozenset({"anna"}))),
        c.Dismiss(JOB, c.Person("mallory", frozenset({"anna"}), reason="x")),
        c.SupplyScenario(
            JOB, c.Person("mallory", frozenset({"anna"})), no_scenario and job_in(S.SCENARIO_READY).scenario, FILE
        ),  # type: ignore[arg-type]
    ],
)
def test_refused_when_the_user_is_no_approver(command: c.JobCommand) -> None:
    refused = refusal(command, job_in(S.NEEDS_MANUAL_SCENARIO))
    assert refused.code == "not_an_approver"
    assert "mallory" in refused.reason


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (S.NEEDS_MANUAL_SCENARIO, "needs_scenario"),
        (S.STALLED_SNAPSHOT, "not_rebuilt"),
        (S.OVER_BUDGET, "needs_grant"),
        (S.SKIPPED, "skipped"),
        (S.QUEUED, "not_blocked"),
        (S.LEARNED, "not_blocked"),
    ],
)
def test_a_plain_approval_is_refused_where_more_is_needed(status: JobStatus, code: str) -> None:
    refused = refusal(c.Approve(JOB, ANNA), job_in(status))
    assert refused.code == code
    assert JOB[:8] in refused.reason


def test_accepting_as_unproven_is_for_skipped_changes_only() -> None:
    assert refusal(c.Approve(JOB, ANNA, accept_unproven=True), job_in(S.VALIDATION_FAILED)).code == "not_skipped"


def test_a_rebuilt_tarball_with_another_digest_is_refused() -> None:
    job = after(*TO_QUEUED, stalled)
    assert refusal(c.RecordTarballRebuilt(JOB, FileRef(path="/x", sha256="0" * 64)), job).code == "digest_differs"


def test_a_requeue_resets_the_attempts_of_the_failed_step() -> None:
    job = after(open_job(), capture_failed, capture_failed, capture_failed, c.Approve(JOB, ANNA))
    assert (job.status, job.attempts, job.retry_at) == (S.OPENED, 0, None)


def test_the_snapshot_of_a_job_that_is_not_at_rest_is_not_pruned() -> None:
    assert refusal(c.RecordSnapshotPruned(JOB, 1), job_in(S.QUEUED)).code == "not_at_rest"


def test_a_snapshot_is_pruned_once() -> None:
    job = given((c.RecordSnapshotPruned(JOB, 1),), job_in(S.LEARNED))
    assert isinstance(job, Job)
    assert refusal(c.RecordSnapshotPruned(JOB, 1), job).code == "no_snapshot"


def test_a_finished_job_is_not_dismissed() -> None:
    assert refusal(c.Dismiss(JOB, ANNA), job_in(S.LEARNED)).code == "terminal"


def test_an_alert_stands_once() -> None:
    alert = c.RaiseAlert(JOB, "over_budget", "m", "P3")
    job = given((alert,), job_in(S.OVER_BUDGET))
    assert isinstance(job, Job)
    assert refusal(alert, job).code == "already_raised"


def test_an_alert_is_about_what_blocks_the_job() -> None:
    assert refusal(c.RaiseAlert(JOB, "over_budget", "m", "P3"), job_in(S.STALLED_SNAPSHOT)).code == "not_due"


def test_a_job_that_is_blocked_again_is_alerted_again_under_another_id() -> None:
    over_budget = c.RaiseAlert(JOB, "over_budget", "m", "P3")
    job = given((over_budget, c.Approve(JOB, ANNA, grant_usd=0.1), too_dear, over_budget), job_in(S.OVER_BUDGET))
    assert isinstance(job, Job)
    first, second = job.alerts
    assert first.over
    assert not second.over
    assert first.id != second.id


def test_an_alert_that_is_over_is_resolved_where_it_was_delivered_and_nowhere_else() -> None:
    alert = f"{JOB[:16]}-over_budget-1"
    job = given(
        (
            c.RaiseAlert(JOB, "over_budget", "m", "P3"),
            c.RecordAlertDelivery(JOB, alert, "slack", "#learning-alerts"),
            c.RecordAlertDelivery(JOB, alert, "pagerduty", "learning-pipeline", error="500"),
            c.Approve(JOB, ANNA, grant_usd=1.0),
        ),
        job_in(S.OVER_BUDGET),
    )
    assert isinstance(job, Job)
    assert job.alerts[0].to_resolve == ("slack",)
    resolved = c.RecordAlertDelivery(JOB, alert, "slack", "#learning-alerts", resolved=True)
    after = given((resolved,), job)
    assert isinstance(after, Job)
    assert after.alerts[0].to_resolve == ()
    assert refusal(resolved, after).code == "already_delivered"


def test_the_same_failure_of_a_channel_is_recorded_once() -> None:
    alert = f"{JOB[:16]}-over_budget-1"
    failed = c.RecordAlertDelivery(JOB, alert, "slack", "#learning-alerts", error="503")
    job = given((c.RaiseAlert(JOB, "over_budget", "m", "P3"), failed), job_in(S.OVER_BUDGET))
    assert isinstance(job, Job)
    assert refusal(failed, job).code == "already_known"
    assert given((c.RecordAlertDelivery(JOB, alert, "slack", "#learning-alerts", error="timeout"),), job) != job


def test_an_urgent_job_is_urgent_until_it_rests_or_is_blocked() -> None:
    job = given((c.Approve(JOB, ANNA, now=True),), job_in(S.VALIDATED))
    assert isinstance(job, Job)
    assert job.urgent
    blocked = given((too_dear,), job)
    assert isinstance(blocked, Job)
    assert not blocked.urgent


def test_going_first_ends_the_wait_for_the_next_attempt() -> None:
    job = given((capture_failed, c.Approve(JOB, ANNA, now=True)), job_in(S.OPENED))
    assert isinstance(job, Job)
    assert job.retry_at is None
    assert job.attempts == 1


def test_a_blocked_job_that_is_approved_now_moves_on_and_goes_first() -> None:
    job = given((c.Approve(JOB, ANNA, now=True),), job_in(S.VALIDATION_FAILED))
    assert isinstance(job, Job)
    assert (job.status, job.urgent) == (S.SCENARIO_READY, True)


@pytest.mark.parametrize(
    "status", [S.VALIDATION_FAILED, S.STALLED_SNAPSHOT, S.AWAITING_APPROVAL, S.SKIPPED, S.REPLAYING]
)
def test_a_grant_is_refused_where_no_money_is_missing(status: JobStatus) -> None:
    assert refusal(c.Approve(JOB, ANNA, grant_usd=1.0), job_in(status)).code == "not_over_budget"


@pytest.mark.parametrize("status", [S.SNAPSHOT_FAILED, S.OVER_BUDGET, S.SKIPPED, S.LEARNED])
def test_a_scenario_is_refused_where_none_is_missing_and_first_from_who_is_no_approver(
    status: JobStatus,
) -> None:
    supply = c.SupplyScenario(JOB, ANNA, SCENARIO, FILE)
    refused = refusal(supply, job_in(status))
    assert refused.code == "takes_no_scenario"
    assert f"Next: learnd why {JOB[:8]}" in refused.reason
    assert refusal(c.SupplyScenario(JOB, BORIS, SCENARIO, FILE), job_in(status)).code == "not_an_approver"


def test_only_an_approver_lets_a_job_go_first() -> None:
    assert refusal(c.Approve(JOB, BORIS, now=True), job_in(S.VALIDATED)).code == "not_an_approver"


def test_a_regression_is_reported_on_the_job_that_led_to_the_pattern() -> None:
    assert refusal(c.ReportRegression(JOB, "0" * 64, "1" * 40), job_in(S.LEARNED)).code == "other_pattern"


def test_a_regression_that_a_person_reports_escaped_and_one_that_learnd_finds_was_caught() -> None:
    for person, escaped in ((ANNA, True), (None, False)):
        answer = decide(c.ReportRegression(JOB, PATTERN, "1" * 40, person=person), job_in(S.LEARNED))
        assert isinstance(answer, Decided)
        assert [event.escaped for event in answer.events] == [escaped]  # type: ignore[attr-defined]


def test_only_an_approver_reports_a_regression() -> None:
    assert refusal(c.ReportRegression(JOB, PATTERN, "1" * 40, person=BORIS), job_in(S.LEARNED)).code == (
        "not_an_approver"
    )


def test_the_same_commit_undoes_a_pattern_once() -> None:
    undone = c.ReportRegression(JOB, PATTERN, "1" * 40, person=ANNA)
    job = given((undone,), job_in(S.LEARNED))
    assert isinstance(job, Job)
    assert refusal(undone, job).code == "already_reported"
    assert refusal(c.ReportRegression(JOB, PATTERN, "1" * 40), job).code == "already_reported"
    assert types(c.ReportRegression(JOB, PATTERN, "2" * 40, person=ANNA), job) == ["RegressionDetected"]


@pytest.mark.parametrize("status", [status for status in PatternStatus if status is not PatternStatus.NEW])
def test_only_the_change_behind_a_promoted_pattern_comes_undone(status: PatternStatus) -> None:
    report = c.ReportRegression(JOB, PATTERN, "1" * 40, person=ANNA, pattern_status=status)
    if status in ("active", "edited", "stale", "deprecated"):
        assert types(report, job_in(S.LEARNED)) == ["RegressionDetected"]
    else:
        assert refusal(report, job_in(S.LEARNED)).code == "never_served"


def test_who_reported_a_regression_stands_in_it() -> None:
    claiming = c.Person("anna", frozenset({"anna"}), claimed="Anna A.")
    (event,) = events(c.ReportRegression(JOB, PATTERN, "1" * 40, person=claiming), job_in(S.LEARNED))
    assert (event.approver, event.claimed) == ("anna", "Anna A.")  # type: ignore[attr-defined] # RegressionDetected
