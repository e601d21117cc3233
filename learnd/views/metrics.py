"""Metrics, from the log alone: SQL over the events' own JSON. Safety first, then hygiene, then throughput.

Money is US dollars, times are seconds. A number nobody can know yet is null, never zero.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from learnd.clock import seconds_between

Rows = Callable[[str], list[tuple[object, ...]]]

RESOLVED_BY = ("JobRequeued", "ManualScenarioSupplied", "RunApproved", "JobDismissed", "RunReopened")
BLOCKED_BY = (
    "SnapshotFailed", "ApprovalAwaited", "ManualScenarioRequired", "SnapshotStalled", "ValidationFailed",
    "BudgetExhausted", "CrystalizationFailed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Validation:
    """Replays judged, by verdict, and what the failures had as their root cause.

    `root_causes`: `snapshot_integrity`, `scenario_synthesis` and `test_failures`, each cause with its count.
    """

    passed: int
    pass_only: int
    failed: int
    pass_rate: float | None
    root_causes: dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Resolution:
    """How long blocked jobs waited until a person (or the producer) moved them."""

    resolved: int
    open: int
    median_seconds: float | None
    longest_seconds: float | None
    by_status: dict[str, float]


@dataclass(frozen=True, slots=True)
class Reviewing:
    """What people said of candidates. The latency is from the proposal to the first decision."""

    promoted: int
    rejected: int
    rejection_rate: float | None
    median_latency_seconds: float | None
    waiting: int


@dataclass(frozen=True, slots=True)
class Hygiene:
    """What became of patterns, and how many of what there are now."""

    promoted: int
    deprecated: int
    superseded: int
    edited: int
    went_stale: int
    quarantined: int
    expired: int
    now: dict[str, int]


@dataclass(frozen=True, slots=True)
class Throughput:
    """Jobs and what came of them."""

    opened: int
    learned: int
    skipped: dict[str, int]
    dismissed: int
    candidates: int
    median_seconds_to_learn: float | None


@dataclass(frozen=True, slots=True)
class Spend:
    """What model calls cost on one UTC day. `assumed` calls count with all that was reserved."""

    day: str
    model: str
    calls: int
    assumed: int
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Metrics:
    validation: Validation
    blocked: Resolution
    reviewing: Reviewing
    regressions: dict[str, int]
    pattern_hygiene: Hygiene
    throughput: Throughput
    model_spend: tuple[Spend, ...]
    spent_usd: float


def metrics(rows: Rows, pattern_statuses: Iterable[str]) -> Metrics:
    """All of them. `rows` runs a query on the log's table `events`."""
    counts = Counter(
        {str(kind): _int(count) for kind, count in rows("SELECT type, count(*) FROM events GROUP BY type")}
    )
    spend = _spend(rows)
    return Metrics(
        validation=_validation(rows),
        blocked=_resolution(rows),
        reviewing=_reviewing(rows, counts),
        regressions=_regressions(rows),
        pattern_hygiene=Hygiene(
            promoted=counts["PatternPromoted"], deprecated=counts["PatternDeprecated"],
            superseded=counts["PatternSuperseded"], edited=counts["PatternEdited"],
            went_stale=counts["PatternWentStale"], quarantined=counts["PatternQuarantined"],
            expired=counts["PatternExpired"], now=dict(Counter(pattern_statuses)),
        ),
        throughput=_throughput(rows, counts),
        model_spend=spend,
        spent_usd=sum(day.cost_usd for day in spend),
    )  # fmt: skip


def _validation(rows: Rows) -> Validation:
    verdicts = Counter(
        str(verdict)
        for (verdict,) in rows(
            "SELECT json_extract(data, '$.evidence.verdict') FROM events WHERE type = 'ChangeValidated'"
        )
    )
    failed = _causes(rows, "ValidationFailed")
    judged = verdicts["proven"] + verdicts["pass_only"] + sum(failed.values())
    return Validation(
        passed=verdicts["proven"],
        pass_only=verdicts["pass_only"],
        failed=sum(failed.values()),
        pass_rate=verdicts["proven"] / judged if judged else None,
        root_causes={
            "snapshot_integrity": dict(_causes(rows, "SnapshotStalled") + _causes(rows, "SnapshotFailed")),
            "scenario_synthesis": dict(_causes(rows, "ManualScenarioRequired")),
            "test_failures": dict(failed),
        },
    )


