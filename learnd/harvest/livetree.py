"""The live work tree, read so that nothing in it can lead learnd elsewhere or hold it up.

An agent may plant links, pipes and races. Every path is therefore opened folder by folder without following links, and
only regular files are opened for reading. A daemon that may read more than the agent copies nothing from outside the
repository into a snapshot, even when a folder becomes a link in the middle of a capture.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from learnd.harvest.faults import SnapshotError, SnapshotUnreadable, shown

RUN_OUTPUT = (b".runs", b"out", b"learning-snapshots")
"""Folders at the root whose untracked files are output of runs and never part of a snapshot."""

_READ_BY_GIT = {b".gitignore", b".gitattributes", b".gitmodules"}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Signature = tuple[int, int, int, int, int, int]
"""Mode, size, mtime and ctime in ns, inode, device: what no change to a file leaves all the same."""


def signature(found: os.stat_result) -> Signature:
    return (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)


class LiveTree:
    """The work tree at `root`, held open. Paths are bytes, relative to it."""

    def __init__(self, root: Path) -> None:
        # The root itself may be reached through a link: the operator named it.
        self._handles = [os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        self._parts: list[bytes] = []

    def __enter__(self) -> LiveTree:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        while self._handles:
            os.close(self._handles.pop())

    def stat(self, path: bytes) -> os.stat_result | None:
        """The stat of `path` itself; None when it is not there, or a folder on the way is a link or none."""
        try:
            parent, name = self._parent(path)
            return os.stat(name, dir_fd=parent, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise SnapshotUnreadable(shown(path), error.strerror or str(error)) from error

    def link(self, path: bytes) -> bytes | None:
        """What the link `path` says; None when it is no link any more."""
        try:
            parent, name = self._parent(path)
            return os.readlink(name, dir_fd=parent)
        except OSError:
            return None

    @contextmanager
    def open(self, path: bytes) -> Iterator[int | None]:
        """A handle on the regular file `path`; None when it is none any more. Raises SnapshotUnreadable."""
        try:
            parent, name = self._parent(path)
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        except PermissionError as error:
            raise SnapshotUnreadable(shown(path), error.strerror or str(error)) from error
        except OSError:
            yield None
            return
        try:
            yield handle if stat.S_ISREG(os.fstat(handle).st_mode) else None
        finally:
            os.close(handle)

    def _parent(self, path: bytes) -> tuple[int, bytes]:
        """The open folder that `path` lies in. Neighbours share it, so sorted paths are cheap. Raises OSError."""
        *folders, name = path.split(b"/")
        shared = 0
        while shared < min(len(folders), len(self._parts)) and folders[shared] == self._parts[shared]:
            shared += 1
        while len(self._parts) > shared:
            self._parts.pop()
            os.close(self._handles.pop())
        for folder in folders[shared:]:
            self._handles.append(os.open(folder, _FOLDER, dir_fd=self._handles[-1]))
            self._parts.append(folder)
        return self._handles[-1], name


@dataclass
class Survey:
    """What a walk found that git would pass over in silence: special files and folders that cannot be listed."""

    special: list[bytes] = field(default_factory=list)
    unlisted: list[tuple[bytes, str]] = field(default_factory=list)


def survey(root: Path, skip: frozenset[bytes]) -> Survey:
    """Walk the whole tree but `skip` (folders, relative) and git folders.

    Raises SnapshotError when a file that git itself opens, such as `.gitignore`, is a pipe: git would wait on it.
    """
    found = Survey()
    pending = [b""]
    top = os.fsencode(root)
    while pending:
        folder = pending.pop()
        try:
            entries = list(os.scandir(top + b"/" + folder))
        except FileNotFoundError:
            continue
        except OSError as error:
            found.unlisted.append((folder, error.strerror or str(error)))
            continue
        for entry in entries:
            path = folder + b"/" + entry.name if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if entry.name != b".git" and path not in skip:
                    pending.append(path)
            elif not entry.is_file(follow_symlinks=False) and not entry.is_symlink():
                if entry.name in _READ_BY_GIT:
                    raise SnapshotError("special_file", f"{shown(path)} is a pipe, socket or device. Next: remove it")
                found.special.append(path)
    return found


def holdable(path: bytes, is_link: bool) -> bool:
    """Can a git tree hold `path`? Names like `.GIT` it refuses everywhere, and a link named `.gitmodules`."""
    parts = path.lower().split(b"/")
    return b".git" not in parts and not (is_link and parts[-1] == b".gitmodules")
