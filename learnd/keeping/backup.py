"""`learnd backup`: log, snapshot stores and pattern texts, copied while the daemon works.

- The log first, then the stores: a store then holds all that the log's copy tells of.
- Everything is written to a hidden folder aside, read back (chain, digests, each bundle put back for a trial), and
  renamed into its dated place: a backup is there whole or not at all, and none is ever written over.
- Whoever types the verb reads and writes with their own rights. The daemon is only told (LogBackedUp).
- A store that cannot be copied does not keep the log from being backed up: the manifest names it as left out.

    learnd-20260131T120000Z/
      backup.json              what is in it, and the log's head
      events.db                the log
      repositories/<id>/       store.bundle, records.tar
      quarantine/              texts that a gate refused
      patterns/<repository>/   candidates/, active/, …: for people, for the log has them all
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from events.copies import check_copy, copy_log, head_of
from events.database import LogUnusable, is_disk_full, open_reader
from events.log import EventLog, LogDamaged
from learnd.atomic import sync_folder, write_atomically
from learnd.clock import now, parse
from learnd.harvest.faults import DiskFull, SnapshotError, disk_faults
from learnd.keeping.bundles import StoreCopy, check_store, copy_store
from learnd.keeping.manifest import FORMAT, MANIFEST, Backup, BackupUnusable, LeftOut, check_parts, is_backup, parts_of
from learnd.library.files import FOLDER_OF
from learnd.library.wanted import wanted_of
from learnd.locate import NAME
from learnd.views.queries import Views
from learnd.views.store import read_connection

PREFIX = "learnd-"
PART = ".part"
REPOSITORIES, QUARANTINE, PATTERNS = "repositories", "quarantine", "patterns"


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was read back, and what it holds."""

    folder: Path
    manifest: Backup


def make_backup(log_path: Path, target: Path) -> Made:
    """Back up the state that `log_path` lies in to a new dated folder in `target`. Raises BackupUnusable."""
    state = log_path.parent
    _require_place(target, state)
    try:
        with closing(open_reader(log_path)) as source:
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _aside(target) as folder:
                manifest = _fill(source, state, folder)
                return Made(_into_place(folder, target, manifest.made_at), manifest)
    except LogUnusable as error:
        raise BackupUnusable(str(error)) from error
    except LogDamaged as error:
        raise BackupUnusable(f"no backup was made: {log_path}: {error}") from error
    except DiskFull as error:
        raise _full(target) from error
    except sqlite3.Error as error:
        if is_disk_full(error):
            raise _full(target) from error
        raise BackupUnusable(f"{log_path} could not be copied to {target}: {error}. Next: learnd verify") from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise _full(target) from error
        where = error.filename or target
        raise BackupUnusable(
            f"no backup was made: {where}: {error.strerror}. Next: name a folder that this user may write, and run as "
            "a user who may read learnd's state"
        ) from error