def _causes(rows: Rows, kind: str) -> Counter[str]:
    query = f"SELECT json_extract(data, '$.cause'), count(*) FROM events WHERE type = '{kind}' GROUP BY 1"  # noqa: S608
    return Counter({str(cause): _int(count) for cause, count in rows(query)})


def _resolution(rows: Rows) -> Resolution:
    """Walk the blocking and the resolving events of each job, in order."""
    kinds = ", ".join(f"'{kind}'" for kind in (*BLOCKED_BY, *RESOLVED_BY))
    blocked: dict[str, tuple[str, str]] = {}
    waits: list[float] = []
    by_kind: defaultdict[str, list[float]] = defaultdict(list)
    query = f"SELECT stream, type, at FROM events WHERE type IN ({kinds}) ORDER BY position"  # noqa: S608 - own names
    for stream, kind, at in rows(query):
        if kind in BLOCKED_BY:
            blocked[str(stream)] = (str(kind), str(at))
        elif str(stream) in blocked:
            began_as, began = blocked.pop(str(stream))
            waits.append(seconds_between(began, str(at)))
            by_kind[began_as].append(waits[-1])
    return Resolution(
        resolved=len(waits),
        open=len(blocked),
        median_seconds=median(waits) if waits else None,
        longest_seconds=max(waits, default=None),
        by_status={kind: median(times) for kind, times in by_kind.items()},
    )


def _reviewing(rows: Rows, counts: Counter[str]) -> Reviewing:
    proposed: dict[str, str] = {}
    latencies: list[float] = []
    query = (
        "SELECT stream, type, at FROM events WHERE type IN "
        "('PatternProposed', 'PatternPromoted', 'PatternRejected', 'PatternExpired', 'PatternQuarantined') "
        "ORDER BY position"
    )
    for stream, kind, at in rows(query):
        if kind == "PatternProposed":
            proposed[str(stream)] = str(at)
            continue
        began = proposed.pop(str(stream), None)
        if began is not None and kind in ("PatternPromoted", "PatternRejected"):
            latencies.append(seconds_between(began, str(at)))
    decided = counts["PatternPromoted"] + counts["PatternRejected"]
    return Reviewing(
        promoted=counts["PatternPromoted"],
        rejected=counts["PatternRejected"],
        rejection_rate=counts["PatternRejected"] / decided if decided else None,
        median_latency_seconds=median(latencies) if latencies else None,
        waiting=len(proposed),
    )


def _regressions(rows: Rows) -> dict[str, int]:
    escapes = "coalesce(sum(json_extract(data, '$.escaped')), 0)"
    query = f"SELECT count(*), {escapes} FROM events WHERE type = 'RegressionDetected'"  # noqa: S608 - own words
    ((detected, escaped),) = rows(query)
    return {"detected": _int(detected), "escaped": _int(escaped)}


def _throughput(rows: Rows, counts: Counter[str]) -> Throughput:
    times = rows(
        "SELECT opened.at, learned.at FROM events AS learned JOIN events AS opened ON opened.stream = learned.stream "
        "AND opened.type = 'JobOpened' WHERE learned.type = 'JobLearned'"
    )
    seconds = [seconds_between(str(opened), str(learned)) for opened, learned in times]
    return Throughput(
        opened=counts["JobOpened"],
        learned=counts["JobLearned"],
        skipped=dict(_causes(rows, "JobSkipped")),
        dismissed=counts["JobDismissed"],
        candidates=counts["PatternProposed"],
        median_seconds_to_learn=median(seconds) if seconds else None,
    )


def _spend(rows: Rows) -> tuple[Spend, ...]:
    query = (
        "SELECT substr(at, 1, 10), json_extract(data, '$.model'), count(*), sum(json_extract(data, '$.assumed')), "
        "sum(json_extract(data, '$.cost_usd')) FROM events WHERE type = 'ModelCallSettled' GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return tuple(
        Spend(str(day), str(model), _int(calls), _int(assumed), round(_float(cost), 6))
        for day, model, calls, assumed, cost in rows(query)
    )


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
