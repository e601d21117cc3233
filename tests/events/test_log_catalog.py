"""Every event of the catalog survives the log, and old shapes are read as new ones."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_samples import APPROVED, AT, SKIPPED, TEXT, WHO, any_event

from events import recorded
from events.catalog import CATALOG, JobSkipped
from events.chain import GENESIS, link
from events.log import EventLog, EventUnreadable
from events.upcasts import UPCASTS, Upcast, UpcastMissing, upcast


@pytest.mark.parametrize("name", sorted(CATALOG))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_event_reads_back_as_it_was(name: str, data: st.DataObject) -> None:
    events = data.draw(st.lists(any_event(CATALOG[name]), min_size=1, max_size=3))
    stream, actor = data.draw(TEXT.filter(bool)), data.draw(TEXT.filter(bool))
    with tempfile.TemporaryDirectory() as folder, EventLog.create_or_open(Path(folder) / "events.db") as log:
        appended = log.append({stream: (0, events)}, actor=actor, at=AT, correlation=data.draw(st.none() | TEXT))
        assert [e.data for e in appended] == events
        assert log.read(stream) == list(log.read_all()) == appended
        assert {(e.type, e.schema, e.actor) for e in appended} == {(name, CATALOG[name].SCHEMA, actor)}
        assert log.verify().count == len(events)


def test_every_upcast_leads_from_a_schema_of_a_real_type() -> None:
    for name, schema in UPCASTS:
        assert schema in range(1, CATALOG[name].SCHEMA), f"{name} {schema}"


def test_every_older_schema_of_every_type_has_its_upcast() -> None:
    wanted = {(name, schema) for name, model in CATALOG.items() for schema in range(1, model.SCHEMA)}
    assert wanted == set(UPCASTS)


def _first(data: dict) -> dict:  # type: ignore[type-arg]
    return {**data, "detail": data["detail"] + " (from 1)"}


def _second(data: dict) -> dict:  # type: ignore[type-arg]
    return {"type": data["type"], "cause": data["cause"], "detail": data["detail"] + " (from 2)"}


CHAINED: Mapping[tuple[str, int], Upcast] = {("JobSkipped", 1): _first, ("JobSkipped", 2): _second}


def test_upcasts_are_chained_up_to_the_target_only() -> None:
    old = {"type": "JobSkipped", "cause": "no_proof", "detail": "", "gone": 1}
    assert upcast("JobSkipped", 1, 3, old, CHAINED)["detail"] == " (from 1) (from 2)"
    assert upcast("JobSkipped", 2, 3, old, CHAINED) == {
        "type": "JobSkipped",
        "cause": "no_proof",
        "detail": " (from 2)",
    }
    assert upcast("JobSkipped", 3, 3, old, CHAINED) == old
    assert old["detail"] == ""
    with pytest.raises(UpcastMissing, match="from schema 3 to 4"):
        upcast("JobSkipped", 1, 4, old, CHAINED)


def test_the_log_reads_an_old_shape_as_a_new_one(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    (stored,) = log.append({"job-1": (0, [SKIPPED])}, **WHO)
    monkeypatch.setattr(recorded, "UPCASTS", CHAINED)
    monkeypatch.setattr(JobSkipped, "SCHEMA", 3)
    (read,) = log.read("job-1")
    assert read.data == JobSkipped(cause="no_proof", detail="nothing turned (from 1) (from 2)")
    assert (read.schema, read.hash) == (1, stored.hash)
    log.append({"job-1": (1, [SKIPPED, APPROVED])}, **WHO)
    assert [(e.schema, e.data) for e in log.read("job-1")[1:]] == [(3, SKIPPED), (1, APPROVED)]
    assert log.verify().count == 3


def put(path: Path, type_: str, schema: int, text: str) -> None:
    """Record what another version of learnd would have."""
    stored = (1, "job-1", 1, "id", type_, schema, AT, "user:1", None, None, text)
    connection = sqlite3.connect(path)
    connection.execute(
        "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*stored, link(GENESIS, stored))
    )
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("type_", "schema", "text", "reason"),
    [
        ("JobImagined", 1, '{"type":"JobImagined"}', "knows no event type JobImagined"),
        ("JobSkipped", 9, '{"type":"JobSkipped"}', "its schema is 9, this learnd knows up to 1"),
        ("JobSkipped", 1, '{"type":"JobSkipped","cause":"boredom"}', "JobSkipped.cause: Input should be"),
        ("JobSkipped", 1, '{"type":"JobSkipped","cause":"no_proof","x":1}', "x: Extra inputs"),
        ("JobSkipped", 1, "{", "JSON"),
    ],
)
def test_an_event_this_learnd_cannot_read_is_named(
    log: EventLog, type_: str, schema: int, text: str, reason: str
) -> None:
    put(log.path, type_, schema, text)
    with pytest.raises(EventUnreadable) as caught:
        log.read("job-1")
    assert (caught.value.position, caught.value.type) == (1, type_)
    assert reason in str(caught.value)
    assert log.verify().count == 1


def test_an_old_event_without_its_upcast_is_named(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append({"job-1": (0, [SKIPPED])}, **WHO)
    monkeypatch.setattr(JobSkipped, "SCHEMA", 2)
    with pytest.raises(EventUnreadable, match="no upcast of JobSkipped from schema 1 to 2"):
        log.read("job-1")
