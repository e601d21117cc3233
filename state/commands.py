"""What is asked for: imperative inputs, with everything that `decide` needs to answer.

A command carries its own time, ids and limits, so that deciding needs no clock, no randomness and no
settings. Commands are never stored; the events they lead to are. `at` is ISO 8601 UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from events.catalog import AlertChannel, AlertKind, FaultKind, Severity, UseOutcome
from events.values import (
    ChangeMarks,
    Citations,
    DroppedSentence,
    Evidence,
    FileRef,
    FileVersion,
    Group,
    Isolation,
    RuleMatch,
    Scenario,
    SnapshotRecord,
    UnknownFile,
    Usage,
)
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
class GroupTerms:
    """How a job takes part in grouped validation: until `closes_at` with other runs that touch its one service.

    A change that touches several is validated alone.
    """

    group_id: str
    services: tuple[str, ...]
    closes_at: str
    window_hours: float


@dataclass(frozen=True, slots=True)
class RecordQueued(JobCommand):
    """No `grouping`: the job is validated by itself, `validation.mode = "per-task"`."""

    snapshot_id: str
    payload: FileRef
    prompt: FileRef | None
    prompt_source: str | None
    execution_history: FileRef
    grouping: GroupTerms | None = None


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


# --- groups -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CloseGroup(JobCommand):
    """The job is the last of `group`, which is complete. `snapshot` and `tombstone` are of all members' change."""

    group: Group
    cause: Literal["window", "expedited", "per_task", "unreadable"]
    detail: str = ""
    apart: tuple[str, ...] = ()
    snapshot: SnapshotRecord | None = None
    tombstone: str | None = None
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class JoinGroup(JobCommand):
    group: Group


@dataclass(frozen=True, slots=True)
class DissolveGroup(JobCommand):
    group_id: str
    detail: str


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
    """`worst_case_usd` bounds from above what the call can cost.

    With `ledger`, the month in whose ledger it is reserved by the same append, anything but a start is Refused
    (`not_started`): the end that the job takes instead is asked for once more, without it.
    """

    boot_id: str
    author: Literal["openai", "extractive"]
    model: str | None
    worst_case_usd: float
    max_attempts: int
    prompt_pack: str
    prompt_pack_stamp: str
    redactions: int = 0
    ledger: str | None = None


@dataclass(frozen=True, slots=True)
class SettleModelCall(JobCommand):
    """No `cost_usd` means that nobody can say: then the whole reservation counts as spent.

    So does a cost beyond it: the call was sent with limits, and who tells of more did not keep to them.
    """

    model: str
    cost_usd: float | None
    usage: Usage | None


