"""Both sides of a change, replayed in turns, until enough is known or nothing can follow.

Every other replay runs the tests in another order, where their runner can; the first has the runner's own. When equal
replays disagree, more follow on both sides, which vary hash seed and order one at a time: how often a test fails, what
that follows, and whether it does so without the change too, is what tells a flaky change from a flaky project. When a
snapshot fails in every replay more follow as well, as long as that is cheap: the run saw it pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from learnd.lab.change import Change
from learnd.lab.disagreement import Seeds, crossed, explained
from learnd.lab.replay import Laboratory
from learnd.lab.transitions import forgiven, owner_of, unsteady, without
from learnd.lab.verdict import Judgement, Replayed, judge


@dataclass(frozen=True)
class Sides:
    """The replays of both sides, in the order they were made."""

    base: tuple[Replayed, ...]
    snapshot: tuple[Replayed, ...]

    def forgiven(self, change: Change, known: Mapping[str, str]) -> frozenset[str]:
        """The tests that flake whatever the change does; `known` are those of which earlier jobs said so."""
        return forgiven(self.base, self.snapshot, owner_of(change.test_paths), known)

    def settled(self, change: Change, known: Mapping[str, str]) -> Sides:
        """Both sides without those tests."""
        tests = self.forgiven(change, known)
        return Sides(without(self.base, tests), without(self.snapshot, tests))

    @property
    def disagree(self) -> bool:
        """Whether a named test failed in one replay of a side and passed in another."""
        return bool(unsteady(self.base) or unsteady(self.snapshot))


def replay_sides(laboratory: Laboratory, change: Change, progress: Callable[[str], None]) -> Sides:
    """Replay snapshot and base in turns: the minimum, then more while that is cheap, or tells a flake's rate.

    Ends early where nothing can follow: a replay that a limit or the environment ended, a snapshot that runs no test.
    """
    lab = laboratory.lab
    sides = Sides((), ())
    both = change.base != change.snapshot and _tests(laboratory)
    begun = time.monotonic()
    for number in range(lab.replays_max):
        if number >= lab.replays_min and not _worth_more(laboratory, change, sides, time.monotonic() - begun):
            break
        seeds = Seeds(number, number if lab.shuffle and number % 2 else None)
        if number >= lab.replays_min:
            seeds = crossed(sides.base, sides.snapshot, lab.replays_min) or seeds
        progress(f"replaying the snapshot ({number + 1})")
        after = laboratory.replay(change.snapshot, seeds.hash, f"snapshot {number + 1}", order_seed=seeds.order)
        sides = Sides(sides.base, (*sides.snapshot, after))
        if after.unusable or after.outcome.cause == "no_tests":
            break
        if not both or (not after.outcome.ok and not after.named):
            continue
        progress(f"replaying the base ({number + 1})")
        before = laboratory.replay(change.base, seeds.hash, f"base {number + 1}", order_seed=seeds.order)
        sides = Sides((*sides.base, before), sides.snapshot)
        if before.unusable:
            break
    return sides


def judged(laboratory: Laboratory, change: Change, sides: Sides) -> Judgement:
    """The verdict of both sides, before hunks are tried."""
    settled = sides.settled(change, laboratory.known_flaky)
    found = judge(
        settled.base,
        settled.snapshot,
        source_changed=change.base != change.snapshot,
        test_commands=_tests(laboratory),
        minimum=laboratory.lab.replays_min,
    )
    return explained(found, settled.base, settled.snapshot)


def _tests(laboratory: Laboratory) -> bool:
    return any(command.cls == "test" for command in laboratory.scenario.commands)


def _worth_more(laboratory: Laboratory, change: Change, sides: Sides, spent: float) -> bool:
    lab = laboratory.lab
    if sides.disagree and spent + spent / len(sides.snapshot) <= lab.flaky_seconds:
        return True
    slower = max(sum(replay.outcome.seconds for replay in side) for side in (sides.base, sides.snapshot))
    cheap = slower + slower / len(sides.snapshot) <= lab.cheap_seconds
    return cheap and judged(laboratory, change, sides).verdict in ("proven", "failed")
