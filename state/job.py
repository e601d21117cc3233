"""A job: learnd's work on one completed run, as a fold of its events.

The machine, in words: a run is observed, then opened when it succeeded; a snapshot makes it immutable,
a scenario says how to check it, a replay shows whether the change matters, an author writes it up, and
the pattern's own stream takes over. Every way to fail ends in a status of its own, and every such
status is *blocked*: only a person moves it. Facts (alerts, payments, prunings) change no status, so
they have rows that lead back to where they came from.

`evolve` has no rules. It looks the next status up and remembers what the event said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from events import catalog as e
from events.values import Evidence, Group, Scenario, SnapshotRecord
from state.alerts import Alert, over, over_but
from state.alerts import evolve as evolve_alerts
from state.machine import Row, compile_table


class JobStatus(StrEnum):
    NEW = "new"
    OBSERVED = "observed"
    RECORDED = "recorded"
    OPENED = "opened"
    SNAPSHOT_FAILED = "snapshot_failed"
    SNAPSHOTTED = "snapshotted"
    AWAITING_APPROVAL = "awaiting_approval"
    QUEUED = "queued"
    WAITING_FOR_GROUP = "waiting_for_group"
    NEEDS_MANUAL_SCENARIO = "needs_manual_scenario"
    SCENARIO_READY = "scenario_ready"
    REPLAYING = "replaying"
    STALLED_SNAPSHOT = "stalled_snapshot"
    VALIDATION_FAILED = "validation_failed"
    VALIDATED = "validated"
    CRYSTALIZING = "crystalizing"
    OVER_BUDGET = "over_budget"
    CRYSTALIZATION_FAILED = "crystalization_failed"
    DRAFTED = "drafted"
    LEARNED = "learned"
    SKIPPED = "skipped"
    DISMISSED = "dismissed"
    SUPERSEDED = "superseded"


S = JobStatus

TERMINAL = (S.RECORDED, S.LEARNED, S.DISMISSED, S.SUPERSEDED)
BLOCKED = (
    S.SNAPSHOT_FAILED, S.AWAITING_APPROVAL, S.NEEDS_MANUAL_SCENARIO, S.STALLED_SNAPSHOT,
    S.VALIDATION_FAILED, S.OVER_BUDGET, S.CRYSTALIZATION_FAILED,
)  # fmt: skip
AT_REST = (*TERMINAL, S.SKIPPED)
"""Nothing is owed to these: their snapshots may be pruned."""

_NOT_HARVESTED = (
    S.NEW, S.OBSERVED, S.RECORDED, S.OPENED, S.SNAPSHOT_FAILED, S.AWAITING_APPROVAL,
)  # fmt: skip
ENDED = (S.DISMISSED, S.SUPERSEDED)
"""Given up, or taken back by its producer: nothing that was said of it is of interest any more."""
HARVESTED = tuple(status for status in S if status not in (*_NOT_HARVESTED, *ENDED))
"""Statuses in which the job's diff was looked at."""

SEEN = tuple(status for status in S if status is not S.NEW)
OPEN = tuple(status for status in SEEN if status not in TERMINAL)
WORKING = tuple(status for status in OPEN if status is not S.SKIPPED and status not in BLOCKED)
"""Statuses that learnd itself may end: a blocked job is moved by a person or by its producer, never skipped."""
ALERTED = tuple(status for status in SEEN if status not in (S.OBSERVED, S.RECORDED))
"""Statuses in which a job may be blocked or have been: only of these somebody was alerted."""

