"""An escaped regression, as a person reports it: the change behind a promoted pattern came undone at a commit.

The commit is looked for in every place where the pattern's repository stands. Only when it stands nowhere any more
is a whole id taken at its word.
"""

from __future__ import annotations

import re
from pathlib import Path

from learnd.harvest.commits import CommitUnknown, FoundCommit, find_commit
from learnd.harvest.gitfolder import NotARepository
from learnd.publisher import Publisher
from learnd.requests import Reply, ReportRegression
from learnd.views.diagnosis import next_for_pattern
from learnd.views.queries import PatternRow, Views
from learnd.workplace import Workplace
from state import commands as c
from state.refusal import Refused

_ID = re.compile(r"[0-9a-fA-F]{7,64}")
_WHOLE = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def answer(request: ReportRegression, place: Workplace, publisher: Publisher, person: c.Person) -> Reply:
    """Record the regression on the stream of the job that led to the pattern, and tell its run and its task.

    Raises NotFound, Ambiguous, SnapshotError, DiskFull, and what the door raises.
    """
    row = place.views().pattern(request.pattern)
    pattern = place.door.pattern(row.id)
    try:
        commit = _find(place.views(), row, request.commit)
    except CommitUnknown as error:
        return Reply(code="unknown_commit", message=str(error))
    outcome = place.door.handle(
        c.ReportRegression(
            row.job_id, row.id, commit.id, request.detail,
            committed_at=commit.committed_at, person=person, pattern_status=pattern.status,
        ),
        person.user,
    )  # fmt: skip
    if isinstance(outcome, Refused):
        return Reply(code=outcome.code, message=outcome.reason)
    publisher.job(row.job_id)
    now = place.views().pattern(row.id)
    step = next_for_pattern(now)
    return Reply(
        code="ok",
        message=f"pattern {row.id[:8]} ({now.status}): its change came undone at {commit.id[:12]}"
        f"{f'. Next: {step}' if step else ''}",
        data={"pattern": row.id, "commit": commit.id, "committed_at": commit.committed_at},
    )


def _find(views: Views, row: PatternRow, commit: str) -> FoundCommit:
    """The commit that is meant. Raises CommitUnknown."""
    if not _ID.fullmatch(commit):
        raise CommitUnknown(
            f"{commit[:80]!r} is no commit id: give its first 7 hexadecimal digits or more. "
            f"Next: git -C {row.repo_path} rev-parse COMMIT says it"
        )
    for work_tree in _work_trees(views, row):
        try:
            return find_commit(work_tree, commit)
        except NotARepository:
            continue  # this work tree is gone; another one may share its objects
    if not _WHOLE.fullmatch(commit.lower()):
        raise CommitUnknown(
            f"the repository of pattern {row.id[:8]} ({row.repo_path}) is gone, so {commit} cannot be looked up. "
            "Next: give the commit's whole id"
        )
    return FoundCommit(commit.lower(), None)


def _work_trees(views: Views, row: PatternRow) -> list[Path]:
    """Those of the pattern's repository, the pattern's own first. A path may belong to another repository by now."""
    trees = views.work_trees()
    own = [tree.path for tree in trees if tree.repo_id == row.repo_id]
    others = {tree.path for tree in trees if tree.repo_id != row.repo_id}
    return [Path(path) for path in dict.fromkeys((row.repo_path, *own)) if path not in others]
