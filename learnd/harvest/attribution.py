"""What the change is measured against, and whether it is the run's.

**Base**, the first that there is: the tree *observed* when the run began, unless the run left it as it was (recorders
that only wrap a verification begin when the work is done); the commit the producer *recorded*; HEAD at `started_at` by
the *reflog*, when HEAD has moved since (the work was committed); HEAD. A repository without a commit, or whose first
commit the run made, has an *empty* base.

**Attribution.** A change is not the run's, and is never learned from, when

1. another run overlapped with it in the same work tree: nobody can tell whose line is whose;
2. HEAD was brought to commits that were not made meanwhile (a pull, a checkout of another branch, a merge, a reset
   elsewhere): the change holds other people's work;
3. a file of the change was modified on disk after `completed_at`: someone went on working before the capture.

Committing the work, during the run or after it, leaves files on disk as they were: that HEAD moved is recorded, and by
itself takes nothing away. Deletions leave no time behind, and times can be forged by whoever can forge the work itself:
these rules guard against mistaking, not against deceit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from learnd import clock
from learnd.harvest.faults import SnapshotError, shown
from learnd.harvest.gitfolder import Move
from learnd.harvest.livetree import LiveTree
from learnd.harvest.store import SnapshotStore, TreeTaken

BaseSource = Literal["observed", "recorded", "reflog", "head", "empty"]

_GRACE_S = 1.0
"""Completion times may lack milliseconds."""

_WORK = {"commit", "cherry-pick", "revert", "am", "rebase"}
"""What the reflog calls moves that make a new commit out of the work tree or of commits already here."""

_OWN_FILES = (b".agent/patterns/", b"docs/patterns/")
"""Where learnd itself writes between a run's end and its capture."""


@dataclass(frozen=True)
class Base:
    """What the change is measured against. `tree` is in the store; `commit` is the user's, where there is one."""

    tree: str
    commit: str | None
    source: BaseSource
    notes: tuple[str, ...] = ()


def choose_base(
    store: SnapshotStore,
    taken: TreeTaken,
    *,
    observed: tuple[str, str | None] | None,
    recorded: str | None,
    started_at: str | None,
) -> Base:
    """The base, by the order above. `observed` is (tree, commit). Raises SnapshotError."""
    notes: list[str] = []
    if observed is not None:
        tree, commit = observed
        if not store.has(tree):
            notes.append(f"the observed base {tree} is no longer in the store")
        elif tree != taken.tree:
            return Base(tree, commit, "observed")
        else:
            notes.append("the run changed nothing: it verified work that was done before it began")
    if recorded is not None:
        if store.tree_of(recorded) is not None:
            return _committed(store, taken, recorded, "recorded", notes)
        notes.append(f"the recorded base {recorded} is not in the repository")
    head = store.resolve_head()
    if head is None:
        return Base(store.empty_tree, None, "empty", tuple(notes))
    if started_at is not None:
        at_start = store.head_at(started_at)
        if at_start is not None and at_start != head and store.tree_of(at_start) is not None:
            return _committed(store, taken, at_start, "reflog", notes)
        if at_start is None and _born_after(store.moves(), started_at):
            return Base(store.empty_tree, None, "empty", tuple(notes))
    return _committed(store, taken, head, "head", notes)


def _committed(store: SnapshotStore, taken: TreeTaken, commit: str, source: BaseSource, notes: list[str]) -> Base:
    tree = store.tree_of(commit)
    if tree is None:
        raise SnapshotError("missing_objects", f"commit {commit} is named by the repository but not in it")
    settled, more = store.settle_base(tree, taken)
    return Base(settled, commit, source, (*notes, *more))


def _born_after(moves: tuple[Move, ...], started_at: str) -> bool:
    """Was the first commit of all made after `started_at`?"""
    if not moves:
        return False
    first = moves[0]
    return first.message.startswith("commit (initial)") and first.at >= int(clock.parse(started_at).timestamp())


def head_moved(moves: Iterable[Move], completed_at: str) -> bool:
    """Did HEAD go to another commit after `completed_at`?"""
    since = clock.parse(completed_at).timestamp()
    return any(move.at > since and move.old != move.new for move in moves)


def not_attributable(
    store: SnapshotStore,
    changed: Iterable[bytes],
    *,
    started_at: str | None,
    completed_at: str,
    overlapping_runs: tuple[str, ...],
) -> str | None:
    """Why the change cannot be called the run's, a sentence; None when it can."""
    if overlapping_runs:
        return f"other runs were at work in the same tree: {', '.join(overlapping_runs[:10])}"
    foreign = _foreign_move(store, started_at or completed_at)
    if foreign is not None:
        return f"HEAD was moved to {foreign.new[:12]} by {foreign.message[:120]!r}, which is not the run's work"
    late = _modified_after(store, changed, clock.parse(completed_at).timestamp() + _GRACE_S)
    if late is not None:
        return f"{shown(late)} was modified after the run's end at {completed_at}"
    return None


def _foreign_move(store: SnapshotStore, since: str) -> Move | None:
    """The first move since then that brought commits not made since then."""
    # The reflog knows whole seconds: a move in the second of the start counts as before it, as in `head_at`.
    start = clock.parse(since).timestamp()
    seen: set[str] = set()
    for move in store.moves():
        if move.at <= start:
            continue
        seen.add(move.old)
        if move.new not in seen and not _is_work(store, move, seen):
            return move
        seen.add(move.new)
    return None


def _is_work(store: SnapshotStore, move: Move, seen: set[str]) -> bool:
    kind = move.message.partition(":")[0]
    word = kind.partition(" ")[0]
    if word == "merge":
        # Of branches made meanwhile; a fast-forward to anything else has a parent from elsewhere.
        parents = store.parents(move.new)
        return len(parents) > 1 and seen.issuperset(parents)
    return word in _WORK and not kind.endswith("(start)")


def _modified_after(store: SnapshotStore, changed: Iterable[bytes], limit: float) -> bytes | None:
    with LiveTree(store.repo) as live:
        for path in sorted(changed):
            found = None if path.startswith(_OWN_FILES) else live.stat(path)
            if found is not None and found.st_mtime > limit:
                return path
    return None
