"""Is it worth it? Throughput, what models cost, and the alerts that people got."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from learnd.views.diagnosis import BLOCKED
from learnd.views.measures.window import Measures, Window, median_seconds, milliseconds

MACHINE = "machine_fault"
REINTRODUCTION = "reintroduction"


@dataclass(frozen=True, slots=True)
class Throughput:
    """Jobs and what came of them, each time that it did: a job that is skipped, taken up again and learned counts
    in both. `learned` and `skipped` are by outcome and by cause. `candidates`: patterns that passed every gate.

    `median_seconds_to_candidate`: from the run's completion, as its producer wrote it, to the candidate.
    """

    opened: int
    learned: int
    learned_by_outcome: dict[str, int]
    skipped: int
    skipped_by_cause: dict[str, int]
    dismissed: int
    candidates: int
    median_seconds_to_candidate: float | None


@dataclass(frozen=True, slots=True)
class Spend:
    """What the calls of one model cost on one UTC day. `assumed` calls count with all that was reserved for them."""

    day: str
    model: str
    calls: int
    assumed: int
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Alerting:
    """Alerts of one kind. Resolved: what it was about is over, that is, the job was moved or the fault is gone.

    `raised` and `resolved` are counted in the window, `open` at its end.
    """

    raised: int
    resolved: int
    median_seconds_to_resolve: float | None
    open: int


def throughput(asked: Measures) -> Throughput:
    learned, skipped = asked.by_label("learned"), asked.by_label("skipped")
    proposed = asked.ended("proposed")
    return Throughput(
        opened=asked.count("opened"),
        learned=sum(learned.values()),
        learned_by_outcome=learned,
        skipped=sum(skipped.values()),
        skipped_by_cause=skipped,
        dismissed=asked.count("dismissed"),
        candidates=len(proposed),
        median_seconds_to_candidate=median_seconds(one.length for one in proposed if one.length is not None),
    )


def model_spend(asked: Measures) -> tuple[Spend, ...]:
    """By day and model, oldest first."""
    found = asked.summed(
        "spent", "strftime('%Y-%m-%d', at / 1000, 'unixepoch'), label, count(*), sum(about = 'assumed'), sum(amount)"
    )
    return tuple(
        Spend(str(day), str(model), int(str(calls)), int(str(assumed)), round(float(str(cost)), 6))
        for day, model, calls, assumed, cost in found
    )


def alerts(asked: Measures) -> dict[str, Alerting]:
    """By kind; a kind of which there was none is not named."""
    found: dict[str, list[_Alert]] = {}
    for kind, raised, over in _alerts(asked):
        found.setdefault(kind, []).append(_Alert(raised, over))
    told = {kind: _alerting(asked.window, found[kind]) for kind in (*BLOCKED, MACHINE, REINTRODUCTION) if kind in found}
    return {kind: one for kind, one in told.items() if one.raised or one.resolved or one.open}


class _Alert(NamedTuple):
    """When it was raised and when it was over, in milliseconds since 1970."""

    raised: int
    over: int | None


def _alerts(asked: Measures) -> Iterator[tuple[str, int, int | None]]:
    """Kind, raised and over of every alert; alerts are few, and a table of their own."""
    of_repos = ""
    if asked.repos is not None:
        of_repos = f" WHERE stream IN (SELECT 'job-' || id FROM jobs WHERE 1{asked.of_repos()})"  # noqa: S608 - marks
    rows = asked.rows(f"SELECT kind, raised_at, over_at FROM alerts{of_repos}", asked.repos or ())  # noqa: S608
    for kind, raised, over in rows:
        yield str(kind), milliseconds(str(raised)) or 0, milliseconds(str(over)) if over is not None else None


def _alerting(window: Window, found: list[_Alert]) -> Alerting:
    over = [one.over - one.raised for one in found if one.over is not None and window.has(one.over)]
    return Alerting(
        raised=sum(window.has(one.raised) for one in found),
        resolved=len(over),
        median_seconds_to_resolve=median_seconds(length for length in over if length >= 0),
        open=sum(window.open_at_end(one.raised, one.over) for one in found),
    )