JOB_ROWS = (
    Row((S.NEW,), e.RunObserved, S.OBSERVED),
    Row((S.NEW, S.OBSERVED), e.RunEnded, S.RECORDED, "failed or cancelled"),
    Row((S.NEW, S.OBSERVED), e.JobOpened, S.OPENED, "succeeded"),
    Row((S.OPENED, S.SNAPSHOTTED), e.SnapshotAttemptFailed, None, "attempts left"),
    Row((S.OPENED,), e.SnapshotTaken, S.SNAPSHOTTED),
    Row((S.OPENED, S.SNAPSHOTTED), e.SnapshotFailed, S.SNAPSHOT_FAILED, "no attempt left"),
    Row((S.SNAPSHOTTED,), e.ApprovalAwaited, S.AWAITING_APPROVAL, "trigger = approved"),
    Row((S.AWAITING_APPROVAL,), e.RunApproved, S.SNAPSHOTTED, "approver"),
    Row((S.SNAPSHOTTED,), e.JobQueued, S.QUEUED),
    Row((S.QUEUED,), e.GroupAwaited, S.WAITING_FOR_GROUP, "validation.mode = grouped"),
    Row((S.WAITING_FOR_GROUP,), e.GroupClosed, S.QUEUED, "the last member; window over, or a person says so"),
    Row((S.QUEUED,), e.GroupClosed, None, "several services: alone"),
    Row((S.WAITING_FOR_GROUP,), e.GroupJoined, None, "the other members"),
    Row((S.QUEUED, S.SCENARIO_READY), e.GroupDissolved, S.WAITING_FOR_GROUP, "a member left"),
    Row((S.WAITING_FOR_GROUP,), e.GroupDissolved, None, "a member left"),
    Row((S.QUEUED,), e.ScenarioAttemptFailed, None, "first failure"),
    Row((S.QUEUED,), e.ScenarioSynthesized, S.SCENARIO_READY),
    Row((S.QUEUED,), e.ManualScenarioRequired, S.NEEDS_MANUAL_SCENARIO, "second failure"),
    Row((S.NEEDS_MANUAL_SCENARIO, S.VALIDATION_FAILED), e.ManualScenarioSupplied, S.SCENARIO_READY, "approver"),
    Row((S.SCENARIO_READY,), e.ReplayStarted, S.REPLAYING),
    Row((S.REPLAYING,), e.ReplayInterrupted, S.SCENARIO_READY),
    Row((S.QUEUED, S.SCENARIO_READY, S.REPLAYING), e.SnapshotStalled, S.STALLED_SNAPSHOT, "snapshot does not hold"),
    Row((S.REPLAYING,), e.ChangeValidated, S.VALIDATED, "proven or pass_only"),
    Row((S.REPLAYING, S.SCENARIO_READY), e.ValidationFailed, S.VALIDATION_FAILED, "failed, flaky or inconclusive"),
    Row((S.VALIDATED,), e.CrystalizationStarted, S.CRYSTALIZING, "worst case reserved"),
    Row((S.CRYSTALIZING,), e.CrystalizationAttemptFailed, S.VALIDATED, "attempts left"),
    Row((S.VALIDATED, S.CRYSTALIZING), e.BudgetExhausted, S.OVER_BUDGET, "worst case over budget"),
    Row((S.VALIDATED, S.CRYSTALIZING), e.CrystalizationFailed, S.CRYSTALIZATION_FAILED, "no attempt left"),
    Row((S.CRYSTALIZING,), e.PatternDrafted, S.DRAFTED),
    Row((S.DRAFTED,), e.JobLearned, S.LEARNED),
    Row((S.WAITING_FOR_GROUP, S.SKIPPED), e.JobLearned, S.LEARNED, "with its group"),
    Row((S.SNAPSHOT_FAILED,), e.JobRequeued, S.OPENED, "approver"),
    Row((S.STALLED_SNAPSHOT,), e.JobRequeued, S.QUEUED, "approver, tarball rebuilt"),
    Row((S.VALIDATION_FAILED,), e.JobRequeued, S.SCENARIO_READY, "approver"),
    Row((S.OVER_BUDGET,), e.JobRequeued, S.VALIDATED, "approver, grant_usd"),
    Row((S.CRYSTALIZATION_FAILED,), e.JobRequeued, S.VALIDATED, "approver"),
    Row((S.SKIPPED,), e.JobRequeued, S.VALIDATED, "approver, accept_unproven"),
    Row(WORKING, e.JobSkipped, S.SKIPPED, "nothing to learn; never from a blocked status"),
    Row(OPEN, e.JobDismissed, S.DISMISSED, "actor, reason"),
    Row(OPEN, e.RunReopened, S.SUPERSEDED, "producer resumed"),
    # Facts: true in any status that they can find a job in, and changing none.
    Row((S.STALLED_SNAPSHOT,), e.TarballRebuilt, None),
    Row(tuple(status for status in AT_REST if status is not S.RECORDED), e.SnapshotPruned, None),
    Row((S.LEARNED, S.VALIDATION_FAILED), e.RegressionDetected, None),
    Row(tuple(status for status in WORKING if status is not S.OBSERVED), e.JobExpedited, None, "approver, now"),
    Row(SEEN, e.ModelCallSettled, None),
    # Each time that it is blocked; and, while it is being queued, for what its run brought back.
    Row((*BLOCKED, S.SNAPSHOTTED), e.AlertRaised, None, "once"),
    Row(HARVESTED, e.ReintroductionGone, None),
    Row(ALERTED, e.AlertDelivered, None),
    Row(ALERTED, e.AlertFailed, None),
)

REPAIRABLE = ("draft_invalid", "length_stop")
"""Causes of a failed attempt that brought a reply, which the author may repair once."""

