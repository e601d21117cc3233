"""A person's word about a blocked job: what they ask for is made ready, put through the door, and answered.

Who may say it is asked first: nothing is written, rebuilt or read for somebody who is no approver. Whether the word
fits the job is the rules' to say (`state.job_rules`); here is what they need to know from the disk:

- a stalled snapshot is made whole again from the recorded commit, when every object of it still has the content that
  its name says, and only as the very bytes whose digest was recorded; it is never captured again;
- a completed form becomes a scenario, held against the files of the snapshot.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from events.values import Scenario
from learnd.clock import now
from learnd.door import Handled
from learnd.harvest import places
from learnd.harvest.faults import SnapshotDamaged, SnapshotError
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.snapshot import rebuild_tarball, recorded_diff
from learnd.harvest.store import SnapshotStore
from learnd.ids import short
from learnd.lab.manual import ManualInvalid, parse_manual
from learnd.requests import ApproveJob, Reply
from learnd.steps.enqueue import recorded_snapshot
from learnd.steps.scenario import store_manual
from learnd.views.diagnosis import next_command
from learnd.workplace import Workplace
from state import commands as c
from state.effects import STOPPED_BY, WORK
from state.job import Job, JobStatus
from state.job_rules import takes_no_scenario
from state.refusal import Refused


def approve(request: ApproveJob, person: c.Person, job: Job, place: Workplace) -> Reply:
    """Move a job on as asked, or say why not. Raises what the door raises, DiskFull, SnapshotError."""
    if request.scenario is not None:
        return _supply(request, request.scenario, person, job, place)
    plain = c.Approve(job.id, person, request.grant_usd, request.accept_unproven, request.now)
    mended: list[c.JobCommand] = []
    asks_more = request.grant_usd > 0 or request.accept_unproven
    if job.status is JobStatus.STALLED_SNAPSHOT and person.user in person.approvers and not asks_more:
        try:
            mended = [_whole_again(job, place)]
        except (SnapshotDamaged, SnapshotError, NotARepository) as error:
            return _not_intact(job, error)
    reply = settle([*mended, plain], job.id, place, person.user)
    # Somebody else moved the job on while the tarball was made: what is refused is the approval, not the tarball.
    return settle([plain], job.id, place, person.user) if mended and reply.code == "wrong_status" else reply


def settle(commands: Sequence[c.JobCommand], job_id: str, place: Workplace, actor: str) -> Reply:
    """Put commands for one job through the door, all or none, and tell how the job stands then."""
    outcome = place.door.handle_together(commands, actor)
    if isinstance(outcome, Refused):
        return _refused(outcome, job_id, place)
    row = place.views().job(job_id)
    return Reply(
        code="ok",
        message=f"job {short(job_id)} is {row.status} now{', and goes first' if row.urgent else ''}"
        f"{_held(outcome, place)}",
        data={"job": job_id, "status": row.status},
    )


UNFIT = frozenset({"not_over_budget", "not_skipped", "takes_no_scenario", "needs_scenario", "needs_grant"})
"""Refusals of what does not fit the job as it stands: the rules know that it does not, the read models what does."""


def _refused(refused: Refused, job_id: str, place: Workplace) -> Reply:
    """The refusal, ending with the very command that moves the job on where there is one."""
    step = None
    if refused.code in UNFIT:
        views = place.views()
        step = next_command(views.job(job_id), views.event_value, daemon=True)
    said = refused.reason.partition(" Next: ")[0]
    return Reply(code=refused.code, message=f"{said} Next: {step}" if step else refused.reason)


def _held(outcome: Handled, place: Workplace) -> str:
    """The fault of the machine that the job will wait for, where one stands in its way."""
    (job,) = outcome.entities.values()
    effect = WORK.get(job.status) if isinstance(job, Job) else None
    stopping = STOPPED_BY[effect] if effect else ()
    fault = next((fault for fault in place.views().faults() if fault.kind in stopping), None)
    return f"; it waits for the machine: {fault.kind}: {fault.detail}. Next: learnd doctor" if fault else ""


# --- stalled snapshots ------------------------------------------------------------------------------


def _whole_again(job: Job, place: Workplace) -> c.RecordTarballRebuilt:
    """Make tag, diff and tarball what was recorded, from the recorded commit.

    Raises SnapshotDamaged when that is not intact, SnapshotError, NotARepository, DiskFull.
    """
    record = recorded_snapshot(job)
    store = place.store(job.repo_id, job.repo_path)
    with store.locked():
        if store.tagged(record.tag) is None and store.tree_of(record.commit) == record.tree:
            store.tag(record.tag, record.commit)  # only the name was lost: the commit says by its own what it holds
        tarball = rebuild_tarball(record, store)
        _mend_diff(job, store)
    return c.RecordTarballRebuilt(job.id, tarball)


def _mend_diff(job: Job, store: SnapshotStore) -> None:
    record = recorded_snapshot(job)
    if places.recorded(record.diff) is None:
        places.put(store.repo, Path(record.diff.path), recorded_diff(record, store))


def _not_intact(job: Job, error: Exception) -> Reply:
    name, record = short(job.id), recorded_snapshot(job)
    if not Path(job.repo_path).is_dir():
        return Reply(
            code="not_rebuilt",
            message=f"job {name}: {job.repo_path} is not there, where the tarball belongs; nothing was changed. "
            f"Next: put the repository back and approve again, or learnd dismiss {name}",
        )
    return Reply(
        code="not_rebuilt",
        message=f"job {name}: the tarball of commit {record.commit[:12]} (sha256 {record.tarball.sha256[:12]}) cannot "
        f"be made again from an intact tree ({error}), and it is never captured anew; nothing was changed. "
        f"Next: learnd dismiss {name}, or restore learnd's store from a backup and approve again",
    )


# --- scenarios --------------------------------------------------------------------------------------


def _supply(request: ApproveJob, text: str, person: c.Person, job: Job, place: Workplace) -> Reply:
    name = short(job.id)
    if request.grant_usd > 0 or request.accept_unproven:
        return Reply(
            code="contradiction",
            message=f"job {name}: a scenario is supplied by itself, without a grant and without accepting anything as "
            f"unproven; nothing was changed. Next: learnd approve {name} --scenario FILE",
        )
    refused = takes_no_scenario(person, job)
    if refused is not None:
        return _refused(refused, job.id, place)
    try:
        store = place.store(job.repo_id, job.repo_path)
        files = frozenset(entry.path for entry in store.list_files(recorded_snapshot(job).tree))
    except (SnapshotError, NotARepository) as error:
        return Reply(
            code="not_readable",
            message=f"job {name}: its snapshot cannot be read ({error}), and the form is held against it; nothing was "
            f"changed. Next: put the repository back and approve again, or learnd dismiss {name}",
        )
    scenario = parse_manual(text, files, datetime.date.fromisoformat(now()[:10]))
    if isinstance(scenario, ManualInvalid):
        return _invalid(name, scenario)
    supplied = c.SupplyScenario(job.id, person, scenario, store_manual(job, place, text), request.now)
    reply = settle([supplied], job.id, place, person.user)
    return reply.model_copy(update={"message": reply.message + _on_services(scenario, place)}) if reply.ok else reply


def _on_services(scenario: Scenario, place: Workplace) -> str:
    """Which of the services somebody else has to start, and why."""
    if scenario.served and place.settings.sandbox == "none":
        return '; the replay will be refused: services are started in a sandbox only, and the settings say "none"'
    started = {service.name for service in scenario.served}
    others = [said for said in scenario.services if said.replace(",", " ").split()[0] not in started]
    return f"; without a command the entrypoint has to start {'; '.join(others)}" if others else ""


def _invalid(name: str, found: ManualInvalid) -> Reply:
    names = ", ".join(error.field for error in found.errors)
    return Reply(
        code="scenario_invalid",
        message=f"job {name}: the scenario was not taken; to be mended: {names}; nothing was changed. "
        "Next: mend the file and run the same command again",
        data={"problems": [[error.field, error.problem] for error in found.errors]},
    )
