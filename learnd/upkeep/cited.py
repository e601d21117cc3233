"""The files that a pattern cites, and their versions that its own change knows.

Cited are the files of its exercised hunks: nothing else may be named by its text. Known are their git objects in base
and snapshot, and in the commit that the run began from: a file that was changed and not committed yet stands in HEAD as
it did then, and that says nothing against the pattern.
"""

from __future__ import annotations

from dataclasses import dataclass

from events.values import Evidence, FileVersion
from learnd.harvest.store import SnapshotStore
from learnd.workplace import Workplace
from state.freshness import Files
from state.pattern import Pattern


@dataclass(frozen=True)
class Cited:
    """`own` are the known versions of `paths`."""

    paths: tuple[str, ...]
    own: frozenset[FileVersion]


def cited_by(pattern: Pattern, place: Workplace, store: SnapshotStore) -> Cited | None:
    """None where it cites nothing that can be looked for. Raises SnapshotError where its snapshot cannot be read."""
    job = place.door.job(pattern.job_id)
    if job.snapshot is None or job.evidence is None or job.snapshot_pruned:
        return None
    paths = exercised_files(job.evidence)
    if not paths:
        return None
    trees = [job.snapshot.tree, job.snapshot.base_tree]
    began = store.tree_of(job.snapshot.base_commit) if job.snapshot.base_commit else None
    own = {version for tree in (*trees, *((began,) if began else ())) for version in versions(store, tree, paths)}
    return Cited(paths, frozenset(own))


def exercised_files(evidence: Evidence) -> tuple[str, ...]:
    """The files of the hunks that were shown to matter: each, or, where none could be told alone, all as one.

    A name that is not UTF-8 is left out: evidence does not have it to the letter.
    """
    alone = [hunk.file for hunk in evidence.hunks if hunk.verdict == "exercised"]
    as_one = [hunk.file for hunk in evidence.hunks if hunk.verdict in ("inseparable", "unknown")]
    return tuple(sorted({file for file in alone or as_one if "\ufffd" not in file}))


def versions(store: SnapshotStore, tree: str, paths: tuple[str, ...]) -> Files:
    """These files as they are in `tree`. Raises SnapshotError."""
    found = store.object_ids(tree, paths)
    return tuple(FileVersion(path=path, object_id=found[path]) for path in paths)
