"""Telling the log what was done to its file: changes of layout that it has not heard of yet."""

from __future__ import annotations

from events.catalog import LogMigrated
from events.migrate import Migrated, owed, settle
from learnd.door import Door
from state.commands import RecordMigration
from state.host import STREAM

ACTOR = "learnd:keeping"


def record_migrations(door: Door) -> None:
    """Record what `migrate` left a note of. Killed in between, it is recorded once all the same."""
    for done in owed(door.log.connection):
        known = (record.data for record in door.log.read(STREAM) if isinstance(record.data, LogMigrated))
        if done not in {Migrated(event.from_version, event.to_version, event.backup) for event in known}:
            door.handle(RecordMigration(done.from_version, done.to_version, done.backup), ACTOR)
        with door.log.writing() as connection:
            settle(connection, done)
