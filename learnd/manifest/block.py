"""The `learning` block of a manifest, name for name as the producer's schema has it.

The schema (`schemas/manifest.json` of @kbediako/codex-orchestrator) closes every object: a name or a word it
does not know makes the whole manifest invalid for its producer. So the models are closed too, and an outcome
the schema has no word for stays `pending` with a reason that begins with the true status. All that learnd
knows beyond it stands in `learnd.json`.

The block is a copy for readers; the log is the truth. Paths are relative to the repository, times ISO 8601 UTC.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from events.values import Isolation, ScenarioSource, Verdict

Name = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(allow_inf_nan=False)]

ValidationStatus = Literal["pending", "validated", "snapshot_failed", "stalled_snapshot", "needs_manual_scenario"]
AlertWord = Literal["snapshot_failed", "stalled_snapshot", "needs_manual_scenario", "budget_exceeded"]
ApprovalState = Literal["stalled_snapshot", "needs_manual_scenario", "requeue"]


class Part(BaseModel):
    """Frozen and closed, as the schema is."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Snapshot(Part):
    tag: Name
    commit_sha: Name
    tarball_path: Name
    tarball_digest: Name
    storage_path: Name
    retention_days: Annotated[int, Field(ge=1)]
    status: Literal["pending", "captured", "snapshot_failed", "stalled_snapshot"]
    attempts: Count
    created_at: Name
    last_error: str | None = None
    git_status_path: str | None = None
    git_log_path: str | None = None


class Queue(Part):
    snapshot_id: Name
    diff_path: str | None = None
    prompt_path: str | None = None
    execution_history_path: str | None = None
    manifest_path: Name
    enqueued_at: Name
    payload_path: Name
    status: Literal["queued", "failed"]


class ScenarioPart(Part):
    path: str | None
    generated_at: str | None
    source: ScenarioSource
    status: Literal["pending", "synthesized", "needs_manual_scenario"]
    attempts: Count
    partial_path: str | None = None
    manual_template: str | None = None
    approver: str | None = None
    reason: str | None = None


class Grouping(Part):
    id: Name
    members: tuple[Name, ...]
    window_hours: Annotated[float, Field(allow_inf_nan=False)] | None = None


class Validation(Part):
    mode: Literal["per-task", "grouped"] = "per-task"
    grouping: Grouping | None = None
    status: ValidationStatus = "pending"
    reason: str | None = None
    log_path: str | None = None
    last_error: str | None = None
    git_status_path: str | None = None
    git_log_path: str | None = None


class Crystalizer(Part):
    candidate_path: str | None
    model: Name
    prompt_pack: Name
    prompt_pack_stamp: str | None
    budget_usd: Usd
    cost_usd: Usd | None
    status: Literal["pending", "succeeded", "skipped", "failed"]
    error: str | None = None
    created_at: Name


class Alert(Part):
    type: AlertWord
    channel: Literal["slack", "pagerduty"]
    target: Name
    message: Name
    created_at: Name
    severity: str | None = None


class ApprovalPart(Part):
    actor: Name
    timestamp: Name
    reason: str | None = None
    state: ApprovalState


class Review(Part):
    rejections: Count
    latency_ms: Milliseconds | None
    last_reviewer: str | None = None
    updated_at: Name


class Regressions(Part):
    detected: Count
    detail_path: str | None = None


class PatternHygiene(Part):
    promoted: Count
    deprecated: Count
    notes: tuple[str, ...] | None = None
    updated_at: Name


class Throughput(Part):
    candidates: Count
    active: Count
    deprecated: Count
    updated_at: Name


class LearningBlock(Part):
    """The whole block. A section that is None has nothing to say yet (or no more)."""

    snapshot: Snapshot | None = None
    queue: Queue | None = None
    scenario: ScenarioPart | None = None
    validation: Validation = Validation()
    crystalizer: Crystalizer | None = None
    alerts: tuple[Alert, ...] = ()
    approvals: tuple[ApprovalPart, ...] = ()
    review: Review | None = None
    regressions: Regressions | None = None
    pattern_hygiene: PatternHygiene | None = None
    throughput: Throughput | None = None


class LearndFile(Part):
    """`learning/learnd.json`: what learnd adds to the block. `status` is the job's true status."""

    job: Name
    status: Name
    reason: str | None = None
    evidence: Verdict | None = None
    cause: str | None = None
    isolation: Isolation | None = None
    attestation_path: str | None = None
    pattern: str | None = None
    updated_at: Name


_PASSED = frozenset({"validated", "crystalizing", "drafted", "learned"})
_OWN_WORDS: dict[str, ValidationStatus] = {
    "snapshot_failed": "snapshot_failed",
    "stalled_snapshot": "stalled_snapshot",
    "needs_manual_scenario": "needs_manual_scenario",
}


def validation_words(job_status: str, detail: str | None = None) -> tuple[ValidationStatus, str | None]:
    """`status` and `reason` of the validation for a job's status, in the schema's words.

    Where the schema has no word, the status stays `pending` and the reason begins with the true one.
    """
    if job_status in _PASSED:
        return "validated", detail
    if job_status in _OWN_WORDS:
        return _OWN_WORDS[job_status], detail
    return "pending", f"{job_status}: {detail}" if detail else job_status


def approval_state(blocked_in: str) -> ApprovalState:
    """The schema's word for the status that an approval moved a job on from."""
    words: dict[str, ApprovalState] = {
        "stalled_snapshot": "stalled_snapshot",
        "needs_manual_scenario": "needs_manual_scenario",
    }
    return words.get(blocked_in, "requeue")
