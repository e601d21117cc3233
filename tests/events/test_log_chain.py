"""`verify` names the first position that does not hold, whatever was done to the file."""

from __future__ import annotations

import sqlite3
import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_samples import APPROVED, AT, DISMISSED, SKIPPED, TEXT, WHO

from events.chain import GENESIS, link
from events.log import EventLog, LogDamaged, Verified

TEXTS = ["stream", "id", "type", "at", "actor", "correlation", "causation", "data", "hash"]
NUMBERS = ["version", "schema"]


def tamper(path: Path, *statements: str) -> None:
    """Edit the file as its owner could: without the triggers and the checks."""
    connection = sqlite3.connect(path)
    triggers = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("PRAGMA ignore_check_constraints=ON")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def change(at: int, /, **columns: str) -> str:
    """The statement that puts SQL expressions into columns of one event."""
    values = ", ".join(f"{column} = {value}" for column, value in columns.items())
    return f"UPDATE events SET {values} WHERE position = {at}"  # noqa: S608 - written in this file


@pytest.fixture
def written(path: Path) -> Path:
    """A closed log of nine events in three streams."""
    with EventLog.create_or_open(path) as log:
        for version in (0, 3, 6):
            who = {**WHO, "correlation": "job-1", "causation": "c"}
            log.append({"job-1": (version, [SKIPPED, APPROVED, DISMISSED])}, **who)
    return path


def damage(path: Path) -> LogDamaged:
    with EventLog.open_readonly(path) as log, pytest.raises(LogDamaged) as caught:
        log.verify()
    return caught.value


def test_an_untouched_log_holds(written: Path) -> None:
    with EventLog.open_readonly(written) as log:
        assert log.verify() == Verified(9, log.head()[1], 9)


def test_an_empty_log_holds(log: EventLog) -> None:
    assert log.verify() == Verified(0, GENESIS, 0)
    assert log.head() == (0, GENESIS)


@pytest.mark.parametrize("column", TEXTS)
def test_a_changed_text_is_named(written: Path, column: str) -> None:
    tamper(written, change(4, **{column: f"substr({column}, 1, length({column}) - 1) || '!'"}))
    assert damage(written).position == 4


@pytest.mark.parametrize("column", NUMBERS)
def test_a_changed_number_is_named(written: Path, column: str) -> None:
    tamper(written, change(4, **{column: "77"}))
    assert damage(written).position == 4


@pytest.mark.parametrize("column", ["correlation", "causation"])
@pytest.mark.parametrize("value", ["NULL", "''"])
def test_an_emptied_reference_is_named(written: Path, column: str, value: str) -> None:
    tamper(written, change(4, **{column: value}))
    assert damage(written).position == 4


def test_a_letter_moved_from_one_column_to_the_next_is_named(written: Path) -> None:
    tamper(written, change(4, correlation="'job-1c'", causation="''"))
    assert damage(written).position == 4


def test_a_deleted_event_is_named(written: Path) -> None:
    tamper(written, "DELETE FROM events WHERE position = 4")
    found = damage(written)
    assert (found.position, found.reason) == (4, "it is missing, position 5 stands next")
    assert "restore the last backup" in str(found)


def test_a_deleted_event_with_the_gap_closed_is_named(written: Path) -> None:
    tamper(
        written,
        "DELETE FROM events WHERE position = 4",
        *(change(p, position=str(p - 1), version=str(p - 1)) for p in range(5, 10)),
    )
    assert damage(written).position == 4


def test_swapped_events_are_named(written: Path) -> None:
    tamper(
        written,
        change(4, position="100", version="100"),
        change(6, position="4", version="4"),
        change(100, position="6", version="6"),
    )
    assert damage(written).position == 4


def test_an_event_slipped_in_before_the_first_is_named(written: Path) -> None:
    tamper(
        written,
        "INSERT INTO events SELECT -3, stream, version - 9, 'x', type, schema, at, actor, null, null, data, hash "
        "FROM events WHERE position = 9",
    )
    assert "position -3" in damage(written).reason


def test_a_rehashed_event_is_found_by_its_successor(written: Path) -> None:
    connection = sqlite3.connect(written)
    rows = connection.execute("SELECT * FROM events WHERE position IN (3, 4) ORDER BY position").fetchall()
    connection.close()
    forged = list(rows[1][:11])
    forged[7] = "user:0"
    tamper(written, change(4, actor="'user:0'", hash=f"'{link(rows[0][11], forged)}'"))
    assert damage(written).position == 5


