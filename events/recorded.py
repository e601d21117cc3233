"""An event as the log holds it: the envelope around the fact.

`Recorded` is a named tuple because a fold makes a million of them; `data` is the validated event. The text of
an event keeps its tag (`"type"`), so that one tagged union validates every row; an envelope shows the tag once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import JsonValue, ValidationError
from pydantic_core import PydanticSerializationError

from events.catalog import CATALOG, EVENT, AnyEvent, Event
from events.upcasts import UPCASTS, UpcastMissing, upcast

Stored = tuple[int, str, int, str, str, int, str, str, str | None, str | None, str]
"""A row of `events` without its hash, in the order of the table and of `Recorded`; the data is text."""

Row = tuple[int, str, int, str, str, int, str, str, str | None, str | None, str, str]
"""A whole row of `events`."""


class EventUnreadable(Exception):
    """A stored event fits no model of this learnd: it is newer, or its upcast is missing, or it is damaged."""

    def __init__(self, position: int, type_: str, reason: str) -> None:
        super().__init__(
            f"event {position} ({type_}) cannot be read: {reason}. "
            "Next: `learnd verify`; if the log is intact, run the learnd version that wrote it, or a newer one"
        )
        self.position = position
        self.type = type_
        self.reason = reason


class EventUnstorable(Exception):
    """An event would not come back from its JSON as it is (an infinite number, a lone surrogate, an unknown type)."""

    def __init__(self, event: Event, reason: str) -> None:
        super().__init__(f"{type(event).__name__} cannot be stored: {reason}")
        self.reason = reason


class Recorded(NamedTuple):
    """One event of the log. `position` counts the log's events from 1, `version` the stream's.

    `at` is ISO 8601 UTC; `hash` covers this envelope and the previous hash (see `chain.py`). `correlation`
    names what the event belongs to, `causation` the id of the event that brought it about.
    """

    position: int
    stream: str
    version: int
    id: str
    type: str
    schema: int
    at: str
    actor: str
    correlation: str | None
    causation: str | None
    data: AnyEvent
    hash: str

    def envelope(self) -> dict[str, JsonValue]:
        """The event for JSON: all fields by name, `data` without the tag that `type` already tells."""
        return {**self._asdict(), "data": self.data.model_dump(mode="json", exclude={"type"})}


def read_row(row: Row) -> Recorded:
    """The event in `row`, upcast where it is of an older shape. Raises EventUnreadable."""
    position, stream, version, id_, type_, schema, at, actor, correlation, causation, text, hash_ = row
    model = CATALOG.get(type_)
    try:
        if model is not None and schema == model.SCHEMA:
            data = _validate(text)
        else:
            data = EVENT.validate_python(_upcast_text(model, type_, schema, text))
    except (ValidationError, UpcastMissing, json.JSONDecodeError) as error:
        raise EventUnreadable(position, type_, _reason(error)) from error
    fields = (position, stream, version, id_, type_, schema, at, actor, correlation, causation, data, hash_)
    return _tuple(Recorded, fields)


# A fold reads a million rows: what the class or pydantic's adapter would do around each is done here once.
_validate: Callable[[str], AnyEvent] = EVENT.validator.validate_json
_tuple: Callable[[type[Recorded], tuple[object, ...]], Recorded] = tuple.__new__


def write_text(event: Event) -> tuple[str, AnyEvent]:
    """The text that stores `event`, and the event as a later reader will see it. Raises EventUnstorable.

    Read back before it is stored: JSON has no infinity, and an event that does not validate would stop every
    later fold of the log.
    """
    try:
        text = event.__pydantic_serializer__.to_json(event).decode()
        back = _validate(text)
    except (ValidationError, PydanticSerializationError) as error:
        raise EventUnstorable(event, _reason(error)) from error
    # What pydantic's own comparison comes to for a closed model, at half its price.
    if type(back) is not type(event) or back.__dict__ != event.__dict__:
        raise EventUnstorable(event, "it reads back as a different event")
    return text, back


def _upcast_text(model: type[Event] | None, type_: str, schema: int, text: str) -> dict[str, Any]:
    if model is None:
        raise UpcastMissing(f"this learnd knows no event type {type_}")
    if schema > model.SCHEMA:
        raise UpcastMissing(f"its schema is {schema}, this learnd knows up to {model.SCHEMA}")
    return upcast(type_, schema, model.SCHEMA, json.loads(text), UPCASTS)


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error)
