"""How the read models follow the log: one event at a time, in the append's own transaction.

A projection knows the tables' columns and nothing of rules; statuses come from the compiled state tables.
`VERSION` grows whenever a fold would come out differently; models of another version are rebuilt.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from importlib import resources

from events import catalog as e
from events.recorded import Recorded
from learnd.views.queries import MODELS_VERSION
from state import job as jobs
from state import pattern as patterns

VERSION = MODELS_VERSION
TABLES = ("jobs", "patterns", "repositories", "work_trees", "faults", "daemon")


def create_tables(connection: sqlite3.Connection, prefix: str = "") -> None:
    """Make the read models' tables where they are absent; `prefix` builds a set aside."""
    for statement in resources.files("learnd.views").joinpath("models.sql").read_text().split(";"):
        if statement.strip():
            connection.execute(statement.format(prefix=prefix))


def project(connection: sqlite3.Connection, recorded: Sequence[Recorded], prefix: str = "") -> None:
    """Bring the read models from just before `recorded` to just after it."""
    for record in recorded:
        kind = record.stream.partition("-")[0]
        if kind == "job":
            _job(connection, record, prefix)
        elif kind == "pattern":
            _pattern(connection, record, prefix)
        elif kind == "repo":
            _repository(connection, record, prefix)
        else:
            _host(connection, record, prefix)


def _job(connection: sqlite3.Connection, record: Recorded, prefix: str) -> None:
    job_id = record.stream.removeprefix("job-")
    row = connection.execute(f"SELECT status FROM {prefix}jobs WHERE id = ?", (job_id,)).fetchone()  # noqa: S608
    status = row[0] if row else jobs.JobStatus.NEW.value
    following = jobs.TABLE.follow(f"job {job_id[:8]}", status, record.data)
    columns: dict[str, object] = {"version": record.version, "updated_at": record.at, **_job_columns(record.data)}
    if following != status:
        columns |= {
            "status": following,
            "since": record.at,
            "because": record.type,
            "because_position": record.position,
        }
        columns.setdefault("cause", "")
        columns.setdefault("detail", "")
    if row is None:
        columns |= {"id": job_id, "opened_at": record.at}
        _insert(connection, f"{prefix}jobs", columns)
    else:
        _update(connection, f"{prefix}jobs", job_id, columns)
    if isinstance(record.data, e.ModelCallSettled):
        connection.execute(
            f"UPDATE {prefix}jobs SET spent_usd = spent_usd + ? WHERE id = ?",  # noqa: S608
            (record.data.cost_usd, job_id),
        )


def _job_columns(event: e.Event) -> dict[str, object]:
    """What an event says that a column shows; a changed status clears cause and detail first."""
    match event:
        case e.RunObserved():
            return {**_run_columns(event), "started_at": event.started_at}
        case e.RunEnded():
            return {**_run_columns(event), "completed_at": event.completed_at, "cause": event.outcome}
        case e.JobOpened():
            return {**_run_columns(event), "started_at": event.started_at, "completed_at": event.completed_at}
        case e.SnapshotTaken():
            return {"diff_sha256": event.snapshot.diff.sha256, "tree": event.snapshot.tree}
        case e.ScenarioSynthesized() | e.ManualScenarioSupplied():
            return {"scenario_source": event.scenario.source}
        case e.ChangeValidated():
            return {"evidence": event.evidence.verdict, "isolation": event.evidence.isolation}
        case e.ValidationFailed():
            return {
                "evidence": event.evidence.verdict,
                "isolation": event.evidence.isolation,
                "cause": event.cause,
                "detail": event.evidence.detail,
            }
        case e.SnapshotStalled():
            return {"cause": event.cause, "detail": f"expected {event.expected}, found {event.found}"}
        case e.BudgetExhausted():
            return {"cause": "budget", "detail": event.detail}
        case e.PatternDrafted() | e.JobLearned():
            return {"pattern": event.pattern_id}
        case e.JobDismissed():
            return {"detail": event.reason}
        case (
            e.SnapshotAttemptFailed()
            | e.SnapshotFailed()
            | e.ScenarioAttemptFailed()
            | e.ManualScenarioRequired()
            | e.CrystalizationAttemptFailed()
            | e.CrystalizationFailed()
            | e.JobSkipped()
            | e.ReplayInterrupted()
        ):
            return {"cause": event.cause, "detail": event.detail}
    return {}


def _run_columns(event: e.RunObserved | e.RunEnded | e.JobOpened) -> dict[str, object]:
    return {
        "repo_id": event.repo_id,
        "repo_path": event.repo_path,
        "task_id": event.task_id,
        "run_id": event.run_id,
        "manifest_path": event.manifest_path,
    }


