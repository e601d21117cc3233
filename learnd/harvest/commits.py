"""A commit of the user's, found by the beginning of its id: which one it is, and when it was made.

Asked in an empty repository of learnd's own that borrows the user's objects, so nothing that the user's git folder
configures can run, and nothing is written into it. Names (`HEAD`, branches) are refs, which are not borrowed.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from learnd.clock import iso
from learnd.harvest import gitfolder
from learnd.harvest.plumbing import OwnRepository
from learnd.harvest.repository import shallow_commits

_COMMITTER = re.compile(rb"^committer [^\n]*> (\d{1,12}) [+-]\d{4}$", re.MULTILINE)
_SHOWN = 5
_NAME = 100


class CommitUnknown(Exception):
    """No one commit's id begins so; the message says why and what to type."""


@dataclass(frozen=True, slots=True)
class FoundCommit:
    """A whole id, and the committer's time (ISO 8601 UTC), None where the commit has no time that can be."""

    id: str
    committed_at: str | None


def find_commit(repo: Path, beginning: str) -> FoundCommit:
    """The commit whose id begins with `beginning`: at least 4 hex digits. Raises CommitUnknown, NotARepository,
    SnapshotError, DiskFull.
    """
    folder = gitfolder.find(repo)
    with _borrowing(folder) as own:
        ids = own.run("rev-parse", f"--disambiguate={beginning.lower()}", borrow=True).decode().split()
        listing = "".join(f"{one}\n" for one in ids).encode()
        kinds = (
            own.run("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=listing, borrow=True) if ids else b""
        )
        found = [line.split()[0] for line in kinds.decode().splitlines() if line.endswith(" commit")]
        if not found:
            raise CommitUnknown(
                f"{folder.work_tree} has no commit {beginning}. Next: git -C {folder.work_tree} rev-parse COMMIT "
                "says the id to type"
            )
        if len(found) > 1:
            named = ", ".join(one[:12] for one in sorted(found)[:_SHOWN])
            raise CommitUnknown(f"{beginning} begins the ids of {len(found)} commits ({named}): give more digits")
        text = own.run("cat-file", "commit", found[0], borrow=True)
    return FoundCommit(found[0], _committed_at(text))


def last_author(repo: Path, path: str, content: bytes) -> str | None:
    """Who committed `content` as the file `path` last, as git says: `Name, in 3f2a1b9c0d12`.

    None where HEAD holds something else there, so that nobody committed it yet. Raises NotARepository, SnapshotError,
    DiskFull.
    """
    folder = gitfolder.find(repo)
    head = gitfolder.head(folder)
    if head is None:
        return None
    with _borrowing(folder) as own:
        blob = own.run("hash-object", "--stdin", stdin=content).decode().strip()
        committed = own.run("ls-tree", "-z", head, "--", path, borrow=True).decode("utf-8", "replace")
        if not committed or committed.partition("\t")[0].split()[-1] != blob:
            return None
        said = own.run("log", "-1", "--format=%H%x00%an", head, "--", path, borrow=True).decode("utf-8", "replace")
    commit, _, name = said.strip().partition("\0")
    shown = " ".join("".join(sign if sign.isprintable() else " " for sign in name).split())[:_NAME]
    return f"{shown or 'nobody'}, in {commit[:12]}" if commit else None


@contextmanager
def _borrowing(folder: gitfolder.GitFolder) -> Iterator[OwnRepository]:
    with tempfile.TemporaryDirectory(prefix="learnd-commit-") as place:
        own = OwnRepository(Path(place), folder.objects)
        own.prepare(gitfolder.object_format(folder), shallow_commits(folder))
        yield own


def _committed_at(text: bytes) -> str | None:
    """The time in a commit's header; what stands behind the first empty line is its message."""
    found = _COMMITTER.search(text.partition(b"\n\n")[0])
    if found is None:
        return None
    try:
        return iso(datetime.fromtimestamp(int(found[1]), UTC))
    except (ValueError, OverflowError, OSError):
        return None
