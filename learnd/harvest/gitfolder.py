"""The user's git folder, read as files: where it is, its HEAD, refs and reflog.

No git runs here, so nothing the user's configuration names can run. What is read is small, regular and bounded: a
pipe planted as `HEAD` cannot hold learnd up. Refs kept as reftable are refused with a clear message, not misread.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

_SMALL = 1 << 16
_PACKED_REFS_MAX = 256 << 20
_REFLOG_MAX = 8 << 20
_REF_DEPTH = 5
_OBJECT_ID = re.compile(rb"(?:[0-9a-f]{64}|[0-9a-f]{40})")
_REFLOG_LINE = re.compile(
    rb"(?P<old>[0-9a-f]{40,64}) (?P<new>[0-9a-f]{40,64}) [^\n]*?> (?P<at>\d{1,12}) [+-]\d{4}(?:\t(?P<message>[^\n]*))?$"
)
_PER_WORK_TREE = (b"refs/bisect/", b"refs/worktree/", b"refs/rewritten/")
_SECTION = re.compile(r"\s*\[\s*([A-Za-z0-9.-]+)\s*\]\s*")


class NotARepository(Exception):
    """There is no git work tree that learnd can work with; the message says why and what to do."""


@dataclass(frozen=True)
class GitFolder:
    """A work tree and the folders of its git data; `common_dir` is shared by linked work trees."""

    work_tree: Path
    git_dir: Path
    common_dir: Path

    @property
    def objects(self) -> Path:
        return self.common_dir / "objects"


@dataclass(frozen=True)
class Move:
    """One line of HEAD's reflog: HEAD went from `old` to `new` at `at` (seconds since 1970)."""

    old: str
    new: str
    at: int
    message: str


def find(path: Path) -> GitFolder:
    """The work tree that `path` is in. Raises NotARepository: no git folder, a bare repository, reftable refs."""
    try:
        return _find(path)
    except OSError as error:
        raise NotARepository(f"{error.filename or path} cannot be looked into: {error.strerror}") from error


def _find(path: Path) -> GitFolder:
    start = Path(os.path.realpath(path))
    if not start.is_dir():
        raise NotARepository(f"{path} is not a folder. Next: name the folder of a git work tree")
    for folder in (start, *start.parents):
        found = at_root(folder)
        if found is not None:
            if _setting(found, "extensions", "refstorage") == "reftable":
                raise NotARepository(
                    f"{folder} keeps its refs as reftable, which learnd does not read. "
                    "Next: git refs migrate --ref-format=files"
                )
            _refuse_borrowed_folder(found)
            return found
        if _is_git_dir(folder):
            raise NotARepository(f"{folder} is a bare repository or the inside of a git folder: nothing runs there")
    raise NotARepository(f"{path} is not in a git work tree. Next: git init, or name another folder")


def _refuse_borrowed_folder(folder: GitFolder) -> None:
    """A root daemon reads everything: a `.git` file must not lead it into another user's repository (as git's own
    `safe.directory`)."""
    if os.geteuid() != 0:
        return
    owner = folder.work_tree.stat().st_uid
    for part in (folder.git_dir, folder.common_dir):
        if part.stat().st_uid != owner:
            raise NotARepository(
                f"{folder.work_tree} belongs to uid {owner}, its git folder {part} to uid {part.stat().st_uid}. "
                "Next: chown one of them, or run learnd as that user"
            )


def at_root(work_tree: Path) -> GitFolder | None:
    """The git folder of the work tree whose root this is; None when it is no such root."""
    dot_git = work_tree / ".git"
    git_dir = dot_git
    if dot_git.is_file():
        content = read_small(dot_git)
        if content is None or not content.startswith(b"gitdir: "):
            return None
        git_dir = Path(os.path.realpath(work_tree / os.fsdecode(content[len(b"gitdir: ") :].rstrip(b"\n"))))
    common = read_small(git_dir / "commondir")
    common_dir = Path(os.path.realpath(git_dir / os.fsdecode(common.rstrip(b"\n")))) if common else git_dir
    if not _is_git_dir(common_dir):
        return None
    return GitFolder(work_tree, git_dir, common_dir)