def _pattern(connection: sqlite3.Connection, record: Recorded, prefix: str) -> None:
    pattern_id = record.stream.removeprefix("pattern-")
    row = connection.execute(f"SELECT status FROM {prefix}patterns WHERE id = ?", (pattern_id,)).fetchone()  # noqa: S608
    status = row[0] if row else patterns.PatternStatus.NEW.value
    event = record.data
    following = patterns.TABLE.follow(f"pattern {pattern_id[:8]}", status, event)
    columns: dict[str, object] = {"version": record.version, "updated_at": record.at, "status": following}
    if isinstance(event, e.PatternQuarantined):
        columns |= {"gate": event.gate, "detail": event.detail}
    if isinstance(event, e.PatternReleased):
        columns |= {"gate": None, "detail": ""}
    if isinstance(event, e.Approval):
        columns |= {"approver": event.approver, "reason": event.reason}
    if row is not None:
        _update(connection, f"{prefix}patterns", pattern_id, columns)
    elif isinstance(event, e.PatternStaged | e.PatternQuarantined):
        columns |= {
            "id": pattern_id, "repo_id": event.repo_id or "", "repo_path": event.repo_path or "",
            "job_id": event.job_id or "", "manifest_path": event.manifest_path or "", "title": event.title or "",
            "slug": event.slug or "", "verdict": event.verdict or "unproven", "staged_at": record.at,
        }  # fmt: skip
        _insert(connection, f"{prefix}patterns", columns)
    if isinstance(event, e.EvidenceAdded | e.EvidenceWithdrawn):
        change = 1 if isinstance(event, e.EvidenceAdded) else -1
        connection.execute(
            f"UPDATE {prefix}patterns SET evidence_count = evidence_count + ? WHERE id = ?",  # noqa: S608
            (change, pattern_id),
        )


def _repository(connection: sqlite3.Connection, record: Recorded, prefix: str) -> None:
    event = record.data
    if isinstance(event, e.WorkTreeAdded):
        _watch(connection, prefix, event.path, event.repo_id, event.added_at)
    if not isinstance(event, e.RepositoryRegistered | e.RepositoryMoved):
        return
    columns: dict[str, object] = {
        "version": record.version, "path": event.path, "common_dir": event.common_dir,
        "device": event.device, "inode": event.inode,
    }  # fmt: skip
    if isinstance(event, e.RepositoryRegistered):
        columns |= {"id": event.repo_id, "root_commit": event.root_commit, "registered_at": event.registered_at}
        _insert(connection, f"{prefix}repositories", columns)
        _watch(connection, prefix, event.path, event.repo_id, event.registered_at)
        return
    connection.execute(
        f"UPDATE OR REPLACE {prefix}work_trees SET path = ? "  # noqa: S608
        f"WHERE path = (SELECT path FROM {prefix}repositories WHERE id = ?) AND repo_id = ?",
        (event.path, event.repo_id, event.repo_id),
    )
    _update(connection, f"{prefix}repositories", event.repo_id, columns)


def _watch(connection: sqlite3.Connection, prefix: str, path: str, repo_id: str, since: str) -> None:
    """A path belongs to whom it was registered for last: `rm -r .git; git init` makes another repository of it."""
    connection.execute(
        f"INSERT OR REPLACE INTO {prefix}work_trees (path, repo_id, since) VALUES (?, ?, ?)",  # noqa: S608
        (path, repo_id, since),
    )


def _host(connection: sqlite3.Connection, record: Recorded, prefix: str) -> None:
    match record.data:
        case e.FaultRaised(kind=kind, detail=detail):
            connection.execute(
                f"INSERT OR REPLACE INTO {prefix}faults VALUES (?, ?, ?)",  # noqa: S608
                (kind, detail, record.at),
            )
        case e.FaultCleared(kind=kind):
            connection.execute(f"DELETE FROM {prefix}faults WHERE kind = ?", (kind,))  # noqa: S608
        case e.DaemonStarted() as started:
            connection.execute(
                f"INSERT OR REPLACE INTO {prefix}daemon VALUES (1, ?, ?, ?, ?)",  # noqa: S608
                (started.boot_id, started.pid, int(started.learning_enabled), record.at),
            )
        case e.DaemonStopped():
            connection.execute(f"UPDATE {prefix}daemon SET boot_id = NULL, pid = NULL, since = ?", (record.at,))  # noqa: S608


# Table and column names below come from this module alone, never from an event's data.


def _insert(connection: sqlite3.Connection, table: str, columns: Mapping[str, object]) -> None:
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(columns.values()))  # noqa: S608


def _update(connection: sqlite3.Connection, table: str, identity: str, columns: dict[str, object]) -> None:
    names = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE {table} SET {names} WHERE id = ?", (*columns.values(), identity))  # noqa: S608
