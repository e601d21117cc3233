"""Everything that works, put together once: for the daemon, for `learnd once`, for a verb without a daemon.

Holding an Engine means holding the log's lock. What differs between its users is only how long they keep
it and what they start: the daemon starts everything, a verb only asks the desk.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import structlog

from events.catalog import FaultKind, JobDismissed, JobOpened, RunObserved, RunReopened
from events.log import AppendFailed, AppendOutcomeUnknown, EventLog, LogLock
from events.recorded import Recorded
from learnd.alerts.dispatch import Dispatch
from learnd.clock import iso, now, parse, seconds_between
from learnd.desk import Desk
from learnd.door import Door
from learnd.grouping.following import ARRIVALS, ENDS, TOLD_TO_ALL, settle, take_up
from learnd.harvest.faults import DiskFull, SnapshotError
from learnd.harvest.gitfolder import NotARepository
from learnd.intake import BaseTree, Intake, Seen
from learnd.keeping.anchor import drop_anchor
from learnd.keeping.forget import Cleared, clear, dismiss_jobs
from learnd.keeping.migrations import record_migrations
from learnd.keeping.opening import open_kept
from learnd.keeping.retention import Round
from learnd.keeping.reviews import remind_and_expire
from learnd.leftovers import sweep_state
from learnd.publisher import Publisher
from learnd.reviewing import Librarian
from learnd.room import full_places
from learnd.runner import Runner, Stopped
from learnd.scheduler import Scheduler
from learnd.serving.recording import Recorder
from learnd.settings import Settings
from learnd.spending import has_room, settle_lost_calls
from learnd.upkeep.tending import Upkeep
from learnd.views.queries import JobRow, Views, WorkTreeRow
from learnd.work_folders import work_roots
from learnd.workplace import Workplace
from state import commands as c
from state.effects import Rest, WaitUntil, next_effect
from state.job import OPEN, JobStatus

ACTOR = "learnd:engine"
APPEND_PAUSE_S = 30.0
"""How long a job waits after the machine refused an append (a full disk, mostly)."""
MODEL_PAUSE_S = 5.0
"""First pause after the model failed, doubling up to the longest while no call succeeds in between."""
LONGEST_MODEL_PAUSE_S = 3600.0
MODEL_FAULTS = ("model", "rate_limit", "spend")
FREE_BYTES = 256 << 20
"""Less room than this where the log lies is a fault of the machine."""

log = structlog.get_logger("learnd.engine")


class Engine:
    """The holder of the log. Use as a context manager; raises LogLocked where another holds it."""

    def __init__(self, settings: Settings, log_: EventLog) -> None:
        self.settings = settings
        self.boot_id = uuid.uuid4().hex
        self.log = log_
        self.scheduler = Scheduler()
        self.door = Door(log_, self._heard)
        self.place = Workplace(settings, self.door, self.boot_id)
        self.publisher = Publisher(self.place)
        self.usage = Recorder(self.door, settings.state_dir)
        self.alerts = Dispatch(self.place, self.publisher.job_later)
        self.intake = Intake(self.door, self.place.views, settings, self._take_base)
        self.runner = Runner(self.place, self._published)
        self.upkeep = Upkeep(self.place, self.runner, self.publisher.repository_patterns)
        self.draining = threading.Event()
        self._model_pauses = 0
        self.librarian = Librarian(self.place)
        self.desk = Desk(self.place, self.intake, self.publisher, forgotten=self.clear_forgotten)

    @classmethod
    @contextlib.contextmanager
    def opened(cls, settings: Settings) -> Iterator[Engine]:
        """An engine that holds the log while the block runs. Raises LogLocked, LogUnusable."""
        with LogLock(settings.log_path), cls.under_lock(settings) as engine:
            yield engine

    @classmethod
    @contextlib.contextmanager
    def under_lock(cls, settings: Settings) -> Iterator[Engine]:
        """The same for a caller that holds the log's lock, and keeps it from one engine to the next."""
        log_ = open_kept(settings.log_path)
        try:
            engine = cls(settings, log_)
            record_migrations(engine.door)
            drop_anchor(log_)
            yield engine
            engine.usage.record(engine.views())
            engine.publisher.late()
            drop_anchor(log_)
        finally:
            log_.close()

    def views(self) -> Views:
        return self.place.views()

    def _heard(self, recorded: Sequence[Recorded]) -> None:
        """Wake every job that something happened to; what runs for one that was ended from outside is of no use."""
        for record in recorded:
            if record.type == "PatternDrafted":
                self._model_pauses = 0
            if record.stream.startswith("job-"):
                job_id = record.stream.removeprefix("job-")
                if isinstance(record.data, JobDismissed | RunReopened):
                    self.runner.cancel(job_id)
                row = self.views().job(job_id)
                if isinstance(record.data, JobOpened | RunObserved) and self.views().is_forgotten(row.repo_id):
                    dismiss_jobs(self.place)  # it was being looked at while somebody had it forgotten
                self._wake(row)
                self._group_of(record, row)
        self.alerts.heard(recorded)
        self.upkeep.heard(recorded)

    def _group_of(self, record: Recorded, row: JobRow) -> None:
        """What happens to one job of a group, or of those that may become one, concerns the others."""
        if row.lead is not None and row.lead != row.id and isinstance(record.data, JobDismissed | RunReopened):
            self.runner.cancel(row.lead)
        if record.type in TOLD_TO_ALL:
            self.publisher.job_later(row.id)
        if row.lead == row.id and record.type in ENDS:
            settle(row.id, self.place)
        if record.type in ARRIVALS and self.settings.validation.mode == "grouped":
            for other in self.views().waiting_for_group(row.repo_id):
                self._wake(other)

    def _wake(self, row: JobRow) -> None:
        self.scheduler.wake(row.id, row.repo_id, urgent=bool(row.urgent))

    def _published(self, job_id: str) -> None:
        """Bring files to what the log says of a job, and of the pattern that it led to."""
        self.publisher.job(job_id)
        row = self.views().job(job_id)
        if row.status == JobStatus.LEARNED:
            self.publisher.repository_patterns(row.repo_id, row.repo_path)

    # --- starting and stopping ---

    def start(self) -> None:
        """Take up what the log says: interrupted work, files that fell behind, jobs with something to do."""
        self.door.handle(
            c.StartDaemon(self.boot_id, os.getpid(), version("learnd"), self.settings.learning_enabled), ACTOR
        )
        unbounded = self.place.sandbox().claim_cgroup()
        if unbounded:
            log.info("replays have no cgroup of their own", reason=unbounded)
        self._clear_work()
        self.runner.recover()
        self.librarian.settle_lost()
        settle_lost_calls(self.place)
        dismiss_jobs(self.place)
        take_up(self.place)
        self.publisher.everything()
        self.probe_faults()  # what was wrong when the last one worked here may be mended
        if self.settings.learning_enabled:
            for row in self.views().jobs(statuses=tuple(status.value for status in OPEN)):
                self._wake(row)

    def stop(self, *, drained: bool) -> None:
        self.door.handle(c.StopDaemon(self.boot_id, drained), ACTOR)

    def drain(self) -> None:
        """No new effect starts; what runs is interrupted, and goes on next time."""
        self.draining.set()
        self.scheduler.close()
        self.runner.cancel_all()
        self.alerts.wake()
        self.upkeep.wake()

    def _clear_work(self) -> None:
        """Trees that a crash left behind belong to nobody: the lock is ours, so no replay runs."""
        from learnd.lab.orphans import end_orphans  # noqa: PLC0415 - as below
        from learnd.lab.trees import sweep_work  # noqa: PLC0415 - the lab is only needed by who works

        end_orphans()
        sweep_state(self.settings.state_dir)
        for root in work_roots(self.place.work_dir, self.settings.lab.work_dir):
            sweep_work(root, ())
            with contextlib.suppress(OSError):  # not there, or something of somebody else's is in it
                root.rmdir()

    # --- keeping ---

    def clear_forgotten(self, stopped: Callable[[], bool] = lambda: False) -> Cleared:
        """Delete what is left of forgotten repositories, until `stopped`, as far as no worker is busy with it."""
        return clear(self.place, self._has_in_hand, stopped)

    def _has_in_hand(self, repo_id: str) -> bool:
        return self.scheduler.has_in_hand(repo_id) or self.upkeep.has_in_hand(repo_id)

    def prune(self, stopped: Callable[[], bool]) -> int:
        """Delete what retention says may go, until `stopped`. Returns the bytes freed."""
        return Round(self.place, stopped).prune()

    def remind(self) -> None:
        """Remind approvers of candidates that wait, and let those expire that waited too long."""
        remind_and_expire(self.place)
        for tree in self.views().work_trees():
            self.publisher.repository_patterns(tree.repo_id, tree.path)

    # --- taking runs in ---

    def _take_base(self, tree: WorkTreeRow) -> BaseTree:
        store = self.place.store(tree.repo_id, tree.path)
        taken = store.observe()
        return BaseTree(taken.tree, store.resolve_head())

    def look(self, path: Path, tree: WorkTreeRow) -> Seen | None:
        """Look at one manifest. None when it could not be looked at now: a sweep comes back to it."""
        try:
            seen = self.intake.look(path, tree)
        except (SnapshotError, DiskFull, NotARepository, OSError) as error:
            log.warning("base tree not taken", manifest=str(path), reason=str(error))
            return None
        if seen.what == "known" and seen.job_id:
            # The producer's next save may have dropped our block: writing what stands already is no write.
            self.publisher.job_later(seen.job_id)
        return seen

    def sweep(self, tree: WorkTreeRow) -> Iterator[Seen]:
        """Look at everything in a work tree that changed since the last look."""
        return self.intake.sweep(tree, lambda path: self.look(path, tree))

    # --- working ---

    def work(self, job_id: str) -> WaitUntil | Rest | Stopped:
        """Advance one job that the scheduler handed out, and hand it back."""
        outcome: WaitUntil | Rest | Stopped = Stopped()
        sleep_until: str | None = None
        try:
            outcome = self.runner.advance(job_id, self.draining)
            if isinstance(outcome, WaitUntil):
                sleep_until = outcome.at
        except AppendOutcomeUnknown:
            raise  # nobody can say what the log holds: only a new process that folds it anew may go on
        except AppendFailed as error:
            log.warning("not recorded", job=job_id[:8], reason=str(error))
            outcome = WaitUntil(str(error), at=iso(parse(now()) + timedelta(seconds=APPEND_PAUSE_S)))
            sleep_until = outcome.at
        finally:
            self.scheduler.done(job_id, sleep_until)
        return outcome

    def waiting_for_faults(self) -> list[str]:
        """Jobs that nothing but a fault of the machine holds up."""
        faults = frozenset(self.door.host().faults)
        if not faults:
            return []
        return [
            row.id
            for row in self.views().jobs(statuses=tuple(status.value for status in OPEN))
            if isinstance(waits := next_effect(self.door.job(row.id), now(), faults), WaitUntil) and waits.fault
        ]

    def probe_faults(self) -> None:
        """Raise what is wrong with the machine now, clear what no longer is, and wake what waited for it."""
        standing = self.door.host().faults
        free = shutil.disk_usage(self.settings.state_dir).free
        if free < FREE_BYTES and "disk" not in standing:
            self.door.handle(c.RaiseFault("disk", f"{free >> 20} MiB left at {self.settings.state_dir}"), ACTOR)
        cleared = False
        for kind in standing:
            if self._is_gone(kind, free):
                self.door.handle(c.ClearFault(kind), ACTOR)
                cleared = True
        if cleared:
            for row in self.views().jobs(statuses=tuple(status.value for status in OPEN)):
                self._wake(row)

    def _is_gone(self, kind: FaultKind, free: int) -> bool:
        if kind in MODEL_FAULTS and self.settings.openai_api_key is None:
            return True  # patterns are written without a model now
        match kind:
            case "disk":
                return free >= FREE_BYTES and not full_places(
                    self.settings, [t.path for t in self.views().work_trees()]
                )
            case "sandbox":
                return self.place.sandbox().self_test().ok
            case "spend":
                raised = self.door.host().raised[kind]
                return has_room(self.door, self.settings, raised.needed_usd or 0.0)
            case "rate_limit":
                return self._paused_enough(kind)
            case "model":
                # Asking is free, calling is not: a job's budget is not spent on finding out.
                return self._paused_enough(kind) and self._model_answers()

    def _paused_enough(self, kind: FaultKind) -> bool:
        """Whether the pause after this fault is over, and whoever asked for a longer one has had it."""
        if now() < self._pause_ends(kind):
            return False
        self._model_pauses += 1
        return True

    def _pause_ends(self, kind: FaultKind) -> str:
        since = next((fault.since for fault in self.views().faults() if fault.kind == kind), now())
        asked = self.door.host().raised[kind].until or since
        first = max(MODEL_PAUSE_S, seconds_between(since, asked)) if kind == "model" else MODEL_PAUSE_S
        pause = min(LONGEST_MODEL_PAUSE_S, first * 2**self._model_pauses)
        return max(asked, iso(parse(since) + timedelta(seconds=pause)))

    def probe_due(self) -> bool:
        """Whether a fault of the model may be gone by now, so that looking need not wait for its turn."""
        standing = [fault.kind for fault in self.views().faults() if fault.kind in ("model", "rate_limit")]
        return any(now() >= self._pause_ends("model" if kind == "model" else "rate_limit") for kind in standing)

    def _model_answers(self) -> bool:
        from learnd.crystalizer.endpoint import reachable  # noqa: PLC0415 - the SDK is slow to import
        from learnd.crystalizer.openai_author import unusable  # noqa: PLC0415 - as above

        reason = unusable(self.settings) or reachable(self.settings)
        if reason is not None:
            log.info("model not reachable yet", reason=reason)
        return reason is None
