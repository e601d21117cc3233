"""What do the files that patterns cite look like now? In the newest snapshot of the work tree, and in HEAD.

A look is cheap: the git objects of the cited paths, in two trees. Only where HEAD has versions that nobody knows is the
work tree captured, for line endings and filters make git's copy of a file differ from the one in a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import structlog

from events.values import FileVersion
from learnd.harvest.faults import DiskFull, SnapshotError
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.store import SnapshotStore
from learnd.upkeep.cited import Cited, cited_by, versions
from learnd.views.queries import PatternRow
from learnd.workplace import Workplace
from state.freshness import Seen, Stale, VerifyAgain, next_step
from state.pattern import Pattern, PatternStatus

log = structlog.get_logger("learnd.upkeep")

_NEWEST = """SELECT id, tree FROM jobs WHERE repo_id = ? AND repo_path = ? AND tree IS NOT NULL AND freed_bytes IS NULL
    ORDER BY rowid DESC LIMIT 1"""


@dataclass
class Looking:
    """`cited` remembers, by pattern, what its own change knows: that never changes."""

    place: Workplace
    cited: dict[str, Cited | None] = field(default_factory=dict)

    def without_rule(self) -> Iterator[Pattern]:
        """Every pattern that a person brought back without a rule, and for which none was looked for since."""
        trees = self._trees()
        for row in self.place.views().patterns_without_rule():
            if (row.repo_id, row.repo_path) in trees and (pattern := self.place.door.pattern(row.id)).awaits_rule:
                yield pattern

    def _trees(self) -> set[tuple[str, str]]:
        return {(tree.repo_id, tree.path) for tree in self.place.views().work_trees()}

    def due(self) -> Iterator[tuple[Pattern, Stale | VerifyAgain]]:
        """Every pattern for which something is due, with what that is."""
        trees = self._trees()
        statuses = (PatternStatus.ACTIVE.value, PatternStatus.STALE.value)
        for row in self.place.views().patterns(statuses=statuses, but_forgotten=True):
            if (row.repo_id, row.repo_path) not in trees:
                continue
            try:
                step = self._of(row)
            except (SnapshotError, NotARepository, DiskFull, OSError) as error:
                log.warning("not looked at", pattern=row.id[:8], reason=str(error))
                continue
            if step is not None:
                yield step

    def _of(self, row: PatternRow) -> tuple[Pattern, Stale | VerifyAgain] | None:
        store = self.place.store(row.repo_id, row.repo_path)
        if row.id not in self.cited:
            self.cited[row.id] = cited_by(self.place.door.pattern(row.id), self.place, store)
        cited = self.cited[row.id]
        if cited is None:
            return None
        pattern = self.place.door.pattern(row.id)
        if pattern.status not in (PatternStatus.ACTIVE, PatternStatus.STALE) or pattern.freshness.boot_id is not None:
            return None
        fresh = cited.own | pattern.freshness.good
        seen = [*self._newest(row, cited, store), *_head(cited, store, fresh)]
        step = next_step(pattern.freshness, cited.own, seen, stale=pattern.status is PatternStatus.STALE)
        return (pattern, step) if step is not None else None

    def _newest(self, row: PatternRow, cited: Cited, store: SnapshotStore) -> Iterator[Seen]:
        for job_id, tree in self.place.views().rows(_NEWEST, (row.repo_id, row.repo_path)):
            if store.has(str(tree)):
                yield Seen(f"job {str(job_id)[:16]}", str(tree), versions(store, str(tree), cited.paths))


def _head(cited: Cited, store: SnapshotStore, fresh: frozenset[FileVersion]) -> Iterator[Seen]:
    head = store.resolve_head()
    tree = store.tree_of(head) if head else None
    if head is None or tree is None:
        return
    found = versions(store, tree, cited.paths)
    if not fresh.issuperset(found):
        with store.locked():
            tree, _ = store.settle_base(tree, store.take_tree())
            store.hold(tree)
        found = versions(store, tree, cited.paths)
    yield Seen(f"commit {head}", tree, found)
