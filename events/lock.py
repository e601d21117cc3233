"""The log's lock: whoever holds it writes.

A flock on `<log>.lock` beside the log. The kernel releases it when the holder dies, however it dies, and
programs that the holder starts do not inherit it. The file holds the holder's pid, for the message only; it
is never removed, for removing it would let two holders in.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from events.database import LogUnusable, make_private_folder, require_local_file_system


class LogLocked(Exception):
    """Another process writes this log. `pid` is its id, None when it has not said yet."""

    def __init__(self, log: Path, pid: int | None) -> None:
        holder = "another process" if pid is None else f"process {pid}"
        super().__init__(
            f"{log} is locked by {holder}: one learnd writes a log at a time. Next: let it work, or stop it"
        )
        self.log = log
        self.pid = pid


class LogLock:
    """The right to write the log at `path`. Also a context manager."""

    def __init__(self, path: Path) -> None:
        # Two names of one log must meet at one lock.
        self._log = path.resolve()
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock or raise LogLocked at once; never waits for the holder.

        Raises LogUnusable where the log's folder is on a network file system, where locks do not hold.
        """
        require_local_file_system(self._log)
        make_private_folder(self._log.parent)
        file = self._log.with_name(self._log.name + ".lock")
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            step = "Next: run as the user whose log it is, or mend the rights of its folder"
            raise LogUnusable(f"the log's lock {file} cannot be opened: {error.strerror}. {step}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _holder(descriptor)
            os.close(descriptor)
            raise LogLocked(self._log, pid) from None
        with suppress(OSError):  # the pid is for a message: on a full disk the lock holds without it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the lock go; nothing happens when it is not held."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            # Unlocked by name, not only by closing: a forked copy of the descriptor would keep the lock.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _holder(descriptor: int) -> int | None:
    """The pid in the lock file. A holder writes it just after taking the lock: wait for it a moment."""
    for _ in range(20):
        text = os.pread(descriptor, 32, 0)
        if text.endswith(b"\n") and text[:-1].isdigit():
            return int(text)
        time.sleep(0.01)
    return None
