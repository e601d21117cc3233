"""The producers' lock files, as the producers take them.

A lock is a file made with O_EXCL whose content is the owner's token; whoever finds it older than the agreed
age removes it and tries again; only the owner removes it at the end. The codex-orchestrator package does so
for `.runs/<task>/metrics.lock` (stale after 5 minutes); for manifests the agreed name is
`manifest.json.lock` (stale after 30 s), which not every version of it takes. Whoever writes a manifest
therefore also compares what he read with what is there before he renames.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from learnd.manifest.inside import Folder, NotAFile, TooLarge

PAUSE_S = 0.05


class LockBusy(Exception):
    """Somebody else held the lock all the time. The message names the file; try again later."""


@contextmanager
def held(folder: Folder, name: str, *, stale_s: float, wait_s: float) -> Iterator[None]:
    """Hold the lock `name` in `folder`. Waits at most `wait_s` seconds. Raises LockBusy, OSError."""
    token = str(uuid.uuid4())
    until = time.monotonic() + wait_s
    while not _taken(folder, name, token):
        if _cleared(folder, name, stale_s):
            continue
        if time.monotonic() >= until:
            raise LockBusy(f"{name} is held by another process; it counts as left behind after {stale_s:.0f} s")
        time.sleep(PAUSE_S)
    try:
        yield
    finally:
        if _owner(folder, name) == token:
            folder.remove(name)


def _taken(folder: Folder, name: str, token: str) -> bool:
    try:
        folder.create(name, token.encode())
    except FileExistsError:
        return False
    return True


def _cleared(folder: Folder, name: str, stale_s: float) -> bool:
    """Remove a lock that was left behind; True when the way may be free."""
    try:
        age = time.time() - folder.stat(name).st_mtime
    except FileNotFoundError:
        return True
    if age <= stale_s:
        return False
    folder.remove(name)
    return True


def _owner(folder: Folder, name: str) -> str | None:
    try:
        return folder.read(name, 1024)[0].decode("ascii", "replace").strip()
    except (OSError, NotAFile, TooLarge):
        return None
