"""What a rule must tell apart: the change that the replays proved, as code of one language on both sides.

The base is the one that was replayed: with the change's tests in it. So a rule that matches a test matches on both
sides, and is none.
"""

from __future__ import annotations

from dataclasses import dataclass

from events.values import Evidence, Scenario, SnapshotRecord
from learnd.harvest.store import SnapshotStore
from learnd.lab.change import Change, read_change
from learnd.lab.hunks import Unit
from learnd.lab.templates import Stack
from learnd.rules.bench import code_of
from learnd.rules.languages import language_of


@dataclass(frozen=True)
class Spot:
    """An exercised unit in the base's file. `first` to `last` are the lines that it takes out, from 1.

    Of a pure insertion there are none: then `first` is the line that it stands before, `last` the one after which.
    """

    path: str
    first: int
    last: int
    removed: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def inserts(self) -> bool:
        return self.last < self.first

    def touches(self, lines: tuple[int, int]) -> bool:
        """Whether a match on these lines is one of this spot."""
        return lines[0] <= max(self.first, self.last) and min(self.first, self.last) <= lines[1]


@dataclass(frozen=True)
class Target:
    """The exercised spots of a proven change, and its two trees."""

    base: str
    snapshot: str
    spots: tuple[Spot, ...]

    @classmethod
    def of(
        cls,
        record: SnapshotRecord,
        scenario: Scenario,
        evidence: Evidence,
        stacks: tuple[Stack, ...],
        store: SnapshotStore,
    ) -> Target:
        """Raises SnapshotError."""
        change = read_change(record, scenario, stacks, store)
        return cls(change.base, change.snapshot, tuple(map(spot_of, exercised(change, evidence))))

    @property
    def languages(self) -> tuple[str, ...]:
        """Those of the spots, in their order."""
        found = (language_of(spot.path) for spot in self.spots)
        return tuple(dict.fromkeys(language for language in found if language))

    def code(self, store: SnapshotStore, language: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """All code of a language, in base and snapshot. Raises TooLarge, SnapshotError."""
        return code_of(store, self.base, language), code_of(store, self.snapshot, language)


def exercised(change: Change, evidence: Evidence) -> tuple[Unit, ...]:
    """The units that the replays showed to matter: each, or, where none could be told alone, those that did as one."""
    if evidence.verdict != "proven":
        return ()
    judged = list(zip(change.units, evidence.hunks, strict=False))
    if evidence.minimal is not None and evidence.minimal.verified:
        judged = [judged[number] for number in evidence.minimal.hunks if number < len(judged)]
    alone = tuple(unit for unit, hunk in judged if hunk.verdict == "exercised")
    return alone or tuple(unit for unit, hunk in judged if hunk.verdict in ("inseparable", "unknown"))


def spot_of(unit: Unit) -> Spot:
    """Where a unit stands in the base."""
    if unit.run is None:  # a whole file: it was removed, or it is new and the base has no line of it
        return Spot(unit.file, 1, len(unit.removed), unit.removed, unit.added)
    lines = list(unit.run.hunk)
    before = [line.source_line_no for line in lines[: unit.run.start] if line.source_line_no]
    gone = [line.source_line_no for line in lines[unit.run.start : unit.run.stop] if line.source_line_no]
    if gone:
        return Spot(unit.file, min(gone), max(gone), unit.removed, unit.added)
    last = before[-1] if before else unit.run.hunk.source_start - (unit.run.hunk.source_length > 0)
    return Spot(unit.file, last + 1, last, (), unit.added)
