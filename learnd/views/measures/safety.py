"""Is learning safe? Validation, blocked jobs, reviewers, regressions, and what becomes of patterns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from learnd.views.diagnosis import BLOCKED
from learnd.views.measures.window import Ended, Measures, Open, iso_of, median_seconds, opened, times

ROOT_CAUSES = ("snapshot_integrity", "scenario_synthesis", "test_failures", "inconclusive")
STALLED_FIRST = ("stalled_snapshot", *(status for status in BLOCKED if status != "stalled_snapshot"))
DECISIONS = ("promoted", "rejected")
BECAME = ("deprecated", "reintroduced", "superseded", "edited", "quarantined", "expired", "stale", "reverified")


@dataclass(frozen=True, slots=True)
class Validation:
    """How changes fared, each time that one was judged or could not be.

    `passed`: the change passes its own verification (ChangeValidated), either `proven`, for the base fails it, or
    `pass_only`. `failed`: all that kept a change from passing. `pass_rate`: passed of passed and failed.

    `root_causes` of the failures, causes with their counts: `snapshot_integrity` (SnapshotStalled, SnapshotFailed),
    `scenario_synthesis` (ManualScenarioRequired), `test_failures` (ValidationFailed: failed or flaky) and
    `inconclusive` (ValidationFailed: the environment, a time-out, nothing collected, foreign code).
    """

    passed: int
    proven: int
    pass_only: int
    failed: int
    pass_rate: float | None
    root_causes: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class StillBlocked:
    """A job that was blocked when the window ended, by its whole id. `since` is ISO 8601 UTC."""

    job: str
    status: str
    since: str
    age_seconds: float | None


@dataclass(frozen=True, slots=True)
class Resolution:
    """How long blocked jobs stood until they were moved: by a person, or by the producer that resumed the run.

    `resolved` are counted in the window, `open` at its end.
    """

    resolved: int
    median_seconds: float | None
    p95_seconds: float | None
    longest_seconds: float | None
    open: int
    oldest_open_seconds: float | None


@dataclass(frozen=True, slots=True)
class Blocked(Resolution):
    """All of them, and by each blocked status, `stalled_snapshot` first; the open ones longest first."""

    by_status: dict[str, Resolution]
    open_jobs: tuple[StillBlocked, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """What people said of candidates. `rejection_rate`: rejected of promoted and rejected.

    `median_latency_seconds`: from becoming a candidate to the decision. An edited text that is promoted again is no
    decision about a candidate; rejecting a quarantined text is a rejection, but has no latency.
    """

    promoted: int
    rejected: int
    rejection_rate: float | None
    median_latency_seconds: float | None


@dataclass(frozen=True, slots=True)
class Reviewing(Decided):
    """By all, and by each proven user; `waiting` are candidates that nobody decided on when the window ended."""

    waiting: int
    oldest_waiting_seconds: float | None
    by_reviewer: dict[str, Decided]


@dataclass(frozen=True, slots=True)
class Regressions:
    """Promoted changes that came undone: `caught` by learnd, `escaped` until a person reported them.

    Time to detect: from the commit that undid the change to its detection; from the promotion where nobody knows
    when the commit was made.
    """

    caught: int
    escaped: int
    median_seconds_to_detect: float | None
    median_seconds_to_catch: float | None
    median_seconds_to_report: float | None


@dataclass(frozen=True, slots=True)
class Cycle:
    """Medians, in seconds: becoming a candidate to promotion, promotion to deprecation (or being superseded), going
    stale to being verified again.
    """

    candidate_to_active: float | None
    active_to_deprecated: float | None
    stale_to_reverified: float | None


@dataclass(frozen=True, slots=True)
class Hygiene:
    """What became of patterns, each time that it did. `reintroduced`: ReintroductionDetected.

    `now`: patterns by status when the question is asked; None for a window that ended before.
    """

    deprecated: int
    reintroduced: int
    superseded: int
    edited: int
    quarantined: int
    expired: int
    stale: int
    reverified: int
    median_cycle_seconds: Cycle
    now: dict[str, int] | None


def validation(asked: Measures) -> Validation:
    verdicts = asked.by_label("validated")
    causes: dict[str, dict[str, int]] = {group: {} for group in ROOT_CAUSES}
    for group, cause, count in asked.counted("failed"):
        causes[group][cause] = count
    passed, failed = sum(verdicts.values()), sum(sum(counts.values()) for counts in causes.values())
    return Validation(
        passed=passed,
        proven=verdicts.get("proven", 0),
        pass_only=verdicts.get("pass_only", 0),
        failed=failed,
        pass_rate=passed / (passed + failed) if passed + failed else None,
        root_causes=causes,
    )


def blocked(asked: Measures) -> Blocked:
    marks = ", ".join("?" * len(BLOCKED))
    standing = asked.rows(
        f"SELECT status, id, since FROM jobs WHERE status IN ({marks}){asked.of_repos()}",  # noqa: S608 - only marks
        (*BLOCKED, *(asked.repos or ())),
    )
    ended = asked.ended("unblocked")
    still = asked.open_at_end("unblocked", opened(standing))
    whole = _resolution(asked, ended, still)
    return Blocked(
        whole.resolved, whole.median_seconds, whole.p95_seconds, whole.longest_seconds, whole.open,
        whole.oldest_open_seconds,
        by_status={
            status: _resolution(
                asked, [one for one in ended if one.label == status], [one for one in still if one.label == status]
            )
            for status in STALLED_FIRST
        },
        open_jobs=tuple(StillBlocked(one.about, one.label, iso_of(one.began), asked.age(one)) for one in still),
    )  # fmt: skip


def _resolution(asked: Measures, ended: list[Ended], still: list[Open]) -> Resolution:
    taken = times(one.length for one in ended if one.length is not None)
    oldest = asked.age(still[0]) if still else None
    return Resolution(
        len(ended), taken.median_seconds, taken.p95_seconds, taken.longest_seconds, len(still), oldest
    )  # fmt: skip


def reviewing(asked: Measures) -> Reviewing:
    decisions = [one for one in asked.ended("reviewed") if one.label in DECISIONS]
    candidates = asked.rows(
        f"SELECT status, id, since FROM patterns WHERE status = 'candidate'{asked.of_repos()}",  # noqa: S608 - as above
        asked.repos or (),
    )
    waiting = asked.open_at_end("reviewed", opened(candidates))
    whole = _decided(decisions)
    return Reviewing(
        whole.promoted, whole.rejected, whole.rejection_rate, whole.median_latency_seconds,
        waiting=len(waiting),
        oldest_waiting_seconds=asked.age(waiting[0]) if waiting else None,
        by_reviewer={
            reviewer: _decided(one for one in decisions if one.about == reviewer)
            for reviewer in sorted({one.about for one in decisions})
        },
    )  # fmt: skip


def _decided(decisions: Iterable[Ended]) -> Decided:
    decisions = list(decisions)
    rejected = sum(one.label == "rejected" for one in decisions)
    return Decided(
        promoted=len(decisions) - rejected,
        rejected=rejected,
        rejection_rate=rejected / len(decisions) if decisions else None,
        median_latency_seconds=median_seconds(one.length for one in decisions if one.length is not None),
    )


def regressions(asked: Measures) -> Regressions:
    detected = asked.ended("regression")
    lengths = {
        label: [one.length for one in detected if one.label == label and one.length is not None]
        for label in ("caught", "escaped")
    }
    return Regressions(
        caught=sum(one.label == "caught" for one in detected),
        escaped=sum(one.label == "escaped" for one in detected),
        median_seconds_to_detect=median_seconds((*lengths["caught"], *lengths["escaped"])),
        median_seconds_to_catch=median_seconds(lengths["caught"]),
        median_seconds_to_report=median_seconds(lengths["escaped"]),
    )


def hygiene(asked: Measures) -> Hygiene:
    counts = asked.by_label("hygiene")
    became = asked.ended("hygiene")
    return Hygiene(
        **{name: counts.get(name, 0) for name in BECAME},
        median_cycle_seconds=Cycle(
            candidate_to_active=_median(asked.ended("reviewed"), "promoted"),
            active_to_deprecated=_median(became, "deprecated", "superseded"),
            stale_to_reverified=_median(became, "reverified"),
        ),
        now=_by_status(asked),
    )


def _median(ended: Iterable[Ended], *labels: str) -> float | None:
    return median_seconds(one.length for one in ended if one.label in labels and one.length is not None)


def _by_status(asked: Measures) -> dict[str, int] | None:
    """The read models know the present only."""
    if asked.window.past:
        return None
    found = asked.rows(
        f"SELECT status, count(*) FROM patterns WHERE 1{asked.of_repos()} GROUP BY status ORDER BY status",  # noqa: S608
        asked.repos or (),
    )
    return {str(status): int(str(count)) for status, count in found}
