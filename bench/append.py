"""One durable append: hash chain, triggers and read models, one event a transaction, against four peers in turns.

Bare append + fsync is what any log must pay; raw sqlite3 (`synchronous=FULL`) what SQLite adds; the `eventsourcing`
package is what somebody would take instead of writing a log: its recorder alone, and whole through `app.save`. All
write to the same disk; learnd's events are the lives of learned jobs, so that the rows of its read models change too.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from bench.lives import LEARNED, events, texts
from bench.measuring import Line, Work, in_turns, median, scaled, shown
from learnd.clock import now
from learnd.views.store import open_for_writing

ROUNDS = 2000
WARM_UP = 100
BYTES = sum(len(text) for _, text in texts(LEARNED)) // len(texts(LEARNED))
"""What the peers write each time: as much as the data of learnd's events in the mean."""


def measure(folder: Path, scale: float) -> list[Line]:
    works: dict[str, Work] = {}
    with _file(folder) as bare, _sqlite(folder) as raw, _learnd(folder) as ours, _eventsourcing(folder) as theirs:
        works = {"bare": bare, "sqlite3": raw, "learnd": ours, **theirs}
        taken = {
            name: median(seconds)
            for name, seconds in in_turns(works, scaled(ROUNDS, scale, 3), scaled(WARM_UP, scale)).items()
        }
    n = f"{scaled(ROUNDS, scale, 3)} each"
    why = WHY.format(raw=taken["bare"] / taken["sqlite3"], pages=PAGES)
    aims = {"bare": ("bare append + fsync", 0.80), "sqlite3": ("raw sqlite3, FULL", None),
            "recorder": ("eventsourcing, recorder alone", None), "save": ("eventsourcing, app.save", 1.6)}  # fmt: skip
    lines = []
    for name, (peer, aim) in aims.items():
        ratio = taken[name] / taken["learnd"]
        lines.append(
            Line(
                "durable append",
                shown(taken["learnd"]),
                f"{peer}: {shown(taken[name])}",
                f"{ratio:.2f} × as fast",
                "" if aim is None else f"≥ {aim:.2f} ×",
                None if aim is None else ratio >= aim,
                n,
                why,
            )
        )
    return lines


PAGES = 6
"""Pages of the write-ahead log that an append writes in the mean: the event, two unique indexes, the job's row, the
read models' cursor, a measure now and then. Counted once from the growth of the file; each takes about 15 µs."""
WHY = (
    "raw sqlite3 with one table reaches {raw:.2f} × of the bare append itself; learnd validates the event, "
    "chains it, has triggers check it and changes the job's row in the same transaction, {pages} pages instead of one"
)


@contextmanager
def _file(folder: Path) -> Iterator[Work]:
    handle = os.open(folder / "bare.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    text = b"x" * BYTES

    def append() -> None:
        os.write(handle, text)
        os.fsync(handle)

    yield append
    os.close(handle)


@contextmanager
def _sqlite(folder: Path) -> Iterator[Work]:
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE events (position INTEGER PRIMARY KEY, data TEXT NOT NULL) STRICT")
    text = "x" * BYTES
    yield lambda: connection.execute("INSERT INTO events (data) VALUES (?)", (text,))
    connection.close()


@contextmanager
def _learnd(folder: Path) -> Iterator[Work]:
    life = events(LEARNED)
    with open_for_writing(folder / "learnd/events.db") as log:

        def stream() -> Iterator[None]:
            while True:
                name = f"job-{uuid.uuid4().hex * 2}"
                for version, event in enumerate(life):
                    log.append({name: (version, [event])}, actor="bench", at=now(), correlation=name)
                    yield

        appends = stream()
        yield lambda: next(appends)


@contextmanager
def _eventsourcing(folder: Path) -> Iterator[dict[str, Work]]:
    class Job(Aggregate):
        @event("Settled")
        def settle(self, text: str) -> None:
            self.text = text

    class Jobs(Application[Any]):
        pass

    recorder_at = str(folder / "recorder.db")
    recorder = SQLiteApplicationRecorder(SQLiteDatastore(recorder_at))
    recorder.create_table()
    app = Jobs(env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(folder / "app.db")})
    text = "x" * BYTES

    def record() -> None:
        recorder.insert_events([StoredEvent(uuid.uuid4(), 1, "bench:Settled", text.encode())])

    def lives() -> Iterator[None]:
        while True:
            job = Job()
            app.save(job)
            yield
            for _ in range(9):
                job.settle(text)
                app.save(job)
                yield

    saves = lives()
    yield {"recorder": record, "save": lambda: next(saves)}
    app.close()
    recorder.datastore.close()
