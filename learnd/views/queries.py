"""Questions to the read models: typed rows, and ids by their shortest unique prefix."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, fields
from typing import TypeVar

from learnd.ids import SHORTEST
from learnd.views.alerts import AlertViews

MODELS_VERSION = 13
"""Of the fold in `projection.py`; here, where asking for it costs a reading verb nothing."""

ROW = TypeVar("ROW", "JobRow", "PatternRow", "RepositoryRow", "WorkTreeRow", "FaultRow", "UnknownFileRow")


class NotFound(Exception):
    """No entity has this id."""


class Ambiguous(Exception):
    """More than one entity's id begins so."""


@dataclass(frozen=True, slots=True)
class JobRow:
    id: str
    version: int
    repo_id: str
    repo_path: str
    task_id: str
    run_id: str
    manifest_path: str
    started_at: str | None
    completed_at: str | None
    status: str
    since: str
    because: str
    because_position: int
    cause: str
    detail: str
    evidence: str | None
    isolation: str | None
    scenario_source: str | None
    pattern: str | None
    diff_sha256: str | None
    tree: str | None
    spent_usd: float
    urgent: int
    retry_at: str | None
    service: str | None
    closes_at: str | None
    group_id: str | None
    lead: str | None
    opened_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class PatternRow:
    id: str
    version: int
    repo_id: str
    repo_path: str
    job_id: str
    manifest_path: str
    title: str
    slug: str
    status: str
    promoted_at: str | None
    regressions: int
    verdict: str
    gate: str | None
    detail: str
    approver: str | None
    reason: str
    evidence_count: int
    last_seen: str
    staged_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A pattern's verified rule, and what people are told of the pattern. `text` is the whole YAML."""

    pattern: str
    repo_id: str
    repo_path: str
    status: str
    title: str
    slug: str
    verdict: str
    text: str
    sha256: str
    language: str
    has_fix: int
    job_id: str


@dataclass(frozen=True, slots=True)
class UnknownFileRow:
    """A file that was taken out of the `active/` of the work tree `path`; `kept` may be gone, for people clear up."""

    repo_id: str
    path: str
    name: str
    sha256: str
    kept: str
    claims: str | None
    link: int
    at: str
    position: int


@dataclass(frozen=True, slots=True)
class RepositoryRow:
    id: str
    version: int
    path: str
    common_dir: str
    device: int
    inode: int
    root_commit: str | None
    registered_at: str


@dataclass(frozen=True, slots=True)
class WorkTreeRow:
    """A folder whose `.runs/` is watched. Runs that completed before `since` are left alone."""

    path: str
    repo_id: str
    since: str


@dataclass(frozen=True, slots=True)
class FaultRow:
    kind: str
    detail: str
    since: str


@dataclass(frozen=True, slots=True)
class DaemonRow:
    boot_id: str | None
    pid: int | None
    learning_enabled: bool
    since: str


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


_REGISTERED = "repo_id NOT IN (SELECT id FROM repositories WHERE forgotten_at IS NOT NULL)"


def _chosen(statuses: tuple[str, ...], repo_id: str | None, *, but_forgotten: bool) -> tuple[str, tuple[str, ...]]:
    """The condition for rows of these statuses (empty: of any) and of this repository, and its values."""
    where = [_REGISTERED] if but_forgotten else []
    if statuses:
        where.append(f"status IN ({', '.join('?' * len(statuses))})")
    if repo_id:
        where.append("repo_id = ?")
    return " AND ".join(where) or "1", (*statuses, *([repo_id] if repo_id else ()))


_LEAD_IS = "(SELECT status FROM jobs AS one WHERE one.id = jobs.lead)"
_LEAD_RESTS = f"{_LEAD_IS} IN ('learned', 'skipped', 'dismissed', 'superseded')"
_FOLLOWS = f"(status = 'waiting_for_group' OR (status = 'skipped' AND cause = 'grouped' AND {_LEAD_IS} = 'learned'))"


