"""snapshotted -> queued: write down what is known of the run (prompt, history) next to its snapshot."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from events.values import SnapshotRecord
from learnd.crystalizer.redact import redact
from learnd.grouping.terms import terms
from learnd.harvest.faults import DiskFull, SnapshotError
from learnd.harvest.own_work import is_own_run
from learnd.harvest.prompt import Prompt, find_prompt
from learnd.harvest.queue import enqueue as write_queue
from learnd.harvest.store import SnapshotStore
from learnd.manifest.history import ExecutedCommand, execution_history
from learnd.manifest.runs import Run
from learnd.rules.reintroduced import brought_back
from learnd.steps.faults import MachineFault
from learnd.steps.run_folder import RunGone, read_again, snapshot_request
from learnd.steps.snapshot import failure
from learnd.workplace import Workplace
from state.commands import RecordQueued, SkipJob
from state.decide import Command
from state.job import Job


class NoSnapshot(Exception):
    """The job has no snapshot: the table does not allow this step then."""


def recorded_snapshot(job: Job) -> SnapshotRecord:
    """The job's snapshot. Raises NoSnapshot."""
    if job.snapshot is None:
        raise NoSnapshot(f"job {job.id[:8]} is {job.status} without a snapshot")
    return job.snapshot


def enqueue(job: Job, place: Workplace, cancel: threading.Event) -> Sequence[Command]:
    """Write the queue's files; the same files again when it is done twice."""
    place.progress(job.id, "writing down prompt and execution history")
    record = recorded_snapshot(job)
    store = place.store(job.repo_id, job.repo_path)
    try:
        run = read_again(job)
        history = execution_history(run)
        if is_own_run(history):
            return [SkipJob(job.id, "own_work", "the run executed nothing but learnd itself")]
        queued = write_queue(
            snapshot_request(job, place),
            record,
            store,
            prompt=run_prompt(run, store, record),
            history=[without_secrets(command) for command in history],
        )
        grouping = terms(job, record, store, place.settings.validation)
    except RunGone as error:
        return [failure(job, place.settings, "enqueue", "run_gone", str(error))]
    except SnapshotError as error:
        return [failure(job, place.settings, "enqueue", error.cause, error.detail)]
    except DiskFull as error:
        raise MachineFault("disk", str(error)) from error
    except OSError as error:
        return [failure(job, place.settings, "enqueue", "unreadable", str(error))]
    return [
        # Before the job moves on: what it brought back is told whether anything is learned from it or not.
        *brought_back(job, record, place),
        RecordQueued(
            job.id,
            record.snapshot_id,
            queued.payload,
            queued.prompt,
            queued.prompt_source,
            queued.execution_history,
            grouping,
        ),
    ]


def run_prompt(run: Run, store: SnapshotStore, record: SnapshotRecord) -> Prompt | None:
    """What the run was asked for, from the first source that says it; secrets in it are not copied."""
    head = store.resolve_head()
    found = find_prompt(
        repo=Path(store.repo),
        run_dir=run.artifact_root,
        task_id=run.task_id,
        prompt_path=run.prompt_path,
        commit_messages=store.messages(record.base_commit, head) if head else (),
        titles=[run.title, *(command.title for command in run.commands)],
    )
    return replace(found, text=redact(found.text).text) if found else None


def without_secrets(command: ExecutedCommand) -> ExecutedCommand:
    """The command as it may stand in a file that is handed on. A word alone need not look like the secret it is."""
    line = redact(command.line)
    if not line.count:
        return command
    return replace(command, line=line.text, argv=None)
