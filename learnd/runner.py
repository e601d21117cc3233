"""A job's straight line: ask the state what is next, do it, tell the door what came of it, ask again.

This is the one place that catches everything. A step that raises what it never said it could raise must
not take the daemon down with it, nor be forgotten: it becomes an event of the job that it happened to.
Bugs in `decide` and `evolve` are not caught: a wrong rule must crash, not be recorded as a job's failure.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import structlog

from events.catalog import FaultKind
from events.values import Evidence
from learnd.atomic import write_atomically
from learnd.clock import iso, now, parse
from learnd.door import Handled
from learnd.grouping.closing import close_group
from learnd.harvest.faults import DiskFull
from learnd.lab.launcher import SandboxUnavailable
from learnd.lab.prove import ReplayCancelled
from learnd.lab.trees import NoRoomForTrees
from learnd.rules.learned import look_for_rule
from learnd.spending import settlement
from learnd.steps.crystalize import crystalize
from learnd.steps.enqueue import enqueue
from learnd.steps.faults import Cancelled, MachineFault
from learnd.steps.model_call import PAUSE_S
from learnd.steps.replay import replay
from learnd.steps.scenario import scenario_failed, synthesize_scenario
from learnd.steps.snapshot import failure, take_snapshot
from learnd.steps.stage import stage_pattern
from learnd.upkeep.reverify import verify_again
from learnd.workplace import Workplace
from state import commands as c
from state.decide import Command
from state.effects import Effect, Rest, WaitUntil, lost_in_a_crash, next_effect
from state.freshness import Seen
from state.job import Job, JobStatus
from state.machine import UnexpectedEvent
from state.pattern import Pattern, PatternStatus
from state.refusal import Refused

ACTOR = "learnd:runner"

Step = Callable[[Job, Workplace, threading.Event], Sequence[Command]]

STEPS: Mapping[Effect, Step] = {
    Effect.TAKE_SNAPSHOT: take_snapshot,
    Effect.ENQUEUE: enqueue,
    Effect.CLOSE_GROUP: close_group,
    Effect.SYNTHESIZE_SCENARIO: synthesize_scenario,
    Effect.REPLAY: replay,
    Effect.CRYSTALIZE: crystalize,
    Effect.STAGE_PATTERN: stage_pattern,
}

UNRECORDED_PAUSE_S = 300.0
"""How long a job waits whose effect came to nothing that could be recorded: longer than `learnd once` does."""

log = structlog.get_logger("learnd.runner")


@dataclass(frozen=True, slots=True)
class Stopped:
    """The runner was told to stop; the job goes on next time from where the log says it is."""


class Runner:
    """Advances jobs. Safe to use from several threads, one job in one thread at a time."""

    def __init__(self, place: Workplace, published: Callable[[str], None]) -> None:
        self._place = place
        self._published = published
        self._cancels: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def advance(self, job_id: str, draining: threading.Event) -> WaitUntil | Rest | Stopped:
        """Do all that can be done for a job now. Returns what it waits for."""
        while not draining.is_set():
            job = self._place.door.job(job_id)
            if job.status is JobStatus.CRYSTALIZING:
                # Nobody else has the job in hand: the log refused what came of a call, a full disk mostly.
                self._record(job, self._call_failed(job, "unrecorded", "what came of the call could not be recorded"))
                job = self._place.door.job(job_id)
            todo = next_effect(job, now(), self._faults())
            if not isinstance(todo, Effect):
                return todo
            if not self._perform(todo, job, draining):
                retry_at = iso(parse(now()) + timedelta(seconds=UNRECORDED_PAUSE_S))
                return WaitUntil(f"{todo.value} could not be recorded", at=retry_at)
        return Stopped()

    def _perform(self, effect: Effect, job: Job, draining: threading.Event) -> bool:
        """Do one effect and record what came of it. False when the log did not change by it."""
        cancel = self._cancel_of(job.id)
        before = job.version
        try:
            if draining.is_set():  # it began between our caller's look and the line above: cancel_all missed us
                return False
            commands = STEPS[effect](job, self._place, cancel)
        except Cancelled:
            commands = self._interrupted(effect, job, "drain" if draining.is_set() else "cancelled")
        except MachineFault as fault:
            commands = self._faulted(effect, job, fault)
        except DiskFull as full:
            commands = self._faulted(effect, job, MachineFault("disk", str(full)))
        except UnexpectedEvent:
            raise
        except Exception as error:  # the effect boundary: see the module's docstring
            log.exception("step failed", job=job.id[:8], effect=effect.value)
            commands = self._unforeseen(effect, job, error)
        finally:
            self._forget(job.id)
        self._record(job, commands)
        self._published(job.id)
        return self._place.door.log.version(job.stream) != before

    def _record(self, job: Job, commands: Sequence[Command]) -> None:
        """Tell the door; what no longer fits (the job was dismissed meanwhile) is dropped, and said so."""
        if not commands:
            return
        outcome = self._place.door.handle_together(commands, ACTOR)
        if isinstance(outcome, Refused):
            log.info("outdated result dropped", job=job.id[:8], code=outcome.code, reason=outcome.reason)

    # --- patterns ---

    def reverify(self, pattern: Pattern, seen: Seen, draining: threading.Event) -> bool:
        """Verify a stale pattern again in the state `seen`. False when the log did not change by it."""
        place = self._place
        started = place.door.handle(
            c.StartReverification(
                pattern.id, place.boot_id, place.sandbox().isolation, seen.tree, seen.files,
                place.settings.replay_attempts,
            ),
            ACTOR,
        )  # fmt: skip
        if isinstance(started, Refused) or place.door.pattern(pattern.id).freshness.boot_id != place.boot_id:
            return isinstance(started, Handled)
        cancel = self._cancel_of(pattern.id)
        command: c.PatternCommand
        try:
            if draining.is_set():
                cancel.set()
            command = verify_again(pattern, seen, place, cancel)
        except ReplayCancelled:
            command = c.InterruptReverification(pattern.id, "drain")
        except SandboxUnavailable as error:
            command = self._pattern_fault(pattern, "sandbox", str(error))
        except (DiskFull, NoRoomForTrees) as error:
            command = self._pattern_fault(pattern, "disk", str(error))
        except UnexpectedEvent:
            raise
        except Exception as error:  # the effect boundary: see the module's docstring
            log.exception("not verified again", pattern=pattern.id[:8])
            detail = _redacted(f"{type(error).__name__}: {error}")
            command = c.GiveReverificationUp(pattern.id, "internal_error", detail, seen.tree, seen.files)
        finally:
            self._forget(pattern.id)
        outcome = place.door.handle(command, ACTOR)
        if isinstance(outcome, Refused):
            log.info("outdated result dropped", pattern=pattern.id[:8], code=outcome.code, reason=outcome.reason)
        return True

    def find_rule(self, pattern: Pattern) -> bool:
        """Look for the rule of a pattern that a person brought back. False when nothing was recorded of it."""
        place = self._place
        command: c.PatternCommand
        try:
            command = look_for_rule(place.door.job(pattern.job_id), place, pattern.id)
        except MachineFault as fault:
            self._raise_fault(pattern, fault.kind, fault.detail)
            return False
        except DiskFull as full:
            self._raise_fault(pattern, "disk", str(full))
            return False
        except UnexpectedEvent:
            raise
        except Exception as error:  # the effect boundary: see the module's docstring
            log.exception("no rule", pattern=pattern.id[:8])
            command = c.RecordNoRule(pattern.id, _redacted(f"{type(error).__name__}: {error}"))
        outcome = place.door.handle(command, ACTOR)
        if isinstance(outcome, Refused):
            log.info("outdated result dropped", pattern=pattern.id[:8], code=outcome.code, reason=outcome.reason)
        return isinstance(outcome, Handled)

    def _pattern_fault(self, pattern: Pattern, kind: FaultKind, detail: str) -> c.PatternCommand:
        self._raise_fault(pattern, kind, detail)
        return c.InterruptReverification(pattern.id, "fault", detail)

    def _raise_fault(self, pattern: Pattern, kind: FaultKind, detail: str) -> None:
        log.warning("machine fault", kind=kind, detail=detail, pattern=pattern.id[:8])
        if isinstance(self._place.door.handle(c.RaiseFault(kind, detail), ACTOR), Refused):
            log.debug("fault stands already", kind=kind)

    # --- stopping ---

    def cancel(self, job_id: str) -> None:
        """Interrupt what runs for this job, if anything does."""
        with self._lock:
            event = self._cancels.get(job_id)
        if event is not None:
            event.set()

    def cancel_all(self) -> None:
        """Interrupt everything that runs: the daemon drains."""
        with self._lock:
            for event in self._cancels.values():
                event.set()

    def _cancel_of(self, job_id: str) -> threading.Event:
        with self._lock:
            return self._cancels.setdefault(job_id, threading.Event())

    def _forget(self, job_id: str) -> None:
        with self._lock:
            self._cancels.pop(job_id, None)

    # --- what went wrong ---

    def _interrupted(self, effect: Effect, job: Job, cause: str) -> list[Command]:
        if effect is Effect.REPLAY:
            return [c.InterruptReplay(job.id, "drain" if cause == "drain" else "cancelled")]
        return []

    def _faulted(self, effect: Effect, job: Job, fault: MachineFault) -> list[Command]:
        log.warning("machine fault", kind=fault.kind, detail=fault.detail, job=job.id[:8])
        until = fault.until
        if fault.retry_after_s is not None:
            until = iso(parse(now()) + timedelta(seconds=fault.retry_after_s))
        raised = self._place.door.handle(c.RaiseFault(fault.kind, fault.detail, until, fault.needed_usd), ACTOR)
        if isinstance(raised, Refused):
            log.debug("fault stands already", kind=fault.kind)
        status = self._place.door.job(job.id).status
        if status is JobStatus.REPLAYING:
            return [c.InterruptReplay(job.id, "fault", fault.detail)]
        if status is JobStatus.CRYSTALIZING:
            return self._call_failed(job, fault.kind, fault.detail, fault=True)
        return []

    def _unforeseen(self, effect: Effect, job: Job, error: Exception) -> list[Command]:
        """The step's failure; where learnd cannot even write that down, the machine is at fault."""
        try:
            return self._broken(effect, job, error)
        except (OSError, DiskFull) as worse:
            return self._faulted(effect, job, MachineFault("disk", _redacted(f"{worse} (after {error})")))

    def _broken(self, effect: Effect, job: Job, error: Exception) -> list[Command]:
        """An error that no step foresaw, as the failure of the step that it happened in."""
        detail = _redacted(f"{type(error).__name__}: {error}")
        settings = self._place.settings
        match effect:
            case Effect.TAKE_SNAPSHOT | Effect.ENQUEUE:
                step: Literal["capture", "enqueue"] = "capture" if effect is Effect.TAKE_SNAPSHOT else "enqueue"
                return [failure(job, settings, step, "internal_error", detail)]
            case Effect.SYNTHESIZE_SCENARIO:
                return [scenario_failed(job, self._place, "internal_error", detail, {})]
            case Effect.REPLAY:
                return [self._inconclusive(job, detail)]
            case Effect.CRYSTALIZE:
                return self._call_failed(job, "internal_error", detail)
            case Effect.CLOSE_GROUP:
                # Its members wait on; the group is closed when the daemon looks next.
                return []
            case Effect.STAGE_PATTERN:
                # The draft is in the log's keeping; staging is tried again when the daemon looks next.
                return []

    def _inconclusive(self, job: Job, detail: str) -> Command:
        evidence = Evidence(
            verdict="inconclusive",
            cause="internal_error",
            detail=detail,
            isolation=self._place.sandbox().isolation,
        )
        folder = self._place.settings.state_dir / "evidence"  # the work folder is emptied at every start
        file = write_atomically(folder / f"{job.id}.json", evidence.model_dump_json(indent=2))
        return c.RecordEvidence(job.id, evidence, file)

    def _call_failed(self, job: Job, cause: str, detail: str, *, fault: bool = False) -> list[Command]:
        """The end of an attempt that did not say itself how it ended, and of its call, if one was in flight."""
        known = self._place.door.job(job.id)
        # Nobody can say whether the provider charged for it.
        lost = settlement(known, None, None) if known.reserved_usd > 0 else []
        retry_at = iso(parse(now()) + timedelta(seconds=PAUSE_S))
        attempts = self._place.settings.crystalize_attempts
        return [*lost, c.RecordCrystalizationFailure(job.id, cause, detail, attempts, retry_at, fault=fault)]

    # --- starting again ---

    def recover(self) -> None:
        """Interrupt what other boots began and never ended. Called once, by the holder of the log's lock."""
        place = self._place
        self._recover_patterns()
        for row in place.views().jobs(statuses=(JobStatus.REPLAYING, JobStatus.CRYSTALIZING)):
            job = place.door.job(row.id)
            if not lost_in_a_crash(job, place.boot_id):
                continue
            said = f"boot {job.boot_id} ended without a word"
            if job.status is JobStatus.REPLAYING:
                self._record(job, [c.InterruptReplay(job.id, "crash", said)])
            else:
                self._record(job, self._call_failed(job, "crash", said))
            self._published(job.id)

    def _recover_patterns(self) -> None:
        for row in self._place.views().patterns(statuses=(PatternStatus.STALE,)):
            boot_id = self._place.door.pattern(row.id).freshness.boot_id
            if boot_id not in (None, self._place.boot_id):
                detail = f"boot {boot_id} ended without a word"
                self._place.door.handle(c.InterruptReverification(row.id, "crash", detail), ACTOR)

    def _faults(self) -> frozenset[FaultKind]:
        return frozenset(self._place.door.host().faults)


def _redacted(text: str) -> str:
    from learnd.crystalizer.redact import redact  # noqa: PLC0415 - detect-secrets is slow to import

    return redact(text).text[:2000]
