"""Where a job stands, in words, and the one command that moves it on.

Only read models and single values of events are looked at: `status` tells this of every blocked job, and
starts fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from learnd.clock import now
from learnd.ids import short

if TYPE_CHECKING:
    from learnd.views.queries import JobRow, PatternRow

BLOCKED = (
    "snapshot_failed", "awaiting_approval", "needs_manual_scenario", "stalled_snapshot", "validation_failed",
    "over_budget", "crystalization_failed",
)  # fmt: skip
HIDDEN = ("recorded", "superseded", "dismissed")
"""Statuses that a list for people leaves out: nothing is owed and nothing was learned."""

MEANING = {
    "observed": "the run is in progress; its base tree is kept",
    "recorded": "the run did not succeed: recorded, never learned from",
    "opened": "waits for its snapshot",
    "snapshot_failed": "no snapshot could be taken",
    "snapshotted": "the snapshot is safe; waits to be queued",
    "awaiting_approval": 'the snapshot is safe; the setting trigger = "approved" asks for a person\'s word',
    "queued": "waits for a scenario: what to execute to verify the change",
    "waiting_for_group": "waits for more runs of the same service, to be validated together",
    "needs_manual_scenario": "nothing was found to execute that verifies the change",
    "scenario_ready": "waits to be replayed",
    "replaying": "is being replayed",
    "stalled_snapshot": "what was stored is not what was taken",
    "validation_failed": "the replays did not prove the change",
    "validated": "proven; waits to be written up",
    "crystalizing": "is being written up",
    "over_budget": "the next model call could cost more than is left of the budget",
    "crystalization_failed": "no author could write it up",
    "drafted": "waits for the gates",
    "learned": "a pattern came of it",
    "skipped": "there was nothing to learn",
    "dismissed": "a person dismissed it",
    "superseded": "the producer resumed the run; its next completion is another job",
}

Look = Callable[[int, str], object]
"""A value of the event at a position, by its JSON path."""


def next_command(job: JobRow, look: Look, pattern: PatternRow | None = None, *, daemon: bool = False) -> str | None:
    """What to type to move `job` on; None when nothing is to be done. `daemon`: one is running."""
    name = short(job.id)
    if daemon and waits_until(job):
        return f"learnd approve {name} --now"
    match job.status:
        case "snapshot_failed" | "awaiting_approval" | "validation_failed" | "crystalization_failed":
            return f"learnd approve {name}"
        case "needs_manual_scenario":
            template = look(job.because_position, "$.template.path") or "FILE"
            return f"learnd approve {name} --scenario {_quoted(str(template))}"
        case "stalled_snapshot":
            return f"learnd approve {name}"
        case "over_budget":
            return f"learnd approve {name} --grant-usd {_missing_usd(job, look)}"
        case "skipped":
            return f"learnd approve {name} --accept-unproven" if job.cause == "no_proof" else None
        case "waiting_for_group":
            return f"learnd why {short(job.lead)}" if job.lead else f"learnd approve {name} --now"
        case "learned":
            return next_for_pattern(pattern) if pattern is not None else None
        case "observed" | "recorded" | "dismissed" | "superseded":
            return None
    return None if daemon else "learnd once"


def next_for_pattern(pattern: PatternRow) -> str | None:
    """What a person may type about a pattern."""
    name = short(pattern.id)
    match pattern.status:
        case "candidate" | "edited" | "quarantined":
            return f"learnd review {name}"
        case "rejected" | "expired" | "deprecated":
            return f"learnd restore {name}"
        case "active" | "stale" if pattern.regressions:
            return f"learnd deprecate {name} --reason TEXT"
    return None


def reason(job: JobRow) -> str:
    """Why the job stands where it does: the cause, and what is known of it."""
    said = ": ".join(part for part in (job.cause, job.detail) if part)
    if job.lead is not None and job.lead != job.id and not said:
        return f"validated together with job {short(job.lead)}"
    if job.status == "waiting_for_group" and not said:
        return f"service {job.service}"
    return said or MEANING.get(job.status, "")


def waits_until(job: JobRow) -> str | None:
    """When the job's next attempt comes, or its group is closed (ISO 8601 UTC), while that lies ahead."""
    at = job.retry_at
    if job.status == "waiting_for_group":
        at = None if job.lead or job.urgent else job.closes_at
    return at if at is not None and at > now() else None


def _missing_usd(job: JobRow, look: Look) -> str:
    needed, available = (look(job.because_position, path) for path in ("$.needed_usd", "$.available_usd"))
    if not isinstance(needed, int | float) or not isinstance(available, int | float):
        return "AMOUNT"
    return f"{math.ceil(max(needed - available, 0.01) * 100 - 1e-6) / 100:.2f}"


def _quoted(path: str) -> str:
    import shlex  # noqa: PLC0415

    return shlex.quote(path)
