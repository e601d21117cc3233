"""What happened: every event type, and the one tagged union over them.

Rules of this file:

- Names are past-tense facts of the domain. A changed meaning is a new type; a changed shape is a new
  `schema` number and an upcast in `upcasts.py`. Nothing here is ever removed: histories fold for ever.
- An event says what is true, not what anyone should do about it. No rule lives here.
- Free text that came from a run is redacted by its writer before it becomes an event.

Streams: `job-<id>`, `pattern-<id>`, `usage-<pattern's id>`, `repo-<id>`, `machine` (daemon starts, machine-wide
faults), `spend-<month>` (what model calls may cost and did).
Times inside events are ISO 8601 UTC with milliseconds; money is US dollars.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Union, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from events.values import (
    ChangeMarks,
    Citations,
    Digest,
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


class Event(BaseModel):
    """A fact. `type` is the tag of the union and is stored with the data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    SCHEMA: ClassVar[int] = 1

    type: str


class Approval(Event):
    """A fact that a person brought about. `approver` is the kernel-proven user, `claimed` a name given."""

    approver: str
    claimed: str | None = None
    reason: str = ""


# --- a job: the run ---------------------------------------------------------------------------------


class RunObserved(Event):
    """A run was seen in progress and its base tree was taken."""

    type: Literal["RunObserved"] = "RunObserved"
    repo_id: str
    repo_path: str
    manifest_path: str
    task_id: str
    run_id: str
    started_at: str | None
    base_tree: str
    base_commit: str | None


class RunEnded(Event):
    """A run ended without success. Recorded, never learned from."""

    type: Literal["RunEnded"] = "RunEnded"
    repo_id: str
    repo_path: str
    manifest_path: str
    task_id: str
    run_id: str
    outcome: Literal["failed", "cancelled"]
    completed_at: str


class JobOpened(Event):
    """A run succeeded; learnd will try to learn from it."""

    type: Literal["JobOpened"] = "JobOpened"
    repo_id: str
    repo_path: str
    manifest_path: str
    task_id: str
    run_id: str
    shape: str
    started_at: str | None
    completed_at: str
    trigger: Literal["completed", "approved"]
    budget_usd: float
    requested: bool = False
    base_tree: str | None = None
    base_commit: str | None = None


class RunReopened(Event):
    """The producer resumed the run: this completion no longer stands."""

    type: Literal["RunReopened"] = "RunReopened"
    manifest_path: str


# --- a job: snapshot --------------------------------------------------------------------------------


class SnapshotAttemptFailed(Event):
    """An attempt at the snapshot, or at its queue files, failed; the next comes at `retry_at`."""

    type: Literal["SnapshotAttemptFailed"] = "SnapshotAttemptFailed"
    step: Literal["capture", "enqueue"]
    attempt: int
    cause: str
    detail: str
    retry_at: str


class SnapshotTaken(Event):
    """What the run left is captured, tagged and packed away."""

    type: Literal["SnapshotTaken"] = "SnapshotTaken"
    snapshot: SnapshotRecord


class SnapshotFailed(Event):
    """The last attempt at the snapshot failed."""

    type: Literal["SnapshotFailed"] = "SnapshotFailed"
    step: Literal["capture", "enqueue"]
    attempts: int
    cause: str
    detail: str


class ApprovalAwaited(Event):
    """The operator's trigger is `approved`: the snapshot is safe, a person says go."""

    type: Literal["ApprovalAwaited"] = "ApprovalAwaited"


class RunApproved(Approval):
    """A person let the run be learned from."""

    type: Literal["RunApproved"] = "RunApproved"


class JobQueued(Event):
    """Diff, prompt and execution history lie beside the snapshot."""

    type: Literal["JobQueued"] = "JobQueued"
    snapshot_id: str
    payload: FileRef
    prompt: FileRef | None
    prompt_source: str | None
    execution_history: FileRef


class SnapshotStalled(Event):
    """What was stored is no longer what was taken: digest, checkout or diff does not hold."""

    type: Literal["SnapshotStalled"] = "SnapshotStalled"
    cause: Literal["digest", "checkout", "diff", "missing"]
    expected: str
    found: str
    git_status: FileRef | None = None
    git_log: FileRef | None = None


class TarballRebuilt(Event):
    """The tarball was made again from an intact tree; its digest is the recorded one."""

    type: Literal["TarballRebuilt"] = "TarballRebuilt"
    tarball: FileRef


