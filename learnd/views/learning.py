"""A job's outcome in the producer's words: the `learning` block, learnd's own file, and the task's numbers.

Folds of the log and nothing else: written once or written again, they come out the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from events import catalog as e
from events.log import EventLog
from events.recorded import Recorded
from events.values import FileRef
from learnd.clock import seconds_between
from learnd.library.wanted import FOLDED
from learnd.manifest.block import (
    Alert,
    AlertWord,
    ApprovalPart,
    Crystalizer,
    Grouping,
    LearndFile,
    LearningBlock,
    PatternHygiene,
    Queue,
    Regressions,
    Review,
    ScenarioPart,
    Snapshot,
    Throughput,
    Validation,
    approval_state,
    validation_words,
)
from learnd.manifest.tasks import (
    AlertCounts,
    HygieneCounts,
    MetricsLine,
    RegressionCounts,
    ReviewerCounts,
    Safety,
    TaskState,
    ThroughputCounts,
    ValidationCounts,
)
from learnd.views.measures.taken import pattern_measures
from state import job as jobs
from state.job import Job, JobStatus

NO_MODEL = "extractive"
"""The schema wants a model's name; the embedded author has none."""


ALERT_WORDS: dict[str, AlertWord] = {
    "snapshot_failed": "snapshot_failed",
    "stalled_snapshot": "stalled_snapshot",
    "needs_manual_scenario": "needs_manual_scenario",
    "over_budget": "budget_exceeded",
}
"""The schema's words for kinds of alerts."""
TOLD = (e.AlertRaised, e.AlertDelivered, e.AlertFailed)


class History:
    """One job's records and what became of the pattern that it led to (`library/wanted.FOLDED`), ready to be asked."""

    def __init__(self, job_id: str, records: Sequence[Recorded], pattern: Sequence[Recorded], candidate: str | None):
        self.job: Job = jobs.fold(job_id, (record.data for record in records))
        self.records = records
        self.pattern = pattern
        self.candidate = candidate

    def last(self, *kinds: type[e.Event]) -> Recorded | None:
        """The newest record of one of these kinds."""
        return next((record for record in reversed(self.records) if isinstance(record.data, kinds)), None)

    def shown(self, path: str) -> str:
        """`path` relative to the repository where it lies in it."""
        root = Path(self.job.repo_path)
        return str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else path

    def file(self, ref: FileRef | None) -> str | None:
        return self.shown(ref.path) if ref else None


def learning_block(history: History) -> LearningBlock:
    """The block as the producer's schema has it."""
    return LearningBlock(
        snapshot=_snapshot(history),
        queue=_queue(history),
        scenario=_scenario(history),
        validation=_validation(history),
        crystalizer=_crystalizer(history),
        alerts=_alerts(history),
        approvals=_approvals(history),
        review=_review(history),
        regressions=_regressions(history),
        pattern_hygiene=_hygiene(history),
        throughput=_throughput(history),
    )


def learnd_file(history: History) -> LearndFile:
    """What learnd adds to the block, in its own words."""
    job = history.job
    evidence = job.evidence
    return LearndFile(
        job=job.id,
        status=job.status.value,
        reason=_with_whom(job) or ": ".join(part for part in (job.cause, job.detail) if part) or None,
        evidence=evidence.verdict if evidence else None,
        cause=evidence.cause if evidence else None,
        isolation=evidence.isolation if evidence else None,
        attestation_path=evidence.attestations[-1].path if evidence and evidence.attestations else None,
        pattern=job.pattern_id,
        updated_at=history.records[-1].at,
    )


