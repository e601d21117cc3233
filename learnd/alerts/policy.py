"""How bad an alert is, and which channels it goes to. Pure.

| kind | Slack | PagerDuty |
| --- | --- | --- |
| `snapshot_failed`, `stalled_snapshot` | always | always |
| `needs_manual_scenario`, `over_budget` | always | from P2 |
| all others | from P3 | from P2 |

P1 is the worst. An alert that goes nowhere, by this table or because its channel has no token, stands in the journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

from events.catalog import AlertKind, Severity
from learnd.alerts.config import Rule

ChannelName = Literal["slack", "pagerduty"]
KINDS: Mapping[str, AlertKind] = {kind: kind for kind in get_args(AlertKind)}
"""The kinds by the text that a blocked status is."""

DEFAULTS: Mapping[AlertKind, Severity] = {
    "snapshot_failed": "P2",
    "stalled_snapshot": "P2",
    "needs_manual_scenario": "P3",
    "over_budget": "P3",
    "machine_fault": "P3",
    "reintroduction": "P3",
    "validation_failed": "P4",
    "crystalization_failed": "P4",
    "awaiting_approval": "P4",
    "review_waiting": "P4",
}
RATE_LIMIT = Rule(kind="machine_fault", cause="rate_limit", severity="P4")
"""It passes by itself and comes back with every busy hour: nobody is told unless a rule of the operator's says so."""

ALWAYS: Mapping[str, tuple[ChannelName, ...]] = {
    "snapshot_failed": ("slack", "pagerduty"),
    "stalled_snapshot": ("slack", "pagerduty"),
    "needs_manual_scenario": ("slack",),
    "over_budget": ("slack",),
}
FROM: Mapping[ChannelName, str] = {"slack": "P3", "pagerduty": "P2"}
"""The mildest severity that a channel hears of whatever the kind; `P1` < `P2` as text, too."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an alert is about. `cause` is the job's cause or the fault's kind."""

    kind: AlertKind
    cause: str = ""
    repository: str = ""
    task: str = ""


def severity_of(subject: Subject, rules: Sequence[Rule]) -> Severity:
    """The severity by the operator's `rules`, then by the table of defaults."""
    for rule in (*rules, RATE_LIMIT):
        if _fits(rule, subject):
            return rule.severity
    return DEFAULTS[subject.kind]


def _fits(rule: Rule, subject: Subject) -> bool:
    values = (subject.repository, subject.task, subject.cause)
    return rule.kind in (None, subject.kind) and all(
        glob is None or fnmatchcase(value, glob) for glob, value in zip(rule.globs, values, strict=True)
    )


def channels_of(kind: str, severity: str) -> tuple[ChannelName, ...]:
    """The channels that must hear of such an alert, whether they are configured or not."""
    always = ALWAYS.get(kind, ())
    return tuple(channel for channel, mildest in FROM.items() if channel in always or severity <= mildest)
