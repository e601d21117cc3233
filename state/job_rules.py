"""The rules of a job: for each command, when it may happen and what follows from it."""

from __future__ import annotations

from functools import singledispatch

from events import catalog as e
from events.values import Evidence
from state import alerts, group_rules
from state import commands as c
from state.job import AT_REST, BLOCKED, TABLE, TERMINAL, Job, JobStatus
from state.own_work import is_own_place
from state.pattern import PatternStatus
from state.people import not_an_approver, signed
from state.refusal import Refused

S = JobStatus
Answer = tuple[e.Event, ...] | Refused

SCENARIO_ATTEMPTS = 2
"""The second failure to find a scenario is the last: the sources do not change by themselves."""

PROMOTED = (PatternStatus.ACTIVE, PatternStatus.EDITED, PatternStatus.STALE, PatternStatus.DEPRECATED)
"""Statuses of a pattern that was promoted: agents may have loaded it."""

REPAIRS = 1
"""A reply that is no draft is sent back once: who cannot mend it then does not mend it."""

CENT = 1e-9
"""Below this, sums of dollars are equal: floats add up with an error smaller than any price."""


@singledispatch
def decide_job(command: c.JobCommand, job: Job) -> Answer:
    raise TypeError(f"no rule for {type(command).__name__}")


def name(job: Job) -> str:
    return f"job {job.id[:8]}"


def _wrong_status(job: Job, event: type[e.Event]) -> Refused | None:
    if TABLE.allows(job.status, event):
        return None
    return Refused("wrong_status", f"{name(job)} is {job.status}: {event.__name__} cannot happen now")


# --- runs -------------------------------------------------------------------------------------------


@decide_job.register
def _(command: c.ObserveRun, job: Job) -> Answer:
    return _wrong_status(job, e.RunObserved) or (
        e.RunObserved(
            **_run(command.run),
            started_at=command.started_at,
            base_tree=command.base_tree,
            base_commit=command.base_commit,
        ),
    )


@decide_job.register
def _(command: c.EndRun, job: Job) -> Answer:
    wrong = _wrong_status(job, e.RunEnded)
    if wrong:
        return wrong
    too_old = _too_old(command.completed_at, command.registered_at, command.run)
    if too_old and not command.requested:
        return too_old
    return (e.RunEnded(**_run(command.run), outcome=command.outcome, completed_at=command.completed_at),)


@decide_job.register
def _(command: c.OpenJob, job: Job) -> Answer:
    wrong = _wrong_status(job, e.JobOpened)
    if wrong:
        return wrong
    too_old = _too_old(command.completed_at, command.registered_at, command.run)
    if too_old and not command.requested:
        return too_old
    return (
        e.JobOpened(
            **_run(command.run),
            shape=command.shape,
            started_at=command.started_at,
            completed_at=command.completed_at,
            trigger=command.trigger,
            budget_usd=command.budget_usd,
            requested=command.requested,
            base_tree=command.base_tree,
            base_commit=command.base_commit,
        ),
    )


def _too_old(completed_at: str, registered_at: str, run: c.RunRef) -> Refused | None:
    if completed_at >= registered_at:
        return None
    return Refused(
        "older_than_registration",
        f"the run completed at {completed_at}, before the repository was registered with learnd "
        f"at {registered_at}; such runs are left alone. Next: learnd learn {run.manifest_path}",
    )


def _run(run: c.RunRef) -> dict[str, str]:
    return {
        "repo_id": run.repo_id,
        "repo_path": run.repo_path,
        "manifest_path": run.manifest_path,
        "task_id": run.task_id,
        "run_id": run.run_id,
    }


@decide_job.register
def _(command: c.ReopenRun, job: Job) -> Answer:
    return _wrong_status(job, e.RunReopened) or (e.RunReopened(manifest_path=command.manifest_path),)


# --- snapshot ---------------------------------------------------------------------------------------


@decide_job.register
def _(command: c.RecordSnapshotFailure, job: Job) -> Answer:
    wrong = _wrong_status(job, e.SnapshotFailed)
    if wrong:
        return wrong
    attempt = job.attempts + 1
    if attempt >= command.max_attempts:
        return (e.SnapshotFailed(step=command.step, attempts=attempt, cause=command.cause, detail=command.detail),)
    return (
        e.SnapshotAttemptFailed(
            step=command.step,
            attempt=attempt,
            cause=command.cause,
            detail=command.detail,
            retry_at=command.retry_at,
        ),
    )


