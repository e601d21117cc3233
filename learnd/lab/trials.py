"""What the tests say of the snapshot without some of its hunks: each set of hunks is tried once, while time is left.

A trial is one replay under hash seed 0. Sets are of positions in the change's units, from 0. Trials may run side by
side; what each wrote into the log stays together, in the order in which they were asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from learnd.harvest.faults import PatchDoesNotApply
from learnd.lab.change import Change
from learnd.lab.hunks import Unit, combined
from learnd.lab.reading import printable
from learnd.lab.replay import Laboratory, ReplayLog
from learnd.lab.transitions import without
from learnd.lab.verdict import Expected, Replayed, normal

SMALLEST_TRIAL_S = 1.0
"""With less than this (or less than twice a snapshot's replay) left, a trial is not begun."""
NAMED_MAX = 5


class TimeUp(Exception):
    """The time for trials is over: what was not tried is not known."""


@dataclass
class Trials:
    """`expected` is what a whole snapshot does but for the `forgiven` tests, which flake anyway.

    `smallest_s`: with less seconds left no trial is begun.
    """

    laboratory: Laboratory
    change: Change
    units: tuple[Unit, ...]
    expected: Expected
    forgiven: frozenset[str]
    smallest_s: float
    _deadline: float = 0.0
    _known: dict[frozenset[int], Replayed | None] = field(default_factory=dict)
    _trees: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Trials of this block may take so long in all."""
        self._deadline = time.monotonic() + seconds
        yield

    @property
    def count(self) -> int:
        """How many sets were tried."""
        return len(self._known)

    def without(self, units: frozenset[int]) -> Replayed | None:
        """What a replay without `units` showed; None where they do not revert. Raises TimeUp, ReplayCancelled."""
        if units not in self._known:
            found, log = self._tried(units)
            self._keep(units, found, log)
        return self._known[units]

    def side_by_side(self, sets: Iterable[frozenset[int]], workers: int) -> None:
        """Try several sets, `workers` at a time, as far as the time reaches. Raises ReplayCancelled."""
        new = [units for units in dict.fromkeys(sets) if units not in self._known]
        with ThreadPoolExecutor(workers, thread_name_prefix="learnd-trial") as pool:
            for units, trial in [(units, pool.submit(self._tried, units)) for units in new]:
                try:
                    self._keep(units, *trial.result())
                except TimeUp:
                    continue

    def _keep(self, units: frozenset[int], found: Replayed | None, log: ReplayLog) -> None:
        self._known[units] = found
        self.laboratory.log.take(log)

    def _tried(self, units: frozenset[int]) -> tuple[Replayed | None, ReplayLog]:
        left = self._deadline - time.monotonic()
        if left < self.smallest_s:
            raise TimeUp
        log = ReplayLog()
        try:
            tree = self.tree_without(units)
        except PatchDoesNotApply:
            log.write(f"\n=== without {self.named(units)}: does not revert")
            return None, log
        alone = replace(self.laboratory, log=log)
        return self.settled(alone.replay(tree, 0, f"without {self.named(units)}", wall_s=left)), log

    def settled(self, replayed: Replayed) -> Replayed:
        """A replay as if the tests that flake anyway were not there."""
        return without((replayed,), self.forgiven)[0]

    def tree_without(self, units: frozenset[int]) -> str:
        """The snapshot's tree without `units`. Raises PatchDoesNotApply."""
        patch = combined(self.units[number] for number in sorted(units))
        with self._trees:
            return self.laboratory.store.apply(self.change.snapshot, patch, reverse=True)

    def named(self, units: Iterable[int]) -> str:
        """The units as people point at them."""
        names = [printable(self.units[number].name) for number in sorted(units)]
        more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
        return ", ".join(names[:NAMED_MAX]) + more

    def holds_without(self, units: frozenset[int]) -> bool:
        """Whether everything that the snapshot passes is still passed without `units`. Raises TimeUp."""
        return holds(self.without(units), self.expected)


def holds(replayed: Replayed | None, expected: Expected) -> bool:
    """Whether a replay is green and passed every test that the snapshot always passed."""
    return replayed is not None and replayed.outcome.ok and expected.passed <= normal(replayed.passed)
