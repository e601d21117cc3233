"""An older log's file is brought forward by itself, whatever interrupts that; a newer one is left alone."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from keeping_place import Keep, tracing
from old_log import FURTHER, make_old, open_and_tell
from support.cases import thorough

from events.copies import check_copy
from events.database import LogUnusable
from events.layouts import Migration
from events.log import EventLog
from learnd.views.store import open_for_writing

COUNT = 40


def layout(path: Path) -> int:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def copies(state: Path) -> list[str]:
    return sorted(entry.name for entry in state.glob("events.v*"))


def reopened(path: Path) -> list[str]:
    """The types behind the old log's events, in a log that holds and is of layout 3."""
    assert layout(path) == 3
    with EventLog.create_or_open(path, migrations=FURTHER) as log:
        assert log.verify().count == log.head()[0]
        records = list(log.read_all())
        assert [record.id for record in records[:COUNT]] == [f"id-{n}" for n in range(1, COUNT + 1)]
        assert log.connection.execute("SELECT word FROM more").fetchall() == [("made",)]
        assert log.connection.execute("SELECT count(*) FROM owed_migrations").fetchone() == (0,)
    return [f"{record.type} {record.data.model_dump(exclude={'type'})}" for record in records[COUNT:]]


def test_an_older_file_is_brought_forward_after_a_checked_copy_of_it(keep: Keep) -> None:
    make_old(keep.log, COUNT)
    head = keep.head()
    open_and_tell(keep.log)
    copy = keep.state / f"events.v1-at-{COUNT}.db"
    told = {"from_version": 1, "to_version": 3, "backup": str(copy)}
    assert reopened(keep.log) == [f"LogMigrated {told}"]
    assert copies(keep.state) == [copy.name]
    assert (layout(copy), copy.stat().st_mode & 0o777) == (1, 0o600)
    checked = check_copy(copy)
    assert (checked.position, checked.hash) == head
    open_and_tell(keep.log)
    assert len(reopened(keep.log)) == 1, "told once"


def test_a_file_of_the_first_layout_is_read_and_written_by_this_learnd(keep: Keep) -> None:
    """The released statements and today's `schema.sql` and migrations come to the same."""
    make_old(keep.log, COUNT)
    keep.faults(1)
    EventLog.create_or_open(keep.root / "new" / "events.db").close()
    shown = []
    for path in (keep.log, keep.root / "new" / "events.db"):
        connection = sqlite3.connect(path)
        rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE tbl_name = 'events' ORDER BY name")
        shown.append([(name, re.sub(r"--[^\n]*|\s+", " ", sql or "")) for name, sql in rows.fetchall()])
        connection.close()
    assert shown[0] == shown[1]


@tracing
@pytest.mark.parametrize(
    ("call", "step"),
    [("rename", 1), *thorough(("fsync", 1), ("fdatasync", 3))],
)
def test_killed_anywhere_it_is_begun_anew_or_finished(keep: Keep, call: str, step: int) -> None:
    when, killed = 1 - step, 0
    while True:
        when += step
        shutil.rmtree(keep.state, ignore_errors=True)
        make_old(keep.log, COUNT)
        head = keep.head()
        inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:signal=SIGKILL:when={when}"]
        argv = [*inject, sys.executable, str(Path(__file__).with_name("old_log.py")), str(keep.log)]
        environ = {**keep.env, "PYTHONPATH": ":".join(sys.path)}
        done = subprocess.run(argv, capture_output=True, text=True, env=environ, check=False)
        if done.returncode == 0:
            break
        killed += 1
        assert done.returncode in {-9, 137}, done.stderr
        assert layout(keep.log) in {1, 3}
        if layout(keep.log) == 3:
            assert copies(keep.state)[0] == f"events.v1-at-{COUNT}.db", "no new layout without a copy of the old"
            checked = check_copy(keep.state / copies(keep.state)[0])
            assert (checked.position, checked.hash) == head
        open_and_tell(keep.log)
        (told,) = reopened(keep.log)
        assert "LogMigrated" in told
        assert copies(keep.state) == [f"events.v1-at-{COUNT}.db"]
    assert killed


def test_a_migration_that_fails_leaves_the_file_as_it_was(keep: Keep) -> None:
    make_old(keep.log, COUNT)
    head = keep.head()
    broken = (Migration(("CREATE TABLE more (word TEXT)", "INSERT INTO nowhere VALUES (1)")),)
    with pytest.raises((sqlite3.Error, LogUnusable), match="no such table: nowhere"):
        open_for_writing(keep.log, broken)
    assert (layout(keep.log), keep.head()) == (1, head)
    lossy = (Migration(("DROP TRIGGER events_are_never_deleted", "DELETE FROM events WHERE position > 3")),)
    with pytest.raises(LogUnusable, match="would not hold the same events"):
        open_for_writing(keep.log, lossy)
    assert (layout(keep.log), keep.head()) == (1, head)


def test_a_damaged_old_file_is_not_brought_forward(keep: Keep) -> None:
    make_old(keep.log, COUNT)
    connection = sqlite3.connect(keep.log)
    connection.execute("DROP TRIGGER events_are_never_changed")
    connection.execute("UPDATE events SET actor = 'x' WHERE position = 7")
    connection.commit()
    connection.close()
    with pytest.raises(LogUnusable, match="cannot be brought forward: the log does not hold from position 7"):
        open_for_writing(keep.log, FURTHER)
    assert layout(keep.log) == 1


@tracing
def test_without_room_for_the_copy_nothing_is_changed_and_it_is_said(keep: Keep) -> None:
    make_old(keep.log, COUNT)
    inject = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(keep.state / f"events.v1-at-{COUNT}.db.part")]
    argv = [*inject, "-e", "inject=pwrite64:error=ENOSPC", sys.executable]
    argv += [str(Path(__file__).with_name("old_log.py")), str(keep.log)]
    done = subprocess.run(
        argv, capture_output=True, text=True, env={**keep.env, "PYTHONPATH": ":".join(sys.path)}, check=False
    )
    assert done.returncode == 1
    assert "was not brought forward: no copy of it could be made at" in done.stderr.splitlines()[-1]
    assert (layout(keep.log), copies(keep.state)) == (1, [])


def test_an_older_learnd_refuses_a_newer_file_in_every_verb(keep: Keep) -> None:
    make_old(keep.log, COUNT)
    open_and_tell(keep.log)
    before = keep.log.read_bytes()
    for argv in (("status", "--json"), ("tail",), ("daemon",), ("backup", "b")):
        done = keep.learnd(*argv)
        assert (done.returncode, done.stdout) == (1, ""), argv
        assert "was written by a newer learnd (log schema 3, this one knows 1). Next: upgrade learnd" in done.stderr
    assert keep.log.read_bytes() == before


def test_a_backup_of_a_newer_learnd_is_refused(keep: Keep) -> None:
    keep.faults(1)
    folder = keep.backup()
    manifest = json.loads((folder / "backup.json").read_text())
    (folder / "backup.json").write_text(json.dumps({**manifest, "format": 2, "learnd_version": "9.1", "more": 1}))
    done = keep.restore(folder)
    assert done.returncode == 1
    assert "was written by a newer learnd, 9.1 (backup format 2, this one knows 1). Next: upgrade learnd" in done.stderr
