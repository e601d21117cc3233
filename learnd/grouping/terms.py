"""On what terms a queued job takes part in grouped validation: which services it touches, and until when it waits."""

from __future__ import annotations

import os
from datetime import timedelta

from events.values import SnapshotRecord
from learnd.clock import iso, now, parse
from learnd.grouping.services import services_of, several
from learnd.harvest.faults import shown
from learnd.harvest.store import SnapshotStore
from learnd.ids import group_id
from learnd.settings import Validation
from state.commands import GroupTerms
from state.job import Job


def terms(job: Job, record: SnapshotRecord, store: SnapshotStore, asked: Validation) -> GroupTerms | None:
    """None where jobs are validated one by one. Raises SnapshotError.

    The window opens when the run completed; a completion in the future, of a clock that was set back, counts as now.
    """
    if asked.mode == "per-task":
        return None
    changed = (os.fsdecode(change.path) for change in store.numstat(record.base_tree, record.tree))
    files = frozenset(entry.path for entry in store.list_files(record.tree))
    found = services_of(changed, files, asked.services)
    services = several(tuple(shown(os.fsencode(service)) for service in found))
    moment = now()
    opened = min(parse(job.completed_at or moment), parse(moment))
    closes_at = iso(opened + timedelta(hours=asked.window_hours))
    return GroupTerms(group_id(", ".join(services), [job.id]), services, closes_at, asked.window_hours)
