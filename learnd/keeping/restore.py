"""`learnd restore-backup BACKUP`: the log put back as it was, with its stores, and what that loses said first.

`look` compares, `put_back` acts, both under the log's lock. Stores and quarantined texts are *added* to what stands
there: what later snapshots left costs room and harms nothing, and a job that is opened anew finds its capture again.
Then the log changes hands (see `swap.py`): killed before that, the state is the old one; after it, the new.

What is lost is told by the present log, where it can be read, and by the anchors outside of it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from events.copies import hash_at, head_of
from events.database import LogMissing, LogUnusable, open_reader
from learnd.atomic import sync_folder, write_atomically
from learnd.clock import now
from learnd.harvest.faults import DiskFull, SnapshotError
from learnd.keeping import bundles, swap
from learnd.keeping.anchor import anchors_file, first_broken, read_anchors
from learnd.keeping.backup import PREFIX, QUARANTINE, REPOSITORIES
from learnd.keeping.manifest import MANIFEST, Backup, BackupUnusable, check_backup, digest, is_backup, read_manifest
from learnd.locate import NAME

OF_ITSELF = frozenset({"LogBackedUp", "DaemonStarted", "DaemonStopped"})
"""Events that nothing follows from: a backup is always followed by the one that records it."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What existed and is not in the backup: events after `kept` up to `position`, the last that is known of.

    `since` is when the first of them was recorded, or the earliest moment known. `types` counts them, where the log
    that has them can be read; `parted` when what stands at the same positions differs.
    """

    kept: int
    position: int
    since: str
    types: dict[str, int] = field(default_factory=dict)
    parted: bool = False

    @property
    def count(self) -> int:
        return self.position - self.kept

    @property
    def harmless(self) -> bool:
        """Whether all of it is known, and says nothing but that backups were made and learnd came and went."""
        return not self.parted and bool(self.types) and self.types.keys() <= OF_ITSELF


@dataclass(frozen=True, slots=True)
class Plan:
    """A backup that holds, and what restoring it would mean. `unreadable`: why the present log says nothing."""

    folder: Path
    backup: Backup
    loss: Loss | None
    unreadable: str | None
    newer: Path | None


def look(folder: Path, log_path: Path) -> Plan:
    """Check a backup and compare it with what is there. Raises BackupUnusable."""
    _require_own_state(log_path.parent)
    backup = check_backup(folder)
    loss, unreadable = _present_loss(folder, backup, log_path)
    known = _anchored_loss(folder, backup, log_path)
    if known is not None and (loss is None or known.position > loss.position):
        loss = known
    if loss is not None and loss.harmless:
        loss = None
    return Plan(folder.resolve(), backup, loss, unreadable, _newer(folder, backup))


def put_back(plan: Plan, log_path: Path, actor: str) -> swap.Restored:
    """Restore what was looked at. The caller holds the log's lock. Raises BackupUnusable, LogUnusable."""
    state = log_path.parent
    order = swap.Order(
        backup=str(plan.folder), position=plan.backup.position, hash=plan.backup.hash,
        lost_position=plan.loss.position if plan.loss else None, actor=actor, at=now(),
    )  # fmt: skip
    aside = swap.folder_aside(state, order.at)
    try:
        for copy in plan.backup.stores:
            stored = plan.folder / REPOSITORIES / copy.repo_id
            bundles.put_back(copy, stored, state / REPOSITORIES / copy.repo_id, aside / REPOSITORIES)
        _put_quarantine(plan.folder / QUARANTINE, state / QUARANTINE)
        _stage(plan, log_path)
    except DiskFull as error:
        raise BackupUnusable(f"no room to restore in {state}; the log is as it was. Next: make room there") from error
    except (SnapshotError, OSError) as error:
        raise BackupUnusable(
            f"not restored, the log is as it was: {error}. Next: mend that, and restore again"
        ) from error
    swap.begin(log_path, order)
    return swap.finish(log_path)