@decide_job.register
def _(command: c.RecordSnapshot, job: Job) -> Answer:
    wrong = _wrong_status(job, e.SnapshotTaken)
    if wrong:
        return wrong
    taken = e.SnapshotTaken(snapshot=command.snapshot)
    skipped = _nothing_to_learn(command)
    if skipped:
        return (taken, skipped)
    return (taken, e.ApprovalAwaited()) if job.trigger == "approved" else (taken,)


def _nothing_to_learn(command: c.RecordSnapshot) -> e.JobSkipped | None:
    snapshot = command.snapshot
    if snapshot.files_changed == 0:
        return e.JobSkipped(cause="empty_diff", detail="the run left the tree as it found it")
    if snapshot.not_attributable:
        return e.JobSkipped(cause="not_attributable", detail=snapshot.not_attributable)
    own = frozenset(snapshot.own_paths)
    if snapshot.changed_paths and all(path in own or is_own_place(path) for path in snapshot.changed_paths):
        return e.JobSkipped(cause="own_work", detail="the change touches nothing but files of learnd's own")
    if command.tombstone:
        return e.JobSkipped(
            cause="tombstone", detail=f"pattern {command.tombstone[:8]} from the same change was rejected"
        )
    return None


@decide_job.register
def _(command: c.RecordQueued, job: Job) -> Answer:
    return _wrong_status(job, e.JobQueued) or (
        e.JobQueued(
            snapshot_id=command.snapshot_id,
            payload=command.payload,
            prompt=command.prompt,
            prompt_source=command.prompt_source,
            execution_history=command.execution_history,
        ),
        *group_rules.begin(command.grouping, job),
    )


@decide_job.register
def _(command: c.CloseGroup, job: Job) -> Answer:
    return group_rules.close(command, job)


@decide_job.register
def _(command: c.JoinGroup, job: Job) -> Answer:
    return group_rules.join(command, job)


@decide_job.register
def _(command: c.DissolveGroup, job: Job) -> Answer:
    return group_rules.dissolve(command, job)


@decide_job.register
def _(command: c.RecordStall, job: Job) -> Answer:
    return _wrong_status(job, e.SnapshotStalled) or (
        e.SnapshotStalled(
            cause=command.cause,
            expected=command.expected,
            found=command.found,
            git_status=command.git_status,
            git_log=command.git_log,
        ),
    )


@decide_job.register
def _(command: c.RecordTarballRebuilt, job: Job) -> Answer:
    wrong = _wrong_status(job, e.TarballRebuilt)
    if wrong:
        return wrong
    recorded = job.snapshot.tarball.sha256 if job.snapshot else ""
    if command.tarball.sha256 != recorded:
        return Refused(
            "digest_differs",
            f"{name(job)}: the rebuilt tarball's digest is {command.tarball.sha256[:12]}, recorded was {recorded[:12]}",
        )
    return (e.TarballRebuilt(tarball=command.tarball),)


@decide_job.register
def _(command: c.RecordSnapshotPruned, job: Job) -> Answer:
    if job.status not in AT_REST:
        return Refused("not_at_rest", f"{name(job)} is {job.status}: its snapshot is still needed")
    if job.snapshot is None or job.snapshot_pruned:
        return Refused("no_snapshot", f"{name(job)} has no snapshot to prune")
    return (
        e.SnapshotPruned(tag=job.snapshot.tag, tarball_path=job.snapshot.tarball.path, freed_bytes=command.freed_bytes),
    )


# --- scenario ---------------------------------------------------------------------------------------


@decide_job.register
def _(command: c.RecordScenario, job: Job) -> Answer:
    return _wrong_status(job, e.ScenarioSynthesized) or (
        e.ScenarioSynthesized(scenario=command.scenario, file=command.file),
    )


@decide_job.register
def _(command: c.RecordScenarioFailure, job: Job) -> Answer:
    wrong = _wrong_status(job, e.ManualScenarioRequired)
    if wrong:
        return wrong
    attempt = job.attempts + 1
    if attempt >= command.max_attempts:
        return (
            e.ManualScenarioRequired(
                attempts=attempt,
                cause=command.cause,
                detail=command.detail,
                partial=command.partial,
                template=command.template,
            ),
        )
    return (e.ScenarioAttemptFailed(attempt=attempt, cause=command.cause, detail=command.detail),)


@decide_job.register
def _(command: c.SupplyScenario, job: Job) -> Answer:
    refused = takes_no_scenario(command.person, job)
    if refused:
        return refused
    approval = signed(command.person)
    supplied = e.ManualScenarioSupplied(**approval, scenario=command.scenario, file=command.file)
    return (supplied, e.JobExpedited(**approval)) if command.now else (supplied,)


