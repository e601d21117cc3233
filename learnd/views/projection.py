"""How the read models follow the log: one event at a time, in the append's own transaction.

A projection knows the tables' columns and nothing of rules; statuses come from the compiled state tables.
`VERSION` grows whenever a fold would come out differently; models of another version are rebuilt.

Jobs and patterns, of which a log has many, are folded through `Rows`; what is rare goes to its table at once. What an
event adds to the metrics is said by `measures/taken.py`, from how its job or pattern stood just before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from operator import attrgetter
from typing import NamedTuple

from events import catalog as e
from events.recorded import Recorded
from learnd.views import alert_fold, flaky_fold, likeness_fold, search_fold, usage_fold
from learnd.views.measures.taken import (
    BLOCKED,
    JOB_TYPES,
    PATTERN_TYPES,
    JobStood,
    Measure,
    PatternStood,
    is_promotion,
    of_job,
    of_pattern,
)
from learnd.views.queries import MODELS_VERSION
from learnd.views.rows import Columns, Rows
from state import job as jobs
from state import pattern as patterns

VERSION = MODELS_VERSION
TABLES = (
    "jobs", "patterns", "rules", "repositories", "work_trees", "faults", "daemon", "measures", "alerts",
    "alert_channels", "flaky_tests", "pattern_texts", "pattern_search", "usage", "likenesses",
    "unknown_files",
)  # fmt: skip
BATCH_ROWS = 5000
"""Rows that a fold of many events keeps in memory, about a kilobyte each; looked at every thousand events."""


def create_tables(connection: sqlite3.Connection, prefix: str = "") -> None:
    """Make the read models' tables where they are absent; `prefix` builds a set aside.

    What is built aside is found by its keys alone: the hot tables get their other indexes when it is in its place.
    """
    for statement in resources.files("learnd.views").joinpath("models.sql").read_text().split(";"):
        index = "CREATE INDEX" in statement and any(f"ON {{prefix}}{table} " in statement for table in Hot._fields)
        if statement.strip() and not (prefix and index):
            connection.execute(statement.format(prefix=prefix))


class Hot(NamedTuple):
    """The rows of the tables that nearly every event changes."""

    jobs: Rows
    patterns: Rows

    @classmethod
    def of(cls, connection: sqlite3.Connection, prefix: str = "") -> Hot:
        return cls(Rows(connection, f"{prefix}jobs"), Rows(connection, f"{prefix}patterns"))


def project(
    connection: sqlite3.Connection, recorded: Iterable[Recorded], prefix: str = "", hot: Hot | None = None
) -> int:
    """Bring the read models from just before `recorded` to just after it. Returns the last position, 0 of nothing.

    `hot` is what the projection of the events just before kept in memory, on the same connection.
    """
    job_rows, pattern_rows = hot or Hot.of(connection, prefix)
    measured: list[Measure] = []
    position = 0
    for record in recorded:
        stream = record.stream
        if stream.startswith("job-"):
            measured += _job(job_rows, pattern_rows, record)
            if record.type in flaky_fold.FOLLOWED:
                flaky_fold.follow(connection, record, job_rows.get(stream[4:]), prefix)
        elif stream.startswith("pattern-"):
            was_active = record.version > 1 and search_fold.is_active(pattern_rows.get(stream[8:]))
            measured += _pattern(job_rows, pattern_rows, record)
            if record.type == "PatternRuleVerified":
                _rule(connection, record, prefix)
            likeness_fold.follow(connection, record, prefix)
            search_fold.follow(connection, record, pattern_rows.get(stream[8:]), prefix, was_active=was_active)
        elif stream.startswith("usage-"):
            used = pattern_rows.get(stream[6:])
            measured += usage_fold.follow(connection, record, str(used["repo_id"]) if used else "", prefix)
        elif stream.startswith("repo-"):
            _repository(connection, record, prefix)
        else:
            _host(connection, record, prefix)
        if record.type in alert_fold.FOLLOWED:
            alert_fold.follow(connection, record, prefix)
        position = record.position
        if position % 1000 == 0 and len(job_rows) + len(pattern_rows) > BATCH_ROWS:
            job_rows.flush()
            pattern_rows.flush()
            _write(connection, measured, prefix)
    job_rows.flush()
    pattern_rows.flush()
    _write(connection, measured, prefix)
    return position


def _write(connection: sqlite3.Connection, measured: list[Measure], prefix: str) -> None:
    """Write the rows of the metrics and let go of them."""
    if measured:
        connection.executemany(f"INSERT INTO {prefix}measures VALUES (?, ?, ?, ?, ?, ?, ?, ?)", measured)  # noqa: S608
        measured.clear()


# --- jobs ---


def _job(rows: Rows, pattern_rows: Rows, record: Recorded) -> list[Measure]:
    job_id = record.stream[4:]
    row = rows.get(job_id) if record.version > 1 else None
    status = jobs.JobStatus.NEW.value if row is None else str(row["status"])
    event = record.data
    following = jobs.TABLE.follow(f"job {job_id[:8]}", status, event)
    columns: Columns = {"version": record.version, "updated_at": record.at}
    measured: list[Measure] = []
    if record.type in JOB_TYPES or status in BLOCKED:
        regressed = _regressed(pattern_rows, event) if record.type == "RegressionDetected" else None
        measured = of_job(record, _job_stood(row), following, regressed)
    if following != status:
        columns |= {
            "status": following,
            "since": record.at,
            "because": record.type,
            "because_position": record.position,
            "cause": "",
            "detail": "",
            "retry_at": None,
        }
        if following in _LETS_GO:
            columns["urgent"] = 0
    says = _SAYS.get(type(event))
    if says is not None:
        columns |= says(event)
    if row is None:
        rows.add(job_id, {**columns, "opened_at": record.at})
        return measured
    rows.change(job_id, columns)
    if record.type == "ModelCallSettled" and isinstance(event, e.ModelCallSettled):
        rows.increase(job_id, "spent_usd", event.cost_usd, first=0.0)
    return measured


def _job_stood(row: Columns | None) -> JobStood:
    if row is None:
        return JobStood()
    return JobStood(str(row["status"]), str(row["since"]), str(row["repo_id"]))


def _regressed(pattern_rows: Rows, event: e.Event) -> str | None:
    """Counts a regression of a pattern; returns when the pattern was promoted."""
    assert isinstance(event, e.RegressionDetected)  # noqa: S101 - for the type checker
    row = pattern_rows.get(event.pattern_id) if event.pattern_id else None
    if row is None or event.pattern_id is None:
        return None
    pattern_rows.increase(event.pattern_id, "regressions", 1, first=0)
    return _time(row.get("promoted_at"))


def _time(column: object) -> str | None:
    return None if column is None else str(column)


_LETS_GO = frozenset(status.value for status in (*jobs.BLOCKED, *jobs.AT_REST))
"""Statuses in which nothing is urgent any more."""

Says = Callable[[e.Event], Columns]
"""What an event says that columns show; of cause and detail, a changed status alone says that there are none."""


def _shows(**paths: str) -> Says:
    """Columns and the attributes of the event that they show."""
    names = tuple(paths)
    read = attrgetter(*paths.values())
    if len(names) == 1:
        return lambda event: {names[0]: read(event)}
    return lambda event: dict(zip(names, read(event), strict=True))


def _stalled(event: e.Event) -> Columns:
    expected, found = attrgetter("expected", "found")(event)
    return {**_shows(cause="cause")(event), "detail": f"expected {expected}, found {found}"}


def _taken(event: e.Event) -> Columns:
    copy = attrgetter("snapshot.storage_copy")(event)
    return {**_TAKEN(event), "tarball_copy": None if copy is None else copy.path}


def _group_closed(event: e.Event) -> Columns:
    record, urgent = attrgetter("snapshot", "urgent")(event)
    columns: Columns = _GROUP(event)
    if urgent:
        columns["urgent"] = 1
    if record is not None:
        columns |= {"group_base": record.base_tree, "group_diff": record.diff.sha256}
    return columns


_NO_GROUP: Columns = {"group_id": None, "lead": None, "group_base": None, "group_diff": None}
_GROUP = _shows(group_id="group.id", lead="group.lead", service="group.service")
_lead: Callable[[e.Event], str] = attrgetter("group.lead")
_TAKEN = _shows(diff_sha256="snapshot.diff.sha256", tree="snapshot.tree", tarball="snapshot.tarball.path")
_RUN = {name: name for name in ("repo_id", "repo_path", "task_id", "run_id", "manifest_path")}
_DETAIL = _shows(detail="detail")
_WHY = _shows(cause="cause", detail="detail")
_RETRY = _shows(cause="cause", detail="detail", retry_at="retry_at")
_SAYS: Mapping[type[e.Event], Says] = {
    e.RunObserved: _shows(**_RUN, started_at="started_at"),
    e.RunEnded: _shows(**_RUN, completed_at="completed_at", cause="outcome"),
    e.JobOpened: _shows(**_RUN, started_at="started_at", completed_at="completed_at"),
    e.SnapshotTaken: _taken,
    e.GroupAwaited: _shows(service="service", closes_at="closes_at"),
    e.GroupClosed: _group_closed,
    e.GroupJoined: lambda event: {
        **_GROUP(event),
        "cause": "grouped",
        "detail": f"validated together with job {_lead(event)[:8]}",
    },
    e.GroupDissolved: lambda event: {**_NO_GROUP, "cause": "", **_DETAIL(event)},
    e.ScenarioSynthesized: _shows(scenario_source="scenario.source"),
    e.ManualScenarioSupplied: _shows(scenario_source="scenario.source"),
    e.ChangeValidated: _shows(evidence="evidence.verdict", isolation="evidence.isolation"),
    e.ValidationFailed: _shows(
        evidence="evidence.verdict", isolation="evidence.isolation", cause="cause", detail="evidence.detail"
    ),
    e.SnapshotStalled: _stalled,
    e.BudgetExhausted: lambda event: {"cause": "budget", **_DETAIL(event)},
    e.PatternDrafted: _shows(pattern="pattern_id"),
    e.JobLearned: _shows(pattern="pattern_id"),
    e.JobDismissed: _shows(detail="reason"),
    e.SnapshotAttemptFailed: _RETRY,
    e.SnapshotFailed: _WHY,
    e.ScenarioAttemptFailed: _WHY,
    e.ManualScenarioRequired: _WHY,
    e.CrystalizationAttemptFailed: _RETRY,
    e.JobExpedited: lambda _event: {"urgent": 1, "retry_at": None},
    e.CrystalizationFailed: _WHY,
    e.JobSkipped: _WHY,
    e.ReplayInterrupted: _WHY,
    e.SnapshotPruned: _shows(freed_bytes="freed_bytes"),
}


# --- patterns ---

_APPROVED = _shows(approver="approver", reason="reason")
_PATTERN_SAYS: Mapping[type[e.Event], Says] = {
    **{kind: _APPROVED for kind in e.PATTERN_EVENTS if issubclass(kind, e.Approval)},
    e.PatternQuarantined: _shows(gate="gate", detail="detail"),
    e.PatternReleased: lambda event: {**_APPROVED(event), "gate": None, "detail": "", "rule_due": 1},
    e.PatternRestored: lambda event: {**_APPROVED(event), "rule_due": 1},
    e.PatternRuleVerified: lambda _event: {"rule_due": 0},
    e.PatternRuleNotFound: lambda _event: {"rule_due": 0},
    e.PatternEndorsed: lambda _event: {},
    e.PatternReviewStarted: lambda _event: {"reviewing": 1},
    e.PatternReviewed: lambda _event: {"reviewing": 0},
}


def _pattern(job_rows: Rows, rows: Rows, record: Recorded) -> list[Measure]:
    pattern_id = record.stream[8:]
    row = rows.get(pattern_id) if record.version > 1 else None
    status = patterns.PatternStatus.NEW.value if row is None else str(row["status"])
    event = record.data
    following = patterns.TABLE.follow(f"pattern {pattern_id[:8]}", status, event)
    columns: Columns = {"version": record.version, "updated_at": record.at, "status": following}
    measured: list[Measure] = []
    if record.type in PATTERN_TYPES:
        completed_at = _completed_at(job_rows, row) if record.type == "PatternProposed" else None
        measured = of_pattern(record, _pattern_stood(row), completed_at)
    if following != status:
        columns["since"] = record.at
    if is_promotion(record.type, status):
        columns |= {"promoted_at": record.at, "regressions": 0}
    says = _PATTERN_SAYS.get(type(event))
    if says is not None:
        columns |= says(event)
    if row is None and isinstance(event, e.PatternStaged | e.PatternQuarantined):
        columns |= {
            "repo_id": event.repo_id or "", "repo_path": event.repo_path or "",
            "job_id": event.job_id or "", "manifest_path": event.manifest_path or "", "title": event.title or "",
            "slug": event.slug or "", "verdict": event.verdict or "unproven", "staged_at": record.at,
            "last_seen": record.at,
        }  # fmt: skip
        rows.add(pattern_id, columns)
        return measured
    if record.type == "EvidenceAdded":
        columns["last_seen"] = record.at
    rows.change(pattern_id, columns)
    if record.type in ("EvidenceAdded", "EvidenceWithdrawn"):
        rows.increase(pattern_id, "evidence_count", 1 if record.type == "EvidenceAdded" else -1, first=1)
    return measured


def _rule(connection: sqlite3.Connection, record: Recorded, prefix: str) -> None:
    assert isinstance(record.data, e.PatternRuleVerified)  # noqa: S101 - for the type checker
    rule = record.data
    connection.execute(
        f"INSERT OR REPLACE INTO {prefix}rules VALUES (?, ?, ?, ?, ?)",  # noqa: S608
        (record.stream[8:], rule.rule, rule.sha256, rule.language, int(rule.has_fix)),
    )


def _pattern_stood(row: Columns | None) -> PatternStood:
    if row is None:
        return PatternStood()
    return PatternStood(str(row["status"]), str(row["since"]), _time(row.get("promoted_at")), str(row["repo_id"]))


def _completed_at(job_rows: Rows, pattern: Columns | None) -> str | None:
    """When the run completed that a pattern came from."""
    job = job_rows.get(str(pattern["job_id"])) if pattern is not None else None
    return _time(job.get("completed_at")) if job is not None else None


# --- repositories and the machine ---


def _repository(connection: sqlite3.Connection, record: Recorded, prefix: str) -> None:
    event = record.data
    if isinstance(event, e.WorkTreeAdded):
        _watch(connection, prefix, event.path, event.repo_id, event.added_at)
    if isinstance(event, e.UnknownFilesSetAside):
        connection.executemany(
            f"INSERT OR REPLACE INTO {prefix}unknown_files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
            [
                (
                    event.repo_id, event.path, file.name, file.sha256, file.kept, file.claims, int(file.link),
                    record.at, record.position,
                )
                for file in event.files
            ],
        )  # fmt: skip
    if isinstance(event, e.RepositoryForgotten):
        connection.execute(f"DELETE FROM {prefix}unknown_files WHERE repo_id = ?", (event.repo_id,))  # noqa: S608
        connection.execute(f"DELETE FROM {prefix}work_trees WHERE repo_id = ?", (event.repo_id,))  # noqa: S608
        gone: dict[str, object] = {"version": record.version, "forgotten_at": record.at}
        _update(connection, f"{prefix}repositories", event.repo_id, gone)
    if not isinstance(event, e.RepositoryRegistered | e.RepositoryMoved):
        return
    columns: dict[str, object] = {
        "version": record.version, "path": event.path, "common_dir": event.common_dir,
        "device": event.device, "inode": event.inode,
    }  # fmt: skip
    if isinstance(event, e.RepositoryRegistered):
        columns |= {"id": event.repo_id, "root_commit": event.root_commit, "registered_at": event.registered_at}
        # It may have been forgotten, and have its row still.
        connection.execute(f"DELETE FROM {prefix}repositories WHERE id = ?", (event.repo_id,))  # noqa: S608
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
