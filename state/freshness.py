"""Whether a pattern's evidence still speaks of the code as it is: what was seen of its cited files, what was tried.

A state of the cited files is the set of their git objects. The evidence was shown in its own snapshot's state, and in
each in which it was verified again; where it was shown *not* to hold, it is not asked for again until those files are
in another state. Nothing here reads a clock or a tree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from events import catalog as e
from events.values import FileVersion


@dataclass(frozen=True, slots=True)
class Freshness:
    """`good` are file versions, beside those of the pattern's own change, in which the evidence was shown to hold.

    While the pattern is stale, `tree` and `files` are what was seen last; `attempts` those that crashes ended in this
    state, the present one among them; `boot_id` is of the daemon that is verifying it again. `failed` is the state in
    which it could not be, and `cause` why.
    """

    good: frozenset[FileVersion] = frozenset()
    tree: str | None = None
    files: tuple[FileVersion, ...] = ()
    failed: tuple[FileVersion, ...] = ()
    cause: str = ""
    attempts: int = 0
    boot_id: str | None = None


FRESH = Freshness()

FreshnessEvent = (
    e.PatternWentStale
    | e.ReverificationStarted
    | e.ReverificationInterrupted
    | e.ReverificationFailed
    | e.PatternReverified
)


def evolve(known: Freshness, event: FreshnessEvent) -> Freshness:
    """`known` after `event`."""
    match event:
        case e.PatternWentStale():
            return Freshness(good=known.good, tree=event.tree, files=event.files)
        case e.ReverificationStarted():
            return replace(
                known, tree=event.tree, files=event.files, attempts=event.attempt, boot_id=event.boot_id, failed=()
            )
        case e.ReverificationInterrupted():
            lost = 0 if event.cause == "crash" else 1
            return replace(known, attempts=known.attempts - lost, boot_id=None)
        case e.ReverificationFailed():
            return Freshness(good=known.good, tree=event.tree, files=event.files, failed=event.files, cause=event.cause)
        case e.PatternReverified():
            return Freshness(good=known.good | frozenset(event.files))
