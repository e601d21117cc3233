"""How much room learnd takes, and what takes it: what `du` would say, by what it is for.

Looking is bounded: after `most` entries of folders the rest is left uncounted, and the answer says so. Of tarballs the
log knows every path, so no repository is walked.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from learnd.locate import NAME
from learnd.views.queries import Views
from learnd.work_folders import MEMORY, work_roots

MOST = 20_000
"""Entries that a verb looks at which must answer at once, and as many tarballs: some 80 ms each."""

_TARBALLS = "SELECT repo_id, tarball, tarball_copy FROM jobs WHERE tree IS NOT NULL AND freed_bytes IS NULL"
_FREED = "SELECT count(*), coalesce(sum(freed_bytes), 0) FROM jobs WHERE freed_bytes IS NOT NULL"
_BLOCK = 512  # what st_blocks counts, whatever the file system


@dataclass(frozen=True, slots=True)
class RepositoryRoom:
    """Bytes that one repository's snapshots take: learnd's store of them, and the tarballs."""

    id: str
    path: str | None
    store: int
    tarballs: int

    @property
    def total(self) -> int:
        return self.store + self.tarballs


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes by what they are for. `log` has its write-ahead log in it; `complete` is false when not all was counted."""

    log: int
    repositories: tuple[RepositoryRoom, ...]
    work: int
    quarantine: int
    texts: int
    backups: int
    other: int
    free: int
    pruned: int
    freed: int
    complete: bool

    @property
    def snapshots(self) -> int:
        return sum(room.total for room in self.repositories)

    @property
    def total(self) -> int:
        return self.log + self.snapshots + self.work + self.quarantine + self.texts + self.backups + self.other


def measure(state_dir: Path, views: Views, most: int | None = MOST) -> Room:
    """The room that the state in `state_dir` and its jobs' tarballs take; `most` of each are looked at, or all."""
    walk, beside = _Walk(most), _Walk(most)
    parts = dict.fromkeys(("log", "work", "quarantine", "texts", "backups", "other"), 0)
    for entry in _entries(state_dir):
        part = _part(entry.name)
        if part is not None:
            parts[part] += walk.below(entry)
    parts["work"] += walk.folders(_work_in_memory(state_dir))
    tarballs = _tarballs(views, beside)
    stores = {entry.name: walk.below(entry) for entry in _entries(state_dir / "repositories")}
    ((pruned, freed),) = views.rows(_FREED)
    paths = {str(i): str(path) for i, path in views.rows("SELECT id, path FROM repositories")}
    rooms = (
        RepositoryRoom(repo_id, paths.get(repo_id), stores.get(repo_id, 0), tarballs.get(repo_id, 0))
        for repo_id in {**stores, **tarballs}
    )
    return Room(
        **parts,
        repositories=tuple(sorted((room for room in rooms if room.total), key=lambda room: -room.total)),
        free=shutil.disk_usage(state_dir).free,
        pruned=int(str(pruned)),
        freed=int(str(freed)),
        complete=not (walk.cut_short or beside.cut_short),
    )


class _Walk:
    """Adds up what files occupy, until it has looked at enough."""

    def __init__(self, most: int | None) -> None:
        self._left = most
        self._seen: set[tuple[int, int]] = set()
        self.cut_short = False

    def file(self, path: str) -> int:
        """What one file occupies; 0 where there is none, and for one that was counted before."""
        try:
            found = os.lstat(path)
        except OSError:
            return 0
        return 0 if self._enough() or self._known(found) else found.st_blocks * _BLOCK

    def below(self, entry: os.DirEntry[str]) -> int:
        """What an entry occupies, with all below it when it is a folder."""
        size = self.file(entry.path)
        return size + self.folders([entry.path]) if entry.is_dir(follow_symlinks=False) else size

    def folders(self, paths: Iterable[str]) -> int:
        """What lies in folders, at any depth. What vanishes meanwhile, or may not be looked at, counts nothing."""
        size = 0
        waiting = list(paths)
        while waiting and not self.cut_short:
            for entry in _entries(Path(waiting.pop())):
                size += self.file(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
        return size

    def _enough(self) -> bool:
        if self._left is not None:
            self._left -= 1
            self.cut_short = self._left < 0
        return self.cut_short

    def _known(self, found: os.stat_result) -> bool:
        """Whether a file with several names was counted under another."""
        if found.st_nlink < 2 or stat.S_ISDIR(found.st_mode):
            return False
        key = (found.st_dev, found.st_ino)
        known = key in self._seen
        self._seen.add(key)
        return known


def _part(name: str) -> str | None:
    """What an entry of the state folder is for; None for the snapshot stores, which are told apart."""
    if name in {NAME, f"{NAME}-wal", f"{NAME}-shm"}:
        return "log"
    if name.startswith("events.v") or name == "set-aside":
        return "backups"  # what a migration and a restore left beside
    words = {"work": "work", "quarantine": "quarantine", "repositories": None}
    texts = dict.fromkeys(("drafts", "evidence", "scenarios"), "texts")
    return {**words, **texts}.get(name, "other")


def _tarballs(views: Views, walk: _Walk) -> dict[str, int]:
    """Bytes of tarballs and their copies by repository; a copy that is shared counts once."""
    sizes: dict[str, int] = {}
    counted: set[object] = set()
    for repo_id, *paths in views.rows(_TARBALLS):
        for path in paths:
            if path is not None and path not in counted:
                counted.add(path)
                sizes[str(repo_id)] = sizes.get(str(repo_id), 0) + walk.file(str(path))
    return sizes


def _work_in_memory(state_dir: Path) -> list[str]:
    """Where trees of replays stand in memory. Those in an operator's own folder are not looked for."""
    return [str(root) for root in work_roots(state_dir / "work", None) if root.is_relative_to(MEMORY)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []
