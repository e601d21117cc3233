"""Whether a pattern's evidence still speaks of the code as it is: what was seen of its cited files, what was tried.

A state of the cited files is the set of their git objects. The evidence was shown in its own snapshot's state, and in
each in which it was verified again; where it was shown *not* to hold, it is not asked for again until those files are
in another state. Nothing here reads a clock or a tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from events import catalog as e
from events.values import FileVersion

Files = tuple[FileVersion, ...]


@dataclass(frozen=True, slots=True)
class Freshness:
    """`good` are file versions, beside those of the pattern's own change, in which the evidence was shown to hold.

    While the pattern is stale, `tree` and `files` are what was seen last; `attempts` those that crashes ended in this
    state, the present one among them; `boot_id` is of the daemon that is verifying it again. `failed` are the states in
    which it could not be, and `why` is said of the last.
    """

    good: frozenset[FileVersion] = frozenset()
    tree: str | None = None
    files: Files = ()
    failed: tuple[Files, ...] = ()
    why: str = ""
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
            return replace(known, tree=event.tree, files=event.files, attempts=event.attempt, boot_id=event.boot_id)
        case e.ReverificationInterrupted():
            lost = 0 if event.cause == "crash" else 1
            return replace(known, attempts=known.attempts - lost, boot_id=None)
        case e.ReverificationFailed():
            failed = (*known.failed, event.files)
            return Freshness(known.good, event.tree, event.files, failed, f"{event.cause}: {event.detail}")
        case e.PatternReverified():
            return Freshness(good=known.good | frozenset(event.files))


@dataclass(frozen=True, slots=True)
class Seen:
    """The cited files as they are in `tree`, which `what` names: `job <id>` or `commit <id>`."""

    what: str
    tree: str
    files: Files


@dataclass(frozen=True, slots=True)
class Stale:
    """The evidence was never shown in this state: these paths changed."""

    seen: Seen
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerifyAgain:
    """The evidence is to be replayed in this state."""

    seen: Seen


def next_step(
    known: Freshness, own: frozenset[FileVersion], seen: Sequence[Seen], *, stale: bool
) -> Stale | VerifyAgain | None:
    """What is due for a pattern that is active, or `stale`, given what its files look like now, in one or more places.

    `own` are the versions that the pattern's own change knows: before it, and after it. Every state in which the
    evidence was not shown is to be verified; a pattern for which one of them failed stays stale.
    """
    fresh = own | known.good
    new = [one for one in seen if not fresh.issuperset(one.files)]
    if not stale:
        return Stale(new[0], tuple(file.path for file in new[0].files if file not in fresh)) if new else None
    if any(one.files in known.failed for one in new):
        return None
    untried = [one for one in new or seen[-1:] if one.files not in known.failed]
    return VerifyAgain(untried[0]) if untried else None
