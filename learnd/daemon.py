"""The daemon: one process, one log, a few threads, and signals.

- The main thread waits, watches the others, pings systemd and answers signals. When it stops, pings stop.
- The intake thread alone looks at manifests, from the watcher's queue and from sweeps, and says what is watched.
- Workers advance jobs; the control thread answers people; the alerts thread tells them.
- The keeping thread deletes what may go; the upkeep thread verifies stale patterns again.

SIGTERM and SIGINT drain: no new effect starts, running replays are interrupted and resume next time.
SIGHUP reads the settings again: it drains and starts anew inside the same process, which keeps the log's lock.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import structlog

from events.log import AppendFailed, AppendOutcomeUnknown, LogLock
from learnd.announce import Announcer
from learnd.clock import now
from learnd.control import Control
from learnd.engine import Engine
from learnd.identity import user_name
from learnd.intake import Seen
from learnd.keeping.anchor import drop_anchor
from learnd.repositories import register
from learnd.settings import Settings, SettingsInvalid, read_settings
from learnd.views.queries import WorkTreeRow
from learnd.watcher import Watcher, watches_in_use

PROBE_SECONDS = 30.0
LATE_SECONDS = 5.0
PRUNE_SECONDS = 3600.0
PING_SECONDS = 0.5
STOP_SECONDS = 30.0
"""Asked for again and again while what cannot be interrupted ends, so that the unit's TimeoutStopSec bounds silence."""
STUCK_SECONDS = 120.0
"""An intake that has not looked at one manifest for so long is stuck: systemd may restart us."""
UNHEARD_SECONDS = 5.0
UNHEARD_SHARE = 20.0
"""The pause between sweeps while some folders cannot be watched, or after the log took no append: at least so many
seconds, and so many times what a sweep takes. With 100,000 folders that is a sweep of a second every 20."""
IN_PLACE_SECONDS = 2.0
"""Of a manifest that is written in place, not moved there, the creation is heard and not the end: look again."""

log = structlog.get_logger("learnd.daemon")


