-- The log's first layout, as it was released. Never changed: files like this one are out there.
-- The event log. Events are only ever added: position by position, version by version, and never changed.
-- The triggers hold for every connection, also those of other tools; the INSERT one also stops
-- INSERT OR REPLACE where a connection has not set recursive_triggers.
CREATE TABLE events (
    position    INTEGER PRIMARY KEY,
    stream      TEXT    NOT NULL CHECK (stream <> ''),
    version     INTEGER NOT NULL,
    id          TEXT    NOT NULL UNIQUE,
    type        TEXT    NOT NULL,
    schema      INTEGER NOT NULL CHECK (schema >= 1),
    at          TEXT    NOT NULL CHECK (at <> ''),
    actor       TEXT    NOT NULL CHECK (actor <> ''),
    correlation TEXT,
    causation   TEXT,
    data        TEXT    NOT NULL,  -- the event's JSON with its type tag; hashed as it stands here
    hash        TEXT    NOT NULL CHECK (length(hash) = 64),
    UNIQUE (stream, version)
) STRICT;

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never changed');
END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are never deleted');
END;

CREATE TRIGGER events_follow_each_other BEFORE INSERT ON events
WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events)
    OR NEW.version IS NOT (SELECT coalesce(max(version), 0) + 1 FROM events WHERE stream = NEW.stream)
    OR EXISTS (SELECT 1 FROM events WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'events follow each other: next position, next version of the stream, an id of its own');
END;
