"""Both sides of a change, replayed in turns, until enough is known or nothing can follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from learnd.lab.change import Change
from learnd.lab.replay import Laboratory
from learnd.lab.verdict import Replayed, judge
from learnd.settings import Lab


@dataclass(frozen=True)
class Sides:
    """The replays of both sides, in the order they were made."""

    base: tuple[Replayed, ...]
    snapshot: tuple[Replayed, ...]


def replay_sides(laboratory: Laboratory, change: Change, progress: Callable[[str], None]) -> Sides:
    """Replay snapshot and base in turns: the minimum, then more while that is cheap and a proof is in reach.

    Ends early where nothing can follow: a replay that a limit or the environment ended, a snapshot that is red.
    """
    lab = laboratory.lab
    base: list[Replayed] = []
    snapshot: list[Replayed] = []
    both = change.base != change.snapshot and any(command.cls == "test" for command in laboratory.scenario.commands)
    for seed in range(lab.replays_max):
        if seed >= lab.replays_min and not _worth_more(base, snapshot, lab):
            break
        progress(f"replaying the snapshot ({seed + 1})")
        snapshot.append(laboratory.replay(change.snapshot, seed, f"snapshot {seed + 1}"))
        if snapshot[-1].unusable or snapshot[-1].outcome.cause == "no_tests":
            break
        if not both or not all(replay.outcome.ok for replay in snapshot):
            continue
        progress(f"replaying the base ({seed + 1})")
        base.append(laboratory.replay(change.base, seed, f"base {seed + 1}"))
        if base[-1].unusable:
            break
    return Sides(tuple(base), tuple(snapshot))


def _worth_more(base: Sequence[Replayed], snapshot: Sequence[Replayed], lab: Lab) -> bool:
    judged = judge(base, snapshot, source_changed=True, test_commands=True, minimum=lab.replays_min)
    spent = max(sum(replay.outcome.seconds for replay in side) for side in (base, snapshot))
    return judged.verdict == "proven" and spent + spent / len(snapshot) <= lab.cheap_seconds
