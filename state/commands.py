"""What is asked for: imperative inputs, with everything that `decide` needs to answer.

A command carries its own time, ids and limits, so that deciding needs no clock, no randomness and no
settings. Commands are never stored; the events they lead to are. `at` is ISO 8601 UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from events.catalog import AlertChannel, AlertKind, FaultKind, Severity
from events.values import Evidence, FileRef, Isolation, Scenario, SnapshotRecord, Usage
from state.pattern import PatternStatus


@dataclass(frozen=True, slots=True)
class JobCommand:
    job_id: str


@dataclass(frozen=True, slots=True)
class RunRef:
    """Which run, where. Paths are absolute."""

    repo_id: str
    repo_path: str
    manifest_path: str
    task_id: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks. `user` is proven (the kernel's word); `claimed` is a name they gave.

    `approvers` are the users that the operator lets approve.
    """

    user: str
    approvers: frozenset[str]
    claimed: str | None = None
    reason: str = ""


# --- runs -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ObserveRun(JobCommand):
    run: RunRef
    started_at: str | None
    base_tree: str
    base_commit: str | None


@dataclass(frozen=True, slots=True)
class EndRun(JobCommand):
    """`requested` as with `OpenJob`."""

    run: RunRef
    outcome: Literal["failed", "cancelled"]
    completed_at: str
    registered_at: str
    requested: bool = False


@dataclass(frozen=True, slots=True)
class OpenJob(JobCommand):
    """`requested` means that a person asked for this run: its age does not matter then."""

    run: RunRef
    shape: str
    started_at: str | None
    completed_at: str
    registered_at: str
    trigger: Literal["completed", "approved"]
    budget_usd: float
    requested: bool = False
    base_tree: str | None = None
    base_commit: str | None = None


@dataclass(frozen=True, slots=True)
class ReopenRun(JobCommand):
    manifest_path: str


# --- snapshot ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RecordSnapshotFailure(JobCommand):
    step: Literal["capture", "enqueue"]
    cause: str
    detail: str
    max_attempts: int
    retry_at: str


@dataclass(frozen=True, slots=True)
class RecordSnapshot(JobCommand):
    """`tombstone` is the id of a rejected pattern that came from this very change, if there is one."""

    snapshot: SnapshotRecord
    tombstone: str | None = None


@dataclass(frozen=True, slots=True)
class RecordQueued(JobCommand):
    snapshot_id: str
    payload: FileRef
    prompt: FileRef | None
    prompt_source: str | None
    execution_history: FileRef


@dataclass(frozen=True, slots=True)
class RecordStall(JobCommand):
    cause: Literal["digest", "checkout", "diff", "missing"]
    expected: str
    found: str
    git_status: FileRef | None = None
    git_log: FileRef | None = None


@dataclass(frozen=True, slots=True)
class RecordTarballRebuilt(JobCommand):
    tarball: FileRef


@dataclass(frozen=True, slots=True)
class RecordSnapshotPruned(JobCommand):
    freed_bytes: int


# --- scenario ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RecordScenario(JobCommand):
    scenario: Scenario
    file: FileRef


@dataclass(frozen=True, slots=True)
class RecordScenarioFailure(JobCommand):
    """`partial` and `template` are the files that a person completes; needed at the last attempt."""

    cause: str
    detail: str
    max_attempts: int
    partial: FileRef
    template: FileRef


@dataclass(frozen=True, slots=True)
class SupplyScenario(JobCommand):
    person: Person
    scenario: Scenario
    file: FileRef
    now: bool = False


# --- replay -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartReplay(JobCommand):
    boot_id: str
    isolation: Isolation
    max_attempts: int


