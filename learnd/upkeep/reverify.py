"""Does a stale pattern's evidence hold in the code as it is now? Its smallest change is taken out, and both replayed.

    new state -> without the change (a three-way merge, backwards) -> both replayed like any other proof -> Evidence

Where the new state has the change no more, it is put in instead (forwards). Where neither fits, or the replays do not
prove it, the pattern stays stale and says why. The change comes from the retained snapshot, which is checked first.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from pathlib import Path

from events.values import Evidence, SnapshotRecord
from learnd.harvest.faults import PatchDoesNotApply, SnapshotDamaged, SnapshotError
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.snapshot import verify_snapshot
from learnd.harvest.store import SnapshotStore
from learnd.lab.attest import LogHead
from learnd.lab.change import Change, read_change
from learnd.lab.hunks import Unit, combined
from learnd.lab.prove import ProofRequest, prove
from learnd.rules.target import exercised
from learnd.steps.scenario import stacks
from learnd.upkeep import REVERIFIED
from learnd.workplace import Workplace
from state.commands import GiveReverificationUp, Reverify
from state.freshness import Seen
from state.job import Job
from state.pattern import Pattern

_NAMESPACE = uuid.UUID("0f3b9a52-1d5e-4a0f-8f5d-6c5a3a1c9e77")


@dataclass(frozen=True)
class Rebased:
    """The two sides of the pattern's change in the new state."""

    base: str
    snapshot: str


class NotRebased(Exception):
    """The change cannot be taken out of the new state, nor put into it; the message says what is in the way."""


def verify_again(
    pattern: Pattern, seen: Seen, place: Workplace, cancel: threading.Event
) -> Reverify | GiveReverificationUp:
    """Replay a stale pattern's evidence in the state `seen`.

    Raises ReplayCancelled, SandboxUnavailable, DiskFull, NoRoomForTrees.
    """
    job = place.door.job(pattern.job_id)
    if job.snapshot is None or job.scenario is None or job.evidence is None or job.snapshot_pruned:
        return _given_up(pattern, seen, "no_snapshot", "the snapshot that its evidence rests on is not kept any more")
    try:
        store = place.store(job.repo_id, job.repo_path)
        verify_snapshot(job.snapshot, store)
        sides = rebased(job, seen.tree, store)
        evidence = _proven(pattern, job, sides, store, place, cancel)
    except NotRebased as error:
        return _given_up(pattern, seen, "does_not_apply", f"{seen.what}: {error}")
    except SnapshotDamaged as error:
        return _given_up(pattern, seen, "snapshot", f"its snapshot does not hold: {error}")
    except (SnapshotError, NotARepository, OSError) as error:
        return _given_up(pattern, seen, "unreadable", str(error))
    if evidence.verdict != "proven":
        why = f"{seen.what}: {evidence.verdict}{f' ({evidence.cause})' if evidence.cause else ''}"
        return _given_up(pattern, seen, "not_proven", f"{why}. {evidence.detail}".strip(), evidence)
    return Reverify(pattern.id, evidence, seen.tree, seen.files)


def rebased(job: Job, tree: str, store: SnapshotStore) -> Rebased:
    """The pattern's smallest change, as it stands in `tree`. Raises NotRebased, SnapshotError."""
    assert job.snapshot is not None  # noqa: S101 - the caller looked
    assert job.scenario is not None  # noqa: S101 - the caller looked
    assert job.evidence is not None  # noqa: S101 - the caller looked
    change = read_change(job.snapshot, job.scenario, stacks(store, job.snapshot), store)
    units = smallest(change, job.evidence)
    if not units:
        raise NotRebased("its evidence names no change")
    try:
        without = store.apply(change.snapshot, combined(units), reverse=True)
    except PatchDoesNotApply as error:
        raise NotRebased(f"the change does not come apart: {error}") from error
    patch = store.diff(without, change.snapshot)
    try:
        return Rebased(store.apply_merging(tree, patch, reverse=True), tree)
    except PatchDoesNotApply as backwards:
        try:
            there = store.apply_merging(tree, patch)
        except PatchDoesNotApply:
            raise NotRebased(f"what the change did was changed again ({_one_line(str(backwards))})") from backwards
    if there == tree:
        raise NotRebased("the change makes no difference there")
    after = {entry.path: entry for entry in store.list_files(change.snapshot)}
    return Rebased(tree, store.tree_with(there, {path: after.get(path) for path in change.test_paths}))


def smallest(change: Change, evidence: Evidence) -> tuple[Unit, ...]:
    """The units of the smallest proven change; of all that were exercised where none was found."""
    if evidence.minimal is not None and evidence.minimal.verified:
        return tuple(change.units[number] for number in evidence.minimal.hunks if number < len(change.units))
    return exercised(change, evidence)


def _proven(
    pattern: Pattern, job: Job, sides: Rebased, store: SnapshotStore, place: Workplace, cancel: threading.Event
) -> Evidence:
    assert job.scenario is not None  # noqa: S101 - the caller looked
    record = _record(pattern, job, sides, store)
    owner = Path(job.repo_path).stat()
    root = place.settings.state_dir / REVERIFIED
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    request = ProofRequest(
        job_id=f"reverify-{pattern.id}",
        repo_path=Path(job.repo_path),
        record=record,
        scenario=job.scenario,
        learning_dir=root / pattern.id,
        work_dir=place.work_dir,
        # What matters is known; that it still is the smallest is not asked.
        lab=place.settings.lab.model_copy(update={"minimal_seconds": 0.0}),
        owner_uid=owner.st_uid,
        owner_gid=owner.st_gid,
        stacks=stacks(store, record),
        root=root,
        log_head=LogHead(*place.door.log.head()),
        suffix=f"-{sides.snapshot[:12]}",
        stored=False,
        progress=lambda line: place.progress(job.id, f"verifying pattern {pattern.id[:8]} again: {line}"),
    )
    return prove(request, store, place.sandbox(), cancel)


def _record(pattern: Pattern, job: Job, sides: Rebased, store: SnapshotStore) -> SnapshotRecord:
    """The rebased change as a snapshot that was never stored: its trees are in the store, it has no files."""
    assert job.snapshot is not None  # noqa: S101 - the caller looked
    at = job.completed_at or "1970-01-01T00:00:00Z"
    before = store.commit(sides.base, parent_tree_commit=None, message="base\n", at=at)
    message = f"pattern {pattern.id} verified again\n"
    commit = store.commit(sides.snapshot, parent_tree_commit=before, message=message, at=at)
    return job.snapshot.model_copy(
        update={
            "snapshot_id": str(uuid.uuid5(_NAMESPACE, f"{pattern.id} {sides.base} {sides.snapshot}")),
            "commit": commit,
            "tree": sides.snapshot,
            "base_tree": sides.base,
        }
    )


def _given_up(
    pattern: Pattern, seen: Seen, cause: str, detail: str, evidence: Evidence | None = None
) -> GiveReverificationUp:
    from learnd.crystalizer.redact import redact  # noqa: PLC0415 - detect-secrets is slow to import

    return GiveReverificationUp(pattern.id, cause, redact(detail).text[:2000], seen.tree, seen.files, evidence)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