class SnapshotPruned(Event):
    """Retention deleted the tarball, the tag and the objects of a job at rest."""

    type: Literal["SnapshotPruned"] = "SnapshotPruned"
    tag: str
    tarball_path: str
    freed_bytes: int


# --- a job: grouped validation ----------------------------------------------------------------------


class GroupAwaited(Event):
    """`validation.mode = "grouped"`: until `closes_at` the job waits for more runs that touch the same service."""

    type: Literal["GroupAwaited"] = "GroupAwaited"
    service: str
    closes_at: str
    window_hours: float


class GroupClosed(Event):
    """The group is complete, and this job, its last member, validates it; a group of one is validated alone.

    `snapshot` is this job's with the base of the group's first member: what all members changed, and nothing else.
    `apart` says which runs of the same service stayed out, and why. `urgent`: a person let a member go first.
    """

    type: Literal["GroupClosed"] = "GroupClosed"
    group: Group
    cause: Literal["window", "expedited", "per_task", "several_services", "unreadable"]
    detail: str = ""
    apart: tuple[str, ...] = ()
    snapshot: SnapshotRecord | None = None
    urgent: bool = False


class GroupJoined(Event):
    """The group is complete; the job of its last run validates this one with its own."""

    type: Literal["GroupJoined"] = "GroupJoined"
    group: Group


class GroupDissolved(Event):
    """The group lost a member before it was validated: those that are left wait for a group again."""

    type: Literal["GroupDissolved"] = "GroupDissolved"
    group_id: str
    detail: str


# --- a job: scenario --------------------------------------------------------------------------------


class ScenarioAttemptFailed(Event):
    """Nothing was found yet that verifies the change."""

    type: Literal["ScenarioAttemptFailed"] = "ScenarioAttemptFailed"
    attempt: int
    cause: str
    detail: str


class ScenarioSynthesized(Event):
    """What to execute in order to verify the change."""

    type: Literal["ScenarioSynthesized"] = "ScenarioSynthesized"
    scenario: Scenario
    file: FileRef


class ManualScenarioRequired(Event):
    """Nothing was found that verifies the change: a person completes the template."""

    type: Literal["ManualScenarioRequired"] = "ManualScenarioRequired"
    attempts: int
    cause: str
    detail: str
    partial: FileRef
    template: FileRef


class ManualScenarioSupplied(Approval):
    """A person said what to execute."""

    type: Literal["ManualScenarioSupplied"] = "ManualScenarioSupplied"
    scenario: Scenario
    file: FileRef


# --- a job: replay ----------------------------------------------------------------------------------


class ReplayStarted(Event):
    """Both sides of the change are about to be executed in the sandbox."""

    type: Literal["ReplayStarted"] = "ReplayStarted"
    attempt: int
    boot_id: str
    isolation: Isolation


class ReplayInterrupted(Event):
    """`crash` costs an attempt; `drain`, `cancelled` and `fault` (machine-wide) cost none."""

    type: Literal["ReplayInterrupted"] = "ReplayInterrupted"
    cause: Literal["crash", "drain", "cancelled", "fault"]
    detail: str = ""


class ChangeValidated(Event):
    """The replays passed with the change: `proven` when they failed without it, else `pass_only`."""

    type: Literal["ChangeValidated"] = "ChangeValidated"
    evidence: Evidence
    file: FileRef


class ValidationFailed(Event):
    """The replays say no, disagree, or say nothing: `failed`, `flaky`, `inconclusive`."""

    type: Literal["ValidationFailed"] = "ValidationFailed"
    cause: str
    evidence: Evidence
    file: FileRef | None = None


# --- a job: crystalization --------------------------------------------------------------------------


class CrystalizationStarted(Event):
    """The worst case of the call is reserved before it is made."""

    type: Literal["CrystalizationStarted"] = "CrystalizationStarted"
    attempt: int
    boot_id: str
    author: Literal["openai", "extractive"]
    model: str | None
    reserved_usd: float
    prompt_pack: str
    prompt_pack_stamp: str
    redactions: int = 0
    """Lines that are redacted in what is sent."""
    ledger: str | None = None
    """The month (`2026-11`, UTC) in whose ledger the reservation stands too; none for what costs nothing."""