def _require_own_state(state: Path) -> None:
    """What another user restores could not be written by the daemon. Raises BackupUnusable."""
    try:
        owner = state.stat().st_uid
    except FileNotFoundError:
        return
    except OSError as error:
        raise BackupUnusable(f"{state} cannot be reached: {error.strerror}. Next: run as learnd's user") from error
    if owner != os.geteuid():
        raise BackupUnusable(f"{state} belongs to the user with uid {owner}. Next: restore as that user, by sudo -u")


# --- what would be lost ---


def _present_loss(folder: Path, backup: Backup, log_path: Path) -> tuple[Loss | None, str | None]:
    """What the present log has and the backup has not; or why that cannot be told."""
    try:
        with closing(open_reader(log_path)) as present, closing(open_reader(folder / NAME)) as copy:
            head, _ = head_of(present)
            kept = _common(present, copy, min(head, backup.position))
            if head <= kept:
                return None, None
            query = "SELECT type FROM events WHERE position > ?"
            types = Counter(name for (name,) in present.execute(query, (kept,)).fetchall())
            (since,) = present.execute("SELECT at FROM events WHERE position = ?", (kept + 1,)).fetchone()
            return Loss(kept, head, since, dict(types.most_common()), kept < min(head, backup.position)), None
    except LogMissing:
        return None, None
    except (LogUnusable, sqlite3.DatabaseError, TypeError) as error:
        return None, f"{log_path} cannot be read ({str(error).partition('. Next')[0]})"


def _common(one: sqlite3.Connection, other: sqlite3.Connection, shorter: int) -> int:
    """The last position up to which two logs are the same. Equal hashes say so of all that comes before them."""
    low, high = 0, shorter
    while low < high:
        middle = (low + high + 1) // 2
        if hash_at(one, middle) == hash_at(other, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _anchored_loss(folder: Path, backup: Backup, log_path: Path) -> Loss | None:
    """What the anchors prove to have existed and the backup has not."""
    anchors = [anchor for anchor in read_anchors(anchors_file(log_path)) if not anchor.void]
    with closing(open_reader(folder / NAME)) as copy:
        lost = [anchor for anchor in anchors if first_broken(copy, [anchor])]
        held = [anchor.position for anchor in anchors if anchor not in lost]
    if not lost:
        return None
    parted = any(anchor.position <= backup.position for anchor in lost)
    kept = max(held, default=0) if parted else backup.position
    since = lost[0].at if parted else (backup.head_at or backup.made_at)
    return Loss(kept, max(anchor.position for anchor in lost), since, parted=parted)


def _newer(folder: Path, backup: Backup) -> Path | None:
    """The newest backup beside this one that ends later."""
    best = None
    for other in sorted(folder.resolve().parent.glob(f"{PREFIX}*")):
        if not is_backup(other):
            continue
        try:
            position = read_manifest(other).position
        except BackupUnusable:
            continue
        if position > max(backup.position, best[0] if best else 0):
            best = (position, other)
    return best[1] if best else None


# --- putting back ---


def _put_quarantine(source: Path, target: Path) -> None:
    """Texts that are gone; what is there is newer, or the same."""
    if not source.is_dir():
        return
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in sorted(source.glob("*.md")):
        if not os.path.lexists(target / file.name):
            write_atomically(target / file.name, file.read_bytes(), 0o600)


def _stage(plan: Plan, log_path: Path) -> None:
    """The backup's log, read back, under the name from which it takes the present one's place."""
    staged = swap.staged(log_path)
    log_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged.unlink(missing_ok=True)
    with (plan.folder / NAME).open("rb") as source, staged.open("xb") as target:
        os.fchmod(target.fileno(), 0o600)
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
    sync_folder(log_path.parent)
    expected = next(part.sha256 for part in plan.backup.parts if part.path == NAME)
    if digest(staged) != expected:
        raise BackupUnusable(f"{plan.folder / MANIFEST}: the log changed while it was copied. Next: restore again")
