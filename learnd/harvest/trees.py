"""git trees in a repository of learnd's own: read, compared, changed, written out.

- A diff and its application are exact inverses: whitespace, renames and algorithm are pinned, binary files whole.
- Trees are changed in a private index that is gone afterwards.
- What is written out is what the tree says: content, executable bits, links. git refuses to leave it.

Paths inside trees are text with odd bytes as surrogates (`os.fsdecode`), as everywhere in Python.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from learnd.harvest.capture import FILE, GITLINK, Entry
from learnd.harvest.faults import GitFailed, PatchDoesNotApply, SnapshotError, disk_faults
from learnd.harvest.plumbing import OwnRepository, checked
from learnd.harvest.rehash import Rehash

_DIFF = (
    "diff-tree", "-r", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color",
    "--diff-algorithm=myers", "--indent-heuristic", "--ignore-submodules=none",
)  # fmt: skip


_PATHS_AT_ONCE = 500
"""Paths in one command line."""


@dataclass(frozen=True)
class TreeEntry:
    """A file of a tree. `mode` is one of FILE, EXECUTABLE, LINK, GITLINK; `size` in bytes, 0 for a gitlink."""

    path: str
    mode: str
    object_id: str
    size: int


@dataclass(frozen=True)
class Numstat:
    """Lines a diff adds to and deletes from one path; a binary file counts none."""

    path: bytes
    insertions: int
    deletions: int


class Trees:
    """The trees of `own`. Temporary indexes are made in `home`."""

    def __init__(self, own: OwnRepository, home: Path) -> None:
        self._own = own
        self.home = home

    @property
    def empty_tree(self) -> str:
        """The tree without files, in this repository's object format."""
        return self._own.run("mktree").decode().strip()

    def has(self, object_id: str) -> bool:
        """Is the object in learnd's own store?"""
        return bool(self._own.present([object_id]))

    def intact(self, *trees: str) -> str | None:
        """Read and hash anew every object of `trees`: None when all hold, else the first that does not."""
        names: set[str] = set(trees)
        for tree in trees:
            status, output, stderr = self._own.attempt("ls-tree", "-r", "-t", "-z", "--full-tree", checked(tree))
            if status != 0:
                return stderr.strip()[-500:] or f"{tree} cannot be listed"
            facts = (line.split(b"\t", 1)[0].decode().split(" ") for line in output.split(b"\0")[:-1])
            names |= {object_id for _, kind, object_id in facts if kind != "commit"}
        sink = Rehash("sha1" if len(trees[0]) == 40 else "sha256")
        status, _, stderr = self._own.attempt(
            "cat-file", "--batch", "--buffer",
            stdin="".join(f"{name}\n" for name in sorted(names)).encode(), out=cast(BinaryIO, sink),
        )  # fmt: skip
        return sink.wrong or (None if status == 0 else stderr.strip()[-500:] or f"cat-file ended with {status}")

    def diff(self, base_tree: str, tree: str) -> bytes:
        """The change as a binary-safe patch with whole object ids. Renames are a deletion and an addition."""
        return self._own.run(*_DIFF, "-p", "--binary", "--full-index", checked(base_tree), checked(tree))

    def numstat(self, base_tree: str, tree: str) -> tuple[Numstat, ...]:
        """Added and deleted lines by path, in the order of the diff."""
        output = self._own.run(*_DIFF, "--numstat", "-z", checked(base_tree), checked(tree))
        lines = (line.split(b"\t", 2) for line in output.split(b"\0")[:-1])
        return tuple(
            Numstat(path, 0 if added == b"-" else int(added), 0 if gone == b"-" else int(gone))
            for added, gone, path in lines
        )

    def name_status(self, base_tree: str, tree: str) -> bytes:
        """One line a changed path, as `git status` people read: its letter, a tab, the quoted path."""
        return self._own.run(*_DIFF, "--name-status", checked(base_tree), checked(tree))

    def apply(self, base_tree: str, patch: bytes, *, reverse: bool = False) -> str:
        """The tree that `patch` makes of `base_tree`, whitespace kept to the letter. Raises PatchDoesNotApply."""
        if not patch.strip():
            return base_tree
        way = ("--reverse",) if reverse else ()
        with self._index() as index:
            self._own.run("read-tree", checked(base_tree), index=index)
            status, _, stderr = self._own.attempt(
                "apply", "--cached", "--binary", "--whitespace=nowarn", *way, "-", stdin=patch, index=index
            )
            if status != 0:
                raise PatchDoesNotApply(stderr.strip()[-2000:])
            return self._own.run("write-tree", index=index).decode().strip()

    def apply_merging(self, tree: str, patch: bytes, *, reverse: bool = False) -> str:
        """As `apply`, but for a tree that has moved on since: by a three-way merge with the files that the patch is of.

        Raises PatchDoesNotApply where both changed the same lines.
        """
        way = ("--reverse",) if reverse else ()
        with self._index() as index:
            self._own.run("read-tree", checked(tree), index=index)
            status, _, stderr = self._own.attempt(
                "apply", "--cached", "--3way", "--whitespace=nowarn", *way, "-", stdin=patch, index=index
            )
            if status != 0:
                raise PatchDoesNotApply(stderr.strip()[-2000:])
            return self._own.run("write-tree", index=index).decode().strip()

    def tree_with(self, tree: str, changes: Mapping[str, bytes | TreeEntry | None]) -> str:
        """`tree` with paths replaced: by an entry of another tree, new content (the mode stays), or None to remove."""
        present = self._entries(tree)
        wanted: dict[bytes, Entry | None] = {}
        for name, change in changes.items():
            path = os.fsencode(name)
            if isinstance(change, TreeEntry):
                wanted[path] = (change.mode, checked(change.object_id))
            elif change is None:
                wanted[path] = None
            else:
                blob = self._own.run("hash-object", "-w", "--stdin", stdin=change).decode().strip()
                wanted[path] = (present[path].mode if path in present else FILE, blob)
        return self._changed(tree, wanted)

    def _changed(self, tree: str, changes: Mapping[bytes, Entry | None]) -> str:
        absent = "0" * len(tree)
        # Removals first: a file may stand where a folder was.
        ordered = sorted(changes.items(), key=lambda item: item[1] is not None)
        listing = b"".join(
            b"%s %s\t%s\0" % (*(part.encode() for part in entry or ("0", absent)), path) for path, entry in ordered
        )
        with self._index() as index:
            self._own.run("read-tree", checked(tree), index=index)
            self._own.fill_index(index, listing)
            return self._own.run("write-tree", index=index).decode().strip()

    def list_files(self, tree: str) -> tuple[TreeEntry, ...]:
        """Every file of a tree, in git's order."""
        return tuple(self._entries(tree).values())

    def _entries(self, tree: str) -> dict[bytes, TreeEntry]:
        # Borrowing: a base is listed before what is missing of it is copied. Sizes of objects never fetched are "-".
        output = self._own.run("ls-tree", "-r", "-z", "--full-tree", checked(tree), borrow=True)
        rows = [line.partition(b"\t") for line in output.split(b"\0")[:-1]]
        facts = [head.decode().split(" ") for head, _, _ in rows]
        sizes = self._sizes(object_id for _, kind, object_id in facts if kind == "blob")
        return {
            path: TreeEntry(os.fsdecode(path), mode, object_id, sizes.get(object_id, 0))
            for (_, _, path), (mode, _, object_id) in zip(rows, facts, strict=True)
        }

    def _sizes(self, object_ids: Iterator[str]) -> dict[str, int]:
        listing = "".join(f"{object_id}\n" for object_id in sorted(set(object_ids))).encode()
        if not listing:
            return {}
        output = self._own.run(
            "cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=listing, borrow=True
        ).decode()
        return {name: int(size) for name, size in map(str.split, output.splitlines()) if size != "missing"}

    def object_ids(self, tree: str, paths: Collection[str]) -> dict[str, str | None]:
        """The git object at each of `paths`, None where there is none; also of a tree that is only the user's."""
        found: dict[str, str | None] = dict.fromkeys(paths)
        ordered = sorted(found)
        for start in range(0, len(ordered), _PATHS_AT_ONCE):
            some = ordered[start : start + _PATHS_AT_ONCE]
            argv = ("--literal-pathspecs", "ls-tree", "-z", "--full-tree", checked(tree), "--", *some)
            for line in self._own.run(*argv, borrow=True).split(b"\0")[:-1]:
                facts, _, path = line.partition(b"\t")
                if os.fsdecode(path) in found:
                    found[os.fsdecode(path)] = facts.decode().split(" ")[2]
        return found

    def read_file(self, tree: str, path: str) -> bytes | None:
        """The content of a file (of a link: where it points); None when there is none at `path`."""
        if not {"", ".", ".."}.isdisjoint(path.split("/")):
            return None
        output = self._own.run("--literal-pathspecs", "ls-tree", "-z", "--full-tree", checked(tree), "--", path)
        facts, _, found = output.rstrip(b"\0").partition(b"\t")
        if found != os.fsencode(path):
            return None
        _, kind, object_id = facts.decode().split(" ")
        return self._own.run("cat-file", "blob", object_id) if kind == "blob" else None

    def read_files(self, tree: str, paths: Collection[str], at_most: int) -> dict[str, bytes]:
        """The contents of many files at once, in the order of `paths`, until `at_most` bytes are read."""
        entries = self._entries(tree)
        wanted: dict[str, str] = {}
        for path in paths:
            entry = entries.get(os.fsencode(path))
            if entry is None or entry.mode == GITLINK:
                continue
            at_most -= entry.size
            if at_most < 0:
                break
            wanted[path] = entry.object_id
        if not wanted:
            return {}
        contents = self.blobs(wanted.values())
        return {path: contents[object_id] for path, object_id in wanted.items()}

    def blobs(self, object_ids: Iterable[str]) -> dict[str, bytes]:
        """The contents of many blobs of learnd's own, by object id. Raises GitFailed when one is gone."""
        wanted = dict.fromkeys(object_ids)
        if not wanted:
            return {}
        output = self._own.run(
            "cat-file", "--batch", "--buffer", stdin="".join(f"{name}\n" for name in wanted).encode()
        )
        found: dict[str, bytes] = {}
        at = 0
        for name in wanted:
            head = output.index(b"\n", at)
            facts = output[at:head].rsplit(b" ", 1)[-1]
            if facts == b"missing":
                raise GitFailed("cat-file", 0, f"{name} is gone")
            found[name] = output[head + 1 : head + 1 + int(facts)]
            at = head + int(facts) + 2
        return found

    def changed_files(self, known: str, tree: str) -> dict[bytes, TreeEntry | None]:
        """What `tree` has in other form than `known`, by path; None where it has nothing there."""
        output = self._own.run(*_DIFF, "--raw", "--no-abbrev", "-z", checked(known), checked(tree))
        parts = output.split(b"\0")[:-1]
        facts = {path: head.decode().split(" ") for head, path in zip(parts[::2], parts[1::2], strict=True)}
        sizes = self._sizes(new for _, mode, _, new, _ in facts.values() if mode not in (GITLINK, "000000"))
        return {
            path: None if kind == "D" else TreeEntry(os.fsdecode(path), mode, new, sizes.get(new, 0))
            for path, (_, mode, _, new, kind) in facts.items()
        }

    def restore(self, tree: str, dest: Path) -> None:
        """Write the tree's files into `dest`, a folder that is missing or empty: content, executable bits, links.

        There is no `.git` in it; a nested repository is an empty folder; nothing is written outside. Raises
        SnapshotError when `dest` holds anything, GitFailed when objects are gone, DiskFull.
        """
        with disk_faults():
            fresh(dest)
        with self._index() as index:
            self._own.run("read-tree", checked(tree), index=index)
            self._own.run("checkout-index", "-a", index=index, work_tree=dest.resolve())

    def archive(self, tree: str, out: BinaryIO) -> None:
        """Write the tree as an uncompressed tar to `out`. The same tree gives the same bytes."""
        # Of a bare tree `git archive` stamps the current time: a commit that follows from the tree stands in.
        carrier = self._own.run("commit-tree", checked(tree), stdin=b"learnd\n").decode().strip()
        self._own.run("archive", "--format=tar", carrier, out=out)

    @contextmanager
    def _index(self) -> Iterator[Path]:
        with disk_faults(), tempfile.TemporaryDirectory(dir=self.home, prefix="index-") as place:
            yield Path(place) / "index"


def fresh(dest: Path) -> None:
    """Make `dest`, or see that nothing is in it. Raises SnapshotError."""
    dest.mkdir(parents=True, exist_ok=True)
    if next(os.scandir(dest), None) is not None:
        raise SnapshotError("not_fresh", f"{dest} is not empty; a tree is restored into a fresh folder only")
