"""Files put where people look for them: a run's `learning/` folder, and the folder of tarball copies.

Both may lie in a repository that agents write. A path is resolved once, must then lie below its root, and is walked
without following links: a `learning` planted as a link out of the repository is refused, and a link that appears in
between is an error, not a detour.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from events.values import FileRef
from learnd.harvest.faults import SnapshotError, disk_faults
from learnd.manifest.inside import Folder, within


@contextmanager
def folder_in(root: Path, path: Path) -> Iterator[Folder]:
    """The folder `path` below `root`, made when missing.

    Raises SnapshotError (`link_refused`, `not_writable`), DiskFull.
    """
    top, real = os.path.realpath(root), os.path.realpath(path)
    if not within(real, top):
        raise SnapshotError(
            "link_refused", f"{path} leads out of {root} (to {real}); nothing was written. Next: remove the link"
        )
    with writable(path), Folder.open(top, real, create=True) as folder:
        yield folder


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into SnapshotError (`not_writable`), a full one into DiskFull."""
    try:
        with disk_faults():
            yield
    except OSError as error:
        raise SnapshotError("not_writable", f"{path}: {error.strerror or error}") from error


def put(root: Path, path: Path, data: bytes) -> FileRef:
    """Write `path` below `root`, whole or not at all. Raises SnapshotError, DiskFull."""
    with folder_in(root, path.parent) as folder:
        folder.replace(path.name, data)
    return FileRef(path=str(path), sha256=hashlib.sha256(data).hexdigest())


def put_file(root: Path, path: Path, source: Path) -> None:
    """Like `put`, with the content of `source`, which may be larger than memory."""
    with (
        source.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        folder_in(root, path.parent) as folder,
    ):
        folder.replace(path.name, content)  # type: ignore[arg-type] # it writes any buffer


def remove(root: Path, path: Path) -> int:
    """Remove the file `path` below `root`, following no link; returns its size in bytes, 0 when there is none."""
    top, real = os.path.realpath(root), os.path.realpath(path.parent)
    if not within(real, top):
        return 0
    try:
        with Folder.open(top, real) as folder:
            size = folder.stat(path.name).st_size
            folder.remove(path.name)
            return size
    except (FileNotFoundError, NotADirectoryError):
        return 0


def digest(path: Path) -> str | None:
    """The sha256 of a file's bytes; None when there is no such file to read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