class ModelCallSettled(Event):
    """What a reserved call really cost. Recorded in any state, for the money is gone in any state."""

    type: Literal["ModelCallSettled"] = "ModelCallSettled"
    attempt: int
    model: str
    cost_usd: float
    usage: Usage | None
    assumed: bool = False
    """True when the provider told no usage, or more than it was asked for: then the whole reservation is spent."""


class CrystalizationAttemptFailed(Event):
    """An author gave no usable draft; the next attempt comes at `retry_at`."""

    type: Literal["CrystalizationAttemptFailed"] = "CrystalizationAttemptFailed"
    attempt: int
    cause: str
    detail: str
    retry_at: str


class BudgetExhausted(Event):
    """The worst case of the next call is more than budget and grants leave."""

    type: Literal["BudgetExhausted"] = "BudgetExhausted"
    needed_usd: float
    available_usd: float
    detail: str = ""


class CrystalizationFailed(Event):
    """No author gave a usable draft."""

    type: Literal["CrystalizationFailed"] = "CrystalizationFailed"
    attempts: int
    cause: str
    detail: str


class PatternDrafted(Event):
    """An author wrote the change up; no gate has seen the text yet."""

    type: Literal["PatternDrafted"] = "PatternDrafted"
    pattern_id: str
    title: str
    slug: str
    author: Literal["openai", "extractive"]
    model: str | None
    prompt_pack: str
    prompt_pack_stamp: str
    cost_usd: float
    draft: FileRef
    redactions: int = 0
    """Lines that were redacted in what was sent and in what came back."""
    cited: Citations = Citations()
    rule: str | None = None
    """An ast-grep rule as YAML, as the author wrote it: nobody has run it yet."""


class JobLearned(Event):
    """The job is done: the pattern's own stream takes over."""

    type: Literal["JobLearned"] = "JobLearned"
    pattern_id: str
    outcome: Literal["new", "evidence_added", "quarantined", "grouped"]
    """`grouped`: the pattern came of the group that the job was a member of."""


# --- a job: the ways out ----------------------------------------------------------------------------


class JobRequeued(Approval):
    """A person moved a blocked job on."""

    type: Literal["JobRequeued"] = "JobRequeued"
    from_status: str
    grant_usd: float = 0.0
    accept_unproven: bool = False


class JobSkipped(Event):
    """There is nothing to learn from this run, and why."""

    type: Literal["JobSkipped"] = "JobSkipped"
    cause: Literal["empty_diff", "own_work", "tombstone", "no_proof", "not_attributable", "grouped"]
    detail: str = ""


class JobDismissed(Approval):
    """A person ended the job."""

    type: Literal["JobDismissed"] = "JobDismissed"


# --- a job: facts that change no status -------------------------------------------------------------


class JobExpedited(Approval):
    """A person let the job go first, and not wait for its next attempt."""

    type: Literal["JobExpedited"] = "JobExpedited"


AlertKind = Literal[
    "snapshot_failed", "stalled_snapshot", "needs_manual_scenario", "over_budget",
    "validation_failed", "crystalization_failed", "awaiting_approval", "machine_fault", "review_waiting",
    "reintroduction",
]  # fmt: skip
Severity = Literal["P1", "P2", "P3", "P4", "P5"]
AlertChannel = Literal["slack", "pagerduty", "journal"]
UseOutcome = Literal["helped", "did_not_help", "wrong"]


class AlertRaised(Event):
    """Somebody should look at the job, or at the machine. `about` is the cause, or the fault's kind."""

    type: Literal["AlertRaised"] = "AlertRaised"
    alert_id: str
    kind: AlertKind
    message: str
    severity: Severity
    about: str = ""


class AlertDelivered(Event):
    """An alert reached a channel, or was resolved there. `receipt` is the channel's own name for it."""

    type: Literal["AlertDelivered"] = "AlertDelivered"
    alert_id: str
    channel: AlertChannel
    target: str
    resolved: bool = False
    receipt: str = ""


class AlertFailed(Event):
    """An alert did not reach a channel."""

    type: Literal["AlertFailed"] = "AlertFailed"
    alert_id: str
    channel: AlertChannel
    target: str
    error: str


class ReintroductionGone(Event):
    """What this job's run brought back is not in a later snapshot any more, or its pattern warns of it no longer."""

    type: Literal["ReintroductionGone"] = "ReintroductionGone"
    pattern_id: str
    detail: str = ""