TABLE = compile_table("job", JOB_ROWS, initial=S.NEW, terminal=TERMINAL, blocked=BLOCKED, events=e.JOB_EVENTS)


@dataclass(frozen=True, slots=True)
class Job:
    """Everything the rules and effects need to know of a job; nothing else is kept.

    `attempts` counts what failed in the present step and is reset by a requeue. Money is US dollars;
    `reserved_usd` is the part of it that a call in flight may still cost.
    """

    id: str
    version: int = 0
    status: JobStatus = S.NEW
    repo_id: str = ""
    repo_path: str = ""
    manifest_path: str = ""
    task_id: str = ""
    run_id: str = ""
    shape: str = ""
    started_at: str | None = None
    completed_at: str | None = None
    trigger: str = "completed"
    requested: bool = False
    base_tree: str | None = None
    base_commit: str | None = None
    attempts: int = 0
    retry_at: str | None = None
    cause: str = ""
    detail: str = ""
    snapshot: SnapshotRecord | None = None
    snapshot_pruned: bool = False
    tarball_rebuilt: bool = False
    taken: SnapshotRecord | None = None
    """The snapshot as it was taken; `snapshot` is of what is validated: a group's lead has the first member's base."""
    queued: e.JobQueued | None = None
    service: str = ""
    closes_at: str | None = None
    window_hours: float = 0.0
    group: Group | None = None
    scenario: Scenario | None = None
    boot_id: str | None = None
    evidence: Evidence | None = None
    unproven_accepted: bool = False
    budget_usd: float = 0.0
    granted_usd: float = 0.0
    spent_usd: float = 0.0
    reserved_usd: float = 0.0
    call: int = 0
    model: str | None = None
    ledger: str | None = None
    """The month in whose ledger the present call is reserved."""
    repairs: int = 0
    """Replies of this step that were no draft."""
    draft: e.PatternDrafted | None = None
    pattern_id: str | None = None
    regressions: tuple[str, ...] = ()
    """Commits at which the pattern's change came undone."""
    urgent: bool = False
    alerts: tuple[Alert, ...] = ()

    @property
    def available_usd(self) -> float:
        """What may still be reserved: budget and grants, less what is spent or reserved."""
        return self.budget_usd + self.granted_usd - self.spent_usd - self.reserved_usd

    @property
    def stream(self) -> str:
        return f"job-{self.id}"

    @property
    def joined(self) -> bool:
        """Whether another job, the last of its group, validates this one."""
        return self.group is not None and self.group.lead != self.id


def evolve(job: Job, event: e.Event) -> Job:
    """`job` after `event`. Raises UnexpectedEvent where the table has no row."""
    status = JobStatus(TABLE.follow(f"job {job.id[:8]}", job.status, event))
    after = replace(_remember(job, event), status=status, version=job.version + 1)
    if status == job.status:
        return after
    return replace(
        after,
        # What a run brought back is there whatever becomes of its job.
        alerts=over(after.alerts) if status in ENDED else over_but(after.alerts, "reintroduction"),
        urgent=after.urgent and status not in BLOCKED and status not in AT_REST,
    )


def fold(job_id: str, events: Iterable[e.Event]) -> Job:
    """The job that `events`, whole and in order, make."""
    job = Job(job_id)
    for event in events:
        job = evolve(job, event)
    return job


