"""Hears of manifests as they appear, with watchdog on inotify. What it may miss, the sweeps find.

Lessons kept here, each from a measurement:

- Only file moves and creations are asked for: with the default mask watchdog's own walk of a large tree
  overflows the kernel's queue, walks again, and never settles.
- watchdog pairs moves by waiting half a second for the other half; a manifest is moved into place, so the
  wait is switched off, and moved and created are treated alike.
- A queue overflow raises no event, it is only logged: that log record is what asks for a sweep.
- After an overflow it takes its watches down and puts them up again, and what appears meanwhile is lost
  without another word: one sweep is not enough.
- When a watched folder is deleted, its watch ends and stays in watchdog's tables, dead: scheduling the same
  path again only adds a reader to it.
- When the kernel's watch limit is reached, nothing is raised at all: compare watches with directories.
"""

from __future__ import annotations

import logging
import os
import stat
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
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
from watchdog.observers.api import ObservedWatch
from watchdog.observers.inotify import InotifyObserver
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

from learnd.manifest.find import MANIFEST
from learnd.manifest.inside import OutsideRepository, locate

InotifyMoveEventGrouper.delay = 0
# For each new nested directory watchdog may warn with its whole watch table in the text: gigabytes.
warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"watchdog\..*")

log = structlog.get_logger("learnd.watcher")


@dataclass(frozen=True, slots=True)
class _Watched:
    """A watch, and the device and inode of the folder that it stands on."""

    watch: ObservedWatch
    identity: tuple[int, int]


class Watcher:
    """Calls `appeared(tree, manifest)` for each manifest, and `lost(reason)` when some may have been missed.

    Both are called from threads of watchdog. All else is for one thread: watchdog's lock is held while it calls.
    """

    def __init__(self, appeared: Callable[[str, str], None], lost: Callable[[str], None]) -> None:
        self._appeared = appeared
        self._lost = lost
        self._observer = InotifyObserver()
        self._watched: dict[tuple[str, bool], _Watched] = {}
        self._renewed: set[str] = set()
        self._ear = _OverflowEar(lost)

    def start(self) -> None:
        logging.getLogger("watchdog").addHandler(self._ear)
        self._observer.start()

    def stop(self) -> None:
        self._observer.stop()
        if self._observer.is_alive():
            self._observer.join(5)
        logging.getLogger("watchdog").removeHandler(self._ear)

    def is_alive(self) -> bool:
        return self._observer.is_alive()

    def watch(self, tree: str) -> None:
        """Watch a work tree's `.runs/`, now or as soon as it appears. Watching twice is the same as once.

        Whatever appeared before the watch stood is not heard of: the caller looks afterwards. A folder that was
        deleted, moved away or made anew is watched anew.
        """
        renewed = tree in self._renewed
        self._renewed.discard(tree)
        # In this order: a `.runs/` that appears in between is heard of, or seen here.
        self._hold((tree, False), tree, renewed=False)
        self._hold((tree, True), _runs_folder(tree), renewed=renewed)

    def leave_all_but(self, trees: Collection[str]) -> None:
        """Watch no other work trees than these any longer."""
        for key in [key for key in self._watched if key[0] not in trees]:
            self._observer.unschedule(self._watched.pop(key).watch)

    def _hold(self, key: tuple[str, bool], folder: str | None, *, renewed: bool) -> None:
        """Have `folder` watched, and no other in its place. `renewed`: an inode's number may be given again."""
        found = None if folder is None else _identity(folder)
        known = self._watched.get(key)
        if known is not None:
            if known.identity == found and not renewed and self._hears(known.watch):
                return
            del self._watched[key]
            self._observer.unschedule(known.watch)
        if folder is None or found is None:
            return
        try:
            self._watched[key] = _Watched(self._schedule(key, folder), found)
        except OSError as error:
            log.warning("cannot watch: runs are found by sweeps only", folder=folder, error=str(error))

    def _schedule(self, key: tuple[str, bool], folder: str) -> ObservedWatch:
        tree, runs = key
        if not runs:
            seen = _RunsFolder(lambda: self._runs_appeared(tree))
            return self._observer.schedule(seen, folder, event_filter=[DirCreatedEvent, DirMovedEvent])
        heard = _Manifests(lambda path: self._appeared(tree, path))
        wanted: list[type[FileSystemEvent]] = [FileMovedEvent, FileCreatedEvent]
        return self._observer.schedule(heard, folder, recursive=True, event_filter=wanted)

    def _hears(self, watch: ObservedWatch) -> bool:
        """Whether events still come: watchdog gives a watch up when its folder is deleted, and says nothing."""
        return any(emitter.watch == watch and emitter.should_keep_running() for emitter in self._observer.emitters)

    def _runs_appeared(self, tree: str) -> None:
        self._renewed.add(tree)
        self._lost(f"{tree}/.runs appeared")


def _identity(folder: str) -> tuple[int, int] | None:
    """Device and inode of a folder, None when there is none that may be looked at."""
    try:
        found = Path(folder).stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None


def _runs_folder(tree: str) -> str | None:
    """Where `.runs/` is, if it is a place in the repository: it may be a link."""
    try:
        return locate(Path(".runs"), Path(tree)).real
    except (OSError, OutsideRepository):
        return None


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
