"""The trees of one job, written out again and again: what was read from git once is not read twice.

A job restores few trees often (both sides, three to ten times each) and many that differ from those in a file or two
(a hunk reverted). So contents are kept in memory by their object id, and of a further tree only what differs from the
last one is asked for. What does not fit into `ROOM_BYTES` is checked out by git.

Invariants: what stands in the folder is what the tree says, content, executable bits and links, as `Trees.restore`
would write it; nothing is written outside of the folder: every file is made anew, links come after all files, and no
name of a tree that git itself would refuse gets that far.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from learnd.harvest.capture import EXECUTABLE, GITLINK, LINK
from learnd.harvest.faults import SnapshotError, disk_faults
from learnd.harvest.trees import TreeEntry, Trees, fresh

ROOM_BYTES = 256 << 20
"""Contents kept in memory, all trees of a job together."""

_NEVER = frozenset((b"", b".", b"..", b".git"))
Listing = Mapping[bytes, TreeEntry]


@dataclass
class Restorer:
    """Writes trees of `trees` into fresh folders. Replays side by side may share one.

    `owner` (uid, gid) is given what is written, which takes root; None leaves it with this process's user. Where there
    is no `room` for a tree's contents, it is not given away.
    """

    trees: Trees
    owner: tuple[int, int] | None = None
    room: int = ROOM_BYTES
    _last: tuple[str, Listing] | None = None
    _contents: dict[str, bytes] = field(default_factory=dict)
    _used: int = 0
    _reading: threading.Lock = field(default_factory=threading.Lock)

    def restore(self, tree: str, dest: Path) -> None:
        """As `Trees.restore`. Raises SnapshotError, GitFailed, DiskFull."""
        with self._reading:
            listing = self._listed(tree)
            contents = self._read(listing)
        if contents is None:
            self.trees.restore(tree, dest)
            return
        with disk_faults():
            fresh(dest)
            _Writer(os.fsencode(dest.resolve()), self.owner).write(listing, contents)

    def _listed(self, tree: str) -> Listing:
        """The files of a tree; where another is known already, by what differs from it."""
        if self._last is None:
            found: Listing = {os.fsencode(entry.path): entry for entry in self.trees.list_files(tree)}
        elif self._last[0] == tree:
            return self._last[1]
        else:
            known, listing = self._last
            changed = self.trees.changed_files(known, tree)
            kept = {path: entry for path, entry in listing.items() if path not in changed}
            found = kept | {path: entry for path, entry in changed.items() if entry is not None}
        for path in found:
            if not _NEVER.isdisjoint(path.split(b"/")):
                raise SnapshotError("bad_path", f"{os.fsdecode(path)[:200]!r} cannot be restored")
        self._last = tree, found
        return found

    def _read(self, listing: Listing) -> Mapping[str, bytes] | None:
        """The contents of a tree's files by object id; None where there is no room for them."""
        wanted = {
            entry.object_id: entry.size
            for entry in listing.values()
            if entry.mode != GITLINK and entry.object_id not in self._contents
        }
        if self._used + sum(wanted.values()) > self.room:
            return None
        self._contents |= self.trees.blobs(wanted)
        self._used += sum(wanted.values())
        return self._contents


class _Writer:
    """Writes files below `root`, an empty folder. Permissions are git's, whatever this process's umask is."""

    def __init__(self, root: bytes, owner: tuple[int, int] | None) -> None:
        self._root, self._owner = root, owner
        self._made = {root}
        self._exactly = bool(_umask() & ~0o022)

    def write(self, listing: Listing, contents: Mapping[str, bytes]) -> None:
        links: list[tuple[bytes, bytes]] = []
        for path, entry in listing.items():
            place = self._root + b"/" + path
            self._folder(place.rpartition(b"/")[0])
            if entry.mode == GITLINK:
                self._folder(place)
            elif entry.mode == LINK:
                links.append((contents[entry.object_id], place))
            else:
                self._file(place, contents[entry.object_id], 0o755 if entry.mode == EXECUTABLE else 0o644)
        for target, place in links:
            os.symlink(target, place)  # noqa: PTH211 - as below
            if self._owner:
                os.chown(place, *self._owner, follow_symlinks=False)
        if self._owner:  # last: by the top one sees whose all of it is
            os.chown(self._root, *self._owner)

    def _folder(self, folder: bytes) -> None:
        if folder in self._made:
            return
        self._folder(folder.rpartition(b"/")[0])
        os.mkdir(folder, 0o755)  # noqa: PTH102 - five thousand Path objects would take as long as the writing
        if self._exactly:
            os.chmod(folder, 0o755)  # noqa: PTH101, S103 - as above; it is what git gives a folder
        if self._owner:
            os.chown(folder, *self._owner)
        self._made.add(folder)

    def _file(self, place: bytes, content: bytes, mode: int) -> None:
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            if self._exactly:
                os.fchmod(handle, mode)
            if self._owner:
                os.fchown(handle, *self._owner)
            written = os.write(handle, content)
            while written < len(content):
                written += os.write(handle, content[written:])
        finally:
            os.close(handle)


def _umask() -> int:
    """This process's umask; os.umask would have to change it, for all threads."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 8) for line in lines if line.startswith("Umask:"))
