"""The smallest part of a change that was shown to do the same: greedy removal of hunks (after Zeller's ddmin).

First everything that a single revert showed to be idle is taken out at once, by halves where that fails; then what
could not be told; then one hunk after another until none can go. Every step is a replay of what is left, held
against all that the whole snapshot passes. Hunks that seem idle alone may need each other, so nothing is concluded from
single reverts. What is left in the end is replayed as often as a side was, under as many hash seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from events.values import HunkEvidence
from learnd.lab.trials import TimeUp, Trials, holds


@dataclass(frozen=True)
class Smallest:
    """`kept` are positions of the units. `complete`: no more of them can go (else the time was up)."""

    kept: tuple[int, ...]
    tree: str
    tried: int
    complete: bool
    verified: bool


def minimize(
    trials: Trials, hunks: Sequence[HunkEvidence], seconds: float, replays: int, progress: Callable[[str], None]
) -> Smallest:
    """Take out of the change what the tests do not miss, in at most `seconds`; then replay the rest `replays` times.

    Raises ReplayCancelled.
    """
    before = trials.count
    progress("looking for the smallest change that proves the same")
    left = _Left(trials, frozenset(range(len(trials.units))))
    with trials.within(seconds):
        try:
            left.drop([number for number, hunk in enumerate(hunks) if hunk.verdict == "unexercised"])
            left.drop([number for number, hunk in enumerate(hunks) if hunk.verdict in ("inseparable", "unknown")])
            left.drop_one_by_one()
            complete = True
        except TimeUp:
            complete = False
    tree = trials.tree_without(left.gone)
    kept = tuple(sorted(left.kept))
    # The whole snapshot was replayed as a side: there is nothing to verify again.
    verified = not left.gone or _verified(trials, tree, replays, progress)
    return Smallest(kept, tree, trials.count - before, complete, verified)


class _Left:
    """What is left of the change."""

    def __init__(self, trials: Trials, kept: frozenset[int]) -> None:
        self._trials = trials
        self._all = kept
        self.kept = kept

    @property
    def gone(self) -> frozenset[int]:
        return self._all - self.kept

    def drop(self, units: Sequence[int]) -> None:
        """Take out as many of `units` as can go, together where possible. Raises TimeUp."""
        if not units or self._try(frozenset(units)) or len(units) == 1:
            return
        half = len(units) // 2
        self.drop(units[:half])
        self.drop(units[half:])

    def drop_one_by_one(self) -> None:
        """Until no single unit can go any more. Raises TimeUp."""
        changed = True
        while changed:
            changed = False
            for unit in sorted(self.kept):
                changed |= self._try(frozenset({unit}))

    def _try(self, units: frozenset[int]) -> bool:
        """Take `units` out if nothing is missed without them; something of the change has to stay."""
        rest = self.kept - units
        if not rest or not self._trials.holds_without(self._all - rest):
            return False
        self.kept = rest
        return True


def _verified(trials: Trials, tree: str, replays: int, progress: Callable[[str], None]) -> bool:
    for seed in range(replays):
        progress(f"replaying the smallest change ({seed + 1})")
        replayed = trials.laboratory.replay(tree, seed, f"smallest change {seed + 1}")
        if not holds(trials.settled(replayed), trials.expected):
            return False
    return True