def metrics_line(history: History) -> MetricsLine:
    """The job's one line in the task's `metrics.json`; to be written when the job is at rest."""
    job = history.job
    opened = history.records[0].at
    # Whom an alert reached, and when, is no part of how long the job took.
    last = next(record.at for record in reversed(history.records) if not isinstance(record.data, TOLD))
    return MetricsLine(
        job=job.id,
        task_id=job.task_id,
        run_id=job.run_id,
        recorded_at=last,
        learning_status=job.status.value,
        learning_reason=job.cause or None,
        learning_evidence=job.evidence.verdict if job.evidence else None,
        learning_isolation=job.evidence.isolation if job.evidence else None,
        learning_scenario_source=job.scenario.source if job.scenario else None,
        learning_pattern=job.pattern_id,
        learning_cost_usd=job.spent_usd,
        learning_opened_at=opened,
        learning_duration_seconds=seconds_between(opened, last),
    )


def task_state(log: EventLog, jobs: Sequence[str], patterns: Sequence[str], updated_at: str) -> TaskState:
    """The numbers of one task over all its jobs, counted as `learnd metrics` counts: each time that it was.

    `jobs` are the ids of the task's jobs, `patterns` those that they wrote, not those to which they added evidence.
    """
    streams = [f"job-{job}" for job in jobs]
    kinds = log.count_types(streams)
    raised = (record.data for record in log.read_types(streams, ("AlertRaised",)))
    alerts = Counter(alert.kind for alert in raised if isinstance(alert, e.AlertRaised))
    told = [log.read_types([f"pattern-{pattern}"], FOLDED) for pattern in patterns]
    became = Counter(record.type for history in told for record in history)
    measures = [measure for history in told for measure in pattern_measures(history)]
    decided = [one for one in measures if one.kind == "reviewed" and one.label in ("promoted", "rejected")]
    waits = [one.at - one.began for one in decided if one.began is not None and one.at >= one.began]
    return TaskState(
        updated_at=updated_at,
        safety=Safety(
            validation=ValidationCounts(
                passed=kinds["ChangeValidated"],
                failed=kinds["ValidationFailed"],
                stalled=kinds["SnapshotStalled"],
                manual=kinds["ManualScenarioRequired"],
            ),
            reviewer=ReviewerCounts(
                rejections=sum(one.label == "rejected" for one in decided),
                average_latency_ms=sum(waits) / len(waits) if waits else None,
            ),
            regression_detection=RegressionCounts(detected=kinds["RegressionDetected"]),
            pattern_hygiene=HygieneCounts(
                promoted=sum(one.label == "promoted" for one in decided),
                deprecated=became["PatternDeprecated"] + became["PatternSuperseded"],
            ),
        ),
        throughput=ThroughputCounts(candidates=became["PatternProposed"]),
        alerts=AlertCounts(
            total=sum(alerts.values()),
            snapshot_failed=alerts["snapshot_failed"],
            stalled_snapshot=alerts["stalled_snapshot"],
            needs_manual_scenario=alerts["needs_manual_scenario"],
        ),
    )


def _snapshot(history: History) -> Snapshot | None:
    taken, job = history.last(e.SnapshotTaken), history.job
    if taken is None or job.snapshot is None:
        return None
    record = job.snapshot
    stalled = history.last(e.SnapshotStalled)
    stands = stalled is not None and job.status is JobStatus.STALLED_SNAPSHOT
    facts = stalled.data if stalled is not None and isinstance(stalled.data, e.SnapshotStalled) and stands else None
    failures = sum(isinstance(r.data, e.SnapshotAttemptFailed) for r in history.records)
    return Snapshot(
        tag=record.tag,
        commit_sha=record.commit,
        tarball_path=history.shown(record.tarball.path),
        tarball_digest=record.tarball.sha256,
        storage_path=history.shown((record.storage_copy or record.tarball).path),
        retention_days=record.retention_days,
        status="stalled_snapshot" if stands else "captured",
        attempts=failures + 1,
        created_at=taken.at,
        last_error=job.detail if stands else None,
        git_status_path=history.file(facts.git_status) if facts else None,
        git_log_path=history.file(facts.git_log) if facts else None,
    )