def test_a_version_gap_is_found_even_with_a_whole_chain(written: Path) -> None:
    connection = sqlite3.connect(written)
    rows = connection.execute("SELECT * FROM events ORDER BY position").fetchall()
    connection.close()
    hash_, updates = GENESIS, []
    for row in rows:
        stored = [*row[:2], row[2] + (10 if row[0] >= 6 else 0), *row[3:11]]
        hash_ = link(hash_, stored)
        updates.insert(0, change(row[0], version=str(stored[2]), hash=f"'{hash_}'"))
    tamper(written, *updates)
    found = damage(written)
    assert (found.position, found.reason) == (6, "version 16 of stream job-1 follows version 5")


@pytest.mark.parametrize("column", ["actor", "data", "hash", "schema", "version", "position"])
@pytest.mark.parametrize("value", ["NULL", "CAST({} AS TEXT) || ''", "CAST({} AS BLOB)"], ids=["null", "text", "blob"])
def test_a_table_without_types_is_no_way_round(written: Path, column: str, value: str) -> None:
    tamper(
        written,
        "CREATE TABLE loose (position, stream, version, id, type, schema, at, actor, cor, cau, data, hash)",
        "INSERT INTO loose SELECT * FROM events",
        "DROP TABLE events",
        "ALTER TABLE loose RENAME TO events",
    )
    if "TEXT" in value and column in {"actor", "data", "hash"}:
        value = "5"
    tamper(written, change(4, **{column: value.format(column)}))
    assert damage(written).position in {1, 4}


def test_a_file_that_sqlite_cannot_read_is_named(path: Path) -> None:
    with EventLog.create_or_open(path) as log:
        log.append({"job-1": (0, [SKIPPED] * 3000)}, **WHO)
    with path.open("r+b") as file:
        size = path.stat().st_size
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096 * 20)
    assert 1 < damage(path).position < 3000


def test_a_cut_tail_holds_and_shows_only_in_the_head(written: Path) -> None:
    with EventLog.open_readonly(written) as log:
        anchored = log.head()
    tamper(written, "DELETE FROM events WHERE position > 6")
    with EventLog.open_readonly(written) as log:
        assert log.verify().position == 6
        assert log.head() != anchored


NAMES = st.text(string.printable, min_size=1, max_size=8)
ENVELOPES = st.tuples(
    st.integers(1, 99), TEXT, st.integers(1, 99), TEXT, TEXT, st.integers(1, 9), TEXT, TEXT,
    st.none() | TEXT, st.none() | TEXT, TEXT,
)  # fmt: skip


@given(ENVELOPES, ENVELOPES)
def test_different_envelopes_never_hash_the_same_bytes(one: tuple, other: tuple) -> None:  # type: ignore[type-arg]
    assert (link(GENESIS, one) == link(GENESIS, other)) == (one == other)


DIGITS = st.text("0123456789:-,", max_size=4)
CLOSE = st.tuples(
    st.integers(1, 12), DIGITS, st.integers(1, 12), DIGITS, DIGITS, st.integers(1, 12), DIGITS, DIGITS,
    st.none() | DIGITS, st.none() | DIGITS, DIGITS,
)  # fmt: skip


@given(CLOSE, CLOSE)
def test_texts_that_look_like_lengths_are_not_confused(one: tuple, other: tuple) -> None:  # type: ignore[type-arg]
    assert (link(GENESIS, one) == link(GENESIS, other)) == (one == other)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(NAMES, st.lists(st.sampled_from([SKIPPED, APPROVED, DISMISSED]), min_size=1, max_size=4)), min_size=1
    ),
    st.data(),
)
def test_any_history_holds_until_any_one_event_is_changed(history: list, data: st.DataObject) -> None:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.db"
        with EventLog.create_or_open(path) as log:
            for stream, events in history:
                log.append({stream: (log.version(stream), events)}, actor=stream, at=AT)
            count = sum(len(events) for _, events in history)
            assert log.verify().count == count
        position = data.draw(st.integers(1, count))
        tamper(path, change(position, actor="actor || '.'"))
        assert damage(path).position == position
