"""Folding the read models anew from a million events, each validated by its model and followed in its state table.

The peers do a part of it in the same run: SELECT alone, and pydantic's `validate_json` of each row on top.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.measuring import Line, in_turns, median, scaled, shown
from bench.million import COUNT, make_log, mean_bytes
from events.catalog import EVENT
from events.log import PAGE, EventLog
from learnd.views.store import rebuild

ROUNDS = 3
AIM_S = 6.0
WHY = "reading and validating is what pydantic and SQLite take; the fold is one Python call an event"


def measure(folder: Path, scale: float) -> list[Line]:
    count = scaled(COUNT, scale, 100)
    with make_log(folder / "rebuild/events.db", count) as log:
        works = {
            "learnd": lambda: rebuild(log),
            "select": lambda: [None for _ in _rows(log)],
            "validate": lambda: _validate(log),
        }
        taken = {name: median(seconds) for name, seconds in in_turns(works, ROUNDS).items()}
        size = mean_bytes(log)
    return [
        Line(
            f"rebuild from {count:,} events of {size:.0f} bytes",
            shown(taken["learnd"]),
            f"{peer}: {shown(taken[name])}",
            f"{taken['learnd'] / taken[name]:.2f} × the time",
            f"< {AIM_S:.0f} s" if name == "validate" else "",
            taken["learnd"] < AIM_S if name == "validate" else None,
            f"{ROUNDS}",
            WHY,
        )
        for name, peer in (("select", "SELECT alone"), ("validate", "SELECT and pydantic alone"))
    ]


def _rows(log: EventLog) -> Iterator[list[tuple[object, ...]]]:
    after: object = 0
    query = "SELECT * FROM events WHERE position > ? ORDER BY position LIMIT ?"
    while page := log.connection.execute(query, (after, PAGE)).fetchall():
        yield page
        after = page[-1][0]


def _validate(log: EventLog) -> None:
    for page in _rows(log):
        for row in page:
            EVENT.validate_json(str(row[10]))
