"""Given: jobs and patterns in every status, made by commands alone, and one case for every table row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from events.values import (
    Evidence,
    FileRef,
    FileVersion,
    Group,
    GroupMember,
    RuleMatch,
    Scenario,
    ScenarioCommand,
    SnapshotRecord,
)
from state import commands as c
from state.decide import Decided, decide
from state.job import ALERTED, BLOCKED, HARVESTED, OPEN, SEEN, WORKING, Job, JobStatus
from state.pattern import Pattern, PatternStatus

S = JobStatus
P = PatternStatus
JOB = "a1" * 32
PATTERN = "b2" * 32
SHA = "c3" * 32
AT = "2026-01-02T03:04:05.000Z"
FILE = FileRef(path="/repo/.runs/t/cli/r/learning/file", sha256=SHA)
RUN = c.RunRef("repo-1", "/repo", "/repo/.runs/t/cli/r/manifest.json", "t", "r")
ANNA = c.Person("anna", frozenset({"anna"}), reason="looked at it")
SCENARIO = Scenario(
    source="execution_history",
    commands=(ScenarioCommand(argv=("python", "-m", "pytest"), cls="test", runner="pytest"),),
)


def snapshot(**changes: object) -> SnapshotRecord:
    fields: dict[str, object] = {
        "snapshot_id": "5f0c", "tag": "learning-snapshot-5f0c", "commit": "1" * 40, "tree": "2" * 40,
        "base_tree": "3" * 40, "base_source": "observed", "tarball": FILE, "diff": FILE, "files_changed": 1,
        "insertions": 2, "deletions": 1, "changed_paths": ("a.py",), "lag_s": 0.5, "retention_days": 30,
    }  # fmt: skip
    return SnapshotRecord.model_validate({**fields, **changes})


def evidence(verdict: str = "proven", cause: str | None = None) -> Evidence:
    return Evidence.model_validate({"verdict": verdict, "cause": cause, "isolation": "bubblewrap"})


def open_job(trigger: str = "completed", **changes: object) -> c.OpenJob:
    fields: dict[str, object] = {
        "job_id": JOB, "run": RUN, "shape": "cli-v1", "started_at": None, "completed_at": AT,
        "registered_at": "2026-01-01T00:00:00.000Z", "trigger": trigger, "budget_usd": 0.5,
    }  # fmt: skip
    return c.OpenJob(**{**fields, **changes})  # type: ignore[arg-type] # a test's shorthand


observe = c.ObserveRun(JOB, RUN, None, "3" * 40, None)
taken = c.RecordSnapshot(JOB, snapshot())
capture_failed = c.RecordSnapshotFailure(JOB, "capture", "tag_refused", "no", 3, AT)
queued = c.RecordQueued(JOB, "5f0c", FILE, FILE, "prompt.md", FILE)
OTHER = "d4" * 32
"""Another job of the same group."""


def group(*jobs: str) -> Group:
    members = tuple(GroupMember(job=job, task_id="t", run_id=job[:2]) for job in jobs)
    return Group(id="07" * 32, service="api/", members=members, window_hours=24)


GROUP, LED = group(JOB, OTHER), group(OTHER, JOB)
"""A group that another job leads, and one that this job does."""

awaited = c.RecordQueued(
    JOB, "5f0c", FILE, FILE, "prompt.md", FILE, c.GroupTerms("07" * 32, ("api/",), "2026-01-03T03:04:05.000Z", 24)
)
several_services = c.RecordQueued(
    JOB, "5f0c", FILE, FILE, "prompt.md", FILE, c.GroupTerms("07" * 32, ("api/", "web/"), AT, 24)
)
close = c.CloseGroup(JOB, LED, "window", snapshot=snapshot(base_tree="4" * 40))
join = c.JoinGroup(JOB, GROUP)
dissolve = c.DissolveGroup(JOB, "07" * 32, "job d4d4d4d4 is dismissed since")
with_group = c.FinishJob(JOB, PATTERN, "grouped")
scenario = c.RecordScenario(JOB, SCENARIO, FILE)
no_scenario = c.RecordScenarioFailure(JOB, "no_command", "nothing to run", 2, FILE, FILE)
supplied = c.SupplyScenario(JOB, ANNA, SCENARIO, FILE)
replay = c.StartReplay(JOB, "boot-1", "bubblewrap", 3)
proven = c.RecordEvidence(JOB, evidence(), FILE)
pass_only = c.RecordEvidence(JOB, evidence("pass_only", "base_passes"), FILE)
flaky = c.RecordEvidence(JOB, evidence("flaky", "disagreement"), FILE)
crystalize = c.StartCrystalization(JOB, "boot-1", "openai", "gpt-4o", 0.2, 3, "crystalizer-v1", SHA)
too_dear = c.StartCrystalization(JOB, "boot-1", "openai", "gpt-4o", 0.7, 3, "crystalizer-v1", SHA)
settled = c.SettleModelCall(JOB, "gpt-4o", 0.1, None)
call_failed = c.RecordCrystalizationFailure(JOB, "invalid", "no JSON", 3, AT)
call_failed_for_good = c.RecordCrystalizationFailure(JOB, "key_rejected", "401", 3, AT, final=True)
repair_too_dear = c.RecordCrystalizationFailure(JOB, "invalid", "no JSON", 3, AT, next_worst_case_usd=0.6)
drafted = c.RecordDraft(JOB, PATTERN, "Title", "title", "openai", "gpt-4o", "crystalizer-v1", SHA, 0.1, FILE, 0)
finished = c.FinishJob(JOB, PATTERN, "new")
stalled = c.RecordStall(JOB, "digest", "aa", "bb")
approve = c.Approve(JOB, ANNA)

TO_QUEUED = (open_job(), taken, queued)
TO_WAITING = (open_job(), taken, awaited)
TO_LED = (*TO_WAITING, close)
TO_READY = (*TO_QUEUED, scenario)
TO_VALIDATED = (*TO_READY, replay, proven)
TO_DRAFTED = (*TO_VALIDATED, crystalize, settled, drafted)

WAY_TO: dict[JobStatus, tuple[c.JobCommand, ...]] = {
    S.NEW: (),
    S.OBSERVED: (observe,),
    S.RECORDED: (c.EndRun(JOB, RUN, "failed", AT, AT),),
    S.OPENED: (open_job(),),
    S.SNAPSHOT_FAILED: (open_job(), capture_failed, capture_failed, capture_failed),
    S.SNAPSHOTTED: (open_job(), taken),
    S.AWAITING_APPROVAL: (open_job("approved"), taken),
    S.QUEUED: TO_QUEUED,
    S.WAITING_FOR_GROUP: TO_WAITING,
    S.NEEDS_MANUAL_SCENARIO: (*TO_QUEUED, no_scenario, no_scenario),
    S.SCENARIO_READY: TO_READY,
    S.REPLAYING: (*TO_READY, replay),
    S.STALLED_SNAPSHOT: (*TO_QUEUED, stalled),
    S.VALIDATION_FAILED: (*TO_READY, replay, flaky),
    S.VALIDATED: TO_VALIDATED,
    S.CRYSTALIZING: (*TO_VALIDATED, crystalize),
    S.OVER_BUDGET: (*TO_VALIDATED, too_dear),
    S.CRYSTALIZATION_FAILED: (*TO_VALIDATED, crystalize, settled, call_failed_for_good),
    S.DRAFTED: TO_DRAFTED,
    S.LEARNED: (*TO_DRAFTED, finished),
    S.SKIPPED: (*TO_READY, replay, pass_only),
    S.DISMISSED: (open_job(), c.Dismiss(JOB, ANNA)),
    S.SUPERSEDED: (open_job(), c.ReopenRun(JOB, RUN.manifest_path)),
}


@dataclass(frozen=True)
class Case:
    """Given an entity in `status` by `given`, when `when`, then `event` is among what is decided."""

    status: str
    given: tuple[c.JobCommand | c.PatternCommand, ...]
    when: c.JobCommand | c.PatternCommand
    event: str


def job_cases() -> Iterator[Case]:
    """One case for every (status, event) of the job table."""
    special: list[tuple[JobStatus, c.JobCommand, str, tuple[c.JobCommand, ...] | None]] = [
        (S.NEW, observe, "RunObserved", None),
        (S.NEW, c.EndRun(JOB, RUN, "failed", AT, AT), "RunEnded", None),
        (S.OBSERVED, c.EndRun(JOB, RUN, "cancelled", AT, AT), "RunEnded", None),
        (S.NEW, open_job(), "JobOpened", None),
        (S.OBSERVED, open_job(), "JobOpened", None),
        (S.OPENED, capture_failed, "SnapshotAttemptFailed", None),
        (S.SNAPSHOTTED, capture_failed, "SnapshotAttemptFailed", None),
        (S.OPENED, taken, "SnapshotTaken", None),
        (S.OPENED, capture_failed, "SnapshotFailed", (open_job(), capture_failed, capture_failed)),
        (S.SNAPSHOTTED, capture_failed, "SnapshotFailed", (open_job(), taken, capture_failed, capture_failed)),
        (S.OPENED, taken, "ApprovalAwaited", (open_job("approved"),)),
        (S.AWAITING_APPROVAL, approve, "RunApproved", None),
        (S.SNAPSHOTTED, queued, "JobQueued", None),
        (S.QUEUED, awaited, "GroupAwaited", (open_job(), taken)),
        (S.QUEUED, several_services, "GroupClosed", (open_job(), taken)),
        (S.WAITING_FOR_GROUP, close, "GroupClosed", None),
        (S.WAITING_FOR_GROUP, join, "GroupJoined", None),
        (S.QUEUED, dissolve, "GroupDissolved", TO_LED),
        (S.SCENARIO_READY, dissolve, "GroupDissolved", (*TO_LED, scenario)),
        (S.WAITING_FOR_GROUP, dissolve, "GroupDissolved", (*TO_WAITING, join)),
        (S.WAITING_FOR_GROUP, with_group, "JobLearned", (*TO_WAITING, join)),
        (S.SKIPPED, with_group, "JobLearned", (*TO_WAITING, join, c.SkipJob(JOB, "grouped"))),
        (S.QUEUED, no_scenario, "ScenarioAttemptFailed", None),
        (S.QUEUED, scenario, "ScenarioSynthesized", None),
        (S.QUEUED, no_scenario, "ManualScenarioRequired", (*TO_QUEUED, no_scenario)),
        (S.NEEDS_MANUAL_SCENARIO, supplied, "ManualScenarioSupplied", None),
        (S.VALIDATION_FAILED, supplied, "ManualScenarioSupplied", None),
        (S.SCENARIO_READY, replay, "ReplayStarted", None),
        (S.REPLAYING, c.InterruptReplay(JOB, "drain"), "ReplayInterrupted", None),
        (S.QUEUED, stalled, "SnapshotStalled", None),
        (S.SCENARIO_READY, stalled, "SnapshotStalled", None),
        (S.REPLAYING, stalled, "SnapshotStalled", None),
        (S.REPLAYING, proven, "ChangeValidated", None),
        (S.REPLAYING, flaky, "ValidationFailed", None),
        (S.SCENARIO_READY, replay, "ValidationFailed", (*TO_READY, *(replay, c.InterruptReplay(JOB, "crash")) * 3)),
        (S.VALIDATED, crystalize, "CrystalizationStarted", None),
        (S.CRYSTALIZING, call_failed, "CrystalizationAttemptFailed", None),
        (S.VALIDATED, too_dear, "BudgetExhausted", None),
        (S.CRYSTALIZING, repair_too_dear, "BudgetExhausted", None),
        (S.CRYSTALIZING, call_failed_for_good, "CrystalizationFailed", None),
        (S.VALIDATED, c.StartCrystalization(JOB, "b", "openai", "m", 0.01, 1, "p", SHA), "CrystalizationFailed",
         (*TO_VALIDATED, crystalize, settled, call_failed)),
        (S.CRYSTALIZING, drafted, "PatternDrafted", None),
        (S.DRAFTED, finished, "JobLearned", None),
        (S.SNAPSHOT_FAILED, approve, "JobRequeued", None),
        (S.STALLED_SNAPSHOT, approve, "JobRequeued", (*TO_QUEUED, stalled, c.RecordTarballRebuilt(JOB, FILE))),
        (S.VALIDATION_FAILED, approve, "JobRequeued", None),
        (S.OVER_BUDGET, c.Approve(JOB, ANNA, grant_usd=1.0), "JobRequeued", None),
        (S.CRYSTALIZATION_FAILED, approve, "JobRequeued", None),
        (S.SKIPPED, c.Approve(JOB, ANNA, accept_unproven=True), "JobRequeued", None),
        (S.STALLED_SNAPSHOT, c.RecordTarballRebuilt(JOB, FILE), "TarballRebuilt", None),
        (S.VALIDATION_FAILED, c.RecordEvidence(JOB, evidence("failed", "regression"), FILE), "RegressionDetected",
         (*TO_READY, replay)),
        (S.LEARNED, c.ReportRegression(JOB, PATTERN, "4" * 40, person=ANNA), "RegressionDetected", None),
    ]  # fmt: skip
    for status, when, event, given in special:
        yield Case(status, WAY_TO[status] if given is None else given, when, event)
    for status in SEEN:
        for when, event in FACTS:
            yield Case(status, WAY_TO[status], when, event)
    for status in (S.LEARNED, S.SKIPPED, S.DISMISSED, S.SUPERSEDED):
        yield Case(status, _with_snapshot(status), c.RecordSnapshotPruned(JOB, 10), "SnapshotPruned")
    for status in OPEN:
        yield Case(status, WAY_TO[status], c.Dismiss(JOB, ANNA), "JobDismissed")
        yield Case(status, WAY_TO[status], c.ReopenRun(JOB, RUN.manifest_path), "RunReopened")
        if status in BLOCKED:
            yield Case(status, WAY_TO[status], c.RaiseAlert(JOB, status.value, "look", "P3"), "AlertRaised")
        if status in WORKING and status is not S.OBSERVED:
            yield Case(status, WAY_TO[status], c.Approve(JOB, ANNA, now=True), "JobExpedited")
        if status in WORKING:
            yield Case(status, WAY_TO[status], c.SkipJob(JOB, "tombstone"), "JobSkipped")

    brought_back = (open_job(), taken, c.RaiseReintroduction(JOB, PATTERN, "look", "P3"))
    yield Case(S.SNAPSHOTTED, brought_back[:2], brought_back[-1], "AlertRaised")
    for status in HARVESTED:
        way = (*brought_back, *WAY_TO[status][2:])
        if status is S.WAITING_FOR_GROUP:
            way = (WAY_TO[status][0], *brought_back[1:], *WAY_TO[status][2:])
        yield Case(status, way, c.EndReintroduction(JOB, PATTERN, "not there any more"), "ReintroductionGone")

    for status in ALERTED:
        alert, way = alerted(status)
        yield Case(status, way, c.RecordAlertDelivery(JOB, alert, "slack", "#learning-alerts"), "AlertDelivered")
        failed = c.RecordAlertDelivery(JOB, alert, "slack", "#learning-alerts", error="500")
        yield Case(status, way, failed, "AlertFailed")


def alerted(status: JobStatus) -> tuple[str, tuple[c.JobCommand, ...]]:
    """An alert's id, and a way to `status` on which it was raised."""
    raised, way = "snapshot_failed", [*WAY_TO[S.SNAPSHOT_FAILED], c.RaiseAlert(JOB, "snapshot_failed", "look", "P2")]
    if status is not S.SNAPSHOT_FAILED:
        way.append(approve)
        if status is S.AWAITING_APPROVAL:
            raised = "awaiting_approval"
            way = [*WAY_TO[status], c.RaiseAlert(JOB, "awaiting_approval", "look", "P4")]
        else:
            way.extend(WAY_TO[status][1:])
    return f"{JOB[:16]}-{raised}-1", tuple(way)


