"""A log that is not what it was known to be is noticed, and nobody writes it until a person has spoken."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from keeping_place import Keep, two_events

from events.chain import link
from learnd.keeping import anchor
from learnd.keeping.anchor import Anchor, LogBehind, drop_anchor, read_anchors, require_agreement
from learnd.views.store import open_for_writing

ZEROS = "0" * 64


def anchors(keep: Keep) -> list[Anchor]:
    return read_anchors(keep.state / "anchors.jsonl")


def assert_refused(keep: Keep, *words: str) -> None:
    """Neither the daemon nor a verb writes, and all say why."""
    before = keep.log.read_bytes() if keep.log.exists() else None
    for argv in (("daemon",), ("rebuild",)):
        done = keep.learnd(*argv)
        assert done.returncode == 1, argv
        assert len(done.stderr.splitlines()) == 1
        for word in words:
            assert word in done.stderr or (before is None and argv != ("daemon",)), (argv, done.stderr)
    assert (keep.log.read_bytes() if keep.log.exists() else None) == before


def test_the_head_is_anchored_by_whoever_wrote(keep: Keep) -> None:
    keep.faults(1)
    keep.faults(2)
    assert [found.position for found in anchors(keep)] == [2, 6]
    assert anchors(keep)[-1].hash == keep.head()[1]
    assert keep.learnd("verify").stdout.startswith(f"{keep.log} holds: 6 events, 2 anchors\n")
    assert (keep.state / "anchors.jsonl").stat().st_mode & 0o777 == 0o600


def test_an_older_file_put_in_place_by_hand_is_refused_until_the_loss_is_accepted(keep: Keep) -> None:
    keep.faults(1)
    older = shutil.copy(keep.log, keep.root / "older.db")
    keep.faults(1)
    shutil.copy(older, keep.log)

    assert_refused(keep, "ends at position 2, yet position 4 was there at", "learnd restore", "verify --accept-loss")
    done = keep.learnd("verify", "--json")
    assert done.returncode == 1
    assert (json.loads(done.stdout)["ok"], json.loads(done.stdout)["damaged_at"]) == (False, 4)
    assert "log anchors" in keep.learnd("doctor").stdout

    accepted = keep.learnd("verify", "--accept-loss", "--json")
    assert json.loads(accepted.stdout)["lost_position"] == 4
    assert keep.types() == ["FaultRaised", "FaultCleared", "LogRestored"]
    assert [bool(found.void) for found in anchors(keep)] == [False, True, False]
    keep.faults(1)
    assert keep.learnd("verify").returncode == 0
    again = keep.learnd("verify", "--accept-loss")
    assert (again.returncode, "there is no loss to accept" in again.stderr) == (1, True)


def test_a_log_that_was_deleted_is_not_made_anew_in_silence(keep: Keep) -> None:
    keep.faults(1)
    keep.log.unlink()
    assert_refused(keep, "its end is missing")
    assert "is gone: there was one" in keep.learnd("status").stderr
    assert not keep.log.exists()
    keep.log.touch()
    with pytest.raises(LogBehind, match="its end is missing"):
        require_agreement(keep.log)
    assert keep.learnd("verify", "--accept-loss").returncode == 0
    assert keep.types() == ["LogRestored"]


def test_a_garbled_write_ahead_log_that_drops_committed_events_is_noticed(keep: Keep) -> None:
    keep.faults(1)
    with open_for_writing(keep.log) as log:
        for _ in range(3):
            two_events(log)
        drop_anchor(log)
        # As after a kill: the events are in the write-ahead log only.
        crashed = keep.root / "crashed"
        crashed.mkdir()
        for name in ("events.db", "events.db-wal"):
            shutil.copy(keep.state / name, crashed / name)
    for name in ("events.db", "events.db-wal"):
        shutil.copy(crashed / name, keep.state / name)
    wal = keep.state / "events.db-wal"
    content = bytearray(wal.read_bytes())
    assert len(content) > 4096
    content[-2000] ^= 0xFF
    wal.write_bytes(content)
    assert_refused(keep, "its end is missing")
    assert wal.read_bytes() == bytes(content), "what is left of the evidence stays as it is"


def rewrite(log: Path, position: int) -> None:
    """Change one event and mend the chain behind it, as somebody would who wants to deceive."""
    connection = sqlite3.connect(log)
    triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    previous = ZEROS
    rows = connection.execute("SELECT * FROM events ORDER BY position").fetchall()
    for row in rows:
        stored = list(row[:11])
        if row[0] == position:
            stored[7] = "somebody else"
        previous = link(previous, tuple(stored))
        connection.execute("UPDATE events SET actor = ?, hash = ? WHERE position = ?", (stored[7], previous, row[0]))
    for _, sql in triggers:
        connection.execute(sql)
    connection.commit()
    connection.close()


def test_a_rewritten_log_whose_chain_holds_is_refused(keep: Keep) -> None:
    keep.faults(1)
    keep.faults(1)
    rewrite(keep.log, 3)
    copy = shutil.copy(keep.log, keep.root / "copy.db")
    assert keep.learnd("verify", "--log", copy).returncode == 0, "the chain alone does not show it"
    assert_refused(keep, "has another event at position 4 than it had at")


def test_witnesses_kept_elsewhere_are_heard(keep: Keep) -> None:
    keep.faults(1)
    folder = keep.backup_by_verb()
    position, hash_ = keep.head()
    kept = shutil.copy(keep.state / "anchors.jsonl", keep.root / "kept.jsonl")
    keep.faults(1)
    own = [folder, folder / "backup.json", kept, f"{position}:{hash_}"]
    assert keep.learnd("verify", *[word for one in own for word in ("--anchors", one)]).returncode == 0

    # Everything in the state folder rewritten, anchors included.
    rewrite(keep.log, 1)
    (keep.state / "anchors.jsonl").unlink()
    assert keep.learnd("verify").returncode == 0
    for witness in own:
        done = keep.learnd("verify", "--anchors", witness)
        assert (done.returncode, "it was rewritten, or is another log" in done.stderr) == (1, True)
    for nothing in (keep.root / "nowhere", keep.log, "12:xyz"):
        assert keep.learnd("verify", "--anchors", nothing).returncode == 2


def test_a_line_that_a_crash_cut_short_is_passed_over(keep: Keep) -> None:
    keep.faults(1)
    file = keep.state / "anchors.jsonl"
    with file.open("ab") as torn:
        torn.write(b'{"at":"2026-01-31T12:00:00.000Z","posi')
    keep.faults(1)
    assert [found.position for found in anchors(keep)] == [2, 4]
    file.write_bytes(file.read_bytes().replace(b'"posi\n', b'"posi'))
    assert [found.position for found in anchors(keep)] == [2]


def test_the_file_of_anchors_stays_short_and_keeps_the_first_and_the_last(
    keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchor, "LIMIT", 20)
    with open_for_writing(keep.log) as log:
        for _ in range(60):
            two_events(log)
            drop_anchor(log)
    found = [known.position for known in anchors(keep)]
    assert len(found) <= 20
    assert (found[0], found[-1]) == (2, 120)
    assert found == sorted(found)
    assert set(range(102, 122, 2)) <= set(found), "the newest are all there"
    require_agreement(keep.log)


def test_agreement_is_asked_of_every_anchor(keep: Keep) -> None:
    keep.faults(3)
    lines = [Anchor(at="2026-01-31T12:00:00.000Z", position=3, hash=ZEROS), *anchors(keep)]
    (keep.state / "anchors.jsonl").write_text("".join(f"{line.model_dump_json()}\n" for line in lines))
    with pytest.raises(LogBehind, match="has another event at position 3"):
        require_agreement(keep.log)
