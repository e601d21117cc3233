"""The log as text for others: JSON Lines of envelopes, or CloudEvents 1.0 (structured mode, a JSON object a line).

- `data` is what is stored, as it was when it was written; a line tells all that its event's hash covers, so that the
  chain can be checked without the database. Where the stored text would not come back from `data` to the letter, it
  stands beside it as `text`.
- An export ends where the log ended when it began. It is read in pages: nothing is held in memory, and no transaction
  is kept open while the daemon appends.
- CloudEvents name the log by the id of its first event (`urn:uuid:…`): the same wherever the log lies, and no path.
  What `data` says of a run has paths in it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic_core import to_json

from events.chain import GENESIS, LogDamaged, Verified, link
from events.layouts import COLUMNS
from events.recorded import Row, Stored

Format = Literal["jsonl", "cloudevents"]
FORMATS: tuple[Format, ...] = ("jsonl", "cloudevents")
TYPE = "dev.learnd"
PAGE = 1000
_NAMES = tuple(COLUMNS.split(", "))
_CLOUD = {
    "position": "position", "stream": "subject", "version": "streamversion", "id": "id", "at": "time",
    "actor": "actor", "correlation": "correlationid", "causation": "causationid", "data": "data", "hash": "hash",
}  # fmt: skip
"""Our names of what both formats tell, and CloudEvents' or our extensions' (lower-case letters and digits alone)."""


class ExportUnusable(Exception):
    """A line that is no event of an export; the message says which line and why."""


def export(
    connection: sqlite3.Connection,
    format_: Format,
    *,
    after: int = 0,
    types: Collection[str] = (),
    streams: Collection[str] | None = None,
) -> Iterator[str]:
    """A line for each event after position `after`, of `types` when given, and of `streams` when not None."""
    (head,) = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
    first = connection.execute("SELECT id FROM events WHERE position = 1").fetchone()
    for row in _rows(connection, after, head):
        if (not types or row[4] in types) and (streams is None or row[1] in streams):
            told = _envelope(row)
            yield json.dumps(told if format_ == "jsonl" else _cloud_event(told, f"urn:uuid:{first[0]}"))


def _rows(connection: sqlite3.Connection, after: int, head: int) -> Iterator[Row]:
    query = f"SELECT {COLUMNS} FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"  # noqa: S608 - own words
    while page := connection.execute(query, (after, head, PAGE)).fetchall():
        yield from page
        after = page[-1][0]


def _envelope(row: Row) -> dict[str, Any]:
    told: dict[str, Any] = dict(zip(_NAMES, row, strict=True))
    data = json.loads(row[10])
    exact = list(data)[:1] == ["type"] and data["type"] == row[4] and to_json(data).decode() == row[10]
    told["data"] = {name: value for name, value in data.items() if name != "type"}
    return told if exact else {**told, "text": row[10]}


def _cloud_event(told: dict[str, Any], source: str) -> dict[str, Any]:
    event = {
        "specversion": "1.0",
        "source": source,
        "type": f"{TYPE}.{told['type']}.v{told['schema']}",
        "datacontenttype": "application/json",
    }
    event |= {theirs: told[ours] for ours, theirs in _CLOUD.items() if told[ours] is not None}
    return {**event, "text": told["text"]} if "text" in told else event


# --- checking an export -----------------------------------------------------------------------------


def verify(lines: Iterable[str]) -> tuple[int, Verified]:
    """Check an export against its own hashes; returns its first position and its head.

    The hash of an export's first event is taken as given when it is not the log's first: what was before is not in it.
    Raises LogDamaged where the chain does not hold, and with the missing position of an export that was filtered;
    ExportUnusable.
    """
    first = count = 0
    position, hash_ = 0, GENESIS
    for number, line in enumerate(lines, 1):
        stored, told = _parsed(number, line)
        if not count:
            first = stored[0]
            position, hash_ = first - 1, GENESIS
        if stored[0] != position + 1:
            raise LogDamaged(position + 1, f"it is missing, position {stored[0]} stands next")
        if first > 1 and not count:
            hash_ = told
        elif (hash_ := link(hash_, stored)) != told:
            raise LogDamaged(stored[0], f"its hash differs (told {told[:12]}…, computed {hash_[:12]}…)")
        position, count = stored[0], count + 1
    return first, Verified(position, hash_, count)


def _parsed(number: int, line: str) -> tuple[Stored, str]:
    """What a line says was stored, and the hash that it tells."""
    try:
        told = json.loads(line)
        event = _of_cloud_event(told) if "specversion" in told else told
        data = {"type": event["type"], **event["data"]}
        text = event["text"] if "text" in event else to_json(data).decode()
        if "text" in event and json.loads(text) != data:
            raise ExportUnusable(f"line {number}: its data is not what its text says")
        kinds: Mapping[str, Callable[[Any], object]] = {"position": int, "version": int, "schema": int}
        values = [kinds.get(name, _text)(event.get(name)) for name in _NAMES[:10]]
        return (*values, text), str(event["hash"])  # type: ignore[return-value] # as the names say
    except (ValueError, KeyError, TypeError) as error:
        raise ExportUnusable(f"line {number} is no exported event: {error}") from error


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _of_cloud_event(told: dict[str, Any]) -> dict[str, Any]:
    type_, _, schema = told["type"].removeprefix(f"{TYPE}.").rpartition(".v")
    found = {ours: told[theirs] for ours, theirs in _CLOUD.items() if theirs in told}
    return {**found, "type": type_, "schema": schema, **({"text": told["text"]} if "text" in told else {})}