class RegressionDetected(Event):
    """Something that worked works no more. `escaped` when a person had to report it.

    With `pattern_id`: the change behind that pattern came undone at `commit`. Without: this job's own change, the
    snapshot `commit`, breaks tests that pass without it. `committed_at` is when `commit` was made, where that is known;
    `approver` is the proven user that reported it, `claimed` a name given.
    """

    type: Literal["RegressionDetected"] = "RegressionDetected"
    pattern_id: str | None
    commit: str
    escaped: bool
    detail: str = ""
    committed_at: str | None = None
    approver: str | None = None
    claimed: str | None = None


# --- a pattern --------------------------------------------------------------------------------------


class PatternStaged(Event):
    """A draft stands under machine evaluation."""

    type: Literal["PatternStaged"] = "PatternStaged"
    pattern_id: str
    repo_id: str
    repo_path: str
    job_id: str
    manifest_path: str
    title: str
    slug: str
    verdict: Literal["proven", "unproven"]
    text: FileRef
    text_body: str
    """The whole Markdown text: patterns are small, and the log alone must give them back."""
    change: ChangeMarks | None = None
    dropped: tuple[DroppedSentence, ...] = ()
    """What the draft said beyond its evidence, and the text no longer does."""


class PatternQuarantined(Event):
    """A gate refused the text: it is kept out of the repository."""

    type: Literal["PatternQuarantined"] = "PatternQuarantined"
    pattern_id: str
    gate: str
    detail: str
    # A draft that never stood in staging brings its origin with it.
    repo_id: str | None = None
    repo_path: str | None = None
    job_id: str | None = None
    manifest_path: str | None = None
    title: str | None = None
    slug: str | None = None
    verdict: Literal["proven", "unproven"] | None = None
    text_body: str | None = None
    change: ChangeMarks | None = None


class PatternReleased(Approval):
    """A person let a quarantined text out. `gate` is the one that they overruled."""

    type: Literal["PatternReleased"] = "PatternReleased"
    gate: str | None = None
    manifest_path: str | None = None


class PatternProposed(Event):
    """Every gate passed: the pattern waits for a person."""

    type: Literal["PatternProposed"] = "PatternProposed"
    gates: tuple[str, ...]


class PatternPromoted(Approval):
    """A person made the pattern active: agents may load it."""

    type: Literal["PatternPromoted"] = "PatternPromoted"
    manifest_path: str
    text_sha256: Digest
    text_body: str | None = None
    """Set when a person's edited text was promoted: from then on this is the text."""


class PatternRejected(Approval):
    """A person refused the pattern; its change is not learned again."""

    type: Literal["PatternRejected"] = "PatternRejected"
    manifest_path: str | None = None


class PatternExpired(Event):
    """Nobody reviewed the candidate in time."""

    type: Literal["PatternExpired"] = "PatternExpired"
    days: int


class PatternEdited(Event):
    """A person changed an active pattern's file: it is not served until it is promoted again."""

    type: Literal["PatternEdited"] = "PatternEdited"
    found_sha256: Digest
    expected_sha256: Digest
    by: str | None = None


class PatternWentStale(Event):
    """Files that the pattern cites changed."""

    type: Literal["PatternWentStale"] = "PatternWentStale"
    changed_paths: tuple[str, ...]
    seen_in: str = ""
    """What showed the change: `job <id>` (a later snapshot) or `commit <id>` (HEAD)."""
    tree: str | None = None
    files: tuple[FileVersion, ...] = ()
    """All cited files as they are there."""


class ReverificationStarted(Event):
    """The stale pattern's evidence is about to be replayed on `tree`, with and without its change."""

    type: Literal["ReverificationStarted"] = "ReverificationStarted"
    attempt: int
    boot_id: str
    isolation: Isolation
    tree: str
    files: tuple[FileVersion, ...]


class ReverificationInterrupted(Event):
    """`crash` costs an attempt; `drain` and `fault` (machine-wide) cost none."""

    type: Literal["ReverificationInterrupted"] = "ReverificationInterrupted"
    cause: Literal["crash", "drain", "fault"]
    detail: str = ""


