"""Metrics, from the log alone: is learning safe, what becomes of patterns, and only then how much of it there is.

They are read from the table `measures`, which the appends keep (`measures/taken.py`), and from what is open now.
Money is US dollars, times are seconds. A number that nobody can know is None, never zero; a count of nothing is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from learnd.views.measures.safety import (
    Blocked,
    Hygiene,
    Regressions,
    Reviewing,
    Validation,
    blocked,
    hygiene,
    regressions,
    reviewing,
    validation,
)
from learnd.views.measures.use import Use, use
from learnd.views.measures.window import Measures, Rows, Window
from learnd.views.measures.work import Alerting, Spend, Throughput, alerts, model_spend, throughput


@dataclass(frozen=True, slots=True)
class Metrics:
    """All of them for one window, in the order in which they matter."""

    validation: Validation
    blocked: Blocked
    reviewing: Reviewing
    regressions: Regressions
    pattern_hygiene: Hygiene
    pattern_use: Use
    throughput: Throughput
    model_spend: tuple[Spend, ...]
    spent_usd: float
    alerts: dict[str, Alerting]


def metrics(rows: Rows, window: Window, repos: tuple[str, ...] | None = None) -> Metrics:
    """The metrics of `window`. `repos`, ids, leaves out all other repositories, and the machine itself."""
    asked = Measures(rows, window, repos)
    spend = model_spend(asked)
    return Metrics(
        validation=validation(asked),
        blocked=blocked(asked),
        reviewing=reviewing(asked),
        regressions=regressions(asked),
        pattern_hygiene=hygiene(asked),
        pattern_use=use(asked),
        throughput=throughput(asked),
        model_spend=spend,
        spent_usd=round(sum(day.cost_usd for day in spend), 6),
        alerts=alerts(asked),
    )