@dataclass(frozen=True, slots=True)
class InterruptReplay(JobCommand):
    cause: Literal["crash", "drain", "cancelled", "fault"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RecordEvidence(JobCommand):
    evidence: Evidence
    file: FileRef


# --- crystalization ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartCrystalization(JobCommand):
    """`worst_case_usd` bounds from above what the call can cost."""

    boot_id: str
    author: Literal["openai", "extractive"]
    model: str | None
    worst_case_usd: float
    max_attempts: int
    prompt_pack: str
    prompt_pack_stamp: str


@dataclass(frozen=True, slots=True)
class SettleModelCall(JobCommand):
    """No `cost_usd` means that nobody can say: then the whole reservation counts as spent."""

    model: str
    cost_usd: float | None
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class RecordCrystalizationFailure(JobCommand):
    """`fault` marks a machine-wide fault: it costs no attempt. `final` failures are not tried again.

    The call must be settled before: `next_worst_case_usd` is held against what is left then.
    """

    cause: str
    detail: str
    max_attempts: int
    retry_at: str
    next_worst_case_usd: float = 0.0
    fault: bool = False
    final: bool = False


@dataclass(frozen=True, slots=True)
class RecordDraft(JobCommand):
    pattern_id: str
    title: str
    slug: str
    author: Literal["openai", "extractive"]
    model: str | None
    prompt_pack: str
    prompt_pack_stamp: str
    cost_usd: float
    draft: FileRef
    redactions: int


@dataclass(frozen=True, slots=True)
class FinishJob(JobCommand):
    pattern_id: str
    outcome: Literal["new", "evidence_added", "quarantined"]


# --- people, and what else may happen to a job ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Approve(JobCommand):
    """Move a blocked job on, whatever blocks it; the status says which way is out.

    `now` lets it go before all others; a job that only waits for its next attempt has no other way to be approved.
    """

    person: Person
    grant_usd: float = 0.0
    accept_unproven: bool = False
    now: bool = False


@dataclass(frozen=True, slots=True)
class Dismiss(JobCommand):
    person: Person


@dataclass(frozen=True, slots=True)
class SkipJob(JobCommand):
    cause: Literal["empty_diff", "own_work", "tombstone", "no_proof", "not_attributable"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RaiseAlert(JobCommand):
    """Say that the job is blocked; `kind` is its status."""

    kind: AlertKind
    message: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class RecordAlertDelivery(JobCommand):
    """`error` set means that the delivery failed."""

    alert_id: str
    channel: AlertChannel
    target: str
    resolved: bool = False
    error: str | None = None
    receipt: str = ""


@dataclass(frozen=True, slots=True)
class ReportRegression(JobCommand):
    """`person` reports one that escaped; without a person it was learnd that caught it.

    `pattern_status` is how the pattern stands: only what was once promoted can come undone.
    """

    pattern_id: str
    commit: str
    detail: str = ""
    committed_at: str | None = None
    person: Person | None = None
    pattern_status: PatternStatus = PatternStatus.ACTIVE


# --- patterns ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PatternCommand:
    pattern_id: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a pattern comes from and what it says."""

    repo_id: str
    repo_path: str
    job_id: str
    manifest_path: str
    title: str
    slug: str
    verdict: Literal["proven", "unproven"]
    text: FileRef
    body: str


@dataclass(frozen=True, slots=True)
class JudgeDraft(PatternCommand):
    """A draft came out of the gates. No `failed_gate` means that it passed all of `gates`."""

    origin: Origin
    gates: tuple[str, ...]
    failed_gate: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class JudgeAgain(PatternCommand):
    """A staged or candidate text came out of the gates again (released, or the rules grew)."""

    gates: tuple[str, ...]
    failed_gate: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Release(PatternCommand):
    person: Person


@dataclass(frozen=True, slots=True)
class Promote(PatternCommand):
    """`text_sha256` is of the text that the person saw; `edited_text` is set when it is their own."""

    person: Person
    manifest_path: str
    text_sha256: str
    edited_text: str | None = None


@dataclass(frozen=True, slots=True)
class Reject(PatternCommand):
    person: Person


@dataclass(frozen=True, slots=True)
class Expire(PatternCommand):
    days: int


@dataclass(frozen=True, slots=True)
class RecordEdit(PatternCommand):
    found_sha256: str
    expected_sha256: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class MarkStale(PatternCommand):
    changed_paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reverify(PatternCommand):
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Deprecate(PatternCommand):
    person: Person


@dataclass(frozen=True, slots=True)
class Supersede(PatternCommand):
    person: Person
    by: str


@dataclass(frozen=True, slots=True)
class Restore(PatternCommand):
    person: Person


@dataclass(frozen=True, slots=True)
class AddEvidence(PatternCommand):
    job_id: str
    verdict: str


@dataclass(frozen=True, slots=True)
class WithdrawEvidence(PatternCommand):
    job_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class RecordReintroduction(PatternCommand):
    job_id: str
    path: str
    detail: str = ""


# --- repositories and the machine -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RegisterRepository:
    """Start to learn from a repository. `device` and `inode` are those of its common git folder."""

    repo_id: str
    path: str
    common_dir: str
    device: int
    inode: int
    root_commit: str | None
    at: str


@dataclass(frozen=True, slots=True)
class MoveRepository:
    repo_id: str
    path: str
    common_dir: str
    device: int
    inode: int


@dataclass(frozen=True, slots=True)
class AddWorkTree:
    repo_id: str
    path: str
    at: str


@dataclass(frozen=True, slots=True)
class StartDaemon:
    boot_id: str
    pid: int
    learnd_version: str
    learning_enabled: bool


@dataclass(frozen=True, slots=True)
class StopDaemon:
    boot_id: str
    drained: bool


@dataclass(frozen=True, slots=True)
class RaiseFault:
    kind: FaultKind
    detail: str


@dataclass(frozen=True, slots=True)
class ClearFault:
    kind: FaultKind


@dataclass(frozen=True, slots=True)
class ForgetRepository:
    repo_id: str
    person: Person


@dataclass(frozen=True, slots=True)
class RaiseFaultAlert:
    """Say that `fault` stands on this machine."""

    fault: FaultKind
    message: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class RecordFaultAlertDelivery:
    """As `RecordAlertDelivery`, for an alert about the machine."""

    alert_id: str
    channel: AlertChannel
    target: str
    resolved: bool = False
    error: str | None = None
    receipt: str = ""


@dataclass(frozen=True, slots=True)
class RecordBackup:
    path: str
    position: int
    hash: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class RecordRestore:
    path: str
    position: int
    hash: str
    lost_position: int | None = None


@dataclass(frozen=True, slots=True)
class RecordMigration:
    from_version: int
    to_version: int
    backup: str


RepositoryCommand = RegisterRepository | MoveRepository | AddWorkTree | ForgetRepository
MachineCommand = (
    StartDaemon
    | StopDaemon
    | RaiseFault
    | ClearFault
    | RaiseFaultAlert
    | RecordFaultAlertDelivery
    | RecordBackup
    | RecordRestore
    | RecordMigration
)