class ReverificationFailed(Event):
    """The evidence does not hold in this state of the cited files, or cannot be asked for: the pattern stays stale.

    It is tried again when those files are in another state. `evidence` is what the replays showed, if any were made.
    """

    type: Literal["ReverificationFailed"] = "ReverificationFailed"
    cause: str
    detail: str
    tree: str
    files: tuple[FileVersion, ...]
    evidence: Evidence | None = None


class PatternReverified(Event):
    """The stale pattern's evidence holds again."""

    type: Literal["PatternReverified"] = "PatternReverified"
    evidence: Evidence
    tree: str | None = None
    files: tuple[FileVersion, ...] = ()
    """The cited files as they are in `tree`, where that was shown."""


class PatternDeprecated(Approval):
    """A person took the pattern out of service."""

    type: Literal["PatternDeprecated"] = "PatternDeprecated"
    manifest_path: str | None = None


class PatternSuperseded(Approval):
    """Another pattern took its place."""

    type: Literal["PatternSuperseded"] = "PatternSuperseded"
    by: str
    manifest_path: str | None = None


class PatternRestored(Approval):
    """A person made the pattern a candidate again."""

    type: Literal["PatternRestored"] = "PatternRestored"
    manifest_path: str | None = None


class PatternEndorsed(Approval):
    """A person consented to the promotion of this very text; more consents, or an owner's, are needed."""

    type: Literal["PatternEndorsed"] = "PatternEndorsed"
    manifest_path: str
    text_sha256: Digest
    missing: str = ""
    """What was still needed after this consent, for people."""


class EvidenceAdded(Event):
    """Another job showed the same.

    `draft_body` is what its author had written, `similarity` (0 to 1) how alike the two texts are.
    """

    type: Literal["EvidenceAdded"] = "EvidenceAdded"
    job_id: str
    verdict: str
    because: str = ""
    similarity: float | None = None
    draft_body: str | None = None


class EvidenceWithdrawn(Event):
    """A job's evidence no longer counts."""

    type: Literal["EvidenceWithdrawn"] = "EvidenceWithdrawn"
    job_id: str
    reason: str


class ConflictFound(Event):
    """Another pattern advises the opposite: a person is shown both."""

    type: Literal["ConflictFound"] = "ConflictFound"
    other: str
    kind: Literal["reverse", "takes_back", "brings_back"]
    detail: str


class ReviewReminded(Event):
    """The pattern had waited for a person for `days`, and approvers were reminded of it."""

    type: Literal["ReviewReminded"] = "ReviewReminded"
    days: int


class PatternReviewStarted(Event):
    """A model is about to read the candidate, for a recommendation; the worst case of the call is reserved."""

    type: Literal["PatternReviewStarted"] = "PatternReviewStarted"
    call: int
    """The how manieth call for this pattern; in the month's ledger it stands under the same number."""
    attempt: int
    boot_id: str
    model: str
    reserved_usd: float
    text_sha256: Digest
    prompt_pack: str
    prompt_pack_stamp: str
    ledger: str | None = None
    """The month in whose ledger the reservation stands too; none for what costs nothing."""


class PatternReviewed(Event):
    """What the model recommends, and what that cost. It decides nothing.

    Without a recommendation the review failed, and `failure` says how. `assumed`: the provider told no usage, and the
    whole reservation counts as spent.
    """

    type: Literal["PatternReviewed"] = "PatternReviewed"
    attempt: int
    model: str
    text_sha256: Digest
    recommendation: Literal["promote", "edit", "reject", "unsure"] | None
    reasons: tuple[str, ...] = ()
    failure: str = ""
    retried: bool = False
    """Whether it may be tried again: the machine or the provider was at fault, not the text."""
    cost_usd: float
    usage: Usage | None
    assumed: bool = False


class PatternRuleVerified(Event):
    """A structural rule was run on both sides of the pattern's change: it tells them apart.

    `rule` is the whole YAML, `sha256` of its bytes; only this text is ever run. It matched the base at `matches`, all
    of them on lines that exercised hunks took out or stood before, and nothing in the `snapshot_files` files of its
    language in the snapshot. `fix_verified`: its fix, applied to those matches, gives the snapshot's code there;
    `fix_as_tested`: and nothing else differs from a tree that the replays passed.
    """

    type: Literal["PatternRuleVerified"] = "PatternRuleVerified"
    rule: str
    sha256: Digest
    language: str
    source: Literal["author", "extractive"]
    matches: tuple[RuleMatch, ...]
    base_files: int
    snapshot_files: int
    has_fix: bool = False
    fix_as_tested: bool = False
    engine: str = ""
    """What ran it, with its version."""


