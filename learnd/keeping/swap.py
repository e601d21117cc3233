"""The moment in which one log takes another's place: from then on there is no way back, only forward.

`begin` writes the order to `restoring.json`; whoever holds the lock next carries it out (`finish`), the verb itself or,
when it was killed, anything else that opens the log for writing. Each step looks whether it is done already.

The log that was there goes to `set-aside/<time>/`, side files and all, as it lies; nothing is deleted. So do pattern
files that the restored log knows nothing of although their runs are here: those runs are learned from anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from events.copies import head_of
from events.database import LogUnusable, make_private_folder
from events.log import AppendFailed, EventLog
from events.values import Digest, Value
from learnd.atomic import sync_folder, write_atomically
from learnd.clock import parse
from learnd.door import Door
from learnd.keeping.anchor import give_up
from learnd.keeping.migrations import record_migrations
from learnd.library.canonical import claimed_id
from learnd.library.files import FOLDERS, PATTERNS
from learnd.library.folders import Folder, FolderRefused
from learnd.library.patterns import PatternUnreadable
from learnd.library.patterns import parse as parse_pattern
from learnd.views.queries import Views
from learnd.views.store import open_for_writing, read_connection, rebuild
from state.commands import RecordRestore

ORDER = "restoring.json"
SET_ASIDE = "set-aside"
SIDE_FILES = ("-wal", "-shm")


class Order(Value):
    """Put the staged log in place. What it is, and who said so."""

    backup: str
    position: int = Field(ge=0)
    hash: Digest
    lost_position: int | None
    actor: str
    at: str


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done: where the former log is, None where there was none, and pattern files that went with it."""

    order: Order
    former: Path | None
    patterns: tuple[Path, ...]


def staged(log_path: Path) -> Path:
    return log_path.with_name(log_path.name + ".restoring")


def folder_aside(state: Path, at: str) -> Path:
    """Where what is replaced at the time `at` goes."""
    return state / SET_ASIDE / f"{parse(at):%Y%m%dT%H%M%S.%fZ}"


def pending(log_path: Path) -> Order | None:
    """The order that was given and not carried out to the end. Raises LogUnusable."""
    file = log_path.with_name(ORDER)
    try:
        return Order.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise LogUnusable(
            f"{file} cannot be read: {error}. Next: let learnd's user read it, or restore again"
        ) from error


def begin(log_path: Path, order: Order) -> None:
    """Give the order: from here on the staged log is the one."""
    write_atomically(log_path.with_name(ORDER), order.model_dump_json() + "\n", 0o600)


def finish(log_path: Path) -> Restored:
    """Carry the order out. The caller holds the log's lock. Raises LogUnusable."""
    order = pending(log_path)
    if order is None:
        raise LogUnusable(f"nothing was begun to be restored at {log_path}. Next: learnd restore-backup BACKUP")
    folder = folder_aside(log_path.parent, order.at)
    try:
        if staged(log_path).exists():
            _exchange(log_path, folder)
        patterns = _settle(log_path, order, folder)
        log_path.with_name(ORDER).unlink()
        sync_folder(log_path.parent)
    except (OSError, AppendFailed) as error:
        raise LogUnusable(
            f"the restore from {order.backup} is not done yet: {error}. Next: mend that; the next start goes on with it"
        ) from error
    former = folder / log_path.name
    return Restored(order, former if former.exists() else None, patterns)


def _exchange(log_path: Path, folder: Path) -> None:
    """At no moment is there no log: the former one gets a second name before it loses its first."""
    make_private_folder(folder.parent)
    make_private_folder(folder)
    former = folder / log_path.name
    if log_path.exists() and not former.exists():
        os.link(log_path, former)
    for suffix in SIDE_FILES:
        beside = log_path.with_name(log_path.name + suffix)
        if beside.exists():
            beside.rename(folder / beside.name)
    sync_folder(folder)
    staged(log_path).rename(log_path)
    sync_folder(log_path.parent)


def _settle(log_path: Path, order: Order, folder: Path) -> tuple[Path, ...]:
    with open_for_writing(log_path) as log:
        rebuild(log)
        door = Door(log)
        if head_of(log.connection) == (order.position, order.hash):
            said = RecordRestore(order.backup, order.position, order.hash, order.lost_position)
            door.handle(said, order.actor)
        record_migrations(door)
        give_up(log)
        return tuple(set_unknown_aside(log, log_path.parent / "quarantine", folder))


# --- pattern files ---


def set_unknown_aside(log: EventLog, quarantine: Path, folder: Path) -> Iterator[Path]:
    """Move away the pattern files that only the lost part of the log knows; yields where they stood.

    Their runs are learned from anew, and what a later text finds in its place would be taken for a person's edit. Files
    of patterns whose run is not here are somebody else's (fetched with git) and stay.
    """
    views = Views(read_connection(log))
    known = {row.id for row in views.patterns()}
    for tree in views.work_trees():
        for name in FOLDERS:
            yield from _move(Path(tree.path), (*PATTERNS, name), known, folder / "patterns" / name, own=False)
    if quarantine.is_dir():
        yield from _move(quarantine, (), known, folder / "patterns/quarantine", own=True)


def _move(root: Path, parts: tuple[str, ...], known: set[str], target: Path, *, own: bool) -> Iterator[Path]:
    try:
        opened = Folder.at(root, *parts)
    except FolderRefused:
        return  # not there, or a link: nothing that learnd wrote
    if opened is None:
        return
    with opened:
        for name in sorted(opened.names()):
            content = opened.read(name) if name.endswith(".md") else None
            if not isinstance(content, bytes) or not _is_lost(content, known, None if own else root):
                continue
            write_atomically(target / name, content, 0o600)
            if opened.remove(name, content):
                yield root.joinpath(*parts, name)


def _is_lost(content: bytes, known: set[str], repo: Path | None) -> bool:
    """Whether this is a pattern that the log does not know, of a run of this repository."""
    text = content.decode(errors="replace")
    if claimed_id(text) in {None, *known}:
        return False
    if repo is None:
        return True
    try:
        manifest = Path(parse_pattern(text).front.manifest_path)
    except PatternUnreadable:
        return False
    return (manifest if manifest.is_absolute() else repo / manifest).is_file()