FACTS: tuple[tuple[c.JobCommand, str], ...] = ((settled, "ModelCallSettled"),)


def _with_snapshot(status: JobStatus) -> tuple[c.JobCommand, ...]:
    """A way to `status` that passes through a snapshot, where there is one."""
    return {
        S.DISMISSED: (open_job(), taken, c.Dismiss(JOB, ANNA)),
        S.SUPERSEDED: (open_job(), taken, c.ReopenRun(JOB, RUN.manifest_path)),
    }.get(status, WAY_TO[status])


ORIGIN = c.Origin("repo-1", "/repo", JOB, RUN.manifest_path, "Title", "title", "proven", FILE, "# text")
judged = c.JudgeDraft(PATTERN, ORIGIN, ("format",))
refused_by_gate = c.JudgeDraft(PATTERN, ORIGIN, ("format",), "grounding", "names a file that is not there")
promote = c.Promote(PATTERN, ANNA, RUN.manifest_path, SHA)
released = c.Release(PATTERN, ANNA)
deprecate = c.Deprecate(PATTERN, ANNA)
edit = c.RecordEdit(PATTERN, SHA, "d4" * 32)
endorse = c.Promote(PATTERN, ANNA, RUN.manifest_path, SHA, approvals=2)
asked = c.StartReview(PATTERN, "boot-1", "gpt-4o", 0.1, 0.4, SHA, "librarian-v1", SHA, 2)
answered = c.SettleReview(PATTERN, 0.02, None, "promote", ("it holds",))
conflict = c.RecordConflict(PATTERN, "e5" * 32, "reverse", "its change is the reverse")

