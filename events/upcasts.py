"""Old shapes of events, made new: `{(type, schema): pure dict -> dict}`.

An upcast turns the data of `schema` into that of `schema + 1`; several are chained until the model's own
`SCHEMA` is reached. They run before validation, on the stored text's copy: what is stored is never touched.
A changed meaning is not an upcast but a new event type. An upcast is kept for ever, like the events it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Upcast = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTS: Mapping[tuple[str, int], Upcast] = {}


class UpcastMissing(Exception):
    """No way leads from a stored shape to the current one; the event cannot be read."""


def upcast(
    type_: str, schema: int, target: int, data: dict[str, Any], upcasts: Mapping[tuple[str, int], Upcast]
) -> dict[str, Any]:
    """`data` of `type_` as stored under `schema`, in the shape of `target`. Raises UpcastMissing."""
    for step in range(schema, target):
        found = upcasts.get((type_, step))
        if found is None:
            raise UpcastMissing(f"no upcast of {type_} from schema {step} to {step + 1}")
        data = found(data)
    return data
