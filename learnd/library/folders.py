"""A folder inside a repository that agents write to, held so that no link can lead out of it.

The way from the root is opened one component at a time without following links, and every operation works on
the open folder, not on a path that could be swapped in between. A link anywhere on the way is refused, also
one that stays inside the repository: `active -> staging` would show agents what nobody approved.

- A file appears whole or not at all (temporary file, fsync, link or rename, fsync of the folder).
- `create` never overwrites; `replace` replaces only the bytes that the caller has seen.
- Nothing but regular files is ever read, and nothing over `MAX_FILE`.
- What a root daemon writes belongs to the owner of the repository.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

MAX_FILE = 1_000_000
"""Bytes. No file that learnd wrote comes near; anything larger is somebody else's."""

_LEFTOVER = re.compile(r"\.[A-Za-z0-9][A-Za-z0-9._-]{0,39}\.[a-z0-9_]{8}\.part")
_REFUSED_BY_SYSTEM = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class FolderRefused(Exception):
    """learnd does not, or may not, work in this folder; the message says why and what to do."""

    def __init__(self, path: Path, reason: str, mend: str) -> None:
        super().__init__(f"{path}: {reason}. Next: {mend}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class NotText:
    """Something that stands under a name and cannot be a file of learnd's: a link, a folder, a device …"""

    reason: str


class Folder:
    """An open folder. Close it, or use it as a context."""

    def __init__(self, path: Path, handle: int, file_mode: int, owner: tuple[int, int] | None) -> None:
        self.path = path
        self._handle = handle
        self._file_mode = file_mode
        self._owner = owner

    @classmethod
    def at(cls, root: Path, *parts: str, create: bool = False, file_mode: int = 0o644) -> Self | None:
        """Open `root/parts…`; None when it is not there and `create` is false. `root` itself is never made.

        Raises FolderRefused for a missing root, a link or a file on the way, or missing rights.
        """
        handle = _open_root(root)
        path = root
        owner = _owner_to_give(handle)
        try:
            for part in parts:
                path = path / part
                below = _open_below(handle, part, path, create=create, owner=owner, private=not file_mode & 0o077)
                if below is None:
                    os.close(handle)
                    return None
                os.close(handle)
                handle = below
        except BaseException:
            os.close(handle)
            raise
        return cls(path, handle, file_mode, owner)

    @classmethod
    def require(cls, root: Path) -> Self:
        """Open `root` itself. Raises FolderRefused when it is not there."""
        handle = _open_root(root)
        return cls(root, handle, 0o644, _owner_to_give(handle))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._handle)

    def names(self) -> set[str]:
        """Names of everything in the folder."""
        return set(os.listdir(self._handle))  # noqa: PTH208 - pathlib has no listing of an open folder

    def read(self, name: str, limit: int = MAX_FILE) -> bytes | NotText | None:
        """The bytes of a regular file, None when nothing has that name, else what is in the way."""
        try:
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._handle)
        except FileNotFoundError:
            return None
        except OSError as error:
            return NotText("it is a link" if error.errno == errno.ELOOP else f"it cannot be opened ({error.strerror})")
        try:
            kind = os.fstat(handle).st_mode
            if not stat.S_ISREG(kind):
                return NotText("it is a folder" if stat.S_ISDIR(kind) else "it is not a regular file")
            with os.fdopen(handle, "rb", closefd=False) as file:
                content = file.read(limit + 1)
        finally:
            os.close(handle)
        return content if len(content) <= limit else NotText(f"it is larger than {limit:,} bytes")

    def read_link(self, name: str) -> str | None:
        """Where the link `name` leads, as it says; None for what is no link, and for a link to a folder."""
        try:
            target = os.readlink(name, dir_fd=self._handle)
        except OSError:
            return None
        try:
            leads_to = os.stat(name, dir_fd=self._handle).st_mode
        except OSError:
            return target  # it leads nowhere, or where learnd may not look
        return None if stat.S_ISDIR(leads_to) else target

    def remove_link(self, name: str, seen: str) -> bool:
        """Delete a link that still leads to `seen`; what it leads to is left. False when it does not."""
        if self.read_link(name) != seen:
            return False
        with _rights(self.path):
            os.unlink(name, dir_fd=self._handle)
        os.fsync(self._handle)
        return True

    def create(self, name: str, content: bytes, mode: int | None = None) -> bool:
        """Write a new file. False, and nothing changed, when the name is taken."""
        with self._temporary(name, content, self._file_mode if mode is None else mode) as temporary:
            try:
                os.link(temporary, name, src_dir_fd=self._handle, dst_dir_fd=self._handle, follow_symlinks=False)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_HARD_LINKS:
                    raise
                return self._create_without_link(temporary, name)
        os.fsync(self._handle)
        return True

    def replace(self, name: str, content: bytes, seen: bytes) -> bool:
        """Write over a file whose bytes still are `seen`; its mode stays. False when they are not."""
        if self.read(name) != seen:
            return False
        mode = stat.S_IMODE(os.stat(name, dir_fd=self._handle, follow_symlinks=False).st_mode)
        with self._temporary(name, content, mode) as temporary:
            os.rename(temporary, name, src_dir_fd=self._handle, dst_dir_fd=self._handle)
        os.fsync(self._handle)
        return True

    def remove(self, name: str, seen: bytes) -> bool:
        """Delete a file whose bytes still are `seen`. False when they are not."""
        if self.read(name, max(MAX_FILE, len(seen))) != seen:
            return False
        with _rights(self.path):
            os.unlink(name, dir_fd=self._handle)
        os.fsync(self._handle)
        return True

    def remove_folder(self, name: str) -> bool:
        """Delete an empty folder. False when it is not empty, or no folder."""
        with _rights(self.path):
            try:
                os.rmdir(name, dir_fd=self._handle)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.ENOENT):
                    return False
                raise
        os.fsync(self._handle)
        return True

    def sweep(self) -> None:
        """Delete temporary files that a crash left. Only the lock's holder may: nobody else is writing then."""
        for name in self.names():
            if _LEFTOVER.fullmatch(name) and not isinstance(self.read(name), NotText):
                with _rights(self.path):
                    os.unlink(name, dir_fd=self._handle)

    def _create_without_link(self, temporary: str, name: str) -> bool:
        # exFAT and some shared folders know no hard links. There a file that appears between the look and the
        # rename would be lost; the look itself still holds.
        if self.read(name) is not None:
            return False
        os.rename(temporary, name, src_dir_fd=self._handle, dst_dir_fd=self._handle)
        os.fsync(self._handle)
        return True

    @contextmanager
    def _temporary(self, name: str, content: bytes, mode: int) -> Iterator[str]:
        stem = name.lstrip(".")[:40]
        temporary = f".{stem}.{secrets.token_hex(4)}.part"
        with _rights(self.path):
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._handle)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                if self._owner is not None:
                    os.fchown(file.fileno(), *self._owner)
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            with _rights(self.path):
                yield temporary
        finally:
            with suppress(FileNotFoundError):  # it was renamed to its place
                os.unlink(temporary, dir_fd=self._handle)


