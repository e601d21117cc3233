"""The log as text for others: every event, as it was stored, checkable without the database."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cli_place import CliPlace
from support import histories as h
from support.cases import thorough

from events.chain import LogDamaged, link
from events.database import open_reader
from events.log import EventLog
from learnd.keeping.export import ExportUnusable, export, verify
from learnd.views.store import open_for_writing
from state import commands as c
from state.job import JobStatus
from state.pattern import PatternStatus

CLOUD_EVENT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1, "format": "uri-reference"},
        "type": {"type": "string", "minLength": 1, "pattern": r"^([a-z][a-z0-9-]*\.)+[A-Za-z]+\.v[0-9]+$"},
        "subject": {"type": "string", "minLength": 1},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "data": {"type": "object"},
    },
    "propertyNames": {"pattern": "^[a-z0-9]{1,20}$"},
    "additionalProperties": {"anyOf": [{"type": "string"}, {"type": "boolean"}, {"$ref": "#/$defs/integer"}]},
    "$defs": {"integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}},
}
"""What CloudEvents 1.0 asks of a JSON object: its attributes, their types, and names and types of extensions."""


@pytest.fixture
def filled(place: CliPlace) -> CliPlace:
    """A log with jobs in every status and patterns in every status."""
    place.jobs_in(*(status for status in JobStatus if status not in (JobStatus.NEW, JobStatus.LEARNED)))
    place.patterns_in(PatternStatus.ACTIVE, PatternStatus.QUARANTINED)
    return place


def stored(place: CliPlace) -> list[dict[str, object]]:
    with EventLog.open_readonly(place.log) as log:
        return [record.envelope() for record in log.read_all()]


def test_json_lines_are_the_envelopes_that_tail_prints(filled: CliPlace) -> None:
    lines = [json.loads(line) for line in filled.learnd("export").lines]
    assert lines == stored(filled)
    assert lines == [json.loads(line) for line in filled.learnd("tail", "--json", "--since", "0").lines]


def test_every_cloud_event_is_one(filled: CliPlace) -> None:
    checker = jsonschema.Draft202012Validator(CLOUD_EVENT)
    told = [json.loads(line) for line in filled.learnd("export", "--format", "cloudevents").lines]
    known = stored(filled)
    for event, envelope in zip(told, known, strict=True):
        checker.validate(event)
        assert datetime.fromisoformat(event["time"]).tzinfo is not None
        assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", event["source"])
        assert event["type"] == f"dev.learnd.{envelope['type']}.v{envelope['schema']}"
        assert (event["id"], event["subject"], event["position"], event["streamversion"], event["hash"]) == (
            envelope["id"], envelope["stream"], envelope["position"], envelope["version"], envelope["hash"],
        )  # fmt: skip
        assert event["data"] == envelope["data"]
    assert len({event["source"] for event in told}) == 1
    assert len({event["id"] for event in told}) == len(told)


def test_only_what_was_asked_for(filled: CliPlace) -> None:
    shop = filled.registered("shop")
    known: list[Any] = stored(filled)

    def exported(*argv: str) -> list[int]:
        done = filled.learnd("export", *argv)
        assert done.code == 0, done.err
        return [json.loads(line)["position"] for line in done.lines]

    of_type = [e["position"] for e in known if e["type"] == "JobOpened"]
    assert exported("--type", "jobopened") == of_type
    assert exported("--after", str(of_type[2]), "--type", "JobOpened") == of_type[3:]
    job = next(str(e["stream"]) for e in known if e["type"] == "JobLearned")
    assert {known[position - 1]["stream"] for position in exported("--job", job[4:12])} == {job}
    (last,) = exported("--repo", str(shop))
    assert known[last - 1]["data"]["path"] == str(shop)
    of_repository = exported("--repo", str(filled.root / "library"))
    assert {known[position - 1]["type"] for position in of_repository} >= {"JobOpened", "PatternStaged"}
    assert last not in of_repository
    for wrong in (("--type", "Nothing"), ("--job", "a" * 8), ("--repo", "/nowhere"), ("--format", "xml")):
        assert filled.learnd("export", *wrong).code != 0
    beyond = filled.learnd("export", "--after", "9999")
    assert beyond.code == 1
    assert f"ends at position {len(known)}" in beyond.err


# --- checked without the database -------------------------------------------------------------------


@pytest.mark.parametrize("form", ["jsonl", *thorough("cloudevents")])
def test_the_chain_holds_in_the_file_and_no_change_goes_unnoticed(filled: CliPlace, tmp_path: Path, form: str) -> None:
    file = tmp_path / "log.jsonl"
    assert filled.learnd("export", "--format", form, "-o", file).code == 0
    told = filled.learnd("verify", "--export", file, "--json").json
    log = filled.learnd("verify", "--json").json
    assert (told["ok"], told["position"], told["hash"]) == (True, log["position"], log["hash"])
    lines = file.read_text().splitlines()
    at = next(n for n, line in enumerate(lines) if "JobOpened" in line)
    names = [name for name in json.loads(lines[at]) if name not in ("specversion", "source", "datacontenttype")]
    for name in names:
        changed = json.loads(lines[at])
        value = changed[name]
        changed[name] = {**value, "x": 1} if isinstance(value, dict) else (value or 0) + 1 if not isinstance(
            value, str
        ) else ("0" * 64 if name == "hash" else value.replace(value[-2], "?"))  # fmt: skip
        with pytest.raises((LogDamaged, ExportUnusable)):
            verify([*lines[:at], json.dumps(changed), *lines[at + 1 :]])
    for cut in ([*lines[:at], *lines[at + 1 :]], [*lines[:at], lines[at], *lines[at:]], ["{}"], ["no json"]):
        with pytest.raises((LogDamaged, ExportUnusable)):
            verify(cut)
    file.write_text("\n".join([*lines[:at], *lines[at + 1 :]]))
    broken = filled.learnd("verify", "--export", file)
    assert broken.code == 1
    assert f"position {at + 1}: it is missing" in broken.err


def test_the_end_of_a_log_is_checked_from_where_it_begins(filled: CliPlace) -> None:
    with closing(open_reader(filled.log)) as connection:
        first, found = verify(export(connection, "jsonl", after=10))
        assert first == 11
        assert found.position == len(stored(filled))


def test_an_event_that_an_older_learnd_stored_otherwise_is_exported_as_it_stands(filled: CliPlace) -> None:
    """Without fields that came later; and spaced as no writer of ours would, whose text then stands beside it."""
    older = ['{"type":"FaultRaised","kind":"disk","detail":"1e3"}', '{ "type": "FaultCleared", "kind": "disk" }']
    with open_for_writing(filled.log) as log, log.writing() as connection:
        for text in older:
            position, hash_ = connection.execute("SELECT position, hash FROM events ORDER BY 1 DESC").fetchone()
            query = "SELECT coalesce(max(version), 0) FROM events WHERE stream = 'machine'"
            (version,) = connection.execute(query).fetchone()
            stamp = (json.loads(text)["type"], 1, h.AT, "x", None, None, text)
            row = (position + 1, "machine", version + 1, f"id-{position}", *stamp)
            connection.execute("INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", (*row, link(hash_, row)))
    with closing(open_reader(filled.log)) as connection:
        lines = list(export(connection, "cloudevents"))
        assert verify(lines)[1].position == len(lines)
        assert [json.loads(line).get("text") for line in lines[-2:]] == [None, older[1]]
        forged = json.loads(lines[-1])
        forged["data"]["kind"] = "model"
        with pytest.raises(ExportUnusable, match="not what its text says"):
            verify([*lines[:-1], json.dumps(forged)])


# --- files and pipes --------------------------------------------------------------------------------


def test_a_file_is_written_whole_or_not_at_all(filled: CliPlace, tmp_path: Path) -> None:
    file = tmp_path / "out" / "log.jsonl"
    assert "cannot be written" in filled.learnd("export", "-o", file).err
    file.parent.mkdir()
    done = filled.learnd("export", "-o", file)
    assert (done.code, done.out) == (0, "")
    assert f"learnd export --after {len(stored(filled))}" in done.err
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    limited = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", sys.executable, "-m", "learnd", "export", "-o", str(file)]
    # Under the limit Python would leave torn byte code behind, which whoever comes next loads.
    unwritten = {**filled.env, "PYTHONDONTWRITEBYTECODE": "1"}
    refused = subprocess.run(limited, env=unwritten, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_reader_who_has_heard_enough_ends_it_quietly(filled: CliPlace) -> None:
    for _ in range(20):
        filled.record(c.RaiseFault("disk", "x" * 20_000), c.ClearFault("disk"))
    line = f"{sys.executable} -m learnd export | head -n 1"
    done = subprocess.run(line, shell=True, env=filled.env, capture_output=True, text=True, check=False)  # noqa: S602
    assert json.loads(done.stdout)["position"] == 1
    assert done.stderr == ""


def test_it_ends_where_the_log_ended_and_hinders_no_append(filled: CliPlace) -> None:
    stop = threading.Event()
    with open_for_writing(filled.log) as log:
        head = log.head()[0]
        with closing(open_reader(filled.log)) as connection:
            lines: Iterator[str] = export(connection, "jsonl")
            told = [next(lines)]
            filler = threading.Thread(target=_append, args=(filled, log, stop))
            filler.start()
            told += list(lines)
            stop.set()
            filler.join()
            assert len(told) == head
        log.connection.execute("SELECT 1").fetchall()
        verify(told)


def _append(place: CliPlace, log: EventLog, stop: threading.Event) -> None:
    from learnd.door import Door

    door = Door(log)
    while not stop.is_set():
        door.handle(c.RaiseFault("disk", "full"), "root")
        door.handle(c.ClearFault("disk"), "root")
