"""Files put where people look for them: a run's `learning/` folder, and the folder of tarball copies.

Both may lie in a repository that agents write. No link is followed on the way from the root to a file: a `learning`
planted as a link is refused wherever it leads (in the repository it could lead into `.git`, or over somebody's files),
and a link that appears in between is an error, not a detour. What is read again later must be a regular file (a pipe
would hold up whoever opens it), and is only believed with the digest it was recorded with.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
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
    if real != _plain(top, root, path):
        raise SnapshotError(
            "link_refused", f"{path} leads out of its place, to {real}; nothing was written. Next: remove the link"
        )
    with writable(path), Folder.open(top, real, create=True) as folder:
        yield folder


def _plain(top: str, root: Path, path: Path) -> str:
    """Where `path` leads when no link stands below `root`, whose real place is `top`."""
    plain, given = os.path.normpath(path), os.path.normpath(root)
    return os.path.normpath(f"{top}/{os.path.relpath(plain, given)}") if within(plain, given) else plain


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
    if real != _plain(top, root, path.parent) or not within(real, top):
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
        with _regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def recorded(ref: FileRef) -> bytes | None:
    """The bytes of a file as it was recorded; None when anything else stands there now."""
    try:
        with _regular(Path(ref.path)) as file:
            content = file.read()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == ref.sha256 else None


def _regular(path: Path) -> BufferedReader:
    """The regular file `path`, open for reading. Raises OSError for anything else, without waiting on anyone."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileNotFoundError(f"{path} is not a regular file")
    return os.fdopen(handle, "rb")
