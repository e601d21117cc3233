"""The rules of grouped validation: who waits, who goes first, and what a group's verdict means for its members.

A group is no entity and has no stream. Each job waits by itself (`GroupAwaited`); when the first one's window is over,
one append tells every member whether it leads (`GroupClosed`, the last run's job, which goes on) or follows
(`GroupJoined`, which rests until the lead does). So nothing has to be kept in step: whoever closes a group closes all
of it, and whoever comes second finds nothing left to close.
"""

from __future__ import annotations

from events import catalog as e
from events.values import Group, GroupMember
from state import commands as c
from state.job import TABLE, Job, JobStatus
from state.refusal import Refused

S = JobStatus
Answer = tuple[e.Event, ...] | Refused


def name(job: Job) -> str:
    return f"job {job.id[:8]}"


def begin(terms: c.GroupTerms | None, job: Job) -> tuple[e.Event, ...]:
    """How a job that was queued just now takes part in grouped validation, if it does."""
    if terms is None:
        return ()
    if len(terms.services) == 1:
        return (
            e.GroupAwaited(
                service=terms.services[0], closes_at=terms.closes_at, window_hours=terms.window_hours
            ),
        )  # fmt: skip
    services = ", ".join(terms.services)
    alone = Group(
        id=terms.group_id,
        service=services,
        members=(GroupMember(job=job.id, task_id=job.task_id, run_id=job.run_id),),
        window_hours=terms.window_hours,
    )
    return (e.GroupClosed(group=alone, cause="several_services", detail=f"the change touches {services}"),)


def close(command: c.CloseGroup, job: Job) -> Answer:
    """The job goes on as the last of its group; a change that came to nothing, or to a refused one, ends it."""
    refused = _not_waiting(job, command.group)
    if refused:
        return refused
    if command.group.lead != job.id:
        return Refused("not_the_last", f"{name(job)} is not the last run of group {command.group.id[:8]}")
    closed = e.GroupClosed(
        group=command.group,
        cause=command.cause,
        detail=command.detail,
        apart=command.apart,
        snapshot=command.snapshot,
        urgent=command.urgent,
    )
    if command.snapshot is not None and command.snapshot.files_changed == 0:
        return (closed, e.JobSkipped(cause="empty_diff", detail="together the group's runs left the tree as it was"))
    if command.tombstone:
        told = f"pattern {command.tombstone[:8]} from the same change was rejected"
        return (closed, e.JobSkipped(cause="tombstone", detail=told))
    return (closed,)


def join(command: c.JoinGroup, job: Job) -> Answer:
    """The job rests until the lead does."""
    refused = _not_waiting(job, command.group)
    if refused:
        return refused
    if job.id not in {member.job for member in command.group.members[:-1]}:
        return Refused("no_member", f"{name(job)} is no follower of group {command.group.id[:8]}")
    return (e.GroupJoined(group=command.group),)


def _not_waiting(job: Job, group: Group) -> Refused | None:
    if job.status == S.WAITING_FOR_GROUP and job.group is None:
        return None
    return Refused("not_waiting", f"{name(job)} is {job.status}: it does not wait for group {group.id[:8]}")


def dissolve(command: c.DissolveGroup, job: Job) -> Answer:
    """The job waits again, as if its group had never been closed. What is validated already stays so."""
    if not TABLE.allows(job.status, e.GroupDissolved) or job.group is None or job.group.id != command.group_id:
        return Refused("not_in_group", f"{name(job)} is {job.status}: it is not held by group {command.group_id[:8]}")
    return (e.GroupDissolved(group_id=command.group_id, detail=command.detail),)


def finish(command: c.FinishJob, job: Job) -> Answer:
    """A job ends with the pattern that it drafted, or with that of its group."""
    with_group = job.joined and (job.status == S.WAITING_FOR_GROUP or job.cause == "grouped")
    if not TABLE.allows(job.status, e.JobLearned) or (job.status != S.DRAFTED and not with_group):
        return Refused("wrong_status", f"{name(job)} is {job.status}: JobLearned cannot happen now")
    if (command.outcome == "grouped") != with_group:
        return Refused("wrong_outcome", f"{name(job)} is {job.status}: it cannot have learned as {command.outcome}")
    return (e.JobLearned(pattern_id=command.pattern_id, outcome=command.outcome),)


def not_its_own(job: Job) -> Refused | None:
    """Why a person cannot move the job by itself, where its group's last job decides."""
    if not job.joined or job.group is None or job.status not in (S.WAITING_FOR_GROUP, S.SKIPPED):
        return None
    lead = job.group.lead[:8]
    return Refused("in_a_group", f"{name(job)} is validated together with job {lead}. Next: learnd why {lead}")
