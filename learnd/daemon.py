"""The daemon: one process, one log, a few threads, and signals.

- The main thread waits, watches the others, pings systemd and answers signals. When it stops, pings stop.
- The intake thread alone looks at manifests, from the watcher's queue and from sweeps.
- Workers advance jobs; the control thread answers people.

SIGTERM and SIGINT drain: no new effect starts, running replays are interrupted and resume next time.
SIGHUP reads the settings again: it drains and starts anew inside the same process.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from events.log import AppendFailed, AppendOutcomeUnknown
from learnd.clock import now
from learnd.control import Control
from learnd.engine import Engine
from learnd.identity import user_name
from learnd.repositories import register
from learnd.settings import Settings, SettingsInvalid, read_settings
from learnd.views.queries import WorkTreeRow
from learnd.watcher import Watcher, watch_limits, watches_in_use

PROBE_SECONDS = 30.0
LATE_SECONDS = 5.0
STUCK_SECONDS = 120.0
"""An intake that has not looked at one manifest for so long is stuck: systemd may restart us."""

log = structlog.get_logger("learnd.daemon")


class Daemon:
    """Runs until told to stop. `repos` are registered first."""

    def __init__(self, settings: Settings, repos: Sequence[Path]) -> None:
        self._settings = settings
        self._repos = repos
        self._stop = threading.Event()
        self._reload = threading.Event()
        self._news: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._sweep = threading.Event()
        self._beat = time.monotonic()
        self._failed = threading.Event()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises LogLocked, LogUnusable, NotARepository."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        signal.signal(signal.SIGHUP, lambda *_: self._reload.set())
        while not self._stop.is_set():
            self._reload.clear()
            with Engine.opened(self._settings) as engine:
                self._serve(engine)
            if not self._stop.is_set():
                notify("RELOADING")
                self._settings = _reread(self._settings)
        if self._failed.is_set():
            raise SystemExit(1)

    def _serve(self, engine: Engine) -> None:
        for repo in self._repos:
            register(engine.door, engine.views(), repo, user_name(os.geteuid()))
        engine.start()
        watcher = Watcher(lambda tree, path: self._news.put((tree, path)), self._lost)
        engine.desk.watched = watcher.watch
        control = Control(self._settings.state_dir, engine.desk.answer, lambda: self._health(engine))
        threads = [
            threading.Thread(target=self._work, args=(engine,), name=f"worker-{n}") for n in range(self._workers)
        ]
        if self._settings.learning_enabled:
            watcher.start()
            for tree in engine.views().work_trees():
                watcher.watch(tree.path)
            threads.append(threading.Thread(target=self._take_in, args=(engine, watcher), name="intake"))
        else:
            log.warning("learning is off", setting="LEARNING_PIPELINE_ENABLED=0")
        for thread in threads:
            thread.start()
        notify("READY", "learning is off" if not self._settings.learning_enabled else "watching")
        log.info("ready", pid=os.getpid(), boot=engine.boot_id[:8], repositories=len(engine.views().work_trees()))
        try:
            self._loop(engine, threads)
        finally:
            notify("STOPPING")
            self._end(engine, watcher, control, threads)

    @property
    def _workers(self) -> int:
        return self._settings.workers if self._settings.learning_enabled else 0

    def _end(self, engine: Engine, watcher: Watcher, control: Control, threads: list[threading.Thread]) -> None:
        log.info("draining")
        engine.drain()
        self._news.put(None)
        self._sweep.set()
        if self._settings.learning_enabled:
            watcher.stop()
        for thread in threads:
            thread.join()
        control.close()
        engine.publisher.late()
        engine.stop(drained=True)
        log.info("stopped")

    # --- the main thread ---

    def _loop(self, engine: Engine, threads: list[threading.Thread]) -> None:
        probe_at = late_at = 0.0
        while not self._stop.wait(0.5) and not self._reload.is_set():
            moment = time.monotonic()
            if any(not thread.is_alive() for thread in threads):
                log.error("a thread died", threads=[t.name for t in threads if not t.is_alive()])
                self._failed.set()
                self._stop.set()
            elif moment - self._beat < STUCK_SECONDS or not self._settings.learning_enabled:
                notify("WATCHDOG")
            if moment >= late_at:
                late_at = moment + LATE_SECONDS
                engine.publisher.late()
            if moment >= probe_at:
                probe_at = moment + PROBE_SECONDS
                with _patient():
                    engine.probe_faults()

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
        next_sweep = 0.0
        self._sweep.set()
        while not engine.draining.is_set():
            self._beat = time.monotonic()
            if self._sweep.is_set() or time.monotonic() >= next_sweep:
                self._sweep.clear()
                with _patient():
                    self._sweep_all(engine, watcher)
                next_sweep = time.monotonic() + self._settings.sweep_seconds
            try:
                news = self._news.get(timeout=min(1.0, self._settings.sweep_seconds))
            except queue.Empty:
                continue
            if news is not None:
                with _patient():
                    self._hear(engine, *news)

    def _hear(self, engine: Engine, tree: str, path: str) -> None:
        row = next((row for row in engine.views().work_trees() if row.path == tree), None)
        if row is None:
            return
        seen = engine.look(Path(path), row)
        if seen is None:
            self._sweep.set()
        elif seen.what not in ("known", "waiting"):
            log.info("manifest", path=path, what=seen.what, reason=seen.reason)

    def _sweep_all(self, engine: Engine, watcher: Watcher) -> None:
        for tree in engine.views().work_trees():
            if not (Path(tree.path) / ".runs").is_dir():
                watcher.forget(tree.path)
            for seen in engine.sweep(tree):
                self._beat = time.monotonic()
                if engine.draining.is_set():
                    return
                if seen.done:
                    log.info("found by sweep", path=str(seen.path), what=seen.reason)
        self._check_watches(engine.views().work_trees())

    def _check_watches(self, trees: Sequence[WorkTreeRow]) -> None:
        """The kernel refuses watches silently: what is not watched is found by sweeps only, and said so."""
        limit, _ = watch_limits()
        if watches_in_use() >= limit:
            log.warning(
                "inotify watch limit reached: some runs are found by sweeps only",
                limit=limit,
                trees=len(trees),
                mend="raise fs.inotify.max_user_watches",
            )

    # --- working ---

    def _work(self, engine: Engine) -> None:
        while not engine.draining.is_set():
            job_id = engine.scheduler.take(1.0)
            if job_id is not None:
                outcome = engine.work(job_id)
                log.info("job", job=job_id[:8], now=type(outcome).__name__, why=getattr(outcome, "reason", ""))


@contextmanager
def _patient() -> Iterator[None]:
    """Go on when the machine refuses an append: what was not recorded is found again by the next look."""
    try:
        yield
    except AppendOutcomeUnknown:
        raise
    except AppendFailed as error:
        log.warning("not recorded", reason=str(error))


def notify(word: str, status: str | None = None) -> None:
    """Tell systemd, where it listens."""
    if "NOTIFY_SOCKET" not in os.environ:
        return
    from cysystemd import daemon  # noqa: PLC0415 - needs libsystemd, which only systemd's machines have

    daemon.notify(daemon.Notification[word])
    if status is not None:
        daemon.notify(daemon.Notification.STATUS, status)


def _reread(settings: Settings) -> Settings:
    """The settings as they are now; those of before where they cannot be used, which is said loudly."""
    try:
        fresh = read_settings()
    except SettingsInvalid as error:
        log.warning("settings not reloaded", reason=str(error))
        return settings
    # Another log is another daemon's: the place of the state does not change while we run.
    return fresh.model_copy(update={"state_dir": settings.state_dir})
