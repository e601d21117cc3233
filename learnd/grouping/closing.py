"""waiting_for_group -> queued: the window is over, or a person says so; the group is closed for all members at once.

Who is a member follows from the log and the snapshots alone, so that whoever comes first closes the same group, and
whoever comes second finds it closed. Runs of another work tree, and runs that do not build on each other (see
`chain`), are never taken together: each waits and is closed for itself, and the event says why.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from events.catalog import GroupClosed
from events.values import FileRef, Group, GroupMember, SnapshotRecord
from learnd.atomic import write_atomically
from learnd.clock import parse
from learnd.grouping.chain import Chain, RunChange, before_all, chains
from learnd.harvest.faults import SnapshotError, shown
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.places import put
from learnd.harvest.store import SnapshotStore
from learnd.harvest.trees import TreeEntry
from learnd.ids import group_id, short
from learnd.steps.enqueue import recorded_snapshot
from learnd.steps.run_folder import learning_dir, suffix
from learnd.workplace import Workplace
from state.commands import CloseGroup, JoinGroup
from state.decide import Command
from state.job import Job, JobStatus
from state.refusal import Refused

ACTOR = "learnd:grouping"
TRIES = 5
"""Between looking and closing a member may be dismissed, or closed by another worker: then it is looked at anew."""

NAMED_PATHS = 2000
"""Changed paths that the event names; the diff has them all."""

ON_THEIR_WAY = (JobStatus.OPENED.value, JobStatus.SNAPSHOTTED.value)
"""Jobs of which nobody knows yet what they touch: one that completed in time is waited for."""


def close_group(job: Job, place: Workplace, cancel: threading.Event) -> Sequence[Command]:
    """Close the group that the job is in; nothing while a run that completed in time is still being captured."""
    place.progress(job.id, "closing its group")
    for _ in range(TRIES):
        current = place.door.job(job.id)
        if current.status is not JobStatus.WAITING_FOR_GROUP or current.group is not None:
            return []
        commands = _closing(current, place)
        if not commands or not isinstance(place.door.handle_together(commands, ACTOR), Refused):
            return []
    return []


def alone(job: Job, place: Workplace) -> CloseGroup:
    """`validation.mode` is per-task again: the job goes on by itself."""
    return CloseGroup(job.id, _group([job], job), "per_task", 'the setting validation.mode is "per-task" now')


def _closing(job: Job, place: Workplace) -> list[Command]:
    waiting = _waiting(job, place)
    try:
        store = place.store(job.repo_id, job.repo_path)
        runs, unreadable = _read(waiting, store)
    except (SnapshotError, NotARepository) as error:
        return [CloseGroup(job.id, _group([job], job), "unreadable", str(error))]
    if job.id in unreadable:
        return [CloseGroup(job.id, _group([job], job), "unreadable", unreadable[job.id])]
    jobs = {one.id: one for one in waiting}
    found = chains(runs, lambda first, other: _in_time(jobs[first], jobs[other]), store.descends)
    chain = next(chain for chain in found if any(run.job == job.id for run in chain.runs))
    chain = Chain(chain.runs, tuple(shown(os.fsencode(told)) for told in chain.apart))
    members = [jobs[run.job] for run in chain.runs]
    if not job.urgent and _somebody_comes(members[0], place):
        return []
    elsewhere = (*_already_told(members[0], place), *_elsewhere(job, place))
    return _closed(_Closing(job, members, chain, elsewhere), place, store)


@dataclass(frozen=True)
class _Closing:
    """A group about to be closed, and who asked for it."""

    job: Job
    members: list[Job]
    chain: Chain
    elsewhere: tuple[str, ...]


def _closed(closing: _Closing, place: Workplace, store: SnapshotStore) -> list[Command]:
    lead = closing.members[-1]
    group = _group(closing.members, closing.job)
    urgent = any(member.urgent for member in closing.members)
    record = tombstone = None
    if group.several:
        try:
            record = joint_snapshot(closing.members, closing.chain, place, store)
        except SnapshotError as error:
            return [CloseGroup(closing.job.id, _group([closing.job], closing.job), "unreadable", str(error))]
        tombstone = place.views().tombstone(lead.repo_id, record.diff.sha256)
    close = CloseGroup(
        lead.id,
        group,
        "expedited" if urgent else "window",
        apart=(*closing.chain.apart, *closing.elsewhere),
        snapshot=record,
        tombstone=tombstone,
        urgent=urgent,
    )
    return [*(JoinGroup(member.id, group) for member in closing.members[:-1]), close]


def _group(members: Sequence[Job], job: Job) -> Group:
    return Group(
        id=group_id(job.service, [member.id for member in members]),
        service=job.service,
        members=tuple(GroupMember(job=m.id, task_id=m.task_id, run_id=m.run_id) for m in members),
        window_hours=job.window_hours,
    )


# --- who --------------------------------------------------------------------------------------------


def _waiting(job: Job, place: Workplace) -> list[Job]:
    """The jobs of the same work tree and service that wait, the job among them, in the order of completion."""
    rows = place.views().waiting_for_group(job.repo_id)
    jobs = [place.door.job(row.id) for row in rows if row.repo_path == job.repo_path and row.service == job.service]
    still = [one for one in jobs if one.status is JobStatus.WAITING_FOR_GROUP and one.group is None]
    return sorted(still, key=lambda one: (parse(one.completed_at or ""), one.id))


def _in_time(first: Job, other: Job) -> bool:
    """Whether `other` completed before the window that `first` opened was over."""
    return parse(other.completed_at or "") <= parse(first.closes_at or "")


def _somebody_comes(first: Job, place: Workplace) -> bool:
    rows = place.views().jobs(statuses=ON_THEIR_WAY, repo_id=first.repo_id)
    limit = parse(first.closes_at or "")
    return any(row.repo_path == first.repo_path and parse(row.completed_at or "") <= limit for row in rows)


def _elsewhere(job: Job, place: Workplace) -> tuple[str, ...]:
    """Runs of the service in other work trees, which are not taken together with this one."""
    rows = place.views().waiting_for_group(job.repo_id)
    return tuple(
        f"not together with job {short(row.id)}: it ran in another work tree, {row.repo_path}"
        for row in rows
        if row.service == job.service and row.repo_path != job.repo_path
    )


def _already_told(first: Job, place: Workplace) -> tuple[str, ...]:
    """Why an earlier group of the service, closed meanwhile, was not one with this job."""
    prefix = f"not together with job {short(first.id)}: "
    for lead in place.views().last_leads(first.repo_path, first.service):
        for record in place.door.log.read(f"job-{lead}"):
            apart = record.data.apart if isinstance(record.data, GroupClosed) else ()
            for told in apart:
                if told.startswith(prefix):
                    return (f"not together with job {short(lead)}: {told.removeprefix(prefix)}",)
    return ()


def _read(waiting: Sequence[Job], store: SnapshotStore) -> tuple[list[RunChange], dict[str, str]]:
    """What each run did, and why those that cannot be read cannot."""
    touched: set[str] = set()
    unreadable: dict[str, str] = {}
    for job in waiting:
        record = recorded_snapshot(job)
        try:
            touched |= {os.fsdecode(change.path) for change in store.numstat(record.base_tree, record.tree)}
        except SnapshotError as error:
            unreadable[job.id] = str(error)
    runs = []
    for job in waiting:
        if job.id not in unreadable:
            try:
                runs.append(_change(job, store, touched))
            except SnapshotError as error:
                unreadable[job.id] = str(error)
    return runs, unreadable


def _change(job: Job, store: SnapshotStore, touched: set[str]) -> RunChange:
    record = recorded_snapshot(job)

    def files(tree: str) -> dict[str, tuple[str, str]]:
        listed = store.list_files(tree)
        return {entry.path: (entry.mode, entry.object_id) for entry in listed if entry.path in touched}

    return RunChange(
        job.id, files(record.base_tree), files(record.tree), record.base_source == "observed", record.base_commit
    )


# --- what -------------------------------------------------------------------------------------------


def joint_snapshot(members: Sequence[Job], chain: Chain, place: Workplace, store: SnapshotStore) -> SnapshotRecord:
    """The last member's snapshot with the first one's base: what the members changed, and nothing that others did.

    The base is held in the store until retention lets it go with the lead's snapshot. Raises SnapshotError, DiskFull.
    """
    first, last = recorded_snapshot(members[0]), recorded_snapshot(members[-1])
    before: dict[str, bytes | TreeEntry | None] = {
        path: TreeEntry(path, *content, 0) if content is not None else None
        for path, content in before_all(chain.runs).items()
    }
    with store.locked():
        base = store.tree_with(last.tree, before)
        store.hold(base)
    changes = store.numstat(base, last.tree)
    notes = [f"the change of {len(members)} runs together; others' work in between is on both sides of it"]
    return last.model_copy(
        update={
            "base_tree": base,
            "base_commit": first.base_commit,
            "base_source": first.base_source,
            "diff": _diff(members[-1], place, store, store.diff(base, last.tree)),
            "files_changed": len(changes),
            "insertions": sum(change.insertions for change in changes),
            "deletions": sum(change.deletions for change in changes),
            "changed_paths": tuple(shown(change.path) for change in changes[:NAMED_PATHS]),
            "notes": (*last.notes, *notes),
        }
    )


def _diff(job: Job, place: Workplace, store: SnapshotStore, content: bytes) -> FileRef:
    """The group's diff beside the last run; in learnd's own folder where the run's is gone or planted."""
    name = f"diff-group{suffix(job, place)}.patch"
    try:
        return put(store.repo, learning_dir(job) / name, content)
    except SnapshotError:
        return write_atomically(place.settings.state_dir / "scenarios" / f"{job.id[:16]}-{name}", content)
