"""Each definition, on a history small enough to count by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support import histories as h
from timed_histories import (
    ANNA,
    BORIS,
    DAY,
    HOUR,
    MINUTE,
    Past,
    at,
    by,
    candidate,
    job,
    of_job,
    of_pattern,
    pattern,
    regression,
)

from state import commands as c
from state.job import JobStatus

S = JobStatus


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path)


def test_nothing_happened_so_rates_and_times_are_unknown_and_counts_are_zero(past: Past) -> None:
    found = past.asked()
    assert (found.validation.passed, found.validation.failed, found.validation.pass_rate) == (0, 0, None)
    assert (found.blocked.resolved, found.blocked.open, found.blocked.median_seconds) == (0, 0, None)
    assert (found.blocked.p95_seconds, found.blocked.oldest_open_seconds) == (None, None)
    assert (found.reviewing.rejection_rate, found.reviewing.median_latency_seconds) == (None, None)
    assert (found.regressions.escaped, found.regressions.median_seconds_to_detect) == (0, None)
    assert found.pattern_hygiene.median_cycle_seconds.candidate_to_active is None
    assert found.throughput.median_seconds_to_candidate is None
    assert (found.model_spend, found.spent_usd, found.alerts) == ((), 0, {})


def test_failures_have_the_root_cause_that_the_event_names(past: Past) -> None:
    past.job("tag", h.WAY_TO[S.SNAPSHOT_FAILED])
    past.job("tampered", h.WAY_TO[S.STALLED_SNAPSHOT])
    past.job("nothing to run", h.WAY_TO[S.NEEDS_MANUAL_SCENARIO])
    past.job("flaky", h.WAY_TO[S.VALIDATION_FAILED])
    past.job(
        "no environment", (*h.TO_READY, h.replay, c.RecordEvidence(h.JOB, h.evidence("inconclusive", "setup"), h.FILE))
    )
    past.job("refactoring", h.WAY_TO[S.SKIPPED])
    past.job("good", h.TO_VALIDATED)
    found = past.asked().validation
    assert found.root_causes == {
        "snapshot_integrity": {"digest": 1, "tag_refused": 1},
        "scenario_synthesis": {"no_command": 1},
        "test_failures": {"disagreement": 1},
        "inconclusive": {"setup": 1},
    }
    assert (found.passed, found.proven, found.pass_only, found.failed) == (2, 1, 1, 5)
    assert found.pass_rate == pytest.approx(2 / 7)


def test_blocked_jobs_are_resolved_by_whoever_moves_them_and_the_rest_has_an_age(past: Past) -> None:
    for number in range(20):
        past.job(f"stalled {number}", h.WAY_TO[S.STALLED_SNAPSHOT])
        past.at((number + 1) * MINUTE, c.Dismiss(job(f"stalled {number}"), ANNA))
    past.job("resumed", h.WAY_TO[S.VALIDATION_FAILED])
    past.at(HOUR, c.ReopenRun(job("resumed"), "/m"))
    past.job("left", h.WAY_TO[S.STALLED_SNAPSHOT], 10 * MINUTE)
    found = past.asked(now=2 * HOUR).blocked
    stalled = found.by_status["stalled_snapshot"]
    assert next(iter(found.by_status)) == "stalled_snapshot"
    assert (stalled.resolved, stalled.open, stalled.oldest_open_seconds) == (20, 1, 110 * MINUTE)
    assert (stalled.median_seconds, stalled.p95_seconds, stalled.longest_seconds) == (
        10.5 * MINUTE,
        19 * MINUTE,
        20 * MINUTE,
    )
    assert (found.by_status["validation_failed"].resolved, found.by_status["validation_failed"].open) == (1, 0)
    assert (found.resolved, found.longest_seconds) == (21, HOUR)
    (left,) = found.open_jobs
    assert (left.job, left.status, left.since) == (job("left"), "stalled_snapshot", at(10 * MINUTE))


def test_what_is_said_of_a_blocked_job_does_not_begin_its_time_anew(past: Past) -> None:
    past.job("stalled", h.WAY_TO[S.STALLED_SNAPSHOT])
    past.at(10, c.RaiseAlert(job("stalled"), "stalled_snapshot", "look", "P2"))
    past.at(20, c.RecordTarballRebuilt(job("stalled"), h.FILE))
    past.at(30, c.Approve(job("stalled"), ANNA))
    found = past.asked()
    assert found.blocked.by_status["stalled_snapshot"].median_seconds == 30
    alert = found.alerts["stalled_snapshot"]
    assert (alert.raised, alert.resolved, alert.median_seconds_to_resolve, alert.open) == (1, 1, 20, 0)


def test_reviewers_are_judged_by_candidates_alone(past: Past) -> None:
    for name in ("kept", "refused", "refused too", "quarantined", "waits"):
        past.job(name, (*h.TO_DRAFTED, h.finished))
        past.at(0, of_pattern(h.refused_by_gate if name == "quarantined" else h.judged, name))
    past.at(HOUR, by(ANNA, "kept")["promote"])
    past.at(3 * HOUR, by(BORIS, "refused")["reject"])
    past.at(5 * HOUR, by(BORIS, "refused too")["reject"])
    past.at(6 * HOUR, by(BORIS, "quarantined")["reject"])
    past.at(7 * HOUR, of_pattern(h.edit, "kept"))
    past.at(8 * HOUR, by(ANNA, "kept")["promote"])
    found = past.asked(now=DAY).reviewing
    assert (found.promoted, found.rejected, found.rejection_rate) == (1, 3, 0.75)
    assert found.median_latency_seconds == 3 * HOUR
    assert (found.waiting, found.oldest_waiting_seconds) == (1, DAY)
    anna, boris = found.by_reviewer["anna"], found.by_reviewer["boris"]
    assert (anna.promoted, anna.rejected, anna.rejection_rate, anna.median_latency_seconds) == (1, 0, 0.0, HOUR)
    assert (boris.promoted, boris.rejected, boris.rejection_rate, boris.median_latency_seconds) == (0, 3, 1.0, 4 * HOUR)


def test_latency_begins_anew_when_a_pattern_is_a_candidate_again(past: Past) -> None:
    candidate(past, "a", 0)
    past.at(HOUR, by(ANNA, "a")["reject"])
    past.at(DAY, by(ANNA, "a")["restore"])
    past.at(DAY + MINUTE, by(ANNA, "a")["promote"])
    assert past.asked(since=2 * HOUR).reviewing.median_latency_seconds == MINUTE


def test_a_regression_is_detected_so_long_after_its_commit_or_else_its_promotion(past: Past) -> None:
    for name in ("a", "b"):
        candidate(past, name, 0)
        past.at(HOUR, by(ANNA, name)["promote"])
    past.at(10 * HOUR, regression("a", "1", ANNA, committed=4 * HOUR))
    past.at(10 * HOUR, regression("a", "2", ANNA, committed=None))
    past.at(10 * HOUR, regression("b", "3", None, committed=9 * HOUR))
    found = past.asked().regressions
    assert (found.caught, found.escaped) == (1, 2)
    assert (found.median_seconds_to_catch, found.median_seconds_to_report) == (HOUR, 7.5 * HOUR)
    assert found.median_seconds_to_detect == 6 * HOUR


def test_a_commit_from_the_future_has_no_time_to_detect(past: Past) -> None:
    candidate(past, "a", 0)
    past.at(1, by(ANNA, "a")["promote"])
    past.at(2, regression("a", "1", ANNA, committed=DAY))
    found = past.asked().regressions
    assert (found.escaped, found.median_seconds_to_detect) == (1, None)


def test_the_cycle_of_patterns(past: Past) -> None:
    for name in ("a", "b", "c"):
        candidate(past, name, 0)
        past.at(HOUR, by(ANNA, name)["promote"])
    past.at(2 * HOUR, c.MarkStale(pattern("a"), ("a.py",)))
    past.at(2 * HOUR + MINUTE, c.Reverify(pattern("a"), h.evidence()))
    past.at(3 * HOUR, c.RecordReintroduction(pattern("a"), h.JOB, "a.py"))
    past.at(3 * HOUR, by(ANNA, "a")["deprecate"])
    past.at(4 * HOUR, of_pattern(h.edit, "b"))
    past.at(5 * HOUR, by(ANNA, "b")["promote"])
    past.at(6 * HOUR, by(ANNA, "b")["supersede"])
    candidate(past, "d", 0)
    past.at(DAY, c.Expire(pattern("d"), 1))
    found = past.asked().pattern_hygiene
    counts = (found.deprecated, found.superseded, found.edited, found.stale, found.reverified, found.reintroduced)
    assert counts == (1, 1, 1, 1, 1, 1)
    assert (found.expired, found.quarantined) == (1, 0)
    cycle = found.median_cycle_seconds
    assert (cycle.candidate_to_active, cycle.stale_to_reverified) == (HOUR, MINUTE)
    assert cycle.active_to_deprecated == 3.5 * HOUR  # promoting an edited text again begins no new life
    assert found.now == {"active": 1, "deprecated": 2, "expired": 1}


def test_throughput_and_spend(past: Past) -> None:
    candidate(past, "learned", 2 * HOUR)
    past.job("skipped", h.WAY_TO[S.SKIPPED])
    past.job("dismissed", h.WAY_TO[S.DISMISSED])
    past.job("unpriced", h.WAY_TO[S.CRYSTALIZING], DAY)
    past.at(DAY, of_job(replace(h.settled, cost_usd=None), "unpriced"))
    found = past.asked()
    through = found.throughput
    assert (through.opened, through.learned, through.learned_by_outcome) == (4, 1, {"new": 1})
    assert (through.skipped, through.skipped_by_cause, through.dismissed) == (1, {"no_proof": 1}, 1)
    assert (through.candidates, through.median_seconds_to_candidate) == (1, 2 * HOUR)
    assert [(day.day, day.model, day.calls, day.assumed, day.cost_usd) for day in found.model_spend] == [
        ("2026-03-01", "gpt-4o", 1, 0, 0.1),
        ("2026-03-02", "gpt-4o", 1, 1, 0.2),
    ]
    assert found.spent_usd == pytest.approx(0.3)


def test_alerts_of_the_machine_belong_to_no_repository(past: Past) -> None:
    past.at(0, c.RaiseFault("disk", "full"), c.RaiseFaultAlert("disk", "full", "P2"))
    past.at(MINUTE, c.ClearFault("disk"))
    past.at(HOUR, c.RaiseFault("disk", "full"), c.RaiseFaultAlert("disk", "full", "P2"))
    alert = past.asked().alerts["machine_fault"]
    assert (alert.raised, alert.resolved, alert.median_seconds_to_resolve, alert.open) == (2, 1, MINUTE, 1)
    assert past.asked(repos=("shop",)).alerts == {}
