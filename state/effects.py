"""next_effect(job, now, faults): the state decides what happens next, and nothing else does.

An effect is the name of a piece of work in the world. Asking again gives the same answer until an event
changes the job, so a restart is no special case: replay the log, ask, go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from events.catalog import FaultKind
from state.alerts import standing
from state.host import Host
from state.job import BLOCKED, Job, JobStatus


class Effect(StrEnum):
    TAKE_SNAPSHOT = "take_snapshot"
    ENQUEUE = "enqueue"
    CLOSE_GROUP = "close_group"
    SYNTHESIZE_SCENARIO = "synthesize_scenario"
    REPLAY = "replay"
    CRYSTALIZE = "crystalize"
    STAGE_PATTERN = "stage_pattern"


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing to do before `at` (ISO 8601 UTC), or, with `fault`, before that fault is gone."""

    reason: str
    at: str | None = None
    fault: FaultKind | None = None


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do by itself. `blocked` means that a person is waited for."""

    reason: str
    blocked: bool = False


WORK: Mapping[JobStatus, Effect] = {
    JobStatus.OPENED: Effect.TAKE_SNAPSHOT,
    JobStatus.SNAPSHOTTED: Effect.ENQUEUE,
    JobStatus.WAITING_FOR_GROUP: Effect.CLOSE_GROUP,
    JobStatus.QUEUED: Effect.SYNTHESIZE_SCENARIO,
    JobStatus.SCENARIO_READY: Effect.REPLAY,
    JobStatus.VALIDATED: Effect.CRYSTALIZE,
    JobStatus.DRAFTED: Effect.STAGE_PATTERN,
}

STOPPED_BY: Mapping[Effect, tuple[FaultKind, ...]] = {
    Effect.TAKE_SNAPSHOT: ("disk",),
    Effect.ENQUEUE: ("disk",),
    Effect.CLOSE_GROUP: ("disk",),
    Effect.SYNTHESIZE_SCENARIO: ("disk",),
    Effect.REPLAY: ("sandbox", "disk"),
    Effect.CRYSTALIZE: ("model", "rate_limit", "spend", "disk"),
    Effect.STAGE_PATTERN: ("disk",),
}


def next_effect(job: Job, now: str, faults: frozenset[FaultKind] = frozenset()) -> Effect | WaitUntil | Rest:
    """What to do for `job` at `now`, while `faults` stand on this machine."""
    effect = WORK.get(job.status)
    if effect is None:
        return Rest(job.status.value, blocked=job.status in BLOCKED)
    if effect is Effect.CLOSE_GROUP:
        if job.group is not None:
            return Rest(f"validated together with job {job.group.lead[:8]}")
        if job.closes_at is not None and job.closes_at > now and not job.urgent:
            return WaitUntil(f"more runs of {job.service} may come", at=job.closes_at)
    for fault in STOPPED_BY[effect]:
        if fault in faults:
            return WaitUntil(f"machine fault: {fault}", fault=fault)
    if job.retry_at is not None and job.retry_at > now:
        return WaitUntil(f"next attempt after {job.cause}", at=job.retry_at)
    return effect


def lost_in_a_crash(job: Job, boot_id: str) -> bool:
    """Whether a costly effect of `job` began under another boot of the daemon and never reported."""
    return job.status in (JobStatus.REPLAYING, JobStatus.CRYSTALIZING) and job.boot_id != boot_id


def alert_due(job: Job) -> bool:
    """Whether nobody was told yet that `job` is blocked; the kind of the alert is the status."""
    return job.status in BLOCKED and standing(job.alerts) is None


def fault_alert_due(host: Host) -> tuple[FaultKind, ...]:
    """The faults of the machine that nobody was told of yet."""
    return tuple(fault for fault in host.faults if standing(host.alerts, fault) is None)
