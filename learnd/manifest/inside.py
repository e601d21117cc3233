"""Files of a repository, opened so that nothing in the repository can lead learnd elsewhere.

Whoever may write a repository may plant links, pipes and races in it. Therefore:

- A path is resolved once, must lie in the repository after that, and is then walked folder by folder with
  `O_NOFOLLOW`: a link that appears in between is an error, not a detour.
- Only regular files are read (`O_NONBLOCK`: a pipe cannot hold learnd up), and never more than a stated size.
- A file is replaced by a temporary one in the same open folder: whole or not at all, owner and mode kept.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

Signature = tuple[int, int, int]
"""What changes when a file does: modification time in ns, size in bytes, inode."""


class OutsideRepository(Exception):
    """The path, or a link on it, leads out of the repository. The message is the reason."""


class NotAFile(Exception):
    """There is something other than a regular file (a folder, a pipe, a link). The message is the reason."""


class TooLarge(Exception):
    """The file is larger than the reader allows. The message names both sizes."""


@dataclass(frozen=True, slots=True)
class Located:
    """Where a path leads: `real` below `repo`, both resolved; `linked` when a link stood on the way."""

    repo: str
    real: str
    linked: bool


def locate(path: Path, repo: Path) -> Located:
    """Resolve `path` (absolute, or relative to `repo`). Raises OutsideRepository, FileNotFoundError, OSError."""
    try:
        root = os.path.realpath(repo)
        plain = os.path.normpath(repo.absolute() / path)
        given = os.path.normpath(repo.absolute())
        if within(plain, given):  # the way to the repository may lead over links; only those inside count
            plain = os.path.normpath(f"{root}/{os.path.relpath(plain, given)}")
        real = os.path.realpath(repo / path, strict=True)
        real.encode()
    except UnicodeEncodeError:
        raise OutsideRepository("its path is not UTF-8; rename the folder") from None
    except ValueError:
        raise OutsideRepository("its path holds a NUL character") from None
    if not within(real, root) and not within(plain, root):
        raise OutsideRepository(f"lies outside the repository ({real})")
    confine(real, root)
    return Located(root, real, real != plain)


def confine(real: str, root: str) -> None:
    """Raises OutsideRepository unless `real`, where a path of the repository leads, is a place for runs."""
    if not within(real, root):
        raise OutsideRepository(f"lies behind a link that leaves the repository ({real})")
    if ".git" in os.path.relpath(real, root).split("/"):
        raise OutsideRepository(f"lies inside .git ({real})")


def within(path: str, folder: str) -> bool:
    """Is `path` (normalised, absolute) `folder` or below it?"""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def signature_of(found: os.stat_result) -> Signature:
    """The part of a stat that tells a changed file from the same one."""
    return found.st_mtime_ns, found.st_size, found.st_ino


class Folder:
    """A folder of the repository, held open: what is done in it stays in it, whatever is renamed meanwhile."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    @classmethod
    def open(cls, repo: str, real: str, *, create: bool = False) -> Folder:
        """Open `real`, a resolved folder in the resolved `repo`, following no link. Raises OSError."""
        folder = cls(os.open(repo, _FOLDER))
        parts = [] if real == repo else os.path.relpath(real, repo).split("/")
        for part in parts:
            try:
                inner = folder.enter(part, create=create)
            finally:
                folder.close()
            folder = inner
        return folder

    def enter(self, name: str, *, create: bool = False) -> Folder:
        """The folder `name` in this one. Raises OSError: missing (unless `create`), a link, not a folder."""
        if create:
            try:
                os.mkdir(name, dir_fd=self._handle)
            except FileExistsError:
                pass
            else:
                self._give_to_owner(name)
        return Folder(os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=self._handle))

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._handle)

    def names(self) -> list[str]:
        """The names in this folder, sorted."""
        return sorted(os.listdir(self._handle))  # noqa: PTH208 - by handle

    def stat(self, name: str) -> os.stat_result:
        """The stat of `name` itself, links not followed. Raises OSError."""
        return os.stat(name, dir_fd=self._handle, follow_symlinks=False)

    def open_file(self, name: str, flags: int = os.O_RDONLY) -> int:
        """A handle on the regular file `name`. Raises NotAFile, OSError."""
        found = self.stat(name)
        if not stat.S_ISREG(found.st_mode):
            raise NotAFile(f"{name} is {_kind(found.st_mode)}, not a regular file")
        handle = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644, dir_fd=self._handle)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise NotAFile(f"{name} is not a regular file")
        return handle

    def read(self, name: str, limit: int) -> tuple[bytes, os.stat_result]:
        """The whole file and its stat. Raises TooLarge before reading more than `limit` bytes, NotAFile, OSError."""
        with os.fdopen(self.open_file(name), "rb") as file:
            found = os.fstat(file.fileno())
            data = b"" if found.st_size > limit else file.read(limit + 1)
        if found.st_size > limit or len(data) > limit:
            size = max(found.st_size, len(data))
            raise TooLarge(f"{name} has {size:,} bytes; learnd reads at most {limit:,}")
        return data, found

    def replace(self, name: str, data: bytes, like: os.stat_result | None = None) -> None:
        """Put `data` at `name`, whole or not at all and durably; owner and mode as in `like`. Raises OSError."""
        self._sweep(name)
        temporary = f".{name}.{secrets.token_hex(6)}.part"
        handle = os.open(temporary, _NEW, 0o644, dir_fd=self._handle)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                self._dress(file.fileno(), like)
                os.fsync(file.fileno())
            os.rename(temporary, name, src_dir_fd=self._handle, dst_dir_fd=self._handle)
        except BaseException:
            self.remove(temporary)
            raise
        os.fsync(self._handle)

    def _sweep(self, name: str) -> None:
        """Remove what a crash left of earlier writes of `name`: whoever replaces a file is alone in doing so."""
        part = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{12}}\.part")
        for left in self.names():
            if part.fullmatch(left) and not stat.S_ISDIR(self.stat(left).st_mode):
                self.remove(left)

    def create(self, name: str, data: bytes) -> None:
        """A new file `name`. Raises FileExistsError when anything, a dangling link too, stands there; OSError."""
        with os.fdopen(os.open(name, _NEW, 0o644, dir_fd=self._handle), "wb") as file:
            file.write(data)
            self._dress(file.fileno(), None)

    def remove(self, name: str) -> None:
        """Remove `name` if it is there."""
        try:
            os.unlink(name, dir_fd=self._handle)
        except FileNotFoundError:
            return

    def _dress(self, handle: int, like: os.stat_result | None) -> None:
        """Give a new file the old one's mode and owner, so that its producer can still read it."""
        if like is not None:
            os.fchmod(handle, stat.S_IMODE(like.st_mode))
        owner = like or os.fstat(self._handle)
        if os.geteuid() == 0:
            os.fchown(handle, owner.st_uid, owner.st_gid)
        elif like is not None and like.st_uid != os.geteuid() and not like.st_mode & stat.S_IROTH:
            raise PermissionError(f"it is private to uid {like.st_uid}, which could not read it after the write")

    def _give_to_owner(self, name: str) -> None:
        """A folder that a root daemon makes belongs to whoever owns the folder around it."""
        if os.geteuid() == 0:
            owner = os.fstat(self._handle)
            os.chown(name, owner.st_uid, owner.st_gid, dir_fd=self._handle, follow_symlinks=False)


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def _kind(mode: int) -> str:
    names = {
        stat.S_IFDIR: "a folder",
        stat.S_IFLNK: "a link",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
    }
    return names.get(stat.S_IFMT(mode), "a device")