class PatternRuleNotFound(Event):
    """A person brought the pattern back, and no rule was found that tells its change's two sides apart."""

    type: Literal["PatternRuleNotFound"] = "PatternRuleNotFound"
    detail: str


class ReintroductionDetected(Event):
    """A later run brought back what the pattern warns of, or what the deprecated pattern had advised."""

    type: Literal["ReintroductionDetected"] = "ReintroductionDetected"
    job_id: str
    path: str
    detail: str = ""
    lines: tuple[int, int] | None = None


# --- what becomes of a pattern where agents are, in a stream of its own --------------------------------


class PatternServed(Event):
    """Agents were given the pattern, `times` on one UTC day; at most two such events a day and pattern.

    `runs` are the runs it was given to, as far as they said so: at most 50, each once. `through` counts the day's notes
    of use, of all patterns, up to which this event tells; what comes later on the same day is told once it is over.
    """

    type: Literal["PatternServed"] = "PatternServed"
    pattern_id: str
    day: str
    times: int = Field(ge=1)
    runs: tuple[str, ...] = ()
    through: int = Field(ge=1)


class UseReported(Event):
    """An agent said what came of using the pattern: its word, which changes no status. `note` is redacted."""

    type: Literal["UseReported"] = "UseReported"
    pattern_id: str
    run: str | None
    outcome: UseOutcome
    day: str
    note: str = ""
    redactions: int = 0


# --- repositories and the machine -------------------------------------------------------------------


class RepositoryRegistered(Event):
    """From here on completed runs of this repository are learned from; older ones are left alone."""

    type: Literal["RepositoryRegistered"] = "RepositoryRegistered"
    repo_id: str
    path: str
    common_dir: str
    device: int
    inode: int
    root_commit: str | None
    registered_at: str


class RepositoryMoved(Event):
    """The repository stands elsewhere now."""

    type: Literal["RepositoryMoved"] = "RepositoryMoved"
    repo_id: str
    path: str
    common_dir: str
    device: int
    inode: int


class WorkTreeAdded(Event):
    """A linked work tree of a registered repository; it shares the id and has `.runs/` of its own."""

    type: Literal["WorkTreeAdded"] = "WorkTreeAdded"
    repo_id: str
    path: str
    added_at: str


class RepositoryForgotten(Approval):
    """A person had learnd forget the repository: nothing of it is watched or kept, save this log."""

    type: Literal["RepositoryForgotten"] = "RepositoryForgotten"
    repo_id: str
    path: str


class UnknownFilesSetAside(Event):
    """Files in the `active/` of the work tree `path` that neither the log nor git knows: they are kept and leave it."""

    type: Literal["UnknownFilesSetAside"] = "UnknownFilesSetAside"
    repo_id: str
    path: str
    files: tuple[UnknownFile, ...] = Field(min_length=1)


class ReviewsCaughtUp(Event):
    """None of the patterns that approvers were reminded of waits any more."""

    type: Literal["ReviewsCaughtUp"] = "ReviewsCaughtUp"


class LogBackedUp(Event):
    """A backup of the log as it was at `position`, whose event has `hash`, was made and read back."""

    type: Literal["LogBackedUp"] = "LogBackedUp"
    path: str
    position: int
    hash: Digest
    size_bytes: int


class LogRestored(Event):
    """The log was put back from a backup that ends at `position`.

    `lost_position` is the last position that is known to have existed and is not in it; none when nothing is missing.
    """

    type: Literal["LogRestored"] = "LogRestored"
    path: str
    position: int
    hash: Digest
    lost_position: int | None = None


class LogMigrated(Event):
    """The log's file has another layout now; `backup` is the file as it was before."""

    type: Literal["LogMigrated"] = "LogMigrated"
    from_version: int
    to_version: int
    backup: str


class DaemonStarted(Event):
    """A process holds the log and works."""

    type: Literal["DaemonStarted"] = "DaemonStarted"
    boot_id: str
    pid: int
    learnd_version: str
    learning_enabled: bool


class DaemonStopped(Event):
    """It stopped, having drained or not."""

    type: Literal["DaemonStopped"] = "DaemonStopped"
    boot_id: str
    drained: bool


