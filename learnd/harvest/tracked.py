"""Which files of a folder git tracks: in the index of the repository that the folder lies in, or in its HEAD.

Asked of a copy of the index in an empty repository of learnd's own that borrows the user's objects, so nothing that the
user's git folder configures can run, and nothing is written into it. The innermost repository counts: a folder may be
a submodule.

git writes files before the index that has them, and deletes them before the index that has them no more; it holds the
index's lock meanwhile. So an answer is worth something only about a folder that was listed while git was at rest:
`at_rest` before listing, `tracked` after it, which refuses when git was at work in between.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from learnd.harvest import gitfolder
from learnd.harvest.faults import disk_faults
from learnd.harvest.gitfolder import GitFolder
from learnd.harvest.plumbing import OwnRepository
from learnd.harvest.repository import shallow_commits


class GitAtWork(Exception):
    """git holds the index's lock, so nobody can say which files are tracked; the message says what to do."""


@dataclass(frozen=True)
class Rest:
    """git is at rest: no lock, and this index (its inode, size and times; None where there is none yet)."""

    folder: GitFolder
    index: tuple[int, int, int, int] | None


@dataclass(frozen=True)
class Tracked:
    """Names of files right in the folder: `committed` are in HEAD, `added` in the index alone."""

    committed: frozenset[str] = frozenset()
    added: frozenset[str] = frozenset()

    def __contains__(self, name: str) -> bool:
        return name in self.committed or name in self.added


def at_rest(folder: Path) -> Rest:
    """The repository that `folder` lies in. Raises GitAtWork, NotARepository."""
    found = gitfolder.find(folder)
    # The index first: one that comes after this look has its lock before.
    index = _index_of(found)
    lock = found.git_dir / "index.lock"
    if os.path.lexists(lock):
        raise GitAtWork(f"git is at work in {found.work_tree}. Next: if none runs there any more, delete {lock}")
    return Rest(found, index)


def still(folder: Path, rest: Rest) -> None:
    """Raises GitAtWork when git is at work, or was since `rest`; NotARepository."""
    if at_rest(folder) != rest:
        raise GitAtWork(f"git was at work in {rest.folder.work_tree} just now")


def tracked(folder: Path, rest: Rest) -> Tracked:
    """The tracked files of `folder`, not of those below it, as they are since `rest`.

    Raises GitAtWork, NotARepository, SnapshotError, DiskFull, OSError.
    """
    found = rest.folder
    inside = Path(os.path.realpath(folder)).relative_to(os.path.realpath(found.work_tree))
    with tempfile.TemporaryDirectory(prefix="learnd-tracked-") as place:
        own = OwnRepository(Path(place) / "own.git", found.objects)
        own.prepare(gitfolder.object_format(found), shallow_commits(found))
        index = Path(place) / "index"
        with disk_faults():
            _copy_index(found, index, own.git_dir)
        listed = own.run("ls-files", "-z", index=index, borrow=True) if index.exists() else b""
        # HEAD after the index: what a commit takes from one to the other in between is in this one by then.
        committed = _committed(own, gitfolder.head(found), inside)
    still(folder, rest)
    return Tracked(committed, _right_in(inside, listed.split(b"\0")[:-1]) - committed)


def _index_of(found: GitFolder) -> tuple[int, int, int, int] | None:
    try:
        seen = (found.git_dir / "index").stat()
    except OSError:
        return None
    return seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def _copy_index(found: GitFolder, index: Path, git_dir: Path) -> None:
    source = found.git_dir / "index"
    if gitfolder.is_regular(source):
        shutil.copy2(source, index)
    for shared in found.git_dir.glob("sharedindex.*"):
        if gitfolder.is_regular(shared):
            shutil.copy2(shared, git_dir / shared.name)


def _committed(own: OwnRepository, head: str | None, inside: Path) -> frozenset[str]:
    """Names in the commit's version of the folder; none where it has no such folder."""
    if head is None:
        return frozenset()
    folder = f"{head}:{'' if inside == Path() else inside.as_posix()}"
    status, kind, _ = own.attempt("cat-file", "-t", folder, borrow=True)
    if status != 0 or kind.strip() != b"tree":
        return frozenset()
    listed = own.run("ls-tree", "-z", "--name-only", folder, borrow=True)
    return frozenset(os.fsdecode(name) for name in listed.split(b"\0")[:-1])


def _right_in(inside: Path, paths: list[bytes]) -> frozenset[str]:
    start = b"" if inside == Path() else os.fsencode(inside.as_posix()) + b"/"
    rest = (path[len(start) :] for path in paths if path.startswith(start))
    return frozenset(os.fsdecode(name) for name in rest if b"/" not in name)
