"""What retention may delete: snapshots of jobs that nothing is owed to and that no pattern leans on, and what the log
only points to.

- Kept are snapshots of jobs that are not at rest, and of those whose pattern is staged, quarantined, a candidate,
  active, edited or stale, however old they are.
- Today's setting `retention_days` rules, for old snapshots too; what a manifest tells is what it was at the capture. It
  counts from when the job came to rest, or from the last event of its pattern.
- The event comes first, then the files go. A crash in between is made good by the next round: a snapshot whose removal
  was recorded and not finished still has its record in the store.
- Clocks lie. The order of the log does not: nothing counts as older than what the log puts before it, or than its
  repository's registration; what stands in the future is as old as what came next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import structlog

from events.values import SnapshotRecord
from learnd.clock import iso, now, parse
from learnd.harvest.faults import DiskFull, SnapshotError
from learnd.harvest.retention import StoredSnapshots
from learnd.harvest.snapshot import snapshot_id
from learnd.lab.environments import FOLDER as ENVIRONMENTS
from learnd.lab.environments import sweep_environments
from learnd.work_folders import work_roots
from learnd.workplace import Workplace
from state.commands import RecordSnapshotPruned
from state.job import AT_REST, JobStatus
from state.pattern import PatternStatus
from state.refusal import Refused

ACTOR = "learnd:retention"
DAY_S = 86_400

NOT_LEANING = frozenset({PatternStatus.REJECTED, PatternStatus.EXPIRED, PatternStatus.DEPRECATED})
"""Patterns of all other statuses keep their snapshot, however old: their evidence may be asked for again."""

log = structlog.get_logger("learnd.keeping")


def _words(*statuses: JobStatus | PatternStatus) -> str:
    return ", ".join(f"'{status.value}'" for status in statuses)


_STANDING = """
    WITH standing AS (
        SELECT jobs.id, jobs.repo_id, jobs.status, jobs.pattern, jobs.tree, jobs.freed_bytes, jobs.because_position,
            max(coalesce(repositories.registered_at, ''), CASE WHEN since <= :now
                THEN max(CASE WHEN since <= :now THEN since END) OVER (ORDER BY because_position)
                ELSE coalesce(min(CASE WHEN since <= :now THEN since END) OVER
                    (ORDER BY because_position ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING), :now)
            END) AS since
        FROM jobs LEFT JOIN repositories ON repositories.id = jobs.repo_id
    )
"""
"""Since when each job stands as it does, by the clock as far as the order of the log bears it out."""

_MAY_GO = f"""
    standing.status IN ({_words(*AT_REST)}) AND max(standing.since, coalesce(patterns.updated_at, '')) < :cutoff
    AND (patterns.status IS NULL OR patterns.status IN ({_words(*sorted(NOT_LEANING))}))