def _open_root(root: Path) -> int:
    try:
        return os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FolderRefused(root, "there is no such folder", "restore it, or register its new place") from error
    except PermissionError as error:
        raise FolderRefused(root, "it may not be read", "give learnd's user access to it") from error


def _open_below(
    handle: int, part: str, path: Path, *, create: bool, owner: tuple[int, int] | None, private: bool
) -> int | None:
    if create:
        with _rights(path):
            try:
                os.mkdir(part, 0o700 if private else 0o755, dir_fd=handle)
            except FileExistsError:
                pass
            else:
                if owner is not None:
                    os.chown(part, *owner, dir_fd=handle, follow_symlinks=False)
                os.fsync(handle)
    try:
        return os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise FolderRefused(path, "it may not be read", "give learnd's user access to it") from error
    except OSError as error:
        # Linux answers ENOTDIR, not ELOOP, for a link when O_DIRECTORY is asked for as well.
        is_link = stat.S_ISLNK(os.stat(part, dir_fd=handle, follow_symlinks=False).st_mode)
        what = "it is a link, and learnd writes through none" if is_link else "it is not a folder"
        raise FolderRefused(path, what, "put a real folder in its place") from error


def _owner_to_give(handle: int) -> tuple[int, int] | None:
    """Whom new files belong to: the root's owner where learnd runs as root for somebody else."""
    root = os.fstat(handle)
    return (root.st_uid, root.st_gid) if os.geteuid() == 0 and root.st_uid != 0 else None


@contextmanager
def _rights(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSED_BY_SYSTEM:
            raise
        raise FolderRefused(
            path, f"it cannot be written ({error.strerror})", "make it writable for learnd's user"
        ) from error
