"""queued -> scenario_ready: find out what to execute in order to verify the change.

Everything here is read from the snapshot and the run's record, never from the live tree. What a person
supplies instead goes through `store_manual`, and from there on is treated no better.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from events.values import FileRef, Scenario, ScenarioCommand, SnapshotRecord
from learnd.assets import agent_dir
from learnd.atomic import write_atomically
from learnd.clock import now
from learnd.crystalizer.redact import redact_line
from learnd.grouping.following import left, members_of
from learnd.grouping.united import unite
from learnd.harvest.faults import DiskFull, SnapshotDamaged, SnapshotError
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.places import put
from learnd.harvest.prompt import acceptance_criteria
from learnd.harvest.snapshot import verify_snapshot
from learnd.harvest.store import SnapshotStore
from learnd.lab.manual_form import TEMPLATE, fill
from learnd.lab.scenario import NoScenario, SynthesisRequest, synthesize
from learnd.lab.suggestions import suggestions
from learnd.lab.templates import FOLDER, Stack, load
from learnd.manifest.history import ExecutedCommand, execution_history
from learnd.steps.enqueue import recorded_snapshot
from learnd.steps.faults import MachineFault
from learnd.steps.run_folder import RunGone, learning_dir, read_again, recorded_prompt, suffix
from learnd.steps.stall import stalled
from learnd.workplace import Workplace
from state.commands import RecordScenario, RecordScenarioFailure, RecordStall
from state.decide import Command
from state.job import Job
from state.job_rules import SCENARIO_ATTEMPTS


def synthesize_scenario(job: Job, place: Workplace, cancel: threading.Event) -> Sequence[Command]:
    """Synthesize a scenario from history, prompt, diff and templates, in that order."""
    place.progress(job.id, "looking for the command that verifies the change")
    dissolved = left(job, place)
    if dissolved:
        return dissolved
    try:
        request = synthesis_request(job, place)
        found = _found(job, place, request)
        scenario = found.model_copy(update={"reason": redact_line(found.reason)})
        text = scenario.model_dump_json(indent=2) + "\n"
        file = _put(job, place, f"scenario{suffix(job, place)}.json", text)
    except NoScenario as error:
        suggested = [asdict(one) for one in suggestions(request)]
        return [scenario_failed(job, place, error.cause, error.detail, {**error.partial, "suggested": suggested})]
    except (SnapshotError, NotARepository) as error:
        return [unreadable_snapshot(job, place, error)]
    except DiskFull as error:
        raise MachineFault("disk", str(error)) from error
    return [RecordScenario(job.id, scenario, file)]


def _found(job: Job, place: Workplace, request: SynthesisRequest) -> Scenario:
    """The scenario of the job's change; for a group's, those of all its runs in one. Raises NoScenario."""
    if job.group is None or not job.group.several:
        return synthesize(request)
    return unite((one.id, _asked_of(one, request)) for one in members_of(job, place))


def _asked_of(member: Job, request: SynthesisRequest) -> SynthesisRequest:
    """What is known of one run of a group; files are those of the group's change."""
    prompt = recorded_prompt(member)
    return replace(
        request,
        history=_history(member),
        prompt=prompt,
        acceptance=acceptance_criteria(prompt) if prompt else None,
        changed_paths=member.taken.changed_paths if member.taken else request.changed_paths,
        also_at=_also_at(member),
    )


def unreadable_snapshot(job: Job, place: Workplace, error: Exception) -> RecordStall:
    """The snapshot could not be read, and what exactly of it does not hold."""
    try:
        verify_snapshot(recorded_snapshot(job), place.store(job.repo_id, job.repo_path))
    except SnapshotDamaged as damage:
        return stalled(job, place, damage)
    except (SnapshotError, NotARepository) as worse:
        error = worse
    return stalled(job, place, SnapshotDamaged("checkout", recorded_snapshot(job).tree, str(error)))


