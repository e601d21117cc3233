"""Which hunks matter: each source unit is reverted alone, and the tests say what it was good for.

What was not reached within the time budget is `unknown`, never guessed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from events.values import HunkEvidence, HunkVerdict
from learnd.harvest.faults import PatchDoesNotApply
from learnd.lab.change import Change
from learnd.lab.hunks import UNITS_MAX, Unit, added_names, defined
from learnd.lab.reading import printable, redacted
from learnd.lab.replay import Laboratory
from learnd.lab.sides import Sides
from learnd.lab.verdict import Expected, hunk_verdict

TURNED_MAX = 50
SMALLEST_HUNK_S = 1.0
"""With less than this (or less than twice a snapshot's replay) left, a hunk is not begun."""


def ablate(
    laboratory: Laboratory, change: Change, sides: Sides, progress: Callable[[str], None]
) -> tuple[HunkEvidence, ...]:
    """Revert each source unit alone and replay once, as far as `hunk_seconds` reach; the rest is `unknown`."""
    deadline = time.monotonic() + laboratory.lab.hunk_seconds
    smallest = max(SMALLEST_HUNK_S, 2 * max(replay.outcome.seconds for replay in sides.snapshot))
    found: list[HunkEvidence] = []
    for number, unit in enumerate(change.units[:UNITS_MAX], start=1):
        left = deadline - time.monotonic()
        if left < smallest:
            found.append(_hunk(unit, "unknown"))
            continue
        progress(f"reverting hunk {number} of {len(change.units)}")
        found.append(_ablated(laboratory, change.snapshot, unit, sides, left))
    return tuple(found)


def _ablated(laboratory: Laboratory, snapshot: str, unit: Unit, sides: Sides, left: float) -> HunkEvidence:
    where = f"{unit.file}:{unit.lines[0]}"
    try:
        tree = laboratory.store.apply(snapshot, unit.patch, reverse=True)
    except PatchDoesNotApply:
        laboratory.log.write(f"\n=== without {where}: does not revert alone")
        return _hunk(unit, "inseparable")
    reverted = laboratory.replay(tree, 0, f"without {where}", wall_s=left)
    defines = defined(unit.added) | added_names([unit]).modules
    verdict, turned = hunk_verdict(reverted, Expected.of(sides.base, sides.snapshot), defines)
    laboratory.log.write(f"--- {where}: {verdict}")
    return _hunk(unit, verdict, turned)


def _hunk(unit: Unit, verdict: HunkVerdict, turned: frozenset[str] = frozenset()) -> HunkEvidence:
    tests = tuple(redacted(test) for test in sorted(turned)[:TURNED_MAX])
    return HunkEvidence(
        file=printable(unit.file), lines=unit.lines, header=redacted(unit.header), verdict=verdict, turned=tests
    )