def takes_no_scenario(person: c.Person, job: Job) -> Refused | None:
    """Why `person` may not supply a scenario for `job`, if they may not: known before its text is looked at."""
    unknown = not_an_approver(name(job), person)
    if unknown or TABLE.allows(job.status, e.ManualScenarioSupplied):
        return unknown
    takes = f"{S.NEEDS_MANUAL_SCENARIO} or {S.VALIDATION_FAILED}"
    return Refused(
        "takes_no_scenario",
        f"{name(job)} is {job.status}: only a job that is {takes} takes a scenario. Next: learnd why {job.id[:8]}",
    )


# --- replay -----------------------------------------------------------------------------------------


@decide_job.register
def _(command: c.StartReplay, job: Job) -> Answer:
    wrong = _wrong_status(job, e.ReplayStarted)
    if wrong:
        return wrong
    if job.attempts >= command.max_attempts:
        evidence = Evidence(
            verdict="inconclusive",
            cause="crashed",
            detail=f"{job.attempts} replays in a row took the daemon down with them",
            isolation=command.isolation,
        )
        return (e.ValidationFailed(cause="crashed", evidence=evidence),)
    return (e.ReplayStarted(attempt=job.attempts + 1, boot_id=command.boot_id, isolation=command.isolation),)


@decide_job.register
def _(command: c.InterruptReplay, job: Job) -> Answer:
    return _wrong_status(job, e.ReplayInterrupted) or (e.ReplayInterrupted(cause=command.cause, detail=command.detail),)


@decide_job.register
def _(command: c.RecordEvidence, job: Job) -> Answer:
    wrong = _wrong_status(job, e.ChangeValidated)
    if wrong:
        return wrong
    evidence = command.evidence
    if evidence.verdict == "proven":
        return (e.ChangeValidated(evidence=evidence, file=command.file),)
    if evidence.verdict == "pass_only":
        validated = e.ChangeValidated(evidence=evidence, file=command.file)
        if job.unproven_accepted:
            return (validated,)
        return (validated, e.JobSkipped(cause="no_proof", detail=evidence.detail or evidence.cause or ""))
    failed = e.ValidationFailed(cause=evidence.cause or evidence.verdict, evidence=evidence, file=command.file)
    if evidence.cause == "regression" and job.snapshot is not None:
        caught = e.RegressionDetected(
            pattern_id=None,
            commit=job.snapshot.commit,
            escaped=False,
            detail=evidence.detail,
            committed_at=job.completed_at,
        )
        return (failed, caught)
    return (failed,)


# --- crystalization ---------------------------------------------------------------------------------


@decide_job.register
def _(command: c.StartCrystalization, job: Job) -> Answer:
    wrong = _wrong_status(job, e.CrystalizationStarted)
    if wrong:
        return wrong
    ended = _ends_instead(command, job)
    if ended is not None:
        return Refused("not_started", f"{name(job)} takes no call: {ended.detail}") if command.ledger else (ended,)
    return (
        e.CrystalizationStarted(
            attempt=job.attempts + 1,
            boot_id=command.boot_id,
            author=command.author,
            model=command.model,
            reserved_usd=command.worst_case_usd,
            prompt_pack=command.prompt_pack,
            prompt_pack_stamp=command.prompt_pack_stamp,
            redactions=command.redactions,
            ledger=command.ledger,
        ),
    )


def _ends_instead(command: c.StartCrystalization, job: Job) -> e.CrystalizationFailed | e.BudgetExhausted | None:
    if job.attempts >= command.max_attempts:
        return e.CrystalizationFailed(
            attempts=job.attempts, cause=job.cause or "attempts", detail=job.detail or "no attempt left"
        )
    return _short_of_money(job, command.worst_case_usd)


def _short_of_money(job: Job, needed: float) -> e.BudgetExhausted | None:
    if needed <= job.available_usd + CENT:
        return None
    return e.BudgetExhausted(
        needed_usd=needed,
        available_usd=job.available_usd,
        detail=f"a call may cost ${needed:.4f}, ${job.available_usd:.4f} of "
        f"${job.budget_usd + job.granted_usd:.2f} are left",
    )


@decide_job.register
def _(command: c.SettleModelCall, job: Job) -> Answer:
    wrong = _wrong_status(job, e.ModelCallSettled)
    if wrong:
        return wrong
    assumed = command.cost_usd is None or command.cost_usd > job.reserved_usd + CENT
    return (
        e.ModelCallSettled(
            attempt=job.attempts,
            model=command.model,
            cost_usd=job.reserved_usd if assumed or command.cost_usd is None else command.cost_usd,
            usage=command.usage,
            assumed=assumed,
        ),
    )