"""
_FROM = "FROM standing LEFT JOIN patterns ON patterns.id = standing.pattern"
_PRUNABLE = f"""{_STANDING} SELECT standing.id {_FROM}
    WHERE {_MAY_GO} AND tree IS NOT NULL AND freed_bytes IS NULL AND standing.repo_id = :repo
    ORDER BY because_position"""
_FINISHED = f"{_STANDING} SELECT standing.id {_FROM} WHERE {_MAY_GO}"
_NEEDS_BASE = f"""{_STANDING} SELECT id FROM standing WHERE repo_id = :repo AND (
    status IN ({_words(JobStatus.OPENED, JobStatus.SNAPSHOT_FAILED)})
    OR (status = '{JobStatus.OBSERVED.value}' AND since >= :cutoff))"""  # noqa: S608 - statuses of our own
_FREE = f"""SELECT 1 FROM jobs LEFT JOIN patterns ON patterns.id = jobs.pattern
    WHERE jobs.id = ? AND jobs.status IN ({_words(*AT_REST)})
    AND (patterns.status IS NULL OR patterns.status IN ({_words(*sorted(NOT_LEANING))}))"""  # noqa: S608 - as above
_SHARING = """SELECT tarball, tarball_copy FROM jobs WHERE id != :job AND tree IS NOT NULL AND freed_bytes IS NULL
    AND (tarball IN (:first, :second) OR tarball_copy IN (:first, :second))"""

Stopped = Callable[[], bool]


class Round:
    """One look at everything that may go, at one moment. `stopped` is asked between its steps."""

    def __init__(self, place: Workplace, stopped: Stopped = lambda: False) -> None:
        self._place = place
        self._stopped = stopped
        moment = now()
        days = timedelta(days=place.settings.retention_days)
        self._times = {"now": moment, "cutoff": iso(parse(moment) - days)}
        self._oldest_file = time.time() - days.total_seconds()

    def prune(self) -> int:
        """Delete all that may go; what cannot be now is left to the next round. Returns the bytes freed."""
        freed = 0
        for home in homes(self._place.settings.state_dir):
            if self._stopped():
                return freed
            if not self._place.views().is_forgotten(home.name):  # that is for `forget`
                freed += self._store(home)
        self._work()
        return freed + self._files() + self._environments()

    def _environments(self) -> int:
        """Environments that nobody used for longest, beyond what is kept of them."""
        try:
            return sweep_environments(self._place.settings.state_dir / ENVIRONMENTS)
        except OSError as error:
            log.warning("environments not swept", reason=str(error))
            return 0

    def prunable(self, repo_id: str) -> list[str]:
        """Jobs of a repository whose snapshot may go, oldest first."""
        return self._ids(_PRUNABLE, repo=repo_id)

    def _ids(self, query: str, **values: str) -> list[str]:
        rows = self._place.views().rows(query, {**self._times, **values})
        return [str(job_id) for (job_id,) in rows]

    # --- snapshots ---

    def _is_free(self, job_id: str) -> bool:
        """Whether nobody has come to need the snapshot since it was looked for."""
        return bool(self._place.views().rows(_FREE, (job_id,)))

    def _store(self, home: Path) -> int:
        stored = StoredSnapshots(home, trees_of(self._place, home.name))
        freed = 0
        try:
            for job_id in self.prunable(home.name):
                if self._stopped():
                    return freed
                freed += prune_snapshot(self._place, stored, job_id, self._is_free)
            for job_id, record in self._unfinished(stored):
                stored.remove(record, spared(self._place, job_id, record))
            needed = {self._place.door.job(job_id).base_tree for job_id in self._ids(_NEEDS_BASE, repo=home.name)}
            stored.let_go({tree for tree in needed if tree} | self._bases_of_groups(home.name))
            if stored.cleaning_due():
                stored.clean()
        except (SnapshotError, DiskFull, OSError) as error:
            log.warning("snapshots not pruned", store=str(home), reason=str(error))
        return freed

    def _bases_of_groups(self, repo_id: str) -> set[str]:
        """What snapshots of groups, which are not pruned yet, are measured against: no commit holds these trees."""
        query = "SELECT group_base FROM jobs WHERE repo_id = ? AND group_base IS NOT NULL AND freed_bytes IS NULL"
        return {str(tree) for (tree,) in self._place.views().rows(query, (repo_id,))}

    def _unfinished(self, stored: StoredSnapshots) -> Iterator[tuple[str, SnapshotRecord]]:
        """Captures whose removal was recorded and not finished, and old ones whose job was ended before it heard of
        them.
        """
        query = "SELECT id, status, tree, freed_bytes FROM jobs WHERE repo_id = ?"
        jobs: dict[str, tuple[str, bool]] = {}
        for job_id, status, tree, freed in self._place.views().rows(query, (stored.home.name,)):
            if freed is not None or (tree is None and status in AT_REST):
                jobs[snapshot_id(str(job_id))] = (str(job_id), freed is not None)
        for record, taken_at in stored.records():
            job_id, recorded = jobs.get(record.snapshot_id, ("", False))
            if recorded or (job_id and taken_at < self._oldest_file):
                yield job_id, record

    # --- files that the log only points to ---

    def _files(self) -> int:
        """Drafts, evidence and scenarios in learnd's own folder: the log has what they say."""
        state = self._place.settings.state_dir
        files = [file for folder in ("drafts", "evidence", "scenarios") for file in sorted((state / folder).glob("*"))]
        if not files or self._stopped():
            return 0
        finished = {job_id[:16] for job_id in self._ids(_FINISHED)}
        known = {str(job_id) for (job_id,) in self._place.views().rows("SELECT substr(id, 1, 16) FROM jobs")}
        freed = 0
        for file in files:
            job = file.name[:16]
            found = file.lstat()
            # Of a job that a restored log does not know, the file's own age is all there is.
            if job in finished or (job not in known and found.st_mtime < self._oldest_file):
                file.unlink(missing_ok=True)
                freed += found.st_size
        return freed

    def _work(self) -> None:
        """Trees that a replay could not remove: none is a day old while its replay runs."""
        from learnd.lab.trees import sweep_work  # noqa: PLC0415 - the lab is only needed by who works

        for root in work_roots(self._place.work_dir, self._place.settings.lab.work_dir):
            try:
                young = {entry.name for entry in root.iterdir() if entry.lstat().st_mtime > time.time() - DAY_S}
                replaying = self._place.views().rows("SELECT id FROM jobs WHERE status = ?", (JobStatus.REPLAYING,))
                sweep_work(root, young | {str(job_id) for (job_id,) in replaying})
            except FileNotFoundError:
                continue
            except OSError as error:
                log.warning("work trees not removed", folder=str(root), reason=str(error))


def prune_snapshot(place: Workplace, stored: StoredSnapshots, job_id: str, may_go: Callable[[str], bool]) -> int:
    """Record that a snapshot goes, and delete it, unless it may not by now. Returns the bytes freed.

    Raises SnapshotError, DiskFull, OSError.
    """
    record = place.door.job(job_id).snapshot
    if record is None:
        return 0
    needed = spared(place, job_id, record)
    freed = stored.bytes_of(record, needed)
    if not may_go(job_id):
        return 0
    outcome = place.door.handle(RecordSnapshotPruned(job_id, freed), ACTOR)
    if isinstance(outcome, Refused):
        log.info("snapshot kept", job=job_id[:8], reason=outcome.reason)
        return 0
    stored.remove(record, needed)
    log.info("snapshot pruned", job=job_id[:8], freed_bytes=freed)
    return freed


def spared(place: Workplace, job_id: str, record: SnapshotRecord) -> frozenset[str]:
    """Paths of its tarballs that other jobs' snapshots need: equal snapshots of runs of one name may share a copy."""
    first = record.tarball.path
    second = record.storage_copy.path if record.storage_copy else first
    rows = place.views().rows(_SHARING, {"job": job_id, "first": first, "second": second})
    return frozenset(str(path) for row in rows for path in row if path is not None)


def homes(state_dir: Path) -> list[Path]:
    """The folders of all snapshot stores; each is named by its repository's id."""
    folder = state_dir / "repositories"
    return sorted(entry for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []


def trees_of(place: Workplace, repo_id: str) -> tuple[Path, ...]:
    """Every work tree that a repository is known to have had, the present ones among them."""
    query = """SELECT path FROM repositories WHERE id = :repo UNION SELECT path FROM work_trees WHERE repo_id = :repo
        UNION SELECT DISTINCT repo_path FROM jobs WHERE repo_id = :repo"""
    return tuple(Path(str(path)) for (path,) in place.views().rows(query, {"repo": repo_id}))
