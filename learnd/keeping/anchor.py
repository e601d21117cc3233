"""What the log's head was, kept outside of the log: the only witness against a cut tail or a whole rewrite.

A chain shows that what stands there belongs together. It does not show that more stood there once: an older file put in
its place holds just as well. So whoever writes the log appends its head (position, hash, time) to `anchors.jsonl`
beside it, and the journal hears of it; a backup's manifest is an anchor as well.

- An anchor is written after its event is durable: a log that is behind an anchor has lost something.
- A log that is behind its anchors, or holds other events than they say, is opened for writing by nobody until a person
  restores a backup or accepts the loss. Anchors that were given up so stay, marked `void`.
- The file stays short: when it has `LIMIT` lines, every second one of the older half goes.
- A line that a crash cut short is passed over.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import Field, ValidationError

from events.copies import hash_at
from events.database import LogUnusable, open_reader
from events.log import EventLog
from events.values import Digest, Value
from learnd.atomic import write_atomically
from learnd.clock import now
from learnd.locate import ANCHORS

LIMIT = 1000

_lock = threading.Lock()
log = structlog.get_logger("learnd.keeping")


class Anchor(Value):
    """The log ended with the event `position`, whose hash is `hash`. `void`: when a person gave this one up."""

    at: str
    position: int = Field(ge=0)
    hash: Digest
    void: str | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """An anchor that a log does not hold to: it `found` another hash there, or None, for it ends at `head`."""

    anchor: Anchor
    found: str | None
    head: int

    @property
    def reason(self) -> str:
        position, at = self.anchor.position, self.anchor.at
        if self.found is None:
            return f"ends at position {self.head}, yet position {position} was there at {at}: its end is missing"
        return f"has another event at position {position} than it had at {at}: it was rewritten, or is another log"


class LogBehind(LogUnusable):
    """The log is not what it was known to be."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} {reason}. Nothing was written. "
            "Next: learnd restore-backup BACKUP, or, to go on with the log as it is, "
            "learnd verify --accept-loss"
        )


def anchors_file(log_path: Path) -> Path:
    return log_path.with_name(ANCHORS)


def read_anchors(file: Path) -> list[Anchor]:
    """The anchors in a file, oldest first; none when it is not there. Raises OSError."""
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            found.append(Anchor.model_validate_json(line))
        except ValidationError:
            continue  # cut short by a crash
    return found


def first_broken(connection: sqlite3.Connection, anchors: Iterable[Anchor]) -> Broken | None:
    """The first of `anchors` that the log behind `connection` does not hold to. Raises sqlite3.DatabaseError."""
    (head,) = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
    for anchor in anchors:
        found = None if anchor.void else hash_at(connection, anchor.position)
        if not anchor.void and found != anchor.hash:
            return Broken(anchor, found, head)
    return None


def broken_in(log_path: Path, anchors: Iterable[Anchor]) -> Broken | None:
    """The same for the log at `log_path`; a log that is not there holds to none. Raises LogUnusable."""
    standing = [anchor for anchor in anchors if not anchor.void and anchor.position]
    if not standing:
        return None
    if not log_path.exists() or not log_path.stat().st_size:
        return Broken(standing[0], None, 0)
    connection = open_reader(log_path)
    try:
        return first_broken(connection, standing)
    except sqlite3.DatabaseError as error:
        raise LogUnusable(f"{log_path} cannot be read: {error}. Next: learnd restore-backup BACKUP") from error
    finally:
        connection.close()


def require_agreement(log_path: Path) -> None:
    """Raises LogBehind when the log does not hold to its own anchors, LogUnusable when that cannot be known."""
    file = anchors_file(log_path)
    try:
        broken = broken_in(log_path, read_anchors(file))
    except OSError as error:
        raise LogUnusable(f"{file} cannot be read: {error.strerror}. Next: let learnd's user read it") from error
    if broken is not None:
        raise LogBehind(log_path, broken.reason)


def drop_anchor(log_: EventLog) -> None:
    """Anchor the head of a log, by its writer; where that is not possible now, it is said and done the next time."""
    position, hash_ = log_.head()
    file = anchors_file(log_.path)
    try:
        with _lock:
            known = read_anchors(file)
            last = known[-1] if known else None
            if not position or (last and (last.position, last.hash, last.void) == (position, hash_, None)):
                return
            _append(file, Anchor(at=now(), position=position, hash=hash_))
            if len(known) >= LIMIT:
                _write(file, _thinned(known) + read_anchors(file)[-1:])
    except OSError as error:
        log.warning("head not anchored", file=str(file), reason=error.strerror or str(error))
        return
    log.info("anchored", position=position, hash=hash_)


def give_up(log_: EventLog) -> list[Anchor]:
    """Mark void every anchor that the log does not hold to, and anchor its head. Returns those. Raises OSError."""
    file = anchors_file(log_.path)
    with _lock:
        known = read_anchors(file)
        lost = [anchor for anchor in known if first_broken(log_.connection, [anchor])]
        if lost:
            at = now()
            _write(file, [anchor.model_copy(update={"void": at}) if anchor in lost else anchor for anchor in known])
    drop_anchor(log_)
    return lost


def _append(file: Path, anchor: Anchor) -> None:
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        size = os.fstat(handle).st_size
        whole = not size or os.pread(handle, 1, size - 1) == b"\n"
        os.write(handle, (b"" if whole else b"\n") + _line(anchor))
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(file: Path, anchors: list[Anchor]) -> None:
    write_atomically(file, b"".join(_line(anchor) for anchor in anchors), 0o600)


def _line(anchor: Anchor) -> bytes:
    return anchor.model_dump_json(exclude_none=True).encode() + b"\n"


def _thinned(anchors: list[Anchor]) -> list[Anchor]:
    """Every second of the older half and all of the newer; the first stays."""
    half = len(anchors) // 2
    return anchors[:half:2] + anchors[half:]