@decide_job.register
def _(command: c.RecordCrystalizationFailure, job: Job) -> Answer:
    """A repair that the rest of the budget cannot pay for is not begun: that is over_budget at once."""
    wrong = _wrong_status(job, e.CrystalizationAttemptFailed)
    if wrong:
        return wrong
    if not command.fault:
        spent_repair = command.repairable and job.repairs >= REPAIRS
        if command.final or spent_repair or job.attempts >= command.max_attempts:
            return (e.CrystalizationFailed(attempts=job.attempts, cause=command.cause, detail=command.detail),)
        short = _short_of_money(job, command.next_worst_case_usd)
        if short:
            return (short,)
    return (
        e.CrystalizationAttemptFailed(
            attempt=job.attempts,
            cause="fault" if command.fault else command.cause,
            detail=command.detail,
            retry_at=command.retry_at,
        ),
    )


@decide_job.register
def _(command: c.RecordDraft, job: Job) -> Answer:
    return _wrong_status(job, e.PatternDrafted) or (
        e.PatternDrafted(
            pattern_id=command.pattern_id,
            title=command.title,
            slug=command.slug,
            author=command.author,
            model=command.model,
            prompt_pack=command.prompt_pack,
            prompt_pack_stamp=command.prompt_pack_stamp,
            cost_usd=command.cost_usd,
            draft=command.draft,
            redactions=command.redactions,
            cited=command.cited,
            rule=command.rule,
        ),
    )


@decide_job.register
def _(command: c.FinishJob, job: Job) -> Answer:
    return group_rules.finish(command, job)


# --- people -----------------------------------------------------------------------------------------


@decide_job.register
def _(command: c.Approve, job: Job) -> Answer:
    refused = not_an_approver(name(job), command.person) or _no_way_out(command, job)
    if refused:
        return refused
    person = command.person
    moved: tuple[e.Event, ...] = ()
    if job.status == S.AWAITING_APPROVAL:
        moved = (e.RunApproved(**signed(person)),)
    elif job.status in (*BLOCKED, S.SKIPPED):
        moved = (
            e.JobRequeued(
                **signed(person),
                from_status=job.status.value,
                grant_usd=command.grant_usd,
                accept_unproven=command.accept_unproven,
            ),
        )
    return (*moved, e.JobExpedited(**signed(person))) if command.now else moved


def _no_way_out(command: c.Approve, job: Job) -> Refused | None:
    """Why approving as asked does not move the job, if it does not."""
    return group_rules.not_its_own(job) or _means_nothing(command, job) or _not_enough(command, job)


def _means_nothing(command: c.Approve, job: Job) -> Refused | None:
    """What was asked for that this job has no use for: ignoring it would look like granting it."""
    short = job.id[:8]
    if command.accept_unproven and job.status != S.SKIPPED:
        return Refused(
            "not_skipped",
            f"job {short} is {job.status}: only a change that was skipped for want of proof can be accepted as "
            f"unproven. Next: learnd why {short}",
        )
    if command.grant_usd > 0 and job.status != S.OVER_BUDGET:
        return Refused(
            "not_over_budget",
            f"job {short} is {job.status}: only a job that is over_budget takes a grant. Next: learnd why {short}",
        )
    return None


def _not_enough(command: c.Approve, job: Job) -> Refused | None:
    short = job.id[:8]
    if job.status == S.NEEDS_MANUAL_SCENARIO:
        return Refused(
            "needs_scenario",
            f"job {short} needs a scenario. Next: complete the template in the run's learning/ folder, "
            f"then learnd approve {short} --scenario FILE",
        )
    if job.status == S.STALLED_SNAPSHOT and not job.tarball_rebuilt:
        return Refused(
            "not_rebuilt",
            f"job {short}: the snapshot does not hold ({job.cause}: {job.detail}) and could not be rebuilt "
            f"from an intact tree. Next: see incident-response.md, or learnd dismiss {short}",
        )
    if job.status == S.OVER_BUDGET and command.grant_usd <= 0:
        return Refused(
            "needs_grant",
            f"job {short} is over budget ({job.detail}). Next: learnd approve {short} --grant-usd AMOUNT",
        )
    if job.status == S.SKIPPED and not (job.cause == "no_proof" and command.accept_unproven):
        way = f"learnd approve {short} --accept-unproven" if job.cause == "no_proof" else "nothing moves it on"
        return Refused("skipped", f"job {short} was skipped ({job.cause}). Next: {way}")
    if job.status not in (*BLOCKED, S.SKIPPED):
        if not TABLE.allows(job.status, e.JobExpedited):
            return Refused(
                "not_blocked", f"job {short} is {job.status}: nothing waits for an approval. Next: learnd why {short}"
            )
        if not command.now:
            return Refused(
                "not_blocked",
                f"job {short} is {job.status}: nothing waits for an approval. "
                f"Next: learnd approve {short} --now, to let it go first",
            )
    return None