def _remember(job: Job, event: e.Event) -> Job:  # noqa: PLR0912 - one case an event, nothing nested
    """What each event adds to what is known. Events that are only a change of status add nothing."""
    match event:
        case e.RunObserved():
            return replace(
                job,
                repo_id=event.repo_id, repo_path=event.repo_path, manifest_path=event.manifest_path,
                task_id=event.task_id, run_id=event.run_id, started_at=event.started_at,
                base_tree=event.base_tree, base_commit=event.base_commit,
            )  # fmt: skip
        case e.RunEnded():
            return replace(
                job,
                repo_id=event.repo_id, repo_path=event.repo_path, manifest_path=event.manifest_path,
                task_id=event.task_id, run_id=event.run_id, completed_at=event.completed_at, cause=event.outcome,
            )  # fmt: skip
        case e.JobOpened():
            return replace(
                job,
                repo_id=event.repo_id, repo_path=event.repo_path, manifest_path=event.manifest_path,
                task_id=event.task_id, run_id=event.run_id, shape=event.shape, started_at=event.started_at,
                completed_at=event.completed_at, trigger=event.trigger, budget_usd=event.budget_usd,
                requested=event.requested, base_tree=event.base_tree or job.base_tree,
                base_commit=event.base_commit or job.base_commit,
            )  # fmt: skip
        case e.SnapshotAttemptFailed():
            return replace(job, attempts=event.attempt, retry_at=event.retry_at, cause=event.cause, detail=event.detail)
        case e.SnapshotTaken():
            return replace(_step_done(job), snapshot=event.snapshot, taken=event.snapshot)
        case e.JobQueued():
            return replace(_step_done(job), queued=event)
        case e.GroupAwaited():
            return replace(
                job, service=event.service, closes_at=event.closes_at, window_hours=event.window_hours, group=None
            )
        case e.GroupClosed():
            return replace(
                job, group=event.group, snapshot=event.snapshot or job.snapshot, urgent=job.urgent or event.urgent
            )
        case e.GroupJoined():
            return replace(job, group=event.group)
        case e.GroupDissolved():
            return replace(_step_done(job), group=None, snapshot=job.taken, scenario=None)
        case e.ScenarioAttemptFailed():
            return replace(job, attempts=event.attempt, cause=event.cause, detail=event.detail)
        case e.ScenarioSynthesized() | e.ManualScenarioSupplied():
            return replace(_step_done(job), scenario=event.scenario)
        case e.SnapshotFailed() | e.ManualScenarioRequired() | e.CrystalizationFailed():
            return replace(job, attempts=event.attempts, retry_at=None, cause=event.cause, detail=event.detail)
        case e.SnapshotStalled():
            return replace(
                job, cause=event.cause, detail=f"expected {event.expected}, found {event.found}", boot_id=None
            )
        case e.TarballRebuilt():
            return replace(job, tarball_rebuilt=True)
        case e.SnapshotPruned():
            return replace(job, snapshot_pruned=True)
        case e.ReplayStarted():
            return replace(job, attempts=event.attempt, boot_id=event.boot_id)
        case e.ReplayInterrupted():
            lost = 0 if event.cause == "crash" else 1
            return replace(job, attempts=job.attempts - lost, boot_id=None, cause=event.cause, detail=event.detail)
        case e.ChangeValidated():
            return replace(_step_done(job), evidence=event.evidence)
        case e.ValidationFailed():
            return replace(job, evidence=event.evidence, boot_id=None, cause=event.cause, detail=event.evidence.detail)
        case e.CrystalizationStarted():
            return replace(
                job, attempts=event.attempt, call=job.call + 1, boot_id=event.boot_id, reserved_usd=event.reserved_usd,
                model=event.model, ledger=event.ledger,
            )  # fmt: skip
        case e.ModelCallSettled():
            return replace(job, spent_usd=job.spent_usd + event.cost_usd, reserved_usd=0.0, ledger=None)
        case e.CrystalizationAttemptFailed():
            # A machine-wide fault is not the job's failure: it costs no attempt.
            counted = job.attempts - 1 if event.cause == "fault" else event.attempt
            return replace(
                _released(job), attempts=counted, retry_at=event.retry_at, cause=event.cause, detail=event.detail,
                repairs=job.repairs + (event.cause in REPAIRABLE),
            )  # fmt: skip
        case e.BudgetExhausted():
            return replace(_released(job), cause="budget", detail=event.detail)
        case e.PatternDrafted():
            return replace(_step_done(_released(job)), draft=event, pattern_id=event.pattern_id)
        case e.JobLearned():
            return replace(job, pattern_id=event.pattern_id, cause=event.outcome)
        case e.RegressionDetected():
            return replace(job, regressions=(*job.regressions, event.commit))
        case e.JobRequeued():
            return replace(
                _step_done(job),
                granted_usd=job.granted_usd + event.grant_usd,
                unproven_accepted=job.unproven_accepted or event.accept_unproven,
                tarball_rebuilt=False,
            )
        case e.JobSkipped():
            return replace(_released(job), cause=event.cause, detail=event.detail)
        case e.JobDismissed():
            return replace(job, cause="dismissed", detail=event.reason, boot_id=None)
        case e.RunReopened():
            return replace(job, cause="reopened", boot_id=None)
        case e.JobExpedited():
            return replace(job, urgent=True, retry_at=None)
        case e.ReintroductionGone():
            return replace(job, alerts=over(job.alerts, event.pattern_id))
        case e.AlertRaised() | e.AlertDelivered() | e.AlertFailed():
            return replace(job, alerts=evolve_alerts(job.alerts, event))
    return job


def _step_done(job: Job) -> Job:
    """A step ended well or begins anew: nothing of its failures counts any more."""
    return replace(job, attempts=0, retry_at=None, cause="", detail="", boot_id=None, repairs=0)


def _released(job: Job) -> Job:
    """No call is in flight; what it cost was said by ModelCallSettled before."""
    return replace(job, reserved_usd=0.0, boot_id=None)
