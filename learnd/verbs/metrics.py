"""`metrics`: is learning safe, then whether it is worth it. Everything from the log."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from learnd.verbs.reading import reading
from learnd.verbs.terminal import Column, duration, heading, print_facts, print_json, table
from learnd.views.metrics import Metrics, metrics


def show_metrics(log: Path | None, *, as_json: bool) -> int:
    """Print the metrics. JSON: the fields of `views/metrics.py`, times in seconds, money in dollars."""
    with reading(log) as book:
        found = metrics(book.rows, [row.status for row in book.views.patterns()])
    if as_json:
        print_json(asdict(found))
    else:
        _print(found)
    return 0


def _print(found: Metrics) -> None:
    checked, blocked, review = found.validation, found.blocked, found.reviewing
    verdicts = f"{checked.passed} proven, {checked.pass_only} pass only, {checked.failed} failed"
    decided = f"{review.promoted} promoted, {review.rejected} rejected{_rate(review.rejection_rate, 'rejected')}"
    heading("Safety")
    facts = [
        ("validation", f"{verdicts}{_rate(checked.pass_rate, 'proven')}"),
        *((f"  {name.replace('_', ' ')}", _counts(causes)) for name, causes in checked.root_causes.items()),
        ("blocked jobs", f"{blocked.resolved} resolved{_time(blocked.median_seconds)}, {blocked.open} open"),
        *((f"  {name}", f"median {duration(seconds)}") for name, seconds in blocked.by_status.items()),
        ("reviewers", f"{decided}, {review.waiting} waiting"),
        ("  latency", f"median {duration(review.median_latency_seconds)}"),
        ("regressions", f"{found.regressions['detected']} detected, {found.regressions['escaped']} escaped"),
    ]
    print_facts(facts, 2)
    hygiene = found.pattern_hygiene
    heading("Pattern hygiene")
    print_facts(
        [
            ("now", _counts(hygiene.now)),
            ("promoted", str(hygiene.promoted)),
            ("deprecated", f"{hygiene.deprecated}, superseded {hygiene.superseded}, expired {hygiene.expired}"),
            ("changed", f"edited {hygiene.edited}, went stale {hygiene.went_stale}"),
            ("quarantined", str(hygiene.quarantined)),
        ],
        2,
    )
    through = found.throughput
    heading("Throughput")
    print_facts(
        [
            ("jobs", f"{through.opened} opened, {through.learned} learned, {through.dismissed} dismissed"),
            ("skipped", _counts(through.skipped)),
            ("candidates", str(through.candidates)),
            ("to learn", f"median {duration(through.median_seconds_to_learn)}"),
        ],
        2,
    )
    heading(f"Model spend  ${found.spent_usd:.4f}")
    if found.model_spend:
        numbers = [Column(title, right=True) for title in ("CALLS", "ASSUMED", "COST")]
        rows = [(d.day, d.model, str(d.calls), str(d.assumed), f"${d.cost_usd:.4f}") for d in found.model_spend]
        table([Column("DAY"), Column("MODEL"), *numbers], rows, indent=2)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _rate(rate: float | None, what: str) -> str:
    return f" ({rate:.0%} {what})" if rate is not None else ""


def _time(seconds: float | None) -> str:
    return f" (median {duration(seconds)})" if seconds is not None else ""
