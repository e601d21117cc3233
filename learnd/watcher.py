"""Hears of manifests as they appear, with watchdog on inotify. What it may miss, the sweeps find.

Lessons kept here, each from a measurement:

- Only file moves and creations are asked for: with the default mask watchdog's own walk of a large tree
  overflows the kernel's queue, walks again, and never settles.
- watchdog pairs moves by waiting half a second for the other half; a manifest is moved into place, so the
  wait is switched off, and moved and created are treated alike.
- A queue overflow raises no event, it is only logged: that log record is what asks for a sweep.
- When the kernel's watch limit is reached, nothing is raised at all: compare watches with directories.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.inotify import InotifyObserver
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

from learnd.manifest.find import MANIFEST

InotifyMoveEventGrouper.delay = 0
# For each new nested directory watchdog may warn with its whole watch table in the text: gigabytes.
warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"watchdog\..*")

log = structlog.get_logger("learnd.watcher")


class Watcher:
    """Calls `appeared(tree, manifest)` for each manifest, and `lost(reason)` when some may have been missed."""

    def __init__(self, appeared: Callable[[str, str], None], lost: Callable[[str], None]) -> None:
        self._appeared = appeared
        self._lost = lost
        self._observer = InotifyObserver()
        self._lock = threading.Lock()
        self._trees: dict[str, bool] = {}
        self._ear = _OverflowEar(lost)

    def start(self) -> None:
        logging.getLogger("watchdog").addHandler(self._ear)
        self._observer.start()

    def stop(self) -> None:
        self._observer.stop()
        if self._observer.is_alive():
            self._observer.join(5)
        logging.getLogger("watchdog").removeHandler(self._ear)

    def watch(self, tree: str) -> None:
        """Watch a work tree's `.runs/`, now or as soon as it appears. Watching twice is the same as once."""
        with self._lock:
            if tree in self._trees:
                return
            self._trees[tree] = False
        try:
            self._observer.schedule(
                _RunsFolder(lambda: self._watch_runs(tree)),
                tree,
                recursive=False,
                event_filter=[DirCreatedEvent, DirMovedEvent],
            )
        except OSError as error:
            log.warning("cannot watch", tree=tree, error=str(error))
            self._lost(f"{tree} cannot be watched: {error}")
        self._watch_runs(tree)

    def _watch_runs(self, tree: str) -> None:
        runs = Path(tree) / ".runs"
        if not runs.is_dir():
            return
        with self._lock:
            again = self._trees[tree]
            self._trees[tree] = True
        try:
            if not again:
                self._observer.schedule(
                    _Manifests(lambda path: self._appeared(tree, path)),
                    str(runs.resolve()),
                    recursive=True,
                    event_filter=[FileMovedEvent, FileCreatedEvent],
                )
        except OSError as error:
            log.warning("cannot watch", tree=tree, error=str(error))
        # Whatever appeared before the watch stood is found by a look, never assumed.
        self._lost(f"{runs} appeared" if not again else f"{runs} was replaced")

    def forget(self, tree: str) -> None:
        """`.runs/` is gone: the next one is watched anew."""
        with self._lock:
            if tree in self._trees:
                self._trees[tree] = False


class _Manifests(FileSystemEventHandler):
    def __init__(self, appeared: Callable[[str], None]) -> None:
        self._appeared = appeared

    def on_any_event(self, event: FileSystemEvent) -> None:
        for raw in (event.src_path, event.dest_path):
            path = os.fsdecode(raw)
            if path.endswith(f"/{MANIFEST}"):
                self._appeared(path)


class _RunsFolder(FileSystemEventHandler):
    def __init__(self, appeared: Callable[[], None]) -> None:
        self._appeared = appeared

    def on_any_event(self, event: FileSystemEvent) -> None:
        if any(os.fsdecode(raw).endswith("/.runs") for raw in (event.src_path, event.dest_path)):
            self._appeared()


class _OverflowEar(logging.Handler):
    """watchdog says that events were lost in its log, and nowhere else."""

    def __init__(self, lost: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._told = lost

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage().lower():
            self._told("the kernel's inotify queue overflowed")


def watch_limits() -> tuple[int, int]:
    """The kernel's limits for this user: watches and instances."""
    folder = Path("/proc/sys/fs/inotify")
    return (
        int((folder / "max_user_watches").read_text()),
        int((folder / "max_user_instances").read_text()),
    )


def watches_in_use() -> int:
    """How many inotify watches this process holds."""
    count = 0
    for info in Path("/proc/self/fdinfo").iterdir():
        try:
            count += info.read_text().count("inotify wd:")
        except OSError:
            continue  # closed meanwhile
    return count
