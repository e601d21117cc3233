"""The two files learnd keeps for a task: `.runs/<task>/metrics.json` and `out/<task>/state.json`.

`metrics.json` is NDJSON in spite of its name, shared with the producer, and only ever appended to, under the
producer's lock `metrics.lock`. A job's line is written once, when its outcome is known. It has no member
`status`: the producer counts every line with `run_id`, `status` and `recorded_at` as a run of its own.
An older file that is not NDJSON (a JSON array) is refused, never rewritten: appending would damage it.

`state.json` is a fold that learnd and the producer both write whole; members of others are kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from learnd.manifest import jsontext
from learnd.manifest.block import Count, Milliseconds, Name, Part, Usd
from learnd.manifest.fields import Fields, WrongField, unsafe_name
from learnd.manifest.inside import Folder, NotAFile, OutsideRepository, TooLarge, confine, within
from learnd.manifest.jsontext import Json, NotJson
from learnd.manifest.lockfile import LockBusy, held

STALE_LOCK_S = 300.0
WAIT_S = 3.0
MAX_METRICS = 256 * 1024 * 1024
MAX_PART = 1024 * 1024
"""Bytes of a line looked at together; learnd's own lines are far shorter."""
MAX_STATE = 1024 * 1024


class TaskFileRefused(Exception):
    """The task's file cannot be written as it stands. The message says why, and what to do."""


class TaskFileBusy(Exception):
    """The producer holds the file's lock. Try again later."""


class MetricsLine(Part):
    """One job's line in `metrics.json`."""

    job: Name
    task_id: Name
    run_id: Name
    recorded_at: Name
    learning_status: Name
    learning_reason: str | None = None
    learning_evidence: str | None = None
    learning_isolation: str | None = None
    learning_scenario_source: str | None = None
    learning_pattern: str | None = None
    learning_cost_usd: Usd = 0.0
    learning_opened_at: str | None = None
    learning_duration_seconds: float | None = None


class ValidationCounts(Part):
    passed: Count = 0
    failed: Count = 0
    stalled: Count = 0
    manual: Count = 0


class ReviewerCounts(Part):
    rejections: Count = 0
    average_latency_ms: Milliseconds | None = None


class RegressionCounts(Part):
    detected: Count = 0


class HygieneCounts(Part):
    promoted: Count = 0
    deprecated: Count = 0


class Safety(Part):
    validation: ValidationCounts = ValidationCounts()
    reviewer: ReviewerCounts = ReviewerCounts()
    regression_detection: RegressionCounts = RegressionCounts()
    pattern_hygiene: HygieneCounts = HygieneCounts()


class ThroughputCounts(Part):
    candidates: Count = 0


class AlertCounts(Part):
    total: Count = 0
    snapshot_failed: Count = 0
    stalled_snapshot: Count = 0
    needs_manual_scenario: Count = 0


class TaskState(Part):
    """`out/<task>/state.json`, name for name."""

    updated_at: Name
    safety: Safety = Safety()
    throughput: ThroughputCounts = ThroughputCounts()
    alerts: AlertCounts = AlertCounts()


def append_metrics(repo: Path, task_id: str, line: MetricsLine) -> bool:
    """Append the job's line to `.runs/<task>/metrics.json`; False when the job has one already.

    Waits at most 3 s for the producer's lock. Raises TaskFileBusy, TaskFileRefused.
    """
    name = "metrics.json"
    with (
        _task_folder(repo, ".runs", task_id) as folder,
        held(folder, "metrics.lock", stale_s=STALE_LOCK_S, wait_s=WAIT_S),
    ):
        missing = name not in folder.names()
        if missing:
            folder.create(name, b"")
        with os.fdopen(folder.open_file(name, os.O_RDWR | os.O_APPEND), "r+b") as file:
            known, ends_open = _scan(file, line.job)
            if known:
                return False
            file.write(b"\n" * ends_open + line.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    return True


def write_state(repo: Path, task_id: str, state: TaskState) -> bool:
    """Make `out/<task>/state.json` say `state`; False when it did, `updated_at` aside.

    Raises TaskFileRefused.
    """
    name = "state.json"
    wanted: dict[str, Json] = state.model_dump(mode="json")
    with _task_folder(repo, "out", task_id) as folder:
        if name not in folder.names():
            folder.replace(name, (json.dumps(wanted, indent=2) + "\n").encode())
            return True
        data, before = folder.read(name, MAX_STATE)
        Fields.of(jsontext.parse(data))  # refuses what is no object
        text = data.decode()
        for member in ("safety", "throughput", "alerts"):
            text = jsontext.with_member(text, member, wanted[member])
        if jsontext.parse(text.encode()) == jsontext.parse(data):
            return False
        text = jsontext.with_member(text, "updated_at", wanted["updated_at"])
        folder.replace(name, text.encode(), like=before)
    return True


def _scan(file: IO[bytes], job: str) -> tuple[bool, bool]:
    """Has the job a line already? Does the last line lack its end? Raises NotJson, TooLarge."""
    size = os.fstat(file.fileno()).st_size
    if size > MAX_METRICS:
        raise TooLarge(f"metrics.json has {size:,} bytes; move it aside, learnd and the producer start a new one")
    part = b"\n"
    first = True
    while more := file.readline(MAX_PART):
        if first and more.lstrip().startswith(b"["):
            raise NotJson("metrics.json holds a JSON array, not a line per run; move it aside and try again")
        if _is_line_of(more, job):
            return True, False
        part, first = more, False
    return False, not part.endswith(b"\n")


def _is_line_of(stored: bytes, job: str) -> bool:
    if job.encode() not in stored:
        return False
    try:
        value: object = json.loads(stored)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and value.get("job") == job


def _place(repo: Path, root: str, task_id: str) -> tuple[str, str]:
    """The resolved repository and folder of the task, which may lead nowhere but below `root`."""
    wrong = unsafe_name(task_id)
    if wrong:
        raise WrongField(f"the task id {wrong}")
    home = os.path.realpath(repo)
    real = os.path.realpath(f"{home}/{root}/{task_id}")
    confine(real, home)
    if not within(real, os.path.realpath(f"{home}/{root}")):
        raise OutsideRepository(f"lies behind a link that leaves {root}/ ({real})")
    return home, real


@contextmanager
def _task_folder(repo: Path, root: str, task_id: str) -> Iterator[Folder]:
    """The task's folder below `root`, made when missing; faults become their reason."""
    where = f"{root}/{task_id}"
    try:
        home, real = _place(repo, root, task_id)
        with Folder.open(home, real, create=True) as folder:
            yield folder
    except LockBusy as busy:
        raise TaskFileBusy(f"{where}: {busy}") from busy
    except (NotJson, WrongField, OutsideRepository, NotAFile, TooLarge) as refusal:
        raise TaskFileRefused(f"{where}: {refusal}") from refusal
    except OSError as error:
        raise TaskFileRefused(f"{where}: {error.strerror or error}") from error
