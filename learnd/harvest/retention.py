"""Retention: what a snapshot occupied is given back.

Whoever calls this has decided that the job is at rest and its pattern needs the snapshot no more; the log keeps saying
what it was. Objects that other snapshots share stay, and so do objects younger than a day (a replay may be using them).
"""

from __future__ import annotations

from pathlib import Path

from events.values import SnapshotRecord
from learnd import clock
from learnd.harvest import places
from learnd.harvest.store import SnapshotStore

_DAY_S = 86_400


def prune(record: SnapshotRecord, store: SnapshotStore, *, now: str) -> int:
    """Delete the snapshot's tag, tarball, tarball copy and objects; returns the bytes freed. Doing it twice frees 0.

    `now` (ISO 8601) tells which trees held for runs in progress are older than the record's retention. Raises
    SnapshotError, DiskFull (git needs room to repack).
    """
    with store.locked():
        freed = places.remove(store.repo, Path(record.tarball.path))
        if record.storage_copy is not None:
            copy = Path(record.storage_copy.path)
            # In an operator's own folder there is no repository to be led out of: its task folder is the root.
            freed += places.remove(store.repo if copy.is_relative_to(store.repo) else copy.parent, copy)
        before = store.size()
        held_before = clock.parse(now).timestamp() - record.retention_days * _DAY_S
        store.prune((record.tag,), held_before=held_before)
        return freed + max(0, before - store.size())