class Daemon:
    """Runs until told to stop. `repos` are registered first."""

    def __init__(self, settings: Settings, repos: Sequence[Path]) -> None:
        self._settings = settings
        self._repos = repos
        # A signal may interrupt the very wait for it: putting into this queue is safe then, setting an Event is not.
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._stopping = False
        self._failed = False
        self._news: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._sweep = threading.Event()
        self._sweep_at = 0.0
        self._sweep_took = 0.0
        self._to_delete = threading.Event()
        self._beat = time.monotonic()
        self._systemd = Announcer.of_environment()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises LogLocked, LogUnusable, NotARepository; exits 1 when a thread died."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _frame: self._signals.put(number))
        with LogLock(self._settings.log_path):
            while not self._stopping:
                with Engine.under_lock(self._settings) as engine:
                    self._serve(engine)
                if not self._stopping:
                    self._settings = _reread(self._settings)
        if self._failed:
            raise SystemExit(1)

    def _serve(self, engine: Engine) -> None:
        for repo in self._repos:
            register(engine.door, engine.views(), repo, user_name(os.geteuid()))
        engine.start()
        watcher = Watcher(lambda tree, path: self._news.put((tree, path)), self._lost)
        engine.desk.watched = lambda tree: self._lost(f"{tree} was registered")
        engine.desk.forgotten = self._forgot
        controls = [
            Control(folder, engine.desk.answer, lambda: self._health(engine)) for folder in self._socket_folders
        ]
        threads = [
            threading.Thread(target=self._work, args=(engine,), name=f"worker-{n}") for n in range(self._workers)
        ]
        self._beat = time.monotonic()
        if self._settings.learning_enabled:
            watcher.start()
            threads.append(threading.Thread(target=self._take_in, args=(engine, watcher), name="intake"))
            threads.append(threading.Thread(target=engine.upkeep.run, args=(engine.draining,), name="upkeep"))
        else:
            log.warning("learning is off", setting="LEARNING_PIPELINE_ENABLED=0")
        threads.append(threading.Thread(target=engine.alerts.run, args=(engine.draining,), name="alerts"))
        threads.append(threading.Thread(target=self._keep, args=(engine,), name="keeping"))
        if engine.librarian.wanted:
            threads.append(threading.Thread(target=self._read_candidates, args=(engine,), name="librarian"))
        for thread in threads:
            thread.start()
        self._systemd.say("READY=1", f"STATUS={'watching' if self._settings.learning_enabled else 'learning is off'}")
        log.info("ready", pid=os.getpid(), boot=engine.boot_id[:8], repositories=len(engine.views().work_trees()))
        try:
            self._loop(engine, [*threads, *([watcher] if self._settings.learning_enabled else [])])
        finally:
            self._end(engine, watcher, controls, threads)

    @property
    def _socket_folders(self) -> list[Path]:
        """Beside the log, and where systemd gives a system service a folder that all users may enter."""
        runtime = os.environ.get("RUNTIME_DIRECTORY")
        shared = [Path(runtime.split(":", maxsplit=1)[0])] if runtime else []
        return [self._settings.state_dir, *shared]

    @property
    def _workers(self) -> int:
        return self._settings.workers if self._settings.learning_enabled else 0

    def _end(self, engine: Engine, watcher: Watcher, controls: list[Control], threads: list[threading.Thread]) -> None:
        log.info("draining")
        engine.drain()
        self._news.put(None)
        self._to_delete.set()
        if self._settings.learning_enabled:
            watcher.stop()
        self._join(threads)
        for control in controls:
            control.close()
        with _patient():
            engine.publisher.late()
            engine.stop(drained=True)
        log.info("stopped")

    def _join(self, threads: list[threading.Thread]) -> None:
        """Wait for what cannot be interrupted; systemd hears of us while that takes no longer than a model call may."""
        patience = time.monotonic() + self._settings.model_timeout_seconds + PROBE_SECONDS
        for thread in threads:
            while thread.is_alive():
                if time.monotonic() < patience:
                    self._systemd.needs_time(STOP_SECONDS)
                thread.join(PING_SECONDS)

    # --- the main thread ---

    def _loop(self, engine: Engine, threads: Sequence[threading.Thread | Watcher]) -> None:
        """Until a signal says to stop or to reload."""
        late_at = 0.0
        probe_at = time.monotonic() + PROBE_SECONDS
        while not self._told_to_end():
            moment = time.monotonic()
            if not all(thread.is_alive() for thread in threads):
                log.error("a thread died", alive=[t.name for t in threading.enumerate()])
                self._failed = self._stopping = True
                self._systemd.say("STOPPING=1")
                return
            if moment - self._beat < STUCK_SECONDS or not self._settings.learning_enabled:
                self._systemd.ping()
            with _patient():
                if moment >= late_at:
                    late_at = moment + LATE_SECONDS
                    engine.publisher.late()
                    engine.publisher.notice_edits()
                    engine.usage.record(engine.views())
                if moment >= probe_at:
                    probe_at = moment + PROBE_SECONDS
                    engine.probe_faults()
                    drop_anchor(engine.log)
                elif engine.probe_due():
                    engine.probe_faults()

    def _told_to_end(self) -> bool:
        """Wait a moment for a signal, and tell systemd what it means."""
        try:
            number = self._signals.get(timeout=PING_SECONDS)
        except queue.Empty:
            return False
        self._stopping = number != signal.SIGHUP
        self._systemd.say("STOPPING=1" if self._stopping else "RELOADING=1")
        return True

    def _health(self, engine: Engine) -> dict[str, object]:
        position, head = engine.log.head()
        return {
            "pid": os.getpid(),
            "boot_id": engine.boot_id,
            "log": str(self._settings.log_path),
            "position": position,
            "head": head,
            "learning_enabled": self._settings.learning_enabled,
            "at": now(),
            "troubles": dict(engine.publisher.troubles),
            "watches": watches_in_use(),
        }

    # --- intake ---

    def _lost(self, reason: str) -> None:
        log.info("sweep asked for", reason=reason)
        self._sweep.set()
        self._news.put(None)

    def _take_in(self, engine: Engine, watcher: Watcher) -> None:
        self._sweep_at = 0.0
        while not self._is_over(engine):
            if self._sweep.is_set() or time.monotonic() >= self._sweep_at:
                self._sweep.clear()
                self._sweep_at = time.monotonic() + self._settings.sweep_seconds
                with _patient(self._not_recorded):
                    self._sweep_all(engine, watcher)
                if not watcher.hears_all:
                    self._sweep_again()
            try:
                news = self._news.get(timeout=min(1.0, max(0.0, self._sweep_at - time.monotonic())))
            except queue.Empty:
                continue
            if news is not None:
                with _patient(self._not_recorded):
                    self._hear(engine, *news)

    def _is_over(self, engine: Engine) -> bool:
        """Whether to end early; asked again and again, it also tells that the thread lives."""
        self._beat = time.monotonic()
        return engine.draining.is_set()

    def _sweep_soon(self, seconds: float) -> None:
        self._sweep_at = min(self._sweep_at, time.monotonic() + seconds)

    def _sweep_again(self) -> None:
        """What is there may not have been heard, or not been recorded."""
        self._sweep_soon(max(UNHEARD_SECONDS, UNHEARD_SHARE * self._sweep_took))

    def _not_recorded(self) -> None:
        log.info("sweep asked for", reason="a run was not recorded")
        self._sweep_again()

    def _hear(self, engine: Engine, tree: str, path: str) -> None:
        row = next((row for row in engine.views().work_trees() if row.path == tree), None)
        if row is None:
            return
        seen = self._look(engine, row, Path(path))
        if seen is not None and seen.what not in ("known", "waiting", "unreadable"):
            log.info("manifest", path=path, what=seen.what, reason=seen.reason)

    def _sweep_all(self, engine: Engine, watcher: Watcher) -> None:
        begun = time.monotonic()
        try:
            self._sweep_trees(engine, watcher)
        finally:
            self._sweep_took = time.monotonic() - begun

    def _sweep_trees(self, engine: Engine, watcher: Watcher) -> None:
        trees = engine.views().work_trees()
        paths = {tree.path for tree in trees}
        watcher.renew()
        watcher.leave_all_but(paths)
        engine.intake.leave_all_but(paths)
        for tree in trees:
            watcher.watch(tree.path)
            for seen in engine.intake.sweep(tree, partial(self._look, engine, tree)):
                if self._is_over(engine):
                    return
                if seen.done:
                    log.info("found by sweep", path=str(seen.path), what=seen.reason)

    def _look(self, engine: Engine, tree: WorkTreeRow, path: Path) -> Seen | None:
        seen = engine.look(path, tree)
        if seen is None or seen.what == "unreadable":
            # Perhaps only half written; nobody tells of its end when its creation was not heard.
            self._sweep_soon(IN_PLACE_SECONDS)
        return seen

    # --- keeping ---

    def _forgot(self) -> None:
        self._lost("a repository was forgotten")
        self._to_delete.set()

    def _keep(self, engine: Engine) -> None:
        """Delete what may go: at the start and then every hour; of a forgotten repository at once."""
        prune_at = 0.0
        while not engine.draining.is_set():
            self._to_delete.clear()
            busy = False
            with _patient():
                busy = engine.clear_forgotten(engine.draining.is_set).busy
            if time.monotonic() >= prune_at:
                prune_at = time.monotonic() + PRUNE_SECONDS
                with _patient():
                    engine.prune(engine.draining.is_set)
                with _patient():
                    engine.remind()
            self._to_delete.wait(1.0 if busy else max(0.0, prune_at - time.monotonic()))

    # --- working ---

    def _read_candidates(self, engine: Engine) -> None:
        """Have the model read each candidate that it has not read."""
        while not engine.draining.is_set():
            with _patient():
                engine.librarian.read_all(engine.draining.is_set)
            engine.draining.wait(LATE_SECONDS)

    def _work(self, engine: Engine) -> None:
        while not engine.draining.is_set():
            job_id = engine.scheduler.take(1.0)
            if job_id is not None:
                outcome = engine.work(job_id)
                log.info("job", job=job_id[:8], now=type(outcome).__name__, why=getattr(outcome, "reason", ""))


@contextmanager
def _patient(unrecorded: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Go on when the machine refuses an append: what was not recorded is found again by the next look."""
    try:
        yield
    except AppendOutcomeUnknown:
        raise
    except AppendFailed as error:
        log.warning("not recorded", reason=str(error))
        unrecorded()


def _reread(settings: Settings) -> Settings:
    """The settings as they are now; those of before where they cannot be used, which is said loudly."""
    try:
        fresh = read_settings()
    except SettingsInvalid as error:
        log.warning("settings not reloaded", reason=str(error))
        return settings
    # Another log is another daemon's: the place of the state does not change while we run.
    return fresh.model_copy(update={"state_dir": settings.state_dir})
