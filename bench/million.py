"""A log of a million events, for whoever folds or checks one.

The events are whole lives of learned jobs and of their patterns (the golden histories of the tests), over and over
under new ids, a few jobs in flight at a time. They are chained and stored as the log would have: the writer is not what
is measured here.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bench.lives import ACTIVE, APPROVED, HARD, LEARNED, texts
from events.catalog import CATALOG
from events.chain import GENESIS, link
from events.log import EventLog

COUNT = 1_000_000
JOBS = (LEARNED, LEARNED, APPROVED, HARD)
IN_FLIGHT = 50
AT = "2026-01-31T12:00:00.000Z"
INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

Told = tuple[str, int, str, str]
"""Of an event to be: stream, version, type, text."""


def make_log(path: Path, count: int | None = None, jobs: int | None = None) -> EventLog:
    """A log at `path`, without read models, open for its writer: of `count` events, or of `jobs` whole lives."""
    log = EventLog.create_or_open(path)
    with log.writing() as connection:
        hash_ = GENESIS
        for position, (stream, version, kind, text) in enumerate(islice(_told(jobs), count), start=1):
            identity = str(uuid.UUID(int=position))
            stored = (position, stream, version, identity, kind, CATALOG[kind].SCHEMA, AT, "bench", stream, None, text)
            hash_ = link(hash_, stored)
            connection.execute(INSERT, (*stored, hash_))
    return log


def mean_bytes(log: EventLog) -> float:
    """How long the data of an event is in the mean."""
    (length,) = log.connection.execute("SELECT avg(length(data)) FROM events").fetchone()
    return float(length)


def _told(jobs: int | None) -> Iterator[Told]:
    """The events of so many lives, else without an end: IN_FLIGHT at once, each in turn by one event."""
    lives: list[Iterator[Told]] = []
    unborn = iter(range(jobs)) if jobs is not None else itertools.count()
    while True:
        lives.extend(_life(number) for number in islice(unborn, IN_FLIGHT - len(lives)))
        if not lives:
            return
        for life in list(lives):
            told = next(life, None)
            if told is None:
                lives.remove(life)
            else:
                yield told


def _life(number: int) -> Iterator[Told]:
    """A job of a run of its own, then its pattern."""
    identity = f"{number:064x}"[::-1]
    for name, stream in ((JOBS[number % len(JOBS)], f"job-{identity}"), (ACTIVE, f"pattern-{identity}")):
        for version, (kind, text) in enumerate(texts(name), start=1):
            yield stream, version, kind, text.replace('"run_id":"r"', f'"run_id":"run-{number}"')