@decide_job.register
def _(command: c.Dismiss, job: Job) -> Answer:
    if job.status in TERMINAL:
        said = f"{name(job)} is {job.status}: there is nothing left to dismiss"
        return Refused("terminal", f"{said}. Next: learnd why {job.id[:8]}")
    return (
        not_an_approver(name(job), command.person)
        or _wrong_status(job, e.JobDismissed)
        or (e.JobDismissed(**signed(command.person)),)
    )


@decide_job.register
def _(command: c.SkipJob, job: Job) -> Answer:
    return _wrong_status(job, e.JobSkipped) or (e.JobSkipped(cause=command.cause, detail=command.detail),)


# --- facts ------------------------------------------------------------------------------------------


@decide_job.register
def _(command: c.RaiseAlert, job: Job) -> Answer:
    """One alert for each time that the job becomes blocked, and about nothing else."""
    wrong = _wrong_status(job, e.AlertRaised)
    if wrong:
        return wrong
    if command.kind != job.status.value or job.status not in BLOCKED:
        return Refused("not_due", f"{name(job)} is {job.status}: there is nothing to raise {command.kind} for")
    known = alerts.standing(job.alerts)
    if known is not None:
        return Refused("already_raised", f"{name(job)}: alert {known.id} stands already")
    return (alerts.raised(job.id[:16], job.alerts, command.kind, job.cause, command.message, command.severity),)


@decide_job.register
def _(command: c.RaiseReintroduction, job: Job) -> Answer:
    wrong = _wrong_status(job, e.AlertRaised)
    if wrong:
        return wrong
    if alerts.standing(job.alerts, command.pattern_id) is not None:
        about = f"pattern {command.pattern_id[:8]}"
        return Refused("already_raised", f"{name(job)}: the alert about {about} stands already")
    return (
        alerts.raised(job.id[:16], job.alerts, "reintroduction", command.pattern_id, command.message, command.severity),
    )


@decide_job.register
def _(command: c.EndReintroduction, job: Job) -> Answer:
    wrong = _wrong_status(job, e.ReintroductionGone)
    if wrong:
        return wrong
    if alerts.standing(job.alerts, command.pattern_id) is None:
        return Refused("no_alert", f"{name(job)}: no alert about pattern {command.pattern_id[:8]} stands")
    return (e.ReintroductionGone(pattern_id=command.pattern_id, detail=command.detail),)


@decide_job.register
def _(command: c.RecordAlertDelivery, job: Job) -> Answer:
    return _wrong_status(job, e.AlertDelivered) or alerts.told(
        job.alerts, command.alert_id, command.channel, command.target,
        resolved=command.resolved, error=command.error, receipt=command.receipt,
    )  # fmt: skip


@decide_job.register
def _(command: c.ReportRegression, job: Job) -> Answer:
    wrong = _wrong_status(job, e.RegressionDetected)
    if wrong:
        return wrong
    refused = command.person and not_an_approver(name(job), command.person)
    if refused:
        return refused
    if command.pattern_id != job.pattern_id:
        return Refused("other_pattern", f"{name(job)} did not lead to pattern {command.pattern_id[:8]}")
    pattern = f"pattern {command.pattern_id[:8]}"
    if command.pattern_status not in PROMOTED:
        return Refused(
            "never_served",
            f"{pattern} is {command.pattern_status}: only the change behind a promoted pattern can come undone. "
            f"Next: learnd review {command.pattern_id[:8]}",
        )
    if command.commit in job.regressions:
        return Refused(
            "already_reported",
            f"{pattern}: it is recorded already that the change came undone at {command.commit[:12]}. "
            f"Next: learnd show {job.id[:8]}",
        )
    return (
        e.RegressionDetected(
            pattern_id=command.pattern_id,
            commit=command.commit,
            escaped=command.person is not None,
            detail=command.detail,
            committed_at=command.committed_at,
            approver=command.person.user if command.person else None,
            claimed=command.person.claimed if command.person else None,
        ),
    )