def _queue(history: History) -> Queue | None:
    record, job = history.last(e.JobQueued), history.job
    if record is None or job.queued is None:
        return None
    queued = job.queued
    return Queue(
        snapshot_id=queued.snapshot_id,
        diff_path=history.file(job.snapshot.diff) if job.snapshot else None,
        prompt_path=history.file(queued.prompt),
        execution_history_path=history.file(queued.execution_history),
        manifest_path=history.shown(job.manifest_path),
        enqueued_at=record.at,
        payload_path=history.shown(queued.payload.path),
        status="queued",
    )


def _scenario(history: History) -> ScenarioPart | None:
    record = history.last(e.ScenarioSynthesized, e.ManualScenarioSupplied, e.ManualScenarioRequired)
    if record is None:
        return None
    failures = sum(isinstance(r.data, e.ScenarioAttemptFailed) for r in history.records)
    match record.data:
        case e.ManualScenarioRequired() as required:
            return ScenarioPart(
                path=None, generated_at=None, source="manual", status="needs_manual_scenario",
                attempts=required.attempts, partial_path=history.file(required.partial),
                manual_template=history.file(required.template), reason=required.detail or required.cause,
            )  # fmt: skip
        case e.ManualScenarioSupplied() as supplied:
            return ScenarioPart(
                path=history.file(supplied.file), generated_at=record.at, source="manual", status="synthesized",
                attempts=failures + 1, approver=supplied.approver, reason=supplied.reason or None,
            )  # fmt: skip
        case e.ScenarioSynthesized() as made:
            return ScenarioPart(
                path=history.file(made.file), generated_at=record.at, source=made.scenario.source,
                status="synthesized", attempts=failures + 1, reason=made.scenario.reason or None,
            )  # fmt: skip
    return None


def _validation(history: History) -> Validation:
    job = history.job
    detail = ": ".join(part for part in (job.cause, job.detail) if part) or None
    if job.status in (JobStatus.LEARNED, JobStatus.VALIDATED, JobStatus.CRYSTALIZING, JobStatus.DRAFTED):
        detail = job.evidence.verdict if job.evidence else None
    detail = _with_whom(job) or detail
    status, reason = validation_words(job.status.value, detail)
    stalled = history.last(e.SnapshotStalled)
    facts = stalled.data if stalled is not None and isinstance(stalled.data, e.SnapshotStalled) else None
    failed = job.evidence is not None and job.evidence.verdict not in ("proven", "pass_only")
    return Validation(
        mode="grouped" if job.service or job.group else "per-task",
        grouping=_grouping(job),
        status=status,
        reason=reason,
        log_path=history.file(job.evidence.log) if job.evidence and job.evidence.log else None,
        last_error=job.evidence.detail or job.evidence.cause if job.evidence and failed else None,
        git_status_path=history.file(facts.git_status) if facts else None,
        git_log_path=history.file(facts.git_log) if facts else None,
    )


def _grouping(job: Job) -> Grouping | None:
    """The group and its members, as task and run; nothing while it is not closed."""
    if job.group is None:
        return None
    members = tuple(f"{member.task_id}/{member.run_id}" for member in job.group.members)
    return Grouping(id=job.group.id, members=members, window_hours=job.group.window_hours)


def _with_whom(job: Job) -> str | None:
    """What a run's own history does not tell: which run's job validates it, or until when it waits for others."""
    if job.joined and job.group is not None and job.status in (JobStatus.WAITING_FOR_GROUP, JobStatus.LEARNED):
        last = job.group.members[-1]
        return f"validated together with run {last.run_id} of task {last.task_id}, job {last.job[:8]}"
    if job.status is JobStatus.WAITING_FOR_GROUP:
        return f"more runs of {job.service} may come until {job.closes_at}"
    return None


