"""The metrics by their definitions in docs/operations.md, from the raw events alone, without any thought of speed.

Nothing of the read models is used: jobs and patterns are folded by `state`, and every number comes from plain lists.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Any

from events import catalog as e
from events.recorded import Recorded
from state import job as jobs
from state import pattern as patterns
from state.job import BLOCKED, Job
from state.pattern import Pattern, PatternStatus

P = PatternStatus
GROUPS = {
    "SnapshotFailed": "snapshot_integrity",
    "SnapshotStalled": "snapshot_integrity",
    "ManualScenarioRequired": "scenario_synthesis",
}
BECAME = {
    "PatternDeprecated": "deprecated", "ReintroductionDetected": "reintroduced", "PatternSuperseded": "superseded",
    "PatternEdited": "edited", "PatternQuarantined": "quarantined", "PatternExpired": "expired",
    "PatternWentStale": "stale", "PatternReverified": "reverified",
}  # fmt: skip
STATUSES = ["stalled_snapshot", *(status.value for status in BLOCKED if status.value != "stalled_snapshot")]
KINDS = [*(status.value for status in BLOCKED), "machine_fault"]


@dataclass
class Span:
    """Something that began and perhaps ended."""

    what: str
    about: str
    repo: str
    began: datetime | None
    ended: datetime | None = None
    how: str = ""

    def seconds(self) -> float | None:
        if self.began is None or self.ended is None or self.ended < self.began:
            return None
        return (self.ended - self.began).total_seconds()


@dataclass
class Told:
    """All that happened, sorted by what the metrics ask for."""

    points: list[tuple[str, str, str, str, datetime, float]] = field(default_factory=list)
    blocks: list[Span] = field(default_factory=list)
    alerts: list[Span] = field(default_factory=list)
    candidates: list[Span] = field(default_factory=list)
    regressions: list[Span] = field(default_factory=list)
    proposals: list[Span] = field(default_factory=list)
    retired: list[Span] = field(default_factory=list)
    reverified: list[Span] = field(default_factory=list)
    now: dict[str, tuple[str, str]] = field(default_factory=dict)


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def told(records: Iterable[Recorded]) -> Told:
    found = Told()
    known_jobs: dict[str, Job] = {}
    known_patterns: dict[str, Pattern] = {}
    since: dict[str, datetime] = {}
    promoted: dict[str, datetime] = {}
    for record in records:
        kind, _, identity = record.stream.partition("-")
        if kind == "job":
            before = known_jobs.get(identity, Job(identity))
            after = known_jobs[identity] = jobs.evolve(before, record.data)
            _job(found, record, before, after, promoted)
        elif kind == "pattern":
            known = known_patterns.get(identity, Pattern(identity))
            now = known_patterns[identity] = patterns.evolve(known, record.data)
            _pattern(found, record, known, now, since, promoted, known_jobs)
            if now.status is not known.status:
                since[identity] = when(record.at)
            if isinstance(record.data, e.PatternPromoted) and known.status is P.CANDIDATE:
                promoted[identity] = when(record.at)
            found.now[identity] = (now.status.value, now.repo_id)
        elif kind == "usage":
            repo = known_patterns[identity].repo_id if identity in known_patterns else ""
            _usage(found, record, identity, repo)
        else:
            _machine(found, record)
    return found


def _job(found: Told, record: Recorded, before: Job, after: Job, promoted: dict[str, datetime]) -> None:
    event, at, repo = record.data, when(record.at), after.repo_id
    if before.status is not after.status:
        for span in [*found.blocks, *found.alerts]:
            if span.about == after.id and span.ended is None:
                span.ended = at
        if after.status in BLOCKED:
            found.blocks.append(Span(after.status.value, after.id, repo, at))
    for what, label, about, amount in _points(event):
        found.points.append((what, label, about, repo, at, amount))
    match event:
        case e.AlertRaised():
            found.alerts.append(Span(event.kind, after.id, repo, at))
        case e.RegressionDetected():
            began = when(event.committed_at) if event.committed_at else promoted.get(event.pattern_id)
            found.regressions.append(Span("escaped" if event.escaped else "caught", "", repo, began, at))


def _points(event: e.Event) -> Iterator[tuple[str, str, str, float]]:
    """What is counted, by what, about what, and for how much."""
    match event:
        case e.JobOpened():
            yield "opened", "", "", 0.0
        case e.ChangeValidated():
            yield "validated", event.evidence.verdict, "", 0.0
        case e.ValidationFailed():
            group = "inconclusive" if event.evidence.verdict == "inconclusive" else "test_failures"
            yield "failed", group, event.cause, 0.0
        case e.SnapshotFailed() | e.SnapshotStalled() | e.ManualScenarioRequired():
            yield "failed", GROUPS[event.type], event.cause, 0.0
        case e.ModelCallSettled():
            yield "spent", event.model, "assumed" if event.assumed else "", event.cost_usd
        case e.JobLearned():
            yield "learned", event.outcome, "", 0.0
        case e.JobSkipped():
            yield "skipped", event.cause, "", 0.0
        case e.JobDismissed():
            yield "dismissed", "", "", 0.0


def _pattern(
    found: Told,
    record: Recorded,
    before: Pattern,
    after: Pattern,
    since: dict[str, datetime],
    promoted: dict[str, datetime],
    known_jobs: dict[str, Job],
) -> None:
    event, at, repo = record.data, when(record.at), after.repo_id
    if isinstance(event, e.PatternProposed):
        run = known_jobs.get(after.job_id)
        began = when(run.completed_at) if run is not None and run.completed_at else None
        found.proposals.append(Span("proposed", "", repo, began, at))
    if before.status is P.CANDIDATE and after.status is not P.CANDIDATE:
        (waiting,) = [one for one in found.candidates if one.about == after.id and one.ended is None]
        waiting.ended, waiting.how = at, event.type
        waiting.what = getattr(event, "approver", "")
    elif isinstance(event, e.PatternRejected):
        found.candidates.append(Span(event.approver, after.id, repo, None, at, event.type))
    if after.status is P.CANDIDATE and before.status is not P.CANDIDATE:
        found.candidates.append(Span("", after.id, repo, at))
    if event.type in BECAME:
        found.points.append(("became", BECAME[event.type], "", repo, at, 0.0))
    if isinstance(event, e.PatternDeprecated | e.PatternSuperseded):
        found.retired.append(Span("", "", repo, promoted[after.id], at))
    if isinstance(event, e.PatternReverified):
        found.reverified.append(Span("", "", repo, since[after.id], at))


def _usage(found: Told, record: Recorded, pattern_id: str, repo: str) -> None:
    match record.data:
        case e.PatternServed() as served:
            found.points.append(("served", "", pattern_id, repo, when(record.at), float(served.times)))
        case e.UseReported() as said:
            found.points.append(("reported", said.outcome, pattern_id, repo, when(record.at), 0.0))


def _machine(found: Told, record: Recorded) -> None:
    match record.data:
        case e.AlertRaised() as alert:
            found.alerts.append(Span(alert.kind, f"fault {alert.about}", "", when(record.at)))
        case e.FaultCleared() as cleared:
            for span in found.alerts:
                if span.about == f"fault {cleared.kind}" and span.ended is None:
                    span.ended = when(record.at)


class Naive:
    """The metrics of a window, as `asdict(metrics(…))` would have them."""

    def __init__(
        self,
        records: Iterable[Recorded],
        since: datetime | None,
        until: datetime | None,
        now: datetime,
        repos: tuple[str, ...] | None,
    ) -> None:
        self.all = told(records)
        self.since, self.until, self.now, self.repos = since, until, now, repos

    def inside(self, moment: datetime | None) -> bool:
        if moment is None:
            return False
        return (self.since is None or self.since <= moment) and (self.until is None or moment < self.until)

    def ours(self, repo: str) -> bool:
        return self.repos is None or repo in self.repos

    def points(self, what: str) -> list[tuple[str, str, datetime, float]]:
        return [
            (label, about, at, amount)
            for kind, label, about, repo, at, amount in self.all.points
            if kind == what and self.ours(repo) and self.inside(at)
        ]

    def counted(self, what: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for label, *_ in self.points(what):
            counts[label] = counts.get(label, 0) + 1
        return counts

    def ended(self, spans: list[Span]) -> list[Span]:
        return [span for span in spans if self.ours(span.repo) and self.inside(span.ended)]

    def open(self, spans: list[Span]) -> list[Span]:
        """Begun and not ended when the window was over."""
        found = []
        for span in spans:
            if not self.ours(span.repo) or span.began is None:
                continue
            begun = self.until is None or span.began < self.until
            still = span.ended is None or (self.until is not None and span.ended >= self.until)
            if begun and still:
                found.append(span)
        return sorted(found, key=lambda span: span.began or self.now)

    def age(self, spans: list[Span]) -> float | None:
        if not spans:
            return None
        end = self.now if self.until is None else min(self.until, self.now)
        assert spans[0].began is not None
        seconds = (end - spans[0].began).total_seconds()
        return seconds if seconds >= 0 else None

    def whole(self) -> dict[str, Any]:
        return {
            "validation": self.validation(),
            "blocked": self.blocked(),
            "reviewing": self.reviewing(),
            "regressions": self.regressions(),
            "pattern_hygiene": self.hygiene(),
            "pattern_use": self.use(),
            "throughput": self.throughput(),
            "model_spend": self.spend(),
            "spent_usd": sum(amount for *_, amount in self.points("spent")),
            "alerts": self.alerts(),
        }

    def validation(self) -> dict[str, Any]:
        verdicts = self.counted("validated")
        causes: dict[str, dict[str, int]] = {
            group: {} for group in ("snapshot_integrity", "scenario_synthesis", "test_failures", "inconclusive")
        }
        for group, cause, *_ in self.points("failed"):
            causes[group][cause] = causes[group].get(cause, 0) + 1
        passed, failed = len(self.points("validated")), len(self.points("failed"))
        return {
            "passed": passed,
            "proven": verdicts.get("proven", 0),
            "pass_only": verdicts.get("pass_only", 0),
            "failed": failed,
            "pass_rate": passed / (passed + failed) if passed + failed else None,
            "root_causes": causes,
        }

    def blocked(self) -> dict[str, Any]:
        ended, still = self.ended(self.all.blocks), self.open(self.all.blocks)
        return {
            **self.resolution(ended, still),
            "by_status": {
                status: self.resolution(
                    [one for one in ended if one.what == status], [one for one in still if one.what == status]
                )
                for status in STATUSES
            },
            "open_jobs": sorted((one.about, one.what, self.age([one])) for one in still),
        }

    def resolution(self, ended: list[Span], still: list[Span]) -> dict[str, Any]:
        taken = lengths(ended)
        return {
            "resolved": len(ended),
            "median_seconds": middle(taken),
            "p95_seconds": ninety_five(taken),
            "longest_seconds": max(taken, default=None),
            "open": len(still),
            "oldest_open_seconds": self.age(still),
        }

    def reviewing(self) -> dict[str, Any]:
        decided = [one for one in self.ended(self.all.candidates) if one.how in ("PatternPromoted", "PatternRejected")]
        waiting = self.open(self.all.candidates)
        return {
            **self.decisions(decided),
            "waiting": len(waiting),
            "oldest_waiting_seconds": self.age(waiting),
            "by_reviewer": {
                who: self.decisions([one for one in decided if one.what == who]) for who in {o.what for o in decided}
            },
        }

    def decisions(self, decided: list[Span]) -> dict[str, Any]:
        rejected = sum(one.how == "PatternRejected" for one in decided)
        return {
            "promoted": len(decided) - rejected,
            "rejected": rejected,
            "rejection_rate": rejected / len(decided) if decided else None,
            "median_latency_seconds": middle(lengths(decided)),
        }

    def regressions(self) -> dict[str, Any]:
        caught = [one for one in self.ended(self.all.regressions) if one.what == "caught"]
        escaped = [one for one in self.ended(self.all.regressions) if one.what == "escaped"]
        return {
            "caught": len(caught),
            "escaped": len(escaped),
            "median_seconds_to_detect": middle(lengths([*caught, *escaped])),
            "median_seconds_to_catch": middle(lengths(caught)),
            "median_seconds_to_report": middle(lengths(escaped)),
        }

    def hygiene(self) -> dict[str, Any]:
        promotions = [one for one in self.ended(self.all.candidates) if one.how == "PatternPromoted"]
        now: dict[str, int] | None = {}
        for status, repo in self.all.now.values():
            if self.ours(repo):
                now[status] = now.get(status, 0) + 1
        if self.until is not None and self.until < self.now:
            now = None
        counts = self.counted("became")
        return {
            **{name: counts.get(name, 0) for name in BECAME.values()},
            "median_cycle_seconds": {
                "candidate_to_active": middle(lengths(promotions)),
                "active_to_deprecated": middle(lengths(self.ended(self.all.retired))),
                "stale_to_reverified": middle(lengths(self.ended(self.all.reverified))),
            },
            "now": now,
        }

    def use(self) -> dict[str, Any]:
        served, said = self.points("served"), self.counted("reported")
        return {
            "served": sum(amount for *_, amount in served),
            "patterns": len({about for _, about, *_ in served}),
            **{outcome: said.get(outcome, 0) for outcome in ("helped", "did_not_help", "wrong")},
        }

    def throughput(self) -> dict[str, Any]:
        proposals = self.ended(self.all.proposals)
        return {
            "opened": len(self.points("opened")),
            "learned": len(self.points("learned")),
            "learned_by_outcome": self.counted("learned"),
            "skipped": len(self.points("skipped")),
            "skipped_by_cause": self.counted("skipped"),
            "dismissed": len(self.points("dismissed")),
            "candidates": len(proposals),
            "median_seconds_to_candidate": middle(lengths(proposals)),
        }

    def spend(self) -> list[dict[str, Any]]:
        days: dict[tuple[str, str], list[tuple[str, float]]] = {}
        for model, assumed, at, cost in self.points("spent"):
            days.setdefault((f"{at:%Y-%m-%d}", model), []).append((assumed, cost))
        return [
            {
                "day": day,
                "model": model,
                "calls": len(calls),
                "assumed": sum(assumed == "assumed" for assumed, _ in calls),
                "cost_usd": sum(cost for _, cost in calls),
            }
            for (day, model), calls in sorted(days.items())
        ]

    def alerts(self) -> dict[str, Any]:
        found = {}
        for kind in KINDS:
            spans = [one for one in self.all.alerts if one.what == kind and self.ours(one.repo)]
            raised, over = sum(self.inside(one.began) for one in spans), self.ended(spans)
            still = self.open(spans)
            if raised or over or still:
                found[kind] = {
                    "raised": raised,
                    "resolved": len(over),
                    "median_seconds_to_resolve": middle(lengths(over)),
                    "open": len(still),
                }
        return found


def lengths(spans: list[Span]) -> list[float]:
    return [seconds for seconds in (span.seconds() for span in spans) if seconds is not None]


def middle(seconds: list[float]) -> float | None:
    return median(seconds) if seconds else None


def ninety_five(seconds: list[float]) -> float | None:
    """The smallest that at least 95 of 100 do not exceed."""
    for one in sorted(seconds):
        if sum(other <= one for other in seconds) >= math.ceil(0.95 * len(seconds)):
            return one
    return None