FaultKind = Literal["sandbox", "disk", "model", "rate_limit", "spend"]


class FaultRaised(Event):
    """Something is wrong with the machine, not with a job: work of this kind waits."""

    type: Literal["FaultRaised"] = "FaultRaised"
    kind: FaultKind
    detail: str
    until: str | None = None
    """Not before then is it gone: when the provider said to come back, or when the day or month turns."""
    needed_usd: float | None = None
    """With `spend`: the worst case of the call for which the day's or month's cap leaves no room."""


class FaultCleared(Event):
    """Work of this kind goes on."""

    type: Literal["FaultCleared"] = "FaultCleared"
    kind: FaultKind


# --- money: stream `spend-<month>` ------------------------------------------------------------------


class SpendReserved(Event):
    """A call may be made that costs at most `usd`; `about` and `number` name it (a stream, its how manieth call)."""

    type: Literal["SpendReserved"] = "SpendReserved"
    about: str
    number: int
    model: str
    day: str
    usd: float


class SpendSettled(Event):
    """What a reserved call counts for; what was reserved beyond it is free again."""

    type: Literal["SpendSettled"] = "SpendSettled"
    about: str
    number: int
    usd: float


JobEvent = Union[  # noqa: UP007 - a tuple of types is taken from it below
    RunObserved, RunEnded, JobOpened, RunReopened,
    SnapshotAttemptFailed, SnapshotTaken, SnapshotFailed, ApprovalAwaited, RunApproved, JobQueued,
    GroupAwaited, GroupClosed, GroupJoined, GroupDissolved,
    SnapshotStalled, TarballRebuilt, SnapshotPruned,
    ScenarioAttemptFailed, ScenarioSynthesized, ManualScenarioRequired, ManualScenarioSupplied,
    ReplayStarted, ReplayInterrupted, ChangeValidated, ValidationFailed,
    CrystalizationStarted, ModelCallSettled, CrystalizationAttemptFailed, BudgetExhausted,
    CrystalizationFailed, PatternDrafted, JobLearned,
    JobRequeued, JobSkipped, JobDismissed, JobExpedited,
    AlertRaised, AlertDelivered, AlertFailed, RegressionDetected, ReintroductionGone,
]  # fmt: skip
PatternEvent = Union[  # noqa: UP007 - as above
    PatternStaged, PatternQuarantined, PatternReleased, PatternProposed, PatternPromoted,
    PatternRejected, PatternExpired, PatternEdited, PatternWentStale, PatternReverified,
    PatternDeprecated, PatternSuperseded, PatternRestored, PatternEndorsed,
    EvidenceAdded, EvidenceWithdrawn, ReintroductionDetected, PatternRuleVerified, PatternRuleNotFound,
    ReverificationStarted, ReverificationInterrupted, ReverificationFailed,
    ConflictFound, ReviewReminded, PatternReviewStarted, PatternReviewed,
]  # fmt: skip
UsageEvent = Union[PatternServed, UseReported]  # noqa: UP007 - as above
MachineEvent = Union[  # noqa: UP007 - as above
    RepositoryRegistered, RepositoryMoved, WorkTreeAdded, RepositoryForgotten,
    DaemonStarted, DaemonStopped, FaultRaised, FaultCleared, ReviewsCaughtUp,
    LogBackedUp, LogRestored, LogMigrated, UnknownFilesSetAside,
    SpendReserved, SpendSettled,
]  # fmt: skip
AnyEvent = Annotated[JobEvent | PatternEvent | UsageEvent | MachineEvent, Field(discriminator="type")]

JOB_EVENTS: tuple[type[Event], ...] = get_args(JobEvent)
PATTERN_EVENTS: tuple[type[Event], ...] = get_args(PatternEvent)
USAGE_EVENTS: tuple[type[Event], ...] = get_args(UsageEvent)
MACHINE_EVENTS: tuple[type[Event], ...] = get_args(MachineEvent)
CATALOG: dict[str, type[Event]] = {
    cls.__name__: cls for cls in (*JOB_EVENTS, *PATTERN_EVENTS, *USAGE_EVENTS, *MACHINE_EVENTS)
}

EVENT: TypeAdapter[JobEvent | PatternEvent | UsageEvent | MachineEvent] = TypeAdapter(AnyEvent)
"""Validates any stored event from its JSON, by its tag."""
