"""The upkeep of patterns, beside the work on jobs: stale ones are taken out of service and verified again.

One that a person brought back (released, restored) without a rule gets it here: no person waits for it, and none of
their decisions fails by it. It may be promoted before; the rule is as good then, for it goes with the change.

It has a thread of its own, so that no job waits for it; replays of both take turns for the machine's cores. All that it
knows stands in the log: after a crash the next look finds the same to do. A look comes when a run was captured, when a
person decided something, when a fault was cleared, and once a sweep, for commits that no run made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from events.log import AppendFailed, AppendOutcomeUnknown
from events.recorded import Recorded
from learnd.door import Contention
from learnd.runner import Runner
from learnd.upkeep.looking import Looking
from learnd.workplace import Workplace
from state.commands import MarkStale
from state.freshness import Seen, Stale
from state.pattern import Pattern, PatternStatus
from state.refusal import Refused

ACTOR = "learnd:upkeep"
STOPPED_BY = frozenset({"sandbox", "disk"})
NEWS = frozenset(
    {"SnapshotTaken", "PatternPromoted", "FaultCleared", "PatternReverified", "PatternReleased", "PatternRestored"}
)
PAUSE_S = 30.0
"""After the machine refused an append."""

log = structlog.get_logger("learnd.upkeep")


class Upkeep:
    """`published` hears of each pattern whose status changed."""

    def __init__(self, place: Workplace, runner: Runner, published: Callable[[str, str], None]) -> None:
        self._place = place
        self._runner = runner
        self._published = published
        self._looking = Looking(place)
        self._woken = threading.Event()
        self._woken.set()
        self._idle = threading.Event()
        self._busy_with: str | None = None

    def heard(self, recorded: Sequence[Recorded]) -> None:
        """Called after every append, from any thread."""
        if any(record.type in NEWS for record in recorded):
            self.wake()

    def wake(self) -> None:
        self._idle.clear()
        self._woken.set()

    def idle(self) -> bool:
        """Whether everything was looked at since the last news, and nothing is left to do."""
        return self._idle.is_set() and not self._woken.is_set()

    def has_in_hand(self, repo_id: str) -> bool:
        """Whether a pattern of this repository is being verified again, or its rule looked for."""
        return self._busy_with == repo_id

    def run(self, draining: threading.Event) -> None:
        """Look and do what is due, until `draining` is set and `wake` called."""
        pause = 0.0
        while not draining.is_set():
            self._woken.wait(pause)
            if draining.is_set():
                return
            self._idle.clear()
            self._woken.clear()
            pause = self._place.settings.sweep_seconds
            try:
                self._round(draining)
            except AppendOutcomeUnknown:
                raise
            except (AppendFailed, Contention) as error:
                log.warning("not recorded", reason=str(error))
                pause = PAUSE_S
            if not self._woken.is_set():
                self._idle.set()

    def _round(self, draining: threading.Event) -> None:
        """One look at every pattern, and what is due for each; what a step brings about is for the next round."""
        for pattern in self._looking.without_rule():
            if draining.is_set():
                return
            if self._is_stopped():
                break
            with self._busy(pattern):
                done = self._runner.find_rule(pattern)
            if done:
                self._published(pattern.repo_id, pattern.repo_path)
                self._woken.set()
        for pattern, step in self._looking.due():
            if draining.is_set():
                return
            if isinstance(step, Stale):
                done = self._mark_stale(pattern, step)
            elif self._is_stopped():
                continue  # it is woken when the fault is gone
            else:
                with self._busy(pattern):
                    done = self._runner.reverify(pattern, step.seen, draining)
            if done:
                self._published(pattern.repo_id, pattern.repo_path)
                self._woken.set()

    def _is_stopped(self) -> bool:
        return bool(STOPPED_BY.intersection(self._place.door.host().faults))

    @contextmanager
    def _busy(self, pattern: Pattern) -> Iterator[None]:
        self._busy_with = pattern.repo_id
        try:
            yield
        finally:
            self._busy_with = None

    def _mark_stale(self, pattern: Pattern, step: Stale) -> bool:
        seen: Seen = step.seen
        command = MarkStale(pattern.id, step.paths, seen.what, seen.tree, seen.files)
        outcome = self._place.door.handle(command, ACTOR)
        if isinstance(outcome, Refused):
            log.info("not marked stale", pattern=pattern.id[:8], reason=outcome.reason)
            return False
        log.info("stale", pattern=pattern.id[:8], seen=seen.what, paths=list(step.paths))
        return self._place.door.pattern(pattern.id).status is PatternStatus.STALE