def _crystalizer(history: History) -> Crystalizer | None:
    job = history.job
    started = history.last(e.CrystalizationStarted)
    if started is None or not isinstance(started.data, e.CrystalizationStarted):
        return None
    ended_badly = job.status in (JobStatus.CRYSTALIZATION_FAILED, JobStatus.OVER_BUDGET)
    return Crystalizer(
        candidate_path=history.candidate,
        model=started.data.model or NO_MODEL,
        prompt_pack=started.data.prompt_pack,
        prompt_pack_stamp=started.data.prompt_pack_stamp,
        budget_usd=job.budget_usd + job.granted_usd,
        cost_usd=job.spent_usd,
        status="failed" if ended_badly else "succeeded" if job.draft else "pending",
        error=(job.detail or job.cause) if ended_badly else None,
        created_at=started.at,
    )


def _alerts(history: History) -> tuple[Alert, ...]:
    """Who was told, of those kinds that the producer's schema has a word for; it has none for the journal either."""
    raised = {r.data.alert_id: r.data for r in history.records if isinstance(r.data, e.AlertRaised)}
    found = []
    for record in history.records:
        data = record.data
        if not isinstance(data, e.AlertDelivered) or data.channel == "journal" or data.resolved:
            continue
        alert = raised.get(data.alert_id)
        word = ALERT_WORDS.get(alert.kind) if alert is not None else None
        if alert is not None and word is not None:
            shown = Alert(
                type=word,
                channel=data.channel,
                target=data.target,
                message=alert.message,
                created_at=record.at,
                severity=alert.severity,
            )
            found.append(shown)
    return tuple(found)


def _approvals(history: History) -> tuple[ApprovalPart, ...]:
    found = []
    for record in history.records:
        data = record.data
        match data:
            case e.JobRequeued():
                state = approval_state(data.from_status)
            case e.ManualScenarioSupplied():
                state = approval_state("needs_manual_scenario")
            case e.RunApproved():
                state = approval_state("awaiting_approval")
            case _:
                continue
        found.append(ApprovalPart(actor=data.approver, timestamp=record.at, reason=data.reason or None, state=state))
    return tuple(found)


def _review(history: History) -> Review | None:
    """The reviewers' part; latency is from the proposal to the first decision by a person, in milliseconds."""
    decisions = [r for r in history.pattern if isinstance(r.data, e.PatternPromoted | e.PatternRejected)]
    proposed = next((r for r in history.pattern if isinstance(r.data, e.PatternProposed)), None)
    if not decisions:
        return None
    last = decisions[-1]
    assert isinstance(last.data, e.Approval)  # noqa: S101 - chosen above
    return Review(
        rejections=sum(isinstance(r.data, e.PatternRejected) for r in decisions),
        latency_ms=seconds_between(proposed.at, decisions[0].at) * 1000 if proposed else None,
        last_reviewer=last.data.approver,
        updated_at=last.at,
    )


def _regressions(history: History) -> Regressions | None:
    detected = sum(isinstance(r.data, e.RegressionDetected) for r in history.records)
    return Regressions(detected=detected) if detected else None


def _hygiene(history: History) -> PatternHygiene | None:
    if not history.pattern:
        return None
    types = [record.type for record in history.pattern]
    return PatternHygiene(
        promoted=types.count("PatternPromoted"),
        deprecated=types.count("PatternDeprecated") + types.count("PatternSuperseded"),
        updated_at=history.pattern[-1].at,
    )


def _throughput(history: History) -> Throughput | None:
    if not history.pattern:
        return None
    status = "new"
    types = [record.type for record in history.pattern]
    last_at = history.pattern[-1].at
    for kind in types:
        status = {
            "PatternProposed": "candidate", "PatternPromoted": "active", "PatternReverified": "active",
            "PatternDeprecated": "deprecated", "PatternSuperseded": "deprecated", "PatternRestored": "candidate",
            "PatternRejected": "rejected", "PatternExpired": "expired", "PatternQuarantined": "quarantined",
            "PatternWentStale": "stale", "PatternEdited": "edited",
        }.get(kind, status)  # fmt: skip
    return Throughput(
        candidates=int(status == "candidate"), active=int(status == "active"),
        deprecated=int(status == "deprecated"), updated_at=last_at,
    )  # fmt: skip
