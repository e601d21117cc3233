"""What an agent says came of a pattern, taken down by whoever holds the log. It is their word: it changes no status."""

from __future__ import annotations

from learnd.clock import now
from learnd.crystalizer.redact import generalise, redact
from learnd.identity import may_ask, user_name
from learnd.requests import NoteServed, Reply, ReportUse
from learnd.serving import notes
from learnd.views.queries import NotFound
from learnd.workplace import Workplace
from state import commands as c
from state.pattern import PatternStatus
from state.refusal import Refused

LONGEST_NOTE = 500
"""Characters kept of a note."""


def report_use(request: ReportUse, uid: int, place: Workplace) -> Reply:
    """Record a report. Raises NotFound, Ambiguous, and what the log raises."""
    if not may_ask(uid, place.settings):
        return _not_allowed(uid)
    row = place.views().pattern(request.pattern)
    if place.views().is_forgotten(row.repo_id):
        raise NotFound(f"pattern {row.id[:8]} is of a repository that was forgotten")
    note = redact(request.note)
    command = c.ReportUse(
        row.id, request.run, request.outcome, day=now()[:10], pattern_status=PatternStatus(row.status),
        note=_bounded(generalise(note.text)), redactions=note.count,
    )  # fmt: skip
    outcome = place.door.handle(command, user_name(uid))
    if isinstance(outcome, Refused):
        return Reply(code=outcome.code, message=outcome.reason)
    said = request.outcome.replace("_", " ")
    message = f"recorded that pattern {row.id[:8]} {said if said != 'wrong' else 'is wrong'}; its status is as before"
    return Reply(code="ok", message=message, data={"pattern": row.id})


def note_served(request: NoteServed, uid: int, place: Workplace) -> Reply:
    """Note what somebody served who cannot write the state folder."""
    if not may_ask(uid, place.settings):
        return _not_allowed(uid)
    if not notes.note(place.settings.state_dir, request.patterns, request.run):
        return Reply(code="not_written", message="the state folder cannot be written. Next: learnd doctor")
    return Reply(code="ok", message="noted")


def _not_allowed(uid: int) -> Reply:
    message = f"user {user_name(uid)} is no approver here. Next: an approver, or learnd's own user, does it"
    return Reply(code="not_an_approver", message=message)


def _bounded(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_NOTE else f"{line[: LONGEST_NOTE - 1]}…"
