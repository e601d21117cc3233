"""Candidates that nobody reviews: approvers are reminded of them once a period, and at last they expire.

Both are off unless the operator sets `patterns.remind_days` and `patterns.expire_days`. Days are counted from when the
pattern became a candidate (or was edited), whatever happened to it since. An expired pattern leaves no tombstone: the
same change is learned from again. One that a first approver consented to was reviewed, and does not expire.

Reminders go where alerts go: one alert for all that wait, a new one when another is due, over when none of them waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from learnd.alerts.message import NAME, NEXT, plain
from learnd.alerts.policy import Subject, severity_of
from learnd.clock import now, seconds_between
from learnd.ids import short
from learnd.workplace import Workplace
from state import commands as c
from state.decide import Command
from state.host import REVIEWS
from state.pattern import PatternStatus
from state.refusal import Refused

ACTOR = "learnd:reviews"
DAY_S = 86_400
SHOWN = 5

_WAITING = """SELECT id, title, status, repo_path, since FROM patterns
    WHERE status IN (?, ?) AND repo_id NOT IN (SELECT id FROM repositories WHERE forgotten_at IS NOT NULL)
    ORDER BY since, rowid"""
_ALERTED = "SELECT 1 FROM alerts WHERE kind = 'review_waiting' AND about = ? AND over_at IS NULL"

log = structlog.get_logger("learnd.reviews")


def remind_and_expire(place: Workplace) -> None:
    """Expire what waited too long, remind of what waits, and end the alert about what waits no more.

    Raises Contention, and what the log raises when the machine refuses an append.
    """
    rules = place.settings.patterns
    due: list[Waiting] = []
    for found in waiting(place):
        expires = rules.expire_days and found.status == PatternStatus.CANDIDATE and found.days >= rules.expire_days
        if expires and _recorded(place, [c.Expire(found.id, found.days)]):
            continue
        if rules.remind_days and found.days >= rules.remind_days:
            due.append(found)
    new = [found for found in due if found.days >= place.door.pattern(found.id).reminded_days + rules.remind_days]
    if new:
        # One append: a reminder that is in the log was told, or is owed to every channel.
        reminders = [c.RemindReview(found.id, found.days, rules.remind_days) for found in new]
        severity = severity_of(Subject("review_waiting", REVIEWS), place.settings.alerts.policy)
        _recorded(place, [*reminders, c.RaiseReviewAlert(_message(due), severity)])
    caught_up(place)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pattern that waits for a person, for so many whole days."""

    id: str
    title: str
    status: str
    repo_path: str
    days: int


def waiting(place: Workplace) -> list[Waiting]:
    """Every pattern that waits for a person, the longest first."""
    at = now()
    rows = place.views().rows(_WAITING, (PatternStatus.CANDIDATE.value, PatternStatus.EDITED.value))
    return [
        Waiting(
            str(pattern_id), str(title), str(status), str(repo),
            int(max(0.0, seconds_between(str(since), at)) // DAY_S),
        )
        for pattern_id, title, status, repo, since in rows
    ]  # fmt: skip


def caught_up(place: Workplace) -> None:
    """End the alert when the last pattern that it was about was decided. Cheap where there is none."""
    if place.views().rows(_ALERTED, (REVIEWS,)):
        days = place.settings.patterns.remind_days
        if not days or not any(found.days >= days for found in waiting(place)):
            place.door.handle(c.EndReviewAlert(), ACTOR)


def _recorded(place: Workplace, commands: Sequence[Command]) -> bool:
    outcome = place.door.handle_together(commands, ACTOR)
    if isinstance(outcome, Refused):
        log.debug("not due", code=outcome.code, reason=outcome.reason)
    return not isinstance(outcome, Refused)


def _message(due: Sequence[Waiting]) -> str:
    """What approvers are told: how many wait, which, since when, and what to type."""
    many = "1 pattern waits" if len(due) == 1 else f"{len(due)} patterns wait"
    lines = [f"{many} for a review, the longest for {due[0].days} days"]
    lines += [
        f"{short(found.id)} {plain(found.title, NAME)}, in {plain(found.repo_path, NAME)}: {found.days} days"
        for found in due[:SHOWN]
    ]
    return "\n".join([*lines, f"{NEXT}learnd review"])
