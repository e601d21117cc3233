"""Files that are there whole or not at all, and their digests."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from events.values import FileRef


def write_atomically(path: Path, data: bytes | str, mode: int = 0o644) -> FileRef:
    """Write `path` so that a reader, or a crash, sees the old bytes or the new ones, never a part.

    Makes the parent folders. Follows no link at `path`: the rename replaces it.
    """
    content = data.encode() if isinstance(data, str) else data
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return FileRef(path=str(path), sha256=hashlib.sha256(content).hexdigest())


def sync_folder(folder: Path) -> None:
    """Make renames and unlinks in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_ref(path: Path) -> FileRef:
    """The reference to a file as it is now. Raises OSError."""
    with path.open("rb") as file:
        return FileRef(path=str(path), sha256=hashlib.file_digest(file, "sha256").hexdigest())
