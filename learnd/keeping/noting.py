"""A backup that somebody made is written down in the log, when it is one of this log and they may say so."""

from __future__ import annotations

import os

from events.copies import hash_at
from learnd.identity import approvers, user_name
from learnd.keeping.anchor import drop_anchor
from learnd.requests import NoteBackup, Reply
from learnd.workplace import Workplace
from state.commands import RecordBackup
from state.refusal import Refused


def note_backup(request: NoteBackup, uid: int, place: Workplace) -> Reply:
    """Record LogBackedUp. The path is only written down: what lies there is never opened here."""
    actor = user_name(uid)
    # Root and learnd's own user could write the log itself.
    if uid not in {0, os.geteuid()} and actor not in approvers(place.settings):
        return Reply(code="not_an_approver", message=f"user {actor} may not tell the log of backups")
    if hash_at(place.door.log.connection, request.position) != request.hash:
        return Reply(code="other_log", message=f"{request.path} is no backup of {place.door.log.path}")
    command = RecordBackup(request.path, request.position, request.hash, request.size_bytes)
    outcome = place.door.handle(command, actor)
    if isinstance(outcome, Refused):
        return Reply(code=outcome.code, message=outcome.reason)
    drop_anchor(place.door.log)
    return Reply(code="ok", message=f"recorded as event {outcome.recorded[-1].position}")
