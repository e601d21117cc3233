"""One user repository's snapshots, in a bare repository of learnd's own.

Everything a snapshot needs is copied here: the user may gc, rebase or delete what they like. Borrowing from the user's
object store happens in `hold`, `settle_base`, `tree_of` and `messages` alone, and in captures of sparse paths.

Layout below `<state>/repositories/<repo id>/`: `store.git` (bare), `records/` (what was captured, by snapshot id),
`stat-cache`, `lock`. Trees that must survive without a commit (the base of a run in progress) stand under
`refs/learnd/held/`.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from learnd import clock
from learnd.atomic import write_atomically
from learnd.harvest import gitfolder, usertag
from learnd.harvest.capture import EXECUTABLE, FILE, GITLINK, LINK, Capture, Entry, TreeTaken
from learnd.harvest.faults import GitFailed, SnapshotError, disk_faults, shown
from learnd.harvest.gitfolder import GitFolder, Move
from learnd.harvest.plumbing import OwnRepository, checked
from learnd.harvest.repository import shallow_commits
from learnd.harvest.trees import Numstat, TreeEntry, Trees

__all__ = ["EXECUTABLE", "FILE", "GITLINK", "LINK", "Numstat", "SnapshotStore", "TreeEntry", "TreeTaken"]

_REPO_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_TAG = re.compile(r"learning-snapshot-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MESSAGES_MAX = 20


class SnapshotStore(Trees):
    """The store of the repository `repo`, made when it is not there yet. Safe to open several times at once."""

    def __init__(self, state_dir: Path, repo_id: str, repo: Path) -> None:
        """Raises NotARepository, SnapshotError, DiskFull."""
        if not _REPO_ID.fullmatch(repo_id):
            raise SnapshotError("bad_repository_id", f"{repo_id[:80]!r} cannot name a folder")
        self.folder: GitFolder = gitfolder.find(repo)
        self.repo = self.folder.work_tree
        home = state_dir / "repositories" / repo_id
        self.git_dir = home / "store.git"
        super().__init__(OwnRepository(self.git_dir, self.folder.objects), home)
        with disk_faults():
            # Closed to others: snapshots hold untracked files, which may be secrets.
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            (home / "records").mkdir(exist_ok=True)
        self._own.prepare(gitfolder.object_format(self.folder), shallow_commits(self.folder))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone in this store: what is captured inside the block is referenced before retention can look at it."""
        with locked(self.home):
            yield

    # --- taking -------------------------------------------------------------------------------------

    def take_tree(self) -> TreeTaken:
        """The live tree as it is now. The user's index, HEAD, refs, stash and files are not touched.

        The tree is in the store but nothing refers to it: `hold` or `commit` and `tag` it, or retention removes it
        after a day. Raises SnapshotError, SnapshotUnreadable, DiskFull.
        """
        return Capture(self._own, self.folder, self.home).take()

    def observe(self) -> TreeTaken:
        """`take_tree` and `hold`, with nothing in between: what to do when a run is seen in progress."""
        with self.locked():
            taken = self.take_tree()
            self.hold(taken.tree)
        return taken

    def hold(self, tree: str) -> None:
        """Copy what `tree` borrows and keep it until no job needs it any more (see `retention.let_go`)."""
        self.keep(tree)
        self._own.run("update-ref", f"refs/learnd/held/{checked(tree)}", tree)
        os.utime(self.git_dir / "refs/learnd/held" / tree)

    def keep(self, tree: str) -> None:
        """Copy every object of `tree` into the store. Raises SnapshotError when some are nowhere."""
        self._adopt_trees(tree)
        missing = self._own.adopt(entry.object_id for entry in self._entries(tree).values() if entry.mode != GITLINK)
        if missing:
            raise SnapshotError("missing_objects", f"{len(missing)} files of tree {tree} were never fetched")

    def _adopt_trees(self, tree: str) -> None:
        listing = self._own.run("ls-tree", "-r", "-d", "-t", "-z", "--full-tree", checked(tree), borrow=True)
        folders = [line.split(b"\t", 1)[0].decode().split(" ") for line in listing.split(b"\0")[:-1]]
        missing = self._own.adopt([tree, *(object_id for _, kind, object_id in folders if kind == "tree")])
        if missing:
            raise SnapshotError("missing_objects", f"{len(missing)} folders of tree {tree} were never fetched")

    def settle_base(self, tree: str, taken: TreeTaken) -> tuple[str, tuple[str, ...]]:
        """A committed tree in the form the work tree has it, in the store, and notes on what that changed.

        Files that git holds to be unmodified stand in a work tree with other bytes when line endings are converted or
        a filter (LFS) is in use: they are no part of what a run did. Sparse paths that a partial clone never fetched
        are left out of both sides. Raises SnapshotError when the store lacks anything else.
        """
        self._adopt_trees(tree)
        entries = self._entries(tree)
        changes: dict[bytes, Entry | None] = dict.fromkeys(path for path in taken.unavailable if path in entries)
        converted = [
            path
            for path, (committed, _) in taken.converted.items()
            if path in entries and entries[path].object_id == committed
        ]
        changes |= {path: taken.converted[path][1] for path in converted}
        missing = self._own.adopt(
            entry.object_id for path, entry in entries.items() if entry.mode != GITLINK and path not in changes
        )
        if missing:
            lost = next(path for path, entry in entries.items() if entry.object_id in missing)
            raise SnapshotError("missing_objects", f"this partial clone never fetched the base's {shown(lost)}")
        notes: tuple[str, ...] = ()
        if converted:
            notes = (f"{len(converted)} unmodified files are in the base as on disk (line endings or filters)",)
        return (self._changed(tree, changes) if changes else tree), notes

    def commit(self, tree: str, *, parent_tree_commit: str | None, message: str, at: str) -> str:
        """A commit of `tree`; the same arguments give the same commit. `at` is an ISO 8601 time."""
        parent = ("-p", checked(parent_tree_commit)) if parent_tree_commit else ()
        seconds = max(0, int(clock.parse(at).timestamp()))
        output = self._own.run("commit-tree", checked(tree), *parent, stdin=message.encode(), at=seconds)
        return output.decode().strip()

    def tag(self, name: str, commit: str) -> None:
        """Point the tag `name` at `commit`; a retry moves it and leaves no second one. Raises SnapshotError."""
        try:
            self._own.run("update-ref", tag_ref(name), checked(commit))
        except GitFailed as error:
            raise SnapshotError("tag_refused", f"{tag_ref(name)} is not written: {error.detail}") from error

    def tagged(self, name: str) -> str | None:
        """The commit a tag points at, None when there is no such tag."""
        status, output, _ = self._own.attempt("rev-parse", "--verify", "--quiet", tag_ref(name))
        return output.decode().strip() if status == 0 else None

    def save_record(self, snapshot_id: str, content: bytes) -> None:
        """Keep what a finished attempt captured, for a retry that never heard of it. Raises DiskFull."""
        with disk_faults():
            write_atomically(self._record(snapshot_id), content)

    def load_record(self, snapshot_id: str) -> bytes | None:
        """What `save_record` kept, None when there is nothing."""
        file = self._record(snapshot_id)
        return file.read_bytes() if file.is_file() else None

    def _record(self, snapshot_id: str) -> Path:
        return self.home / "records" / f"{_tag(f'learning-snapshot-{snapshot_id}')}.json"

    def tag_in_repository(self, name: str, commit: str) -> None:
        """Write the tag into the user's repository as well. Raises SnapshotError, DiskFull."""
        usertag.write_tag(self._own, self.folder, _tag(name), commit)

    # --- the user's history -------------------------------------------------------------------------

    def resolve_head(self) -> str | None:
        """The commit the user's HEAD stands on; None before the first."""
        return gitfolder.head(self.folder)

    def head_at(self, time: str) -> str | None:
        """The commit HEAD stood on at `time`, by the reflog; None when it does not reach back."""
        return gitfolder.head_at(self.folder, clock.parse(time).timestamp())

    def moves(self) -> tuple[Move, ...]:
        """HEAD's reflog, oldest first."""
        return gitfolder.moves(self.folder)

    def tree_of(self, commit: str) -> str | None:
        """The tree of a commit, the user's or ours; None when it is not there."""
        status, output, _ = self._own.attempt(
            "rev-parse", "--verify", "--quiet", f"{checked(commit)}^{{tree}}", borrow=True
        )
        return output.decode().strip() if status == 0 else None

    def parents(self, commit: str) -> tuple[str, ...]:
        """The parents of a commit; none when it is not there."""
        status, output, _ = self._own.attempt("rev-parse", f"{checked(commit)}^@", borrow=True)
        return tuple(output.decode().split()) if status == 0 else ()

    def descends(self, commit: str, ancestor: str) -> bool | None:
        """Whether `commit` has `ancestor` in its history, or is it; None where the user's history is not there."""
        status, _, _ = self._own.attempt("merge-base", "--is-ancestor", checked(ancestor), checked(commit), borrow=True)
        return {0: True, 1: False}.get(status)

    def messages(self, base: str | None, head: str) -> tuple[str, ...]:
        """Messages of the commits after `base` up to `head`, newest first, at most 20; none when history is missing."""
        span = (f"{checked(base)}..{checked(head)}",) if base else (checked(head),)
        status, output, _ = self._own.attempt(
            "log", "-z", "--format=%B", "--no-show-signature", "--encoding=UTF-8", f"--max-count={_MESSAGES_MAX}",
            *span, borrow=True,
        )  # fmt: skip
        if status != 0:
            return ()
        return tuple(text.strip() for text in output.decode("utf-8", "replace").split("\0") if text.strip())

    def log_text(self, head: str) -> bytes:
        """The last 50 commits up to `head`, one line each; empty when history is missing."""
        asked = ("log", "--format=%H %cI %an: %s", "--no-show-signature", "--max-count=50", checked(head))
        return self._own.attempt(*asked, borrow=True)[1]


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Alone in the store at `home`. Raises DiskFull, OSError (there is no such store)."""
    git_dir = home / "store.git"
    with disk_faults(), (home / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Whoever left these was killed: references change only in here.
        for stale in (*(git_dir / "refs").rglob("*.lock"), *git_dir.glob("*.lock")):
            stale.unlink(missing_ok=True)
        yield


def tag_ref(name: str) -> str:
    """The full name of a tag of learnd's. Raises SnapshotError for any other name."""
    return f"refs/tags/{_tag(name)}"


def _tag(name: str) -> str:
    if not _TAG.fullmatch(name):
        raise SnapshotError("bad_tag", f"{name[:80]!r} is not a tag of learnd's")
    return name