class Views:
    """The read models on one connection. Every call is one query; nothing is cached."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.alerts = AlertViews(connection)

    def rows(self, query: str, values: tuple[object, ...] | dict[str, str] = ()) -> list[tuple[object, ...]]:
        """The rows of a query on the read models; `values` by place, or by name."""
        return self._connection.execute(query, values).fetchall()

    def repositories_at(self, path: str) -> tuple[str, ...]:
        """Ids of the repositories that the folder `path` lies in: the one registered there now, else all that jobs
        were of while it was; none when there never was one.
        """
        known = {row.path: {row.repo_id} for row in self.work_trees()}
        if not any(_within(path, tree) for tree in known):
            for tree, repo_id in self.rows("SELECT DISTINCT repo_path, repo_id FROM jobs"):
                known.setdefault(str(tree), set()).add(str(repo_id))
        innermost = max((tree for tree in known if _within(path, tree)), key=len, default=None)
        return tuple(sorted(known[innermost])) if innermost is not None else ()

    def jobs(
        self, *, statuses: tuple[str, ...] = (), repo_id: str | None = None, but_forgotten: bool = False
    ) -> list[JobRow]:
        """Jobs, oldest first; with `but_forgotten` none of forgotten repositories."""
        return self._rows(JobRow, "jobs", *_chosen(statuses, repo_id, but_forgotten=but_forgotten), "opened_at, rowid")

    def jobs_of_run(self, repo_id: str, task_id: str, run_id: str) -> list[JobRow]:
        """The jobs of one run, oldest first: one for each time that it completed."""
        return self._rows(
            JobRow, "jobs", "repo_id = ? AND task_id = ? AND run_id = ?", (repo_id, task_id, run_id), "rowid"
        )

    def waiting_for_group(self, repo_id: str | None = None) -> list[JobRow]:
        """Jobs whose group is not closed yet, of one repository or of all, oldest first."""
        where = "status = 'waiting_for_group' AND lead IS NULL AND (? IS NULL OR repo_id = ?)"
        return self._rows(JobRow, "jobs", where, (repo_id, repo_id), "opened_at, rowid")

    def members(self, group_id: str) -> list[JobRow]:
        """The jobs of a group that was closed."""
        return self._rows(JobRow, "jobs", "group_id = ?", (group_id,), "completed_at, id")

    def last_leads(self, repo_path: str, service: str) -> list[str]:
        """The jobs that led the groups of a service that were closed last, at most five."""
        where = "lead = id AND repo_path = ? AND service = ?"
        query = f"SELECT lead FROM jobs WHERE {where} ORDER BY updated_at DESC LIMIT 5"  # noqa: S608 - words of this file
        return [str(lead) for (lead,) in self.rows(query, (repo_path, service))]

    def followers(self, lead: str) -> list[JobRow]:
        """Jobs that `lead` validates with its own and that follow what becomes of it."""
        where = f"lead = ? AND id != lead AND {_FOLLOWS}"
        return self._rows(JobRow, "jobs", where, (lead,), "opened_at, rowid")

    def leads_at_rest(self) -> list[str]:
        """Jobs that rest while others still follow them; none but after a crash."""
        query = f"SELECT DISTINCT lead FROM jobs WHERE id != lead AND {_LEAD_RESTS} AND {_FOLLOWS}"  # noqa: S608 - ours
        return [str(lead) for (lead,) in self.rows(query)]

    def jobs_of_task(self, repo_path: str, task_id: str) -> list[JobRow]:
        """The jobs of one task in one work tree, oldest first."""
        return self._rows(JobRow, "jobs", "repo_path = ? AND task_id = ?", (repo_path, task_id), "rowid")

    def patterns_of_task(self, repo_path: str, task_id: str) -> list[str]:
        """The ids of the patterns that the jobs of one task in one work tree wrote, oldest first."""
        found = self.rows(
            "SELECT id FROM patterns WHERE job_id IN (SELECT id FROM jobs WHERE repo_path = ? AND task_id = ?) "
            "ORDER BY rowid",
            (repo_path, task_id),
        )
        return [str(pattern) for (pattern,) in found]

    def jobs_of_manifest(self, manifest_path: str) -> list[JobRow]:
        return self._rows(JobRow, "jobs", "manifest_path = ?", (manifest_path,), "rowid")

    def job(self, prefix: str) -> JobRow:
        """The job whose id begins with `prefix`. Raises NotFound, Ambiguous."""
        return self._one(JobRow, "jobs", prefix, "job")

    def patterns(
        self, *, statuses: tuple[str, ...] = (), repo_id: str | None = None, but_forgotten: bool = False
    ) -> list[PatternRow]:
        """Patterns, oldest first; with `but_forgotten` none of forgotten repositories."""
        return self._rows(
            PatternRow, "patterns", *_chosen(statuses, repo_id, but_forgotten=but_forgotten), "staged_at, rowid"
        )

    def patterns_without_rule(self) -> list[PatternRow]:
        """Those that wait or serve, for which a rule is to be looked for; none of forgotten repositories."""
        due = "rule_due = 1 AND status IN ('candidate', 'active') AND id NOT IN (SELECT pattern FROM rules)"
        return self._rows(PatternRow, "patterns", f"{due} AND {_REGISTERED}", (), "staged_at, rowid")

    def pattern(self, prefix: str) -> PatternRow:
        """The pattern whose id begins with `prefix`. Raises NotFound, Ambiguous."""
        return self._one(PatternRow, "patterns", prefix, "pattern")

    def rules(self, *, statuses: tuple[str, ...] = ("active",), repo_id: str | None = None) -> list[RuleRow]:
        """Rules of patterns of these statuses, the oldest pattern's first; none of forgotten repositories."""
        marks = ", ".join("?" * len(statuses))
        query = (
            "SELECT pattern, patterns.repo_id, patterns.repo_path, patterns.status, title, slug, verdict, text, "  # noqa: S608
            "rules.sha256, language, has_fix, patterns.job_id FROM rules JOIN patterns ON patterns.id = rules.pattern "
            f"WHERE patterns.status IN ({marks}) AND patterns.{_REGISTERED} "
            "AND (? IS NULL OR patterns.repo_id = ?) ORDER BY staged_at, patterns.rowid"
        )
        return [RuleRow(*row) for row in self._connection.execute(query, (*statuses, repo_id, repo_id)).fetchall()]

    def repositories(self) -> list[RepositoryRow]:
        """Every registered repository, in the order in which they were."""
        return self._rows(RepositoryRow, "repositories", "forgotten_at IS NULL", (), "rowid")

    def forgotten(self) -> list[RepositoryRow]:
        """Repositories that were forgotten and not registered again under their old id."""
        return self._rows(RepositoryRow, "repositories", "forgotten_at IS NOT NULL", (), "rowid")

    def is_forgotten(self, repo_id: str) -> bool:
        found = self.rows("SELECT 1 FROM repositories WHERE id = ? AND forgotten_at IS NOT NULL", (repo_id,))
        return bool(found)

    def work_trees(self) -> list[WorkTreeRow]:
        """Every folder that is watched, in the order in which they were registered."""
        return self._rows(WorkTreeRow, "work_trees", "1", (), "rowid")

    def unknown_files(self) -> list[UnknownFileRow]:
        """Files that were taken out of an `active/`, the newest first."""
        return self._rows(UnknownFileRow, "unknown_files", "1", (), "position DESC, name")

    def overlapping(self, repo_path: str, started_at: str, completed_at: str, but: str) -> list[JobRow]:
        """Jobs of other runs in the same tree whose time overlaps `started_at`..`completed_at`."""
        return self._rows(
            JobRow,
            "jobs",
            "repo_path = ? AND id != ? AND status != 'superseded' "
            "AND started_at < ? AND (completed_at IS NULL OR completed_at > ?)",
            (repo_path, but, completed_at, started_at),
            "rowid",
        )

    def event_value(self, position: int, path: str) -> object:
        """One value of the event at `position` by its JSON path, without decoding the event; None of no event."""
        query = "SELECT json_extract(data, ?) FROM events WHERE position = ?"
        row = self._connection.execute(query, (path, position)).fetchone()
        return row[0] if row else None

    def faults(self) -> list[FaultRow]:
        return self._rows(FaultRow, "faults", "1", (), "kind")

    def daemon(self) -> DaemonRow | None:
        """What the log knows of the daemon that started last."""
        row = self._connection.execute("SELECT boot_id, pid, learning_enabled, since FROM daemon").fetchone()
        return DaemonRow(row[0], row[1], bool(row[2]), row[3]) if row else None

    def flaky_tests(self, repo_id: str, since: str, but: str) -> dict[str, str]:
        """Tests that flaked without a change in jobs of a repository since then, each with the latest such job.

        The job `but` is no witness. The latest 1000 tests count.
        """
        query = (
            "SELECT test, job_id, max(at) FROM flaky_tests WHERE repo_id = ? AND at >= ? AND job_id != ? "
            "GROUP BY test ORDER BY 3 DESC LIMIT 1000"
        )
        return {str(test): str(job) for test, job, _ in self.rows(query, (repo_id, since, but))}

    def tombstone(self, repo_id: str, diff_sha256: str) -> str | None:
        """The id of a rejected pattern that came from this very change of this repository."""
        row = self._connection.execute(
            "SELECT patterns.id FROM patterns JOIN jobs ON jobs.id = patterns.job_id "
            "WHERE patterns.status = 'rejected' AND jobs.repo_id = ? "
            "AND coalesce(jobs.group_diff, jobs.diff_sha256) = ? LIMIT 1",
            (repo_id, diff_sha256),
        ).fetchone()
        return str(row[0]) if row else None

    def _one(self, kind: type[ROW], table: str, prefix: str, noun: str) -> ROW:
        listed = "learnd jobs --all" if noun == "job" else "learnd review --all"
        if len(prefix) < SHORTEST or not all(digit in "0123456789abcdef" for digit in prefix):
            digits = f"its first {SHORTEST} hexadecimal digits or more"
            raise NotFound(f"{prefix!r} is no {noun} id: give {digits}. Next: {listed}")
        found = self._rows(kind, table, "id >= ? AND id < ?", (prefix, prefix + "g"), "id")
        if not found:
            raise NotFound(f"there is no {noun} {prefix}. Next: {listed}")
        if len(found) > 1:
            raise Ambiguous(f"{prefix} begins the ids of {len(found)} {noun}s. Next: give more digits")
        return found[0]

    def _rows(self, kind: type[ROW], table: str, where: str, values: tuple[str | None, ...], order: str) -> list[ROW]:
        columns = ", ".join(field.name for field in fields(kind))
        query = f"SELECT {columns} FROM {table} WHERE {where} ORDER BY {order}"  # noqa: S608 - names from this file
        return [kind(*row) for row in self._connection.execute(query, values).fetchall()]
