"""The live tree as a git tree, exactly.

What belongs in it: every path of the user's index, ignored or not, as it is on disk, and every untracked path that the
repository's `.gitignore` files and `info/exclude` do not name. git says which paths those are, on a copy of the index;
learnd reads the files itself and hands the bytes to `git fast-import`, so no filter, line-ending or attribute applies.

- The index's own stat data is not believed: assume-unchanged and skip-worktree bits hide edits. learnd keeps stats of
  its own, in nanoseconds with change time, and believes one only if the file had been at rest before it was read.
- A path whose skip-worktree bit is set and that is absent is sparse, not deleted: it is kept from the index.
- After reading, everything is listed again; what changed is read again, three times at most. What never rests is kept
  as last read, with a note.
- Everything left out is said in a note.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from learnd.harvest import gitfolder
from learnd.harvest.faults import GitFailed, SnapshotUnreadable, disk_faults, shown
from learnd.harvest.gitfolder import GitFolder
from learnd.harvest.livetree import RUN_OUTPUT, LiveTree, Signature, holdable, signature, survey
from learnd.harvest.plumbing import OwnRepository
from learnd.harvest.statcache import StatCache

_ROUNDS = 3
_CHUNK = 1 << 20
_EXCLUDE_MAX = 1 << 20
_NOTES_EACH = 20
"""Paths named of each kind of note; the rest are counted."""

FILE, EXECUTABLE, LINK, GITLINK = "100644", "100755", "120000", "160000"
Entry = tuple[str, str]
"""Mode and object id, as a tree holds them."""
Read = tuple[Entry, Signature]
"""An entry, and the signature its file had while it was read."""


@dataclass(frozen=True)
class TreeTaken:
    """A capture. `notes` tells what was left out or taken in an unusual way, one sentence each.

    `converted` are files that the user's git holds to be unmodified although their bytes on disk are not those of the
    commit (line endings, LFS and other filters): path -> (committed object, entry on disk). `unavailable` are sparse
    paths whose content a partial clone never fetched.
    """

    tree: str
    notes: tuple[str, ...] = ()
    converted: Mapping[bytes, tuple[str, Entry]] = field(default_factory=dict)
    unavailable: frozenset[bytes] = frozenset()


@dataclass(frozen=True)
class Tracked:
    """A path of the user's index. `hidden`: git was told not to look at it on disk; `sparse`: nor to keep it there."""

    mode: str
    object_id: str
    sparse: bool
    hidden: bool


@dataclass
class Listing:
    """What is on disk at one moment: `files` are read, `kept` come from the index or a nested repository's HEAD."""

    files: dict[bytes, Signature] = field(default_factory=dict)
    kept: dict[bytes, Entry] = field(default_factory=dict)
    notes: dict[str, set[bytes]] = field(default_factory=dict)

    def note(self, what: str, path: bytes) -> None:
        self.notes.setdefault(what, set()).add(path)