NOW_THERE = (FileVersion(path="a.py", object_id="5" * 40),)
rule = c.RecordRule(
    PATTERN, "id: r\n", SHA, "Python", "extractive", (RuleMatch(path="a.py", lines=(1, 1)),), 1, 1, has_fix=True
)
reverify = c.StartReverification(PATTERN, "boot-1", "bubblewrap", "2" * 40, NOW_THERE, 3)

PATTERN_WAY_TO: dict[PatternStatus, tuple[c.PatternCommand, ...]] = {
    P.NEW: (),
    P.QUARANTINED: (refused_by_gate,),
    P.STAGED: (refused_by_gate, released),
    P.CANDIDATE: (judged,),
    P.ACTIVE: (judged, promote),
    P.EDITED: (judged, promote, edit),
    P.STALE: (judged, promote, c.MarkStale(PATTERN, ("a.py",))),
    P.REJECTED: (judged, c.Reject(PATTERN, ANNA)),
    P.EXPIRED: (judged, c.Expire(PATTERN, 90)),
    P.DEPRECATED: (judged, promote, deprecate),
}


BROUGHT_BACK = (refused_by_gate, released, c.JudgeAgain(PATTERN, ("format",)))
"""To a candidate whose rule is to be looked for."""


def pattern_cases() -> Iterator[Case]:
    """One case for every (status, event) of the pattern table."""
    again_refused = c.JudgeAgain(PATTERN, ("format",), "redaction", "a secret")
    supersede = c.Supersede(PATTERN, ANNA, "e5" * 32)
    cases: list[tuple[PatternStatus, c.PatternCommand, str]] = [
        (P.NEW, judged, "PatternStaged"),
        (P.NEW, refused_by_gate, "PatternQuarantined"),
        (P.STAGED, again_refused, "PatternQuarantined"),
        (P.CANDIDATE, again_refused, "PatternQuarantined"),
        (P.QUARANTINED, released, "PatternReleased"),
        (P.STAGED, c.JudgeAgain(PATTERN, ("format",)), "PatternProposed"),
        (P.CANDIDATE, promote, "PatternPromoted"),
        (P.EDITED, promote, "PatternPromoted"),
        *((status, c.Reject(PATTERN, ANNA), "PatternRejected") for status in (P.STAGED, P.CANDIDATE, P.QUARANTINED)),
        (P.CANDIDATE, c.Expire(PATTERN, 90), "PatternExpired"),
        (P.ACTIVE, edit, "PatternEdited"),
        (P.EDITED, c.RecordEdit(PATTERN, "07" * 32, "d4" * 32), "PatternEdited"),
        (P.ACTIVE, c.MarkStale(PATTERN, ("a.py",)), "PatternWentStale"),
        (P.STALE, c.Reverify(PATTERN, evidence()), "PatternReverified"),
        *((status, deprecate, "PatternDeprecated") for status in (P.ACTIVE, P.EDITED, P.STALE)),
        *((status, supersede, "PatternSuperseded") for status in (P.ACTIVE, P.EDITED, P.STALE)),
        *((status, c.Restore(PATTERN, ANNA), "PatternRestored") for status in (P.DEPRECATED, P.REJECTED, P.EXPIRED)),
        *((status, c.AddEvidence(PATTERN, "f6" * 32, "proven"), "EvidenceAdded") for status in P if status != P.NEW),
        *((status, c.WithdrawEvidence(PATTERN, JOB, "wrong"), "EvidenceWithdrawn") for status in P if status != P.NEW),
        (P.ACTIVE, c.RecordReintroduction(PATTERN, JOB, "a.py"), "ReintroductionDetected"),
        (P.DEPRECATED, c.RecordReintroduction(PATTERN, JOB, "a.py"), "ReintroductionDetected"),
        (P.STAGED, rule, "PatternRuleVerified"),
        (P.CANDIDATE, rule, "PatternRuleVerified"),
        (P.STALE, reverify, "ReverificationStarted"),
    ]  # fmt: skip
    for status, when, event in cases:
        yield Case(status, PATTERN_WAY_TO[status], when, event)
    yield Case(P.CANDIDATE, BROUGHT_BACK, c.RecordNoRule(PATTERN, "none"), "PatternRuleNotFound")
    for looked_for, event in ((rule, "PatternRuleVerified"), (c.RecordNoRule(PATTERN, "none"), "PatternRuleNotFound")):
        yield Case(P.ACTIVE, (*BROUGHT_BACK, promote), looked_for, event)
    for status in (P.CANDIDATE, P.EDITED):
        yield Case(status, PATTERN_WAY_TO[status], endorse, "PatternEndorsed")
        yield Case(status, PATTERN_WAY_TO[status], c.RemindReview(PATTERN, 7, 7), "ReviewReminded")
    begun = (*PATTERN_WAY_TO[P.STALE], reverify)
    yield Case(P.STALE, begun, c.InterruptReverification(PATTERN, "drain"), "ReverificationInterrupted")
    given_up = c.GiveReverificationUp(PATTERN, "not_proven", "flaky", "2" * 40, NOW_THERE)
    yield Case(P.STALE, begun, given_up, "ReverificationFailed")
    yield Case(P.CANDIDATE, PATTERN_WAY_TO[P.CANDIDATE], asked, "PatternReviewStarted")
    for status in P:
        if status is not P.NEW:
            yield Case(status, PATTERN_WAY_TO[status], conflict, "ConflictFound")
            yield Case(status, _asked_about(status), answered, "PatternReviewed")


def _asked_about(status: PatternStatus) -> tuple[c.PatternCommand, ...]:
    """A way to `status` on which a model was asked about the pattern and has not answered."""
    refused = c.JudgeAgain(PATTERN, ("format",), "redaction", "a secret")
    if status is P.QUARANTINED:
        return (judged, asked, refused)
    if status is P.STAGED:
        return (judged, asked, refused, released)
    return (judged, asked, *PATTERN_WAY_TO[status][1:])


def given(commands: tuple[c.JobCommand | c.PatternCommand, ...], entity: Job | Pattern) -> Job | Pattern:
    """`entity` after `commands`, each of which must be accepted."""
    for command in commands:
        answer = decide(command, entity)
        assert isinstance(answer, Decided), answer
        entity = answer.entity
    return entity


def job_in(status: JobStatus) -> Job:
    """A job in `status`, reached by commands alone."""
    job = given(WAY_TO[status], Job(JOB))
    assert isinstance(job, Job)
    return job