@dataclass(frozen=True, slots=True)
class RecordCrystalizationFailure(JobCommand):
    """`fault` marks a machine-wide fault: it costs no attempt. `final` failures are not tried again.

    `repairable` failures (a reply came that is no draft) are tried again once, whatever `max_attempts` leaves.

    The call must be settled before: `next_worst_case_usd` is held against what is left then.
    """

    cause: str
    detail: str
    max_attempts: int
    retry_at: str
    next_worst_case_usd: float = 0.0
    fault: bool = False
    final: bool = False
    repairable: bool = False


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
    cited: Citations = field(default_factory=Citations)
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class FinishJob(JobCommand):
    pattern_id: str
    outcome: Literal["new", "evidence_added", "quarantined", "grouped"]


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
    cause: Literal["empty_diff", "own_work", "tombstone", "no_proof", "not_attributable", "grouped"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RaiseAlert(JobCommand):
    """Say that the job is blocked; `kind` is its status."""

    kind: AlertKind
    message: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class RaiseReintroduction(JobCommand):
    """Say that the run brought back what the pattern warns of."""

    pattern_id: str
    message: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class EndReintroduction(JobCommand):
    pattern_id: str
    detail: str


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
    change: ChangeMarks | None = None


@dataclass(frozen=True, slots=True)
class JudgeDraft(PatternCommand):
    """A draft came out of the gates. No `failed_gate` means that it passed all of `gates`."""

    origin: Origin
    gates: tuple[str, ...]
    failed_gate: str | None = None
    detail: str = ""
    dropped: tuple[DroppedSentence, ...] = ()


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
    """`text_sha256` is of the text that the person saw; `edited_text` is set when it is their own.

    `approvals` is how many people must consent. `owned` are the paths that the pattern cites and that have owners, with
    them: each must have the consent of one; `cites_unowned`: there are others, about which any approver may speak.
    `opposed` are patterns that are served, or may be again without anybody's word, and that advise the opposite.
    """

    person: Person
    manifest_path: str
    text_sha256: str
    edited_text: str | None = None
    approvals: int = 1
    owned: tuple[tuple[str, frozenset[str]], ...] = ()
    cites_unowned: bool = False
    opposed: tuple[str, ...] = ()


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
    """`files` are all cited files as they are in `tree`, which `seen_in` names for people."""

    changed_paths: tuple[str, ...]
    seen_in: str = ""
    tree: str | None = None
    files: tuple[FileVersion, ...] = ()


@dataclass(frozen=True, slots=True)
class StartReverification(PatternCommand):
    boot_id: str
    isolation: Isolation
    tree: str
    files: tuple[FileVersion, ...]
    max_attempts: int


@dataclass(frozen=True, slots=True)
class InterruptReverification(PatternCommand):
    cause: Literal["crash", "drain", "fault"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class GiveReverificationUp(PatternCommand):
    """The evidence was not shown again, and will not be in this state of the cited files."""

    cause: str
    detail: str
    tree: str
    files: tuple[FileVersion, ...]
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Reverify(PatternCommand):
    evidence: Evidence
    tree: str | None = None
    files: tuple[FileVersion, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordRule(PatternCommand):
    """As `PatternRuleVerified` says it."""

    rule: str
    sha256: str
    language: str
    source: Literal["author", "extractive"]
    matches: tuple[RuleMatch, ...]
    base_files: int
    snapshot_files: int
    has_fix: bool = False
    fix_as_tested: bool = False
    engine: str = ""


@dataclass(frozen=True, slots=True)
class RecordNoRule(PatternCommand):
    """`detail` says why none was found, for people."""

    detail: str


@dataclass(frozen=True, slots=True)
class Deprecate(PatternCommand):
    person: Person


@dataclass(frozen=True, slots=True)
class Supersede(PatternCommand):
    """`by_status` is how the pattern that takes the place stands when this is done."""

    person: Person
    by: str
    by_status: PatternStatus = PatternStatus.ACTIVE


@dataclass(frozen=True, slots=True)
class Restore(PatternCommand):
    person: Person


@dataclass(frozen=True, slots=True)
class AddEvidence(PatternCommand):
    """`text` is what the job's author had written; it becomes no pattern of its own."""

    job_id: str
    verdict: str
    because: str = ""
    similarity: float | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class WithdrawEvidence(PatternCommand):
    job_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class RecordConflict(PatternCommand):
    other: str
    kind: Literal["reverse", "takes_back", "brings_back"]
    detail: str


@dataclass(frozen=True, slots=True)
class RemindReview(PatternCommand):
    """The pattern has waited for `days`; between two reminders lie at least `period_days`."""

    days: int
    period_days: int


@dataclass(frozen=True, slots=True)
class StartReview(PatternCommand):
    """`worst_case_usd` bounds the call from above; `available_usd` is what the job's authors left of its budget."""

    boot_id: str
    model: str
    worst_case_usd: float
    available_usd: float
    text_sha256: str
    prompt_pack: str
    prompt_pack_stamp: str
    max_attempts: int
    ledger: str | None = None


@dataclass(frozen=True, slots=True)
class SettleReview(PatternCommand):
    """No `cost_usd` means that nobody can say: then the whole reservation counts as spent.

    `retried` marks a fault of the machine or the provider: the review may be tried again.
    """

    cost_usd: float | None
    usage: Usage | None
    recommendation: Literal["promote", "edit", "reject", "unsure"] | None = None
    reasons: tuple[str, ...] = ()
    failure: str = ""
    retried: bool = False


@dataclass(frozen=True, slots=True)
class RecordReintroduction(PatternCommand):
    job_id: str
    path: str
    detail: str = ""
    lines: tuple[int, int] | None = None


# --- what becomes of patterns where agents are ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UsageCommand:
    pattern_id: str


@dataclass(frozen=True, slots=True)
class RecordServed(UsageCommand):
    """Agents were given the pattern `times` on `day` (UTC, `2026-01-31`), as its notes up to `through` tell."""

    day: str
    times: int
    runs: tuple[str, ...]
    through: int
    day_is_over: bool


@dataclass(frozen=True, slots=True)
class ReportUse(UsageCommand):
    """`pattern_status` is how the pattern stands: of what was never served nobody can tell. `note` is redacted."""

    run: str | None
    outcome: UseOutcome
    day: str
    pattern_status: PatternStatus
    note: str = ""
    redactions: int = 0


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
    until: str | None = None
    needed_usd: float | None = None


@dataclass(frozen=True, slots=True)
class ClearFault:
    kind: FaultKind


@dataclass(frozen=True, slots=True)
class ForgetRepository:
    repo_id: str
    person: Person


@dataclass(frozen=True, slots=True)
class RecordUnknownFiles:
    """What lay in `active/` of the work tree `path` is kept, and about to leave it."""

    repo_id: str
    path: str
    files: tuple[UnknownFile, ...]


@dataclass(frozen=True, slots=True)
class RaiseFaultAlert:
    """Say that `fault` stands on this machine."""

    fault: FaultKind
    message: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class RaiseReviewAlert:
    """Say that patterns wait for a person too long; it takes the place of the one that says so already."""

    message: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class EndReviewAlert:
    """Nothing that was reminded of waits any more."""


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


# --- money ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Caps:
    """What all model calls of a UTC day, and of a UTC month, may cost together, in US dollars."""

    day_usd: float
    month_usd: float


@dataclass(frozen=True, slots=True)
class SpendCommand:
    """`month` (`2026-11`) says which ledger; `about` is the stream that the call is for, `number` counts its calls."""

    month: str
    about: str
    number: int


@dataclass(frozen=True, slots=True)
class ReserveSpend(SpendCommand):
    day: str
    model: str
    usd: float
    caps: Caps


@dataclass(frozen=True, slots=True)
class SettleSpend(SpendCommand):
    """No `cost_usd` means all that was reserved."""

    cost_usd: float | None


RepositoryCommand = RegisterRepository | MoveRepository | AddWorkTree | ForgetRepository | RecordUnknownFiles
MachineCommand = (
    StartDaemon
    | StopDaemon
    | RaiseFault
    | ClearFault
    | RaiseFaultAlert
    | RaiseReviewAlert
    | EndReviewAlert
    | RecordFaultAlertDelivery
    | RecordBackup
    | RecordRestore
    | RecordMigration
)
