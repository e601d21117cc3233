"""Restored trees: one fresh directory per replay, and nothing left behind.

Invariants:

- A directory is used by one replay and never again: what a replay wrote (byte code, caches, a `.git`) cannot reach the
  next, and a restore with the same sizes and times cannot run stale byte code.
- Everything of a job lies under `<root>/<job id>/`, so that after a crash whoever starts next can tell what belongs to
  no living job and sweep it.
- Deleting is done aside: a directory is renamed at once and removed by another thread (deleting between two restores
  made restoring many times slower), and closing the workspace waits for it.
- Roots in memory are taken only when they are ours: another user of the machine may have made a folder of that name.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from learnd.work_folders import MEMORY, work_roots

ROOM_FACTOR = 6
MEMORY_ROOM = 1 << 30
"""A tree goes into memory when that leaves room: six times its size, and a gigabyte at least. Replays write too."""

GONE = ".gone-"


class NoRoomForTrees(Exception):
    """No folder can take restored trees; the message names those tried and why."""


def choose_root(work_dir: Path, override: Path | None, tree_bytes: int) -> Path:
    """The first folder that is ours and has room for a tree of `tree_bytes`. Raises NoRoomForTrees."""
    refused: list[str] = []
    for root in work_roots(work_dir, override):
        try:
            _own(root)
            free = shutil.disk_usage(root).free
        except OSError as error:
            refused.append(f"{root}: {error}")
            continue
        # On a disk the last root is taken when the tree fits at all: there is nowhere else to go.
        wanted = max(ROOM_FACTOR * tree_bytes, MEMORY_ROOM) if root.is_relative_to(MEMORY) else tree_bytes
        if free > wanted:
            return root
        refused.append(f"{root}: {free >> 20} MB free, {wanted >> 20} MB wanted")
    raise NoRoomForTrees(f"no room to restore a tree ({'; '.join(refused)}). Next: free space, or set lab.work_dir")


def _own(root: Path) -> None:
    """Make `root`, or see that it is a folder of ours and no link. Others may pass through, not list."""
    root.mkdir(parents=True, exist_ok=True)
    found = root.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"is not a folder of user {os.geteuid()}")
    if os.statvfs(root).f_flag & os.ST_NOEXEC:
        raise PermissionError("is mounted noexec, where built extensions and scripts of a tree cannot run")
    if root.is_relative_to(MEMORY):
        root.chmod(0o711)


def sweep_work(root: Path, live_job_ids: Collection[str]) -> int:
    """Remove what no living job owns from `root`; returns how many folders went. A missing root is nothing to sweep."""
    try:
        _check = root.lstat()
        names = [entry.name for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return 0
    if _check.st_uid != os.geteuid():
        return 0
    doomed = [name for name in names if name not in live_job_ids]
    for name in doomed:
        remove_tree(root / name)
    return len(doomed)


def remove_tree(path: Path) -> None:
    """Remove a folder, even where a replay took away the right to look into it. A missing folder is removed already.

    Raises OSError when something cannot be removed.
    """
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except PermissionError:
        path.chmod(stat.S_IRWXU)
        for folder, names, _ in os.walk(path):  # from above: a folder is opened before it is walked into
            for name in names:
                inner = Path(folder, name)
                if not inner.is_symlink():
                    inner.chmod(stat.S_IRWXU)
        shutil.rmtree(path)


@dataclass(frozen=True)
class Place:
    """The folders of one replay on the host: the restored tree, and where reports are written."""

    folder: Path
    tree: Path
    report: Path


class Workspace:
    """The folders of one job's replays. Use as a context manager: leaving it removes everything and waits for that."""

    def __init__(self, root: Path, job_id: str) -> None:
        if not job_id or "/" in job_id or job_id.startswith("."):
            raise ValueError(f"job id {job_id!r} cannot name a folder")
        self.folder = root / job_id
        remove_tree(self.folder)  # what a crash of this very job left
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o711)
        self._aside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="learnd-trees")
        self._pending: list[Future[None]] = []

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._aside.shutdown(wait=True)
        remove_tree(self.folder)
        with suppress(OSError):  # other jobs are at work in it
            self.folder.parent.rmdir()
        if error is None:
            for done in self._pending:
                done.result()

    def fresh(self, restore: Callable[[Path], None]) -> Place:
        """A new place with a tree written by `restore(folder)`, which makes the folder itself."""
        folder = Path(tempfile.mkdtemp(prefix="replay-", dir=self.folder))
        folder.chmod(0o711)
        place = Place(folder, folder / "tree", folder / "report")
        restore(place.tree)
        place.report.mkdir()
        return place

    def discard(self, place: Place) -> None:
        """Give up a place: out of the way at once, removed by another thread."""
        gone = self.folder / f"{GONE}{place.folder.name}"
        place.folder.rename(gone)
        self._pending.append(self._aside.submit(remove_tree, gone))