def _fill(source: sqlite3.Connection, state: Path, folder: Path) -> Backup:
    copy = folder / NAME
    copy_log(source, copy)
    check_copy(copy)
    with closing(open_reader(copy)) as copied:
        position, hash_ = head_of(copied)
        (layout,) = copied.execute("PRAGMA user_version").fetchone()
        at = copied.execute("SELECT at FROM events WHERE position = ?", (position,)).fetchone()
    stores, left_out = _copy_stores(state, folder)
    _copy_quarantine(state / QUARANTINE, folder / QUARANTINE)
    _write_patterns(copy, folder / PATTERNS)
    manifest = Backup(
        format=FORMAT, learnd_version=version("learnd"), made_at=now(), log_layout=layout, position=position,
        hash=hash_, head_at=at[0] if at else None, parts=parts_of(folder), stores=stores, left_out=left_out,
    )  # fmt: skip
    write_atomically(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n", 0o600)
    check_parts(folder, manifest)
    return manifest


def _copy_stores(state: Path, folder: Path) -> tuple[tuple[StoreCopy, ...], tuple[LeftOut, ...]]:
    copies, left_out = [], []
    for home in _folders(state / REPOSITORIES):
        target = folder / REPOSITORIES / home.name
        try:
            copy = copy_store(home, target)
            check_store(copy, target, folder)
        except (SnapshotError, OSError) as error:
            shutil.rmtree(target, ignore_errors=True)
            if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise
            if home.exists():  # else it was forgotten meanwhile
                left_out.append(LeftOut(what=f"{REPOSITORIES}/{home.name}", reason=str(error)))
        else:
            copies.append(copy)
    return tuple(copies), tuple(left_out)


def _copy_quarantine(source: Path, target: Path) -> None:
    if not source.is_dir():
        return
    target.mkdir(mode=0o700)
    for file in sorted(source.glob("*.md")):
        with disk_faults():
            try:
                write_atomically(target / file.name, file.read_bytes(), 0o600)
            except FileNotFoundError:
                continue  # released meanwhile


def _write_patterns(copy: Path, target: Path) -> None:
    """Every pattern as its file shows it, by repository and status."""
    with EventLog.open_readonly(copy) as log:
        views = Views(read_connection(log))
        for tree in views.work_trees():
            for pattern in wanted_of(log, views, tree.path):
                name = FOLDER_OF.get(pattern.status)
                if name is not None:
                    folder = target / f"{Path(tree.path).name}-{tree.repo_id[:8]}" / name
                    write_atomically(folder / pattern.file_name, pattern.file_text, 0o600)


def _folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []


# --- places ---


def _require_place(target: Path, state: Path) -> None:
    """Raises BackupUnusable for a target that holds other things, or would be lost together with the state."""
    if is_backup(target):
        raise BackupUnusable(f"{target} is a backup. Next: name the folder that it is in: {target.parent}")
    if target.resolve().is_relative_to(state.resolve()):
        raise BackupUnusable(f"{target} lies in learnd's own state, and is lost with it. Next: name another folder")
    try:
        names = [entry.name for entry in target.iterdir()]
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise BackupUnusable(f"{target} is a file. Next: name a folder for backups") from error
    except OSError as error:
        raise BackupUnusable(f"{target} cannot be read: {error.strerror}. Next: name another folder") from error
    if names and not any(name.lstrip(".").startswith(PREFIX) for name in names):
        raise BackupUnusable(
            f"{target} holds other things and no backup of learnd's. Next: name a folder of its own, such as "
            f"{target / 'learnd'}"
        )


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """A hidden folder that is gone again when the block fails. Its lock says that somebody is at work in it."""
    folder = target / f".{PREFIX}{os.getpid()}-{os.urandom(4).hex()}{PART}"
    with closing(_Opened(target)) as place:
        place.lock(fcntl.LOCK_EX)  # nobody takes for dead what has not got its lock yet
        _clear_dead(target)
        folder.mkdir(mode=0o700)
        own = _Opened(folder)
        own.lock(fcntl.LOCK_EX)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        own.close()


def _clear_dead(target: Path) -> None:
    """Remove what a backup that was killed has left."""
    for folder in target.glob(f".{PREFIX}*{PART}"):
        with closing(_Opened(folder)) as found, suppress(BlockingIOError):  # another backup is at work
            found.lock(fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)


class _Opened:
    """A folder that is held open, to be locked. The kernel lets go of the lock when its holder dies."""

    def __init__(self, folder: Path) -> None:
        self._handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def lock(self, how: int) -> None:
        fcntl.flock(self._handle, how)

    def close(self) -> None:
        os.close(self._handle)


def _into_place(folder: Path, target: Path, made_at: str) -> Path:
    """Give a whole backup its name, which nothing has yet; the rename is what makes it one."""
    for inner in sorted(folder.rglob("*")):
        if inner.is_dir():
            sync_folder(inner)
    sync_folder(folder)
    stem = f"{PREFIX}{parse(made_at):%Y%m%dT%H%M%SZ}"
    number = 1
    while True:
        final = target / (stem if number == 1 else f"{stem}-{number}")
        try:
            # A folder that is renamed onto one with something in it is refused, and backups are never empty.
            folder.rename(final)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            number += 1
        else:
            sync_folder(target)
            return final


def _full(target: Path) -> BackupUnusable:
    return BackupUnusable(f"no room for a backup in {target}; what was begun was removed. Next: make room there")