class Capture:
    """One capture of `folder`'s work tree into `own`; `home` holds the stat cache and temporary files."""

    def __init__(self, own: OwnRepository, folder: GitFolder, home: Path) -> None:
        self._own = own
        self._folder = folder
        self._home = home
        self._cache = StatCache(home / "stat-cache")
        top, state = os.fsencode(folder.work_tree), os.fsencode(os.path.realpath(home))
        self._left_out = state[len(top) + 1 :] if state.startswith(top + b"/") else None

    def take(self) -> TreeTaken:
        """Raises SnapshotError, SnapshotUnreadable, DiskFull."""
        with disk_faults(), tempfile.TemporaryDirectory(dir=self._home, prefix="capture-") as place:
            self._place = Path(place)
            self._cache.load()
            listing, entries, tracked = self._settle()
            unavailable = self._own.adopt(object_id for mode, object_id in listing.kept.values() if mode != GITLINK)
            absent = frozenset(path for path, (_, object_id) in listing.kept.items() if object_id in unavailable)
            for path in absent:
                listing.note("left out: sparse, and its content is not in this partial clone", path)
            entries |= {path: entry for path, entry in listing.kept.items() if path not in absent}
            tree = self._write_tree(entries)
            if tree is None:
                # The cache knew objects that retention has since removed.
                self._cache.forget()
                return self.take()
            self._cache.save()
            converted = self._converted(tracked, entries)
            return TreeTaken(tree, tuple(_sentences(listing.notes)), converted, absent)

    def _settle(self) -> tuple[Listing, dict[bytes, Entry], dict[bytes, Tracked]]:
        """List and read until nothing changed in between."""
        special, unlisted = self._survey()
        tracked, listing = self._list()
        entries: dict[bytes, Entry] = {}
        read: dict[bytes, Signature] = {}
        for _ in range(_ROUNDS):
            stale = [path for path, seen in listing.files.items() if read.get(path) != seen]
            known, unknown = self._look_up(stale, listing.files)
            imported = self._import(unknown, listing.files) if unknown else {}
            for path, (entry, seen) in (known | imported).items():
                entries[path], read[path] = entry, seen
            if not imported:
                break
            before = (listing.files, listing.kept)
            tracked, listing = self._list()
            if (listing.files, listing.kept) == before:
                break
        for path, seen in listing.files.items():
            if path not in entries:
                listing.note("left out: it came and went while the tree was captured", path)
            elif read[path] != seen:
                listing.note("changed while it was captured: kept as last read", path)
        for path in special:
            listing.note("left out: a pipe, socket or device", path)
        for path, why in unlisted:
            raise SnapshotUnreadable(shown(path) or ".", f"folder cannot be listed ({why})")
        self._refuse_collisions(listing)
        return listing, {path: entries[path] for path in listing.files if path in entries}, tracked

    def _survey(self) -> tuple[list[bytes], list[tuple[bytes, str]]]:
        skip = frozenset(RUN_OUTPUT) | (frozenset({self._left_out}) if self._left_out else frozenset())
        found = survey(self._folder.work_tree, skip)
        ignored = self._ignored([*found.special, *(path for path, _ in found.unlisted if path)])
        return (
            [path for path in found.special if path not in ignored],
            [(path, why) for path, why in found.unlisted if path not in ignored],
        )

    def _ignored(self, paths: list[bytes]) -> frozenset[bytes]:
        if not paths:
            return frozenset()
        self._copy_exclude()
        # "./": a name that begins with a colon would be read as pathspec magic.
        listing = b"\0".join(b"./" + path for path in paths)
        status, output, stderr = self._own.attempt(
            "-c", f"core.excludesFile={self._place / 'exclude'}", "check-ignore", "--no-index", "-z", "--stdin",
            stdin=listing, work_tree=self._folder.work_tree,
        )  # fmt: skip
        if status not in (0, 1):
            raise GitFailed("check-ignore", status, stderr)
        return frozenset(path[2:] for path in output.split(b"\0"))

    # --- listing ------------------------------------------------------------------------------------

    def _list(self) -> tuple[dict[bytes, Tracked], Listing]:
        index = self._copy_index()
        self._copy_exclude()
        tracked = self._tracked(index)
        listing = Listing()
        with LiveTree(self._folder.work_tree) as live:
            for path in sorted({*tracked, *self._untracked(index)}):
                self._place_path(live, path, tracked.get(path), listing)
        return tracked, listing

    def _copy_index(self) -> Path:
        """A copy with its time kept: git tells by it which entries were too young to be believed."""
        copy = self._place / "index"
        copy.unlink(missing_ok=True)
        source = self._folder.git_dir / "index"
        if gitfolder.is_regular(source):
            shutil.copy2(source, copy)
        for shared in self._folder.git_dir.glob("sharedindex.*"):
            if gitfolder.is_regular(shared):
                shutil.copy2(shared, self._own.git_dir / shared.name)
        return copy

    def _copy_exclude(self) -> None:
        exclude = gitfolder.read_small(self._folder.common_dir / "info" / "exclude", _EXCLUDE_MAX) or b""
        (self._place / "exclude").write_bytes(exclude)

    def _tracked(self, index: Path) -> dict[bytes, Tracked]:
        output = self._own.run("ls-files", "-z", "-s", "-v", index=index, borrow=True)
        tracked: dict[bytes, Tracked] = {}
        for line in output.split(b"\0")[:-1]:
            facts, _, path = line.partition(b"\t")
            tag, mode, object_id, stage = facts.decode().split(" ")
            # -v: lower case is assume-unchanged, S is skip-worktree. A conflicted path has no one version: hidden too.
            hidden = tag.islower() or tag in "Ss" or stage != "0"
            tracked[path] = Tracked(mode, object_id, tag in "Ss", hidden)
        return tracked

    def _untracked(self, index: Path) -> list[bytes]:
        output = self._own.run(
            "ls-files", "-z", "-o", "--exclude-per-directory=.gitignore", f"--exclude-from={self._place / 'exclude'}",
            *(f"--exclude=/{os.fsdecode(name)}/" for name in RUN_OUTPUT),
            index=index, work_tree=self._folder.work_tree,
        )  # fmt: skip
        return output.split(b"\0")[:-1]

    def _place_path(self, live: LiveTree, listed: bytes, tracked: Tracked | None, listing: Listing) -> None:
        path = listed.rstrip(b"/")
        if self._left_out is not None and (path + b"/").startswith(self._left_out + b"/"):
            return
        found = live.stat(path)
        if found is None:
            if tracked is not None and tracked.sparse:
                listing.kept[path] = (tracked.mode, tracked.object_id)
        elif not holdable(path, stat.S_ISLNK(found.st_mode)):
            listing.note("left out: a name that git cannot hold", path)
        elif stat.S_ISDIR(found.st_mode):
            if listed.endswith(b"/") or (tracked is not None and tracked.mode == GITLINK):
                self._place_nested(path, tracked, listing)
        elif stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode):
            listing.files[path] = signature(found)
        else:
            listing.note("left out: a pipe, socket or device", path)

    def _place_nested(self, path: bytes, tracked: Tracked | None, listing: Listing) -> None:
        """A repository inside the repository: its commit is kept, as git does; its files are its own."""
        nested = gitfolder.at_root(self._folder.work_tree / os.fsdecode(path))
        commit = gitfolder.head(nested) if nested is not None else None
        if commit is None and tracked is not None and tracked.mode == GITLINK:
            commit = tracked.object_id
        if commit is None:
            listing.note("left out: a repository of its own without a commit", path)
            return
        if len(commit) != len(self._own.empty_tree):
            listing.note("left out: a repository of its own with another object format", path)
            return
        listing.kept[path] = (GITLINK, commit)
        if nested is not None:
            listing.note("a repository of its own: only its commit is kept", path)

    def _refuse_collisions(self, listing: Listing) -> None:
        """What is kept without being on disk gives way to what is there: a tree holds a path once."""
        folders = {parent for path in (*listing.files, *listing.kept) for parent in _parents(path)}
        for path in list(listing.kept):
            if path in folders or any(parent in listing.files for parent in _parents(path)):
                del listing.kept[path]
                listing.note("left out: something else stands in its place", path)

    # --- reading ------------------------------------------------------------------------------------

    def _look_up(self, paths: list[bytes], seen: Mapping[bytes, Signature]) -> tuple[dict[bytes, Read], list[bytes]]:
        """What the cache knows of `paths`, and those that must be read."""
        known = {path: object_id for path in paths if (object_id := self._cache.get(path, seen[path]))}
        entries = {path: ((_mode(seen[path]), object_id), seen[path]) for path, object_id in known.items()}
        return entries, [path for path in paths if path not in known]

    def _import(self, paths: list[bytes], seen: Mapping[bytes, Signature]) -> dict[bytes, Read]:
        """Read `paths` into the store. A file that is gone by then is missing from the answer."""
        marks = self._place / "marks"
        marks.unlink(missing_ok=True)
        under: list[tuple[bytes, Signature, int]] = []
        importing = ("fast-import", "--quiet", "--done", "--depth=0", f"--export-marks={marks}")
        with LiveTree(self._folder.work_tree) as live, self._own.feeding(*importing) as sink:
            for path in paths:
                at = time.time_ns()
                read = self._feed(live, path, seen[path], len(under) + 1, sink.write)
                if read is not None:
                    under.append((path, read, at))
            sink.write(b"done\n")
        result: dict[bytes, Read] = {}
        object_ids = dict(line.split() for line in marks.read_text().splitlines()) if under else {}
        for number, (path, read, at) in enumerate(under, start=1):
            object_id = object_ids[f":{number}"]
            result[path] = ((_mode(read), object_id), read)
            self._cache.put(path, read, object_id, at)
        return result

    def _feed(
        self, live: LiveTree, path: bytes, seen: Signature, mark: int, write: Callable[[bytes], object]
    ) -> Signature | None:
        """Stream one file or link as a blob; the signature it was read under, None when it is gone."""
        if stat.S_ISLNK(seen[0]):
            target = live.link(path)
            if target is None:
                return None
            write(b"blob\nmark :%d\ndata %d\n%s\n" % (mark, len(target), target))
            return seen
        with live.open(path) as handle:
            if handle is None:
                return None
            before = os.fstat(handle)
            write(b"blob\nmark :%d\ndata %d\n" % (mark, before.st_size))
            left = before.st_size
            while left:
                chunk = os.read(handle, min(left, _CHUNK))
                if not chunk:
                    # It shrank under the reader. The announced length must come; the next round reads it again.
                    chunk = b"\0" * min(left, _CHUNK)
                write(chunk)
                left -= len(chunk)
            write(b"\n")
            after = signature(os.fstat(handle))
        return signature(before) if after == signature(before) else (0, 0, 0, 0, 0, 0)

    # --- writing ------------------------------------------------------------------------------------

    def _write_tree(self, entries: Mapping[bytes, Entry]) -> str | None:
        """The tree of `entries`; None when an object is missing from learnd's own store."""
        index = self._place / "new-index"
        index.unlink(missing_ok=True)
        listing = b"".join(b"%s %s\t%s\0" % (m.encode(), o.encode(), path) for path, (m, o) in entries.items())
        self._own.fill_index(index, listing)
        status, output, stderr = self._own.attempt("write-tree", index=index)
        if status == 0:
            return output.decode().strip()
        if self._cache.empty:
            raise GitFailed("write-tree", status, stderr)
        return None

    def _converted(
        self, tracked: Mapping[bytes, Tracked], entries: Mapping[bytes, Entry]
    ) -> dict[bytes, tuple[str, Entry]]:
        differing = [
            path
            for path, was in tracked.items()
            if not was.hidden and was.mode != GITLINK and path in entries and entries[path][1] != was.object_id
        ]
        if not differing:
            return {}
        output = self._own.run(
            "diff-files", "-z", "--name-only", "--ignore-submodules=all",
            index=self._place / "index", work_tree=self._folder.work_tree, borrow=True,
        )  # fmt: skip
        modified = frozenset(output.split(b"\0"))
        return {path: (tracked[path].object_id, entries[path]) for path in differing if path not in modified}


def _mode(seen: Signature) -> str:
    if stat.S_ISLNK(seen[0]):
        return LINK
    return EXECUTABLE if seen[0] & stat.S_IXUSR else FILE


def _parents(path: bytes) -> Iterator[bytes]:
    while (cut := path.rfind(b"/")) > 0:
        path = path[:cut]
        yield path


def _sentences(notes: Mapping[str, Iterable[bytes]]) -> Iterator[str]:
    for what, found in sorted(notes.items()):
        paths = sorted(found)
        named = ", ".join(shown(path) for path in paths[:_NOTES_EACH])
        more = f" and {len(paths) - _NOTES_EACH} more" if len(paths) > _NOTES_EACH else ""
        yield f"{what}: {named}{more}"
