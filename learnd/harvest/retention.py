"""Retention's hands: what a snapshot occupies is given back, in one store.

Whoever calls this has decided what may go; the log keeps saying what it was. No work tree is needed: the user's
repository may be gone.

- Of a snapshot, its file in `records/` goes last: while it stands there, the removal is not finished, and doing it
  again finishes it.
- A tarball is removed only as the bytes that were recorded: something else in its place is somebody else's, or
  speaks of an incident.
- Objects that other references share stay, and so do objects younger than a day: a replay or a capture may be at work
  on trees that no reference names. They are due a day later, which `cleaning_due` tells.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from pydantic import ValidationError

from events.values import FileRef, SnapshotRecord
from learnd.harvest import gitfolder, places, usertag
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.plumbing import OwnRepository, checked
from learnd.harvest.store import locked, tag_ref

_DAY_S = 86_400
_CLEANED = "cleaned"
"""Its time is when the store was cleaned last; its absence says that something was removed since."""


class StoredSnapshots:
    """The snapshots in the store at `home`, on their way out.

    `trees` are all work trees that the repository is known to have had.
    """

    def __init__(self, home: Path, trees: Collection[Path]) -> None:
        self.home = home
        self._trees = trees
        self.git_dir = home / "store.git"
        self._own = OwnRepository(self.git_dir, self.git_dir / "objects")

    def records(self) -> Iterator[tuple[SnapshotRecord, float]]:
        """What was captured and is not removed yet, each with the time of its capture (seconds since 1970)."""
        folder = self.home / "records"
        for file in sorted(folder.glob("learning-snapshot-*.json")) if folder.is_dir() else ():
            try:
                yield SnapshotRecord.model_validate_json(file.read_bytes()), file.stat().st_mtime
            except (FileNotFoundError, ValidationError):
                continue  # removed meanwhile; or another version's, of which the log tells all that is needed

    def bytes_outside(self, record: SnapshotRecord, spared: Collection[str]) -> int:
        """Bytes that `remove_outside` gives back."""
        return sum(path.stat().st_size for _, path in self._files(record, spared))

    def bytes_of(self, record: SnapshotRecord, spared: Collection[str]) -> int:
        """Bytes that `remove` and a later `clean` give back. Raises SnapshotError."""
        files = self.bytes_outside(record, spared)
        tag = tag_ref(record.tag)
        if not self._own.run("for-each-ref", "--count=1", tag):
            return files
        others = ("--not", f"--exclude={tag}", "--all")
        objects = self._own.run("rev-list", "--disk-usage", "--objects-edge-aggressive", tag, *others)
        return files + int(objects.splitlines()[-1])  # edges stand before it

    def remove(self, record: SnapshotRecord, spared: Collection[str]) -> None:
        """Delete the snapshot's files, tags and record; twice is once. Its objects go with the next `clean`.

        Raises SnapshotError, DiskFull, as `remove_outside` does.
        """
        self.remove_outside(record, spared)
        (self.home / _CLEANED).unlink(missing_ok=True)
        with locked(self.home):
            self._own.run("update-ref", "-d", tag_ref(record.tag))
        (self.home / "records" / f"{record.tag}.json").unlink(missing_ok=True)

    def remove_outside(self, record: SnapshotRecord, spared: Collection[str]) -> None:
        """Delete what of the snapshot is not in the store: tarballs, and the tag in the user's repository.

        `spared` are paths that other snapshots need. Raises SnapshotError (`refs_locked`: another git is at work in the
        user's repository).
        """
        for root, path in self._files(record, spared):
            places.remove(root, path)
        for tree in self._trees:
            try:
                usertag.remove_tag(gitfolder.find(tree), record.tag)
            except NotARepository:
                continue  # it is gone, and its tags with it

    def _files(self, record: SnapshotRecord, spared: Collection[str]) -> Iterator[tuple[Path, Path]]:
        """The snapshot's tarballs that are there as recorded, each with the folder out of which no link may lead."""
        refs: list[FileRef] = [record.tarball, *([record.storage_copy] if record.storage_copy else [])]
        for ref in refs:
            path = Path(ref.path)
            if ref.path not in spared and places.digest(path) == ref.sha256:
                # In an operator's own folder there is no repository to be led out of: its task folder is the root.
                yield next((tree for tree in self._trees if path.is_relative_to(tree)), path.parent), path

    def let_go(self, needed: Collection[str]) -> int:
        """Drop trees held for runs in progress that nobody needs; those held for less than a day stay. Returns how
        many went.
        """
        held = self.git_dir / "refs/learnd/held"
        doomed = [
            ref.name
            for ref in (sorted(held.iterdir()) if held.is_dir() else ())
            if ref.name not in needed and ref.stat().st_mtime < time.time() - _DAY_S
        ]
        if doomed:
            (self.home / _CLEANED).unlink(missing_ok=True)
        for tree in doomed:
            with locked(self.home):
                self._own.run("update-ref", "-d", f"refs/learnd/held/{checked(tree)}")
        return len(doomed)

    def cleaning_due(self) -> bool:
        """Whether something was removed since the last `clean`, or there may be something to sweep a day later."""
        if not (self.git_dir / "objects").is_dir():
            return False
        try:
            age = time.time() - (self.home / _CLEANED).stat().st_mtime
        except FileNotFoundError:
            return True
        if 0 <= age < _DAY_S:
            return False
        packs = list((self.git_dir / "objects/pack").glob("*.pack"))
        loose = any((self.git_dir / "objects").glob("[0-9a-f][0-9a-f]/*"))
        return loose or len(packs) > 1

    def clean(self) -> None:
        """Give back what nothing refers to, and what killed captures left. Raises SnapshotError, DiskFull."""
        with locked(self.home):
            (self.home / "stat-cache").unlink(missing_ok=True)  # it may name objects that go now
            self._sweep()
            try:
                self._own.run("repack", "-A", "-d", "-q", "--unpack-unreachable=1.day.ago")
            finally:
                # On a full disk there is no room for a new pack; loose objects may make some.
                self._own.run("prune", "--expire=1.day.ago")
            (self.home / _CLEANED).touch()

    def _sweep(self) -> None:
        """Remove what killed captures left: only a capture under way may own something younger than a day."""
        limit = time.time() - _DAY_S
        for left in (*self.home.glob("capture-*"), *self.home.glob("index-*"), *self.home.glob("tarball-*")):
            if left.stat().st_mtime < limit:
                shutil.rmtree(left)
        for left in (*self.git_dir.glob("sharedindex.*"), *self.git_dir.glob("fast_import_crash_*")):
            left.unlink(missing_ok=True)

    def size(self) -> int:
        """Bytes of the stored objects, as git counts them."""
        told = dict(line.split(": ") for line in self._own.run("count-objects", "-v").decode().splitlines())
        return (int(told["size"]) + int(told["size-pack"])) * 1024