def synthesis_request(job: Job, place: Workplace) -> SynthesisRequest:
    """What is known of the run and of its change."""
    record = recorded_snapshot(job)
    store = place.store(job.repo_id, job.repo_path)
    prompt = recorded_prompt(job)
    files = frozenset(entry.path for entry in store.list_files(record.tree))

    def read(path: str) -> bytes | None:
        found = store.read_file(record.base_tree, path)
        return store.read_file(record.tree, path) if found is None else found

    return SynthesisRequest(
        repo_path=job.repo_path,
        history=_history(job),
        prompt=prompt,
        acceptance=acceptance_criteria(prompt) if prompt else None,
        changed_paths=record.changed_paths,
        files=files,
        read=read,
        stacks=stacks(store, record),
        last_known_good=last_known_good(job, place),
        also_at=_also_at(job),
        read_many=lambda paths, at_most: store.read_files(record.tree, paths, at_most),
        read_before=lambda path: store.read_file(record.base_tree, path),
    )


def stacks(store: SnapshotStore, record: SnapshotRecord) -> tuple[Stack, ...]:
    """The stacks that the change is judged by: ours, with the base's own over them."""
    return load(agent_dir() / "task/templates", _own_templates(store, record)).stacks


def _own_templates(store: SnapshotStore, record: SnapshotRecord) -> dict[str, bytes]:
    """The repository's own templates, from the base: the change must not choose what it is judged by."""
    found = {}
    for entry in store.list_files(record.base_tree):
        if entry.path.startswith(f"{FOLDER}/") and entry.path.endswith(".toml"):
            found[entry.path] = store.read_file(record.base_tree, entry.path) or b""
    return found


def _also_at(job: Job) -> tuple[str, ...]:
    try:
        workspace = read_again(job).workspace
    except RunGone:
        return ()
    return (workspace,) if workspace else ()


def last_known_good(job: Job, place: Workplace) -> tuple[ScenarioCommand, ...]:
    """Commands that proved an earlier change of this repository, the newest first."""
    found: list[ScenarioCommand] = []
    rows = [row for row in place.views().jobs(repo_id=job.repo_id) if row.evidence == "proven"]
    for row in reversed(rows[-20:]):
        scenario = place.door.job(row.id).scenario
        found.extend(command for command in (scenario.commands if scenario else ()) if command not in found)
    return tuple(found)


def _history(job: Job) -> tuple[ExecutedCommand, ...]:
    try:
        return execution_history(read_again(job))
    except (RunGone, OSError):
        return ()  # the run's folder was deleted; the other sources may do


def scenario_failed(
    job: Job, place: Workplace, cause: str, detail: str, partial: dict[str, object]
) -> RecordScenarioFailure:
    """A failed attempt, with what was found so far and a template that a person can complete."""
    marker = suffix(job, place)
    known = _redacted({"cause": cause, "detail": detail, **partial})
    left = _put(job, place, f"scenario.partial{marker}.json", json.dumps(known, indent=2, default=str) + "\n")
    template = (agent_dir() / "task/templates" / TEMPLATE).read_text()
    form = _put(
        job,
        place,
        f"manual-scenario{marker}.md",
        fill(template, known, job=job.id, today=now()[:10]),
    )
    return RecordScenarioFailure(job.id, cause, redact_line(detail), SCENARIO_ATTEMPTS, left, form)


def _redacted(partial: dict[str, object]) -> dict[str, object]:
    """`partial` with every text in it redacted by itself: a whole line of JSON would take its quotes along."""

    def safe(value: object) -> object:
        match value:
            case str():
                return redact_line(value)
            case list() | tuple():
                return [safe(item) for item in value]
            case dict():
                return {name: safe(item) for name, item in value.items()}
        return value

    return {name: safe(value) for name, value in partial.items()}


def store_manual(job: Job, place: Workplace, text: str) -> FileRef:
    """Keep a person's completed template, each that is handed in under a name of its own. Raises DiskFull."""
    mark = hashlib.sha256(text.encode()).hexdigest()[:8]
    return _put(job, place, f"scenario-manual-{job.id[:8]}-{mark}.md", text)


def _put(job: Job, place: Workplace, name: str, text: str) -> FileRef:
    """Write into the run's learning folder; into learnd's own where the run's folder is gone or planted."""
    try:
        return put(Path(job.repo_path), learning_dir(job) / name, text.encode())
    except SnapshotError:
        return write_atomically(place.settings.state_dir / "scenarios" / f"{job.id[:16]}-{name}", text)