def _is_git_dir(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


def read_small(path: Path, limit: int = _SMALL) -> bytes | None:
    """A regular file of at most `limit` bytes; None when it is missing, larger, or anything else."""
    file = _opened(path)
    if file is None:
        return None
    with file:
        return None if os.fstat(file.fileno()).st_size > limit else file.read(limit)


def _opened(path: Path) -> BufferedReader | None:
    """The regular file at `path`, links followed; None for anything else. Waits on nobody."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    return os.fdopen(handle, "rb")


def is_regular(path: Path) -> bool:
    """Is `path`, links followed, a file that can be copied without waiting on anyone?"""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def object_format(folder: GitFolder) -> str:
    """`sha1` or `sha256`, as the repository's objects are named."""
    return _setting(folder, "extensions", "objectformat") or "sha1"


def _setting(folder: GitFolder, section: str, name: str) -> str | None:
    """One plain value of the user's configuration, read as text: includes and quoting are not needed for these."""
    within = False
    value = None
    for line in (read_small(folder.common_dir / "config", _REFLOG_MAX) or b"").decode("utf-8", "replace").splitlines():
        heading = _SECTION.match(line)
        if heading:
            within = heading.group(1).lower() == section
            line = line[heading.end() :]  # noqa: PLW2901 - git allows `[section] name = value` on one line
        key, equals, text = line.partition("=")
        if within and equals and key.strip().lower() == name:
            value = text.strip().strip('"').lower()
    return value


def head(folder: GitFolder) -> str | None:
    """The commit HEAD stands on; None before the first commit, or when its ref cannot be read."""
    name = b"HEAD"
    for _ in range(_REF_DEPTH):
        content = _ref(folder, name)
        if content is None or not content.startswith(b"ref:"):
            return content.decode() if content is not None and _OBJECT_ID.fullmatch(content) else None
        name = content[4:].strip()
    return None


def ref(folder: GitFolder, name: str) -> str | None:
    """The object that `refs/…` names; None when there is no such ref, or it only points to another."""
    content = _ref(folder, os.fsencode(name))
    return content.decode() if content is not None and _OBJECT_ID.fullmatch(content) else None


def _ref(folder: GitFolder, name: bytes) -> bytes | None:
    if name != b"HEAD" and (not name.startswith(b"refs/") or b".." in name or b"\0" in name):
        return None
    own = name == b"HEAD" or name.startswith(_PER_WORK_TREE)
    loose = read_small((folder.git_dir if own else folder.common_dir) / os.fsdecode(name))
    if loose is not None:
        return loose.strip()
    packed = read_small(folder.common_dir / "packed-refs", _PACKED_REFS_MAX) or b""
    for line in packed.split(b"\n"):
        object_id, _, ref = line.partition(b" ")
        if ref == name:
            return object_id
    return None


def moves(folder: GitFolder) -> tuple[Move, ...]:
    """HEAD's reflog, oldest first; empty when there is none. Of a very long one the newest 8 MB count."""
    return tuple(_moves(folder.git_dir / "logs" / "HEAD"))


def _moves(log: Path) -> Iterator[Move]:
    file = _opened(log)
    if file is None:
        return
    with file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _REFLOG_MAX))
        lines = file.read(_REFLOG_MAX).split(b"\n")
    for line in lines:
        match = _REFLOG_LINE.match(line)
        if match:
            message = (match["message"] or b"").decode("utf-8", "replace")
            yield Move(match["old"].decode(), match["new"].decode(), int(match["at"]), message)


def head_at(folder: GitFolder, at: float) -> str | None:
    """The commit HEAD stood on at `at` (seconds since 1970), by the reflog; None when it does not reach back."""
    stood: str | None = None
    for move in moves(folder):
        if move.at > at:
            # The oldest line left tells what came before it, unless HEAD was born there.
            return stood or (move.old if move.old.strip("0") else None)
        stood = move.new
    return stood
