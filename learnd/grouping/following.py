"""What happens to one job of a group concerns the others: the rest of the group follows what the log says of it.

- The lead rests: its followers end as it did. Learned with the same pattern, or skipped; if it was dismissed or its run
  resumed, the group is dissolved and they wait for another.
- A follower ends first (a person dismissed it, its run was resumed): the group is not what it was. Before it is
  validated, the lead dissolves it, and all that are left wait again. What is validated stays so.

Each of these looks at the log before it acts, so that doing it twice is doing it once: it is done when the event is
heard, and again for all groups when learnd starts, because a crash may have come between.
"""

from __future__ import annotations

import structlog

from learnd.grouping.closing import ACTOR, alone
from learnd.ids import short
from learnd.workplace import Workplace
from state.commands import DissolveGroup, FinishJob, SkipJob
from state.decide import Command
from state.job import Job, JobStatus
from state.refusal import Refused

S = JobStatus
RESTING = (S.LEARNED, S.SKIPPED, S.DISMISSED, S.SUPERSEDED)

ENDS = frozenset({"JobLearned", "JobSkipped", "JobDismissed", "RunReopened"})
"""Types of the events that bring a lead to rest."""

ARRIVALS = ENDS | {"GroupAwaited", "GroupClosed", "GroupDissolved", "SnapshotFailed", "ApprovalAwaited"}
"""After these a job is not on its way to a group any more, or has come: who waited for it looks again."""

TOLD_TO_ALL = frozenset({"GroupAwaited", "GroupClosed", "GroupJoined", "GroupDissolved", "JobLearned", "JobSkipped"})
"""Of these the runs of a group are told, whoever's work they came of."""

log = structlog.get_logger("learnd.grouping")


def left(job: Job, place: Workplace) -> list[Command]:
    """What dissolves the group that `job` leads, where a member is not with it any more; nothing where all are."""
    group = job.group
    if group is None or job.joined:
        return []
    followers = [place.door.job(member.job) for member in group.members[:-1]]
    gone = [one for one in followers if one.status is not S.WAITING_FOR_GROUP or one.group != group]
    if not gone:
        return []
    told = f"job {short(gone[0].id)} is {gone[0].status} since"
    staying = [one for one in followers if one not in gone]
    return [DissolveGroup(one.id, group.id, told) for one in (*staying, job)]


def members_of(job: Job, place: Workplace) -> list[Job]:
    """The jobs of the group that `job` leads, in the order in which their runs completed, itself the last."""
    members = job.group.members[:-1] if job.group is not None else ()
    return [*(place.door.job(member.job) for member in members), job]


def settle(lead_id: str, place: Workplace) -> None:
    """Have a resting lead's followers end as it did. Nothing happens where it does not rest, or they have."""
    lead = place.door.job(lead_id)
    if lead.status not in RESTING or lead.group is None:
        return
    for row in place.views().followers(lead_id):
        command = _end_of(row.id, lead)
        outcome = place.door.handle(command, ACTOR)
        if isinstance(outcome, Refused):
            log.debug("follower stays", job=short(row.id), code=outcome.code)


def _end_of(job_id: str, lead: Job) -> Command:
    with_lead = f"validated together with job {short(lead.id)}, which"
    if lead.status is S.LEARNED and lead.pattern_id is not None:
        return FinishJob(job_id, lead.pattern_id, "grouped")
    if lead.status is S.SKIPPED:
        return SkipJob(job_id, "grouped", f"{with_lead} was skipped ({lead.cause})")
    group_id = lead.group.id if lead.group is not None else ""
    return DissolveGroup(job_id, group_id, f"{with_lead} is {lead.status}")


def take_up(place: Workplace) -> None:
    """What a crash, or a change of the settings, left to be done: called once, by the holder of the log's lock."""
    views = place.views()
    for lead_id in views.leads_at_rest():
        settle(lead_id, place)
    if place.settings.validation.mode == "per-task":
        for row in views.waiting_for_group():
            outcome = place.door.handle(alone(place.door.job(row.id), place), ACTOR)
            if isinstance(outcome, Refused):
                log.info("not let go", job=short(row.id), code=outcome.code, reason=outcome.reason)
