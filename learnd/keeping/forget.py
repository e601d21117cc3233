"""Forgetting a repository: from the event on nothing of it is watched, worked on or kept, save the log.

- RepositoryForgotten comes first. All that follows from it (open jobs are dismissed, on the word of the person who had
  it forgotten; what learnd kept is deleted) is found from the log, so that a crash anywhere is made good later.
- Deleted are the store of snapshots, tarballs and their copies, tags in the user's repository, quarantined texts,
  drafts, evidence and scenarios. The store goes last: while it is there, something is left to do.
- Nothing is deleted while a worker has a job of the repository in hand.
- The repository's own files are left: `.agent/patterns`, Agent Skills, run folders and their manifests are neither
  written nor removed. Registered again, it is another repository to learnd, under an id of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from events.catalog import RepositoryForgotten
from learnd.harvest.faults import DiskFull, SnapshotError, disk_faults
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.retention import StoredSnapshots
from learnd.harvest.store import locked
from learnd.keeping.retention import spared, trees_of
from learnd.lab.trees import remove_tree
from learnd.library.canonical import claimed_id
from learnd.library.unknown import kept_mark
from learnd.repositories import recognized, registered
from learnd.requests import ForgetRepo, Reply
from learnd.upkeep import REVERIFIED
from learnd.views.queries import NotFound, RepositoryRow, Views
from learnd.workplace import Workplace
from state.commands import Dismiss, ForgetRepository, Person, RecordSnapshotPruned
from state.job import OPEN
from state.refusal import Refused

ACTOR = "learnd:forget"
_ID = re.compile(r"[0-9a-f]{8,32}")

log = structlog.get_logger("learnd.keeping")


def find(views: Views, what: str) -> RepositoryRow:
    """The registered repository that `what` names: its id or the beginning of it, a path in it, or where it stood.

    Raises NotFound.
    """
    path = Path(what).expanduser().absolute()
    rows = views.repositories()
    if _ID.fullmatch(what) and not path.exists():
        found = [row for row in rows if row.id.startswith(what)]
    else:
        tree = registered(views, path)
        found = [row for row in rows if tree is not None and row.id == tree.repo_id]
        if not found and path.exists():
            found = _moved_to(views, path)
    if len(found) == 1:
        return found[0]
    known = "more than one registered repository" if found else "no registered repository"
    raise NotFound(f"{what} names {known}. Next: learnd status lists them; its path or its whole id names one")


def _moved_to(views: Views, path: Path) -> list[RepositoryRow]:
    try:
        row = recognized(views, path)
    except NotARepository:
        return []
    return [] if row is None else [row]


def forget(request: ForgetRepo, person: Person, place: Workplace) -> Reply:
    """Record that the repository is forgotten and dismiss its jobs. What is kept of it is for `clear` to delete."""
    open_before = len(_open_jobs(place.views(), request.repo))
    outcome = place.door.handle(ForgetRepository(request.repo, person), person.user)
    if isinstance(outcome, Refused):
        return Reply(code=outcome.code, message=outcome.reason)
    dismiss_jobs(place)
    (recorded,) = outcome.recorded
    path = getattr(recorded.data, "path", request.repo)
    jobs = "1 job was dismissed" if open_before == 1 else f"{open_before} jobs were dismissed"
    return Reply(
        code="ok",
        message=f"{path} is forgotten{f'; {jobs}' if open_before else ''}",
        data={"repo": request.repo, "dismissed": open_before},
    )


def dismiss_jobs(place: Workplace) -> None:
    """End every job of forgotten repositories, also those that were opened while a repository was being forgotten."""
    views = place.views()
    for row in views.forgotten():
        job_ids = _open_jobs(views, row.id)
        if not job_ids:
            continue
        person = _who_forgot(place, row.id)
        for job_id in job_ids:
            outcome = place.door.handle(Dismiss(job_id, person), ACTOR)
            if isinstance(outcome, Refused):
                log.info("not dismissed", job=job_id[:8], reason=outcome.reason)


def _open_jobs(views: Views, repo_id: str) -> list[str]:
    return [row.id for row in views.jobs(statuses=tuple(status.value for status in OPEN), repo_id=repo_id)]


def _who_forgot(place: Workplace, repo_id: str) -> Person:
    """Whoever had it forgotten stands for the end of its jobs, and was an approver when they did."""
    said = [record.data for record in place.door.log.read(f"repo-{repo_id}")]
    last = next(event for event in reversed(said) if isinstance(event, RepositoryForgotten))
    reason = f"its repository was forgotten{f': {last.reason}' if last.reason else ''}"
    return Person(last.approver, frozenset({last.approver}), last.claimed, reason)


# --- deleting ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cleared:
    """What `clear` came to: bytes freed, and whether a worker was busy with what is left."""

    freed: int
    busy: bool


def clear(
    place: Workplace, in_hand: Callable[[str], bool] = lambda _repo: False, stopped: Callable[[], bool] = lambda: False
) -> Cleared:
    """Delete what is kept of forgotten repositories. `in_hand` tells whether a worker is busy with one's job.

    What cannot be deleted now is left, and said so.
    """
    dismiss_jobs(place)
    freed, busy = 0, False
    for row in place.views().forgotten():
        leaving = _Leaving(place, row.id)
        if not leaving.anything():
            continue
        if stopped():
            break
        if in_hand(row.id):
            busy = True
            continue
        try:
            freed += leaving.delete()
        except (SnapshotError, DiskFull, OSError) as error:
            log.warning("not all deleted of a forgotten repository", path=row.path, reason=str(error))
        else:
            log.info("deleted what was kept of a forgotten repository", path=row.path)
    return Cleared(freed, busy)


class _Leaving:
    """One forgotten repository, and what is still kept of it."""

    def __init__(self, place: Workplace, repo_id: str) -> None:
        self._place = place
        self._repo_id = repo_id
        self._state = place.settings.state_dir
        self._stored = StoredSnapshots(self._state / "repositories" / repo_id, trees_of(place, repo_id))

    def anything(self) -> bool:
        return self._stored.home.exists() or bool(self._unpruned()) or bool(self._unknown_files())

    def _unknown_files(self) -> list[Path]:
        """What lay in its `active/` and was set aside: it may be there without any snapshot."""
        return sorted(self._place.quarantine_dir.glob(f"*{kept_mark(self._repo_id)}*.md"))

    def _unpruned(self) -> list[str]:
        query = "SELECT id FROM jobs WHERE repo_id = ? AND tree IS NOT NULL AND freed_bytes IS NULL"
        return [str(job_id) for (job_id,) in self._place.views().rows(query, (self._repo_id,))]

    def delete(self) -> int:
        """Delete everything, the store last. Returns the bytes freed by snapshots. Raises SnapshotError, OSError."""
        self._texts()
        freed = self._snapshots()
        for record, _ in self._stored.records():  # those whose job never heard of them, or whose removal was cut short
            self._stored.remove_outside(record, spared(self._place, "", record))
        if self._stored.home.exists():
            with disk_faults(), locked(self._stored.home):
                remove_tree(self._stored.home)
        return freed

    def _snapshots(self) -> int:
        """Record each snapshot as pruned and delete its tarballs; the last one's count has the store's bytes in it."""
        freed = 0
        job_ids = self._unpruned()
        store = _bytes_below(self._stored.home)
        for job_id in job_ids:
            record = self._place.door.job(job_id).snapshot
            if record is None:
                continue
            needed = spared(self._place, job_id, record)
            size = self._stored.bytes_outside(record, needed) + (store if job_id == job_ids[-1] else 0)
            self._place.door.handle(RecordSnapshotPruned(job_id, size), ACTOR)
            self._stored.remove_outside(record, needed)
            freed += size
        return freed

    def _texts(self) -> None:
        """Quarantined texts of its patterns, edits of them and unknown files set aside, and its jobs' drafts, evidence
        and scenarios.
        """
        views = self._place.views()
        patterns = {row.id for row in views.patterns(repo_id=self._repo_id)}
        for file in sorted(self._place.quarantine_dir.glob("*.md")):
            if claimed_id(file.read_text(errors="replace")) in patterns:
                file.unlink(missing_ok=True)
        for file in self._unknown_files():
            file.unlink(missing_ok=True)
        for pattern in patterns:
            remove_tree(self._state / REVERIFIED / pattern)
            for file in self._place.quarantine_dir.glob(f"*-{pattern[:8]}*.rule.edited-*.yml"):
                file.unlink(missing_ok=True)
        query = "SELECT substr(id, 1, 16) FROM jobs WHERE repo_id = ?"
        jobs = {str(start) for (start,) in views.rows(query, (self._repo_id,))}
        for folder in ("drafts", "evidence", "scenarios"):
            for file in sorted((self._state / folder).glob("*")):
                if file.name[:16] in jobs:
                    file.unlink(missing_ok=True)


def _bytes_below(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir()) if folder.is_dir() else 0
