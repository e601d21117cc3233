"""Hears of manifests as they appear, with watchdog's reader of inotify. What it may miss, the sweeps find.

Whoever has a tree watched looks at it afterwards: what appeared before the watches stood is seen then, what appears
later is heard (`learnd.watches`). Three things end that, and each is told, so that a sweep comes soon:

- The kernel's queue overflowed. All watches are then placed anew with a new reader, and looks follow: taking watches
  down one by one would fill the queue again.
- The kernel refuses watches, or a reader. The limits are for all processes of a user, so this need not be our doing:
  it is tried again after a while, and until then somebody has to look often (`hears_all`).
- A folder that is watched was deleted, moved away or made anew: its watch ended. It is placed anew by `watch`.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import structlog
from watchdog.observers.inotify_c import InotifyFD

from learnd.manifest.find import MANIFEST
from learnd.manifest.inside import OutsideRepository, locate
from learnd.watches import Watches

RETRY_SECONDS = 300.0
"""Placing all watches takes seconds for 100,000 folders: not too often in vain."""
STOP_SECONDS = 5.0

log = structlog.get_logger("learnd.watcher")


@dataclass(frozen=True, slots=True)
class _Watched:
    """Watches, and the device and inode of the folder that they stand on."""

    watches: Watches
    identity: tuple[int, int]


class Watcher:
    """Calls `appeared(tree, manifest)` for each manifest, and `lost(reason)` when some may have been missed.

    Both are called from the reader's thread, `lost` also from `watch`. All else is for one thread and raises nothing.
    """

    def __init__(self, appeared: Callable[[str, str], None], lost: Callable[[str], None]) -> None:
        self._appeared = appeared
        self._lost = lost
        self._reader: InotifyFD | None = None
        self._watched: dict[tuple[str, bool], _Watched] = {}
        self._renewed: set[str] = set()
        self._overflowed = False
        self._refused = False
        self._retry_at = 0.0

    def start(self) -> None:
        try:
            reader = InotifyFD()
        except OSError as error:
            log.warning(
                "inotify cannot be used: runs are found by sweeps only",
                error=str(error),
                mend="raise fs.inotify.max_user_instances",
            )
            self._refused = True
            self._retry_at = time.monotonic() + RETRY_SECONDS
        else:
            reader.start()
            self._reader = reader  # not before: another thread asks whether it is alive

    def stop(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.stop()
            reader.join(STOP_SECONDS)

    def is_alive(self) -> bool:
        reader = self._reader
        return reader is None or reader.is_alive()

    @property
    def hears_all(self) -> bool:
        """Whether every folder that was there or appeared is watched; else only sweeps find what is in some."""
        return not self._refused

    def renew(self) -> None:
        """Begin anew, with nothing watched, where events were lost or watches were refused a while ago."""
        if self._overflowed or (self._refused and time.monotonic() >= self._retry_at):
            self.stop()
            self._watched.clear()
            self._overflowed = self._refused = False
            self.start()

    def watch(self, tree: str) -> None:
        """Watch a work tree's `.runs/`, now or as soon as it appears. Watching twice is the same as once.

        Whatever appeared before the watch stood is not heard of: the caller looks afterwards. A folder that was
        deleted, moved away or made anew is watched anew.
        """
        renewed = tree in self._renewed
        if renewed:  # one that appears from here on is told of after this, and stays told
            self._renewed.discard(tree)
        # In this order: a `.runs/` that appears in between is heard of, or seen here.
        self._hold((tree, False), tree, renewed=False)
        self._hold((tree, True), _runs_folder(tree), renewed=renewed)

    def leave_all_but(self, trees: Collection[str]) -> None:
        """Watch no other work trees than these any longer."""
        for key in [key for key in self._watched if key[0] not in trees]:
            self._watched.pop(key).watches.remove()

    def _hold(self, key: tuple[str, bool], folder: str | None, *, renewed: bool) -> None:
        """Have `folder` watched, and no other in its place. `renewed`: an inode's number may be given again."""
        found = None if folder is None else _identity(folder)
        known = self._watched.get(key)
        if known is not None:
            if known.identity == found and not renewed and known.watches.stands():
                return
            del self._watched[key]
            known.watches.remove()
        if folder is None or found is None or self._reader is None:
            return
        watches = self._watches(self._reader, *key, folder)
        self._watched[key] = _Watched(watches, found)
        watches.place()

    def _watches(self, reader: InotifyFD, tree: str, runs: bool, folder: str) -> Watches:
        if not runs:
            return Watches(
                reader, folder, ".runs", lambda _: self._runs_appeared(tree), self._overflow, self._refuse, deep=False
            )
        return Watches(
            reader, folder, MANIFEST, lambda path: self._appeared(tree, path), self._overflow, self._refuse, deep=True
        )

    def _runs_appeared(self, tree: str) -> None:
        self._renewed.add(tree)
        self._lost(f"{tree}/.runs appeared")

    def _overflow(self) -> None:
        if not self._overflowed:
            self._overflowed = True
            self._lost("the kernel's inotify queue overflowed")

    def _refuse(self) -> None:
        if not self._refused:
            self._refused = True
            self._retry_at = time.monotonic() + RETRY_SECONDS
            log.warning(
                "inotify watch limit reached: some runs are found by sweeps only",
                limit=watch_limit(),
                watches=watches_in_use(),
                mend="raise fs.inotify.max_user_watches",
            )
            self._lost("a folder cannot be watched")


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


def watch_limit() -> int:
    """How many watches the kernel lets this user have, in all processes together."""
    return int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())


def watches_in_use() -> int:
    """How many inotify watches this process holds."""
    count = 0
    for info in Path("/proc/self/fdinfo").iterdir():
        try:
            count += info.read_text().count("inotify wd:")
        except OSError:
            continue  # closed meanwhile
    return count
