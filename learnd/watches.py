"""The watches on one folder, or on it and every folder below: each is looked into only once its watch stands.

Read from the kernel by watchdog's `InotifyFD`; which folder a watch stands on is kept here, for what watchdog does by
itself with a tree of folders loses some (version 7.1, each seen on a real tree):

- After an overflow it takes every watch down and puts it up again. Each that goes leaves an event in the very queue
  that overflowed: with more folders than the queue holds events (16,384) it never ends, and hears nothing meanwhile.
- A folder that the kernel refuses a watch (the limit is one for all processes of a user) is passed over in silence.
- A folder made in one that is renamed before the event was read is never watched.

Invariants:

- What appears in a folder before its watch stands is seen by the look into it, what appears later is heard.
- A folder that was moved is watched under its new path as soon as its arrival is read. Until then, and if it left the
  tree, what happens in it is told of under the old path: a look at what is there now, and no harm.
"""

from __future__ import annotations

import errno
import os
import threading
import warnings
from collections.abc import Callable, Iterator

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from learnd.manifest.find import MAX_DEPTH

# A folder may be found by two ways at once; to watch it twice is the same as once.
warnings.filterwarnings("ignore", message="Callback with id .* already exists", category=RuntimeWarning)

_FOLDER = InotifyConstants.IN_ONLYDIR | InotifyConstants.IN_DONT_FOLLOW
_MASK = Mask(InotifyConstants.IN_CREATE | InotifyConstants.IN_MOVED_TO | _FOLDER)
_NO_ROOM = (errno.ENOSPC, errno.ENOMEM)


class Watches:
    """Tells `appeared(path)` of each entry called `name` in `top`; with `deep`, in every folder below it too.

    `lost()` is called when the kernel dropped events, `refused()` when it has no watch left. All are called from the
    reader's thread, and `refused` from `place` as well.
    """

    def __init__(
        self,
        reader: InotifyFD,
        top: str,
        name: str,
        appeared: Callable[[str], None],
        lost: Callable[[], None],
        refused: Callable[[], None],
        *,
        deep: bool,
    ) -> None:
        self._reader = reader
        self._top = top
        self._name = name
        self._appeared = appeared
        self._lost = lost
        self._refused = refused
        self._deep = deep
        self._id = CallbackId(id(self))
        self._lock = threading.Lock()
        """Held while a watch is placed, so that its first event finds the path."""
        self._paths: dict[WatchDescriptor, str] = {}
        self._standing: WatchDescriptor | None = None
        """The watch on `top` itself."""

    def place(self) -> None:
        """Watch what is there now. Nothing is told of what lies in it: the caller looks afterwards."""
        for _ in self._place(self._top):
            pass

    def stands(self) -> bool:
        """Whether `top` is watched: it is not when it is no folder, and no longer when it was deleted."""
        with self._lock:
            return self._standing in self._paths

    def remove(self) -> None:
        with self._lock:
            placed = [(wd, self._id) for wd in self._paths]
            self._paths.clear()
            self._reader.remove_callbacks(placed)

    # --- called by the reader ---

    def on_event(self, event: InotifyEvent) -> None:
        with self._lock:
            folder = self._paths.get(event.wd)
        if folder is None or not event.name:
            return
        name = os.fsdecode(event.name)
        path = f"{folder}/{name}"
        if name == self._name:
            self._appeared(path)
        elif self._deep and event.is_directory:
            for found in self._place(path):
                self._appeared(found)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        with self._lock:
            self._paths.pop(wd, None)

    def on_queue_overflow(self) -> None:
        self._lost()

    # ---

    def _place(self, top: str) -> Iterator[str]:
        """Watch `top` and the folders below it, and find what is called `name` in each once its watch stands."""
        folders = [top]
        while folders:
            folder = folders.pop()
            if not self._add(folder) or not self._deep:
                continue
            further = folder.count("/") - self._top.count("/") < MAX_DEPTH
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.name == self._name:
                            yield entry.path
                        elif further and entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
            except OSError:
                continue  # gone, which its folder tells; or closed to us, which the sweeps tell

    def _add(self, folder: str) -> bool:
        """Watch one folder; whether it is there to be looked into."""
        try:
            with self._lock:
                wd = self._reader.add_callback(os.fsencode(folder), _MASK, self, self._id)
                if wd >= 0:  # watchdog answers -1 for a folder that may not be read
                    self._paths[wd] = folder
                    self._standing = wd if folder == self._top else self._standing
        except OSError as error:
            if error.errno not in _NO_ROOM:
                return False
            self._refused()
        return True
