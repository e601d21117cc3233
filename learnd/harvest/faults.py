"""What can go wrong with a snapshot, named for who can do something about it.

- `SnapshotError` is about one job: the repository or the run is not as a snapshot needs it. The attempt is counted.
- `DiskFull` is about the machine: no attempt is counted, work waits until there is room.
- `SnapshotDamaged` is about the past: what was stored is no longer what was taken.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

DamageCause = Literal["digest", "checkout", "diff", "missing"]

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
# The last are git's own words, for a write that came out short.
_NO_ROOM_TEXTS = (*(os.strerror(number) for number in sorted(_NO_ROOM)), "Out of diskspace")


class SnapshotError(Exception):
    """This job's snapshot cannot be taken. `cause` is a short stable word, `detail` a sentence for a person."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail


class SnapshotUnreadable(SnapshotError):
    """A file or folder that belongs into the snapshot cannot be read. `path` is relative to the repository."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__("unreadable", f"{path}: {why}. Next: let learnd's user read it, or list it in .gitignore")
        self.path = path


class GitFailed(SnapshotError):
    """git refused in learnd's own repository; `stderr` is what it said."""

    def __init__(self, verb: str, status: int, stderr: str) -> None:
        said = stderr.strip()[-2000:] or "no message"
        super().__init__("git", f"git {verb} ended with {status}: {said}")
        self.stderr = stderr


class DiskFull(Exception):
    """No room, or no quota, left where learnd writes. The message names the file system's own words."""


class PatchDoesNotApply(Exception):
    """A patch does not fit a tree; the message is git's."""


class SnapshotDamaged(Exception):
    """What was stored no longer holds: `digest` (tarball), `checkout` (tree), `diff`, or something is `missing`."""

    def __init__(self, cause: DamageCause, expected: str, found: str) -> None:
        super().__init__(f"{cause} does not hold: expected {expected}, found {found}")
        self.cause: DamageCause = cause
        self.expected = expected
        self.found = found


def says_disk_full(stderr: str) -> bool:
    """Did a git that failed run out of room? (git runs under LC_ALL=C, as `os.strerror` does here.)"""
    return any(text in stderr for text in _NO_ROOM_TEXTS)


@contextmanager
def disk_faults() -> Iterator[None]:
    """Turn an OSError that means "no room" into DiskFull; every other one passes unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFull(f"{error.strerror}: {error.filename or 'learnd state directory'}") from error
        raise


def shown(path: bytes) -> str:
    """A repository's path as text that can stand in JSON: bytes that are not UTF-8 become `\\xNN`."""
    return path.decode("utf-8", "backslashreplace")
