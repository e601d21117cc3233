"""Events to append, and a strategy that makes any event of the catalog from its fields' types."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from events.catalog import JobDismissed, JobSkipped, RunApproved

AT = "2026-01-31T12:00:00.000Z"
WHO = {"actor": "user:1000", "at": AT}

SKIPPED = JobSkipped(cause="no_proof", detail="nothing turned")
APPROVED = RunApproved(approver="ada", reason="looks right")
DISMISSED = JobDismissed(approver="ada")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def any_event(model: type[BaseModel]) -> st.SearchStrategy[BaseModel]:
    """Instances of `model` with every field filled, tags apart."""
    fields = {name: _value(field) for name, field in model.model_fields.items() if name != "type"}
    return st.builds(model, **fields)


def _value(field: FieldInfo) -> st.SearchStrategy[Any]:
    return _of(field.annotation, field.metadata)


def _of(kind: Any, metadata: Any = ()) -> st.SearchStrategy[Any]:
    told = {name: value for item in metadata for name, value in _constraints(item)}
    if "pattern" in told:
        return st.from_regex(told["pattern"], fullmatch=True)
    if "ge" in told:
        return st.integers(told["ge"], 2**63 - 1)
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _of(args[0], args[1:])
    if origin is Literal:
        return st.sampled_from(args)
    if origin in {Union, UnionType}:
        return st.one_of([_of(arg) for arg in args])
    if origin is tuple:
        some = st.lists(_of(args[0]), min_size=told.get("min_length", 0), max_size=3)
        return some.map(tuple) if args[1:] == (...,) else st.tuples(*map(_of, args))
    if origin is dict:
        return st.dictionaries(_of(args[0]), _of(args[1]), max_size=3)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return any_event(kind)
    return _PLAIN[kind]


def _constraints(item: Any) -> list[tuple[str, Any]]:
    """What a field's metadata asks of its values, by name."""
    items = [item, *getattr(item, "metadata", [])]
    names = ("pattern", "ge", "min_length")
    return [(name, getattr(one, name)) for one in items for name in names if getattr(one, name, None) is not None]


_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(-(2**63), 2**64),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    NoneType: st.none(),
}
