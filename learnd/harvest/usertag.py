"""A snapshot's tag in the user's own repository: only where the operator asks for it.

There `fetch --prune-tags` may delete it, and `push --tags` may publish what was never committed: off by default.
git is not run on the user's git folder (its `reference-transaction` hook would run): objects are written by git in
learnd's repository, references as the files they are, under git's own lock files.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from learnd.atomic import write_atomically
from learnd.harvest.faults import SnapshotError, disk_faults
from learnd.harvest.gitfolder import GitFolder
from learnd.harvest.plumbing import OwnRepository, checked


def write_tag(own: OwnRepository, folder: GitFolder, tag: str, commit: str) -> None:
    """Copy the commit's objects into the user's store, then point the tag at it.

    Raises SnapshotError when a folder on the way is a link, DiskFull.
    """
    refs = _tags(folder)
    with disk_faults(), tempfile.TemporaryFile(dir=own.git_dir) as pack:
        listing = f"{checked(commit)}\n".encode()
        own.run("pack-objects", "--revs", "--stdout", "-q", stdin=listing, out=pack)
        pack.seek(0)
        own.run("index-pack", "--stdin", stdin=pack, into_borrowed=True)
        write_atomically(refs / tag, f"{commit}\n")


def remove_tag(folder: GitFolder, tag: str) -> None:
    """Remove the tag, loose or packed; its objects are the user's gc's. Raises SnapshotError as `write_tag` does."""
    loose, packed = folder.common_dir / "refs/tags" / tag, folder.common_dir / "packed-refs"
    line_end = f" refs/tags/{tag}\n".encode()
    is_packed = packed.is_file() and line_end in packed.read_bytes()
    if not is_packed and not loose.is_file():
        return
    (_tags(folder) / tag).unlink(missing_ok=True)
    if not is_packed:
        return
    lock = folder.common_dir / "packed-refs.lock"
    try:
        handle = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    except FileExistsError as error:
        raise SnapshotError("refs_locked", f"{lock} exists: another git is at work; the tag {tag} stays") from error
    with os.fdopen(handle, "wb") as out:
        seen = packed.stat()
        out.writelines(line for line in packed.read_bytes().splitlines(keepends=True) if not line.endswith(line_end))
        if os.geteuid() == 0:
            os.fchown(handle, seen.st_uid, seen.st_gid)
    lock.replace(packed)


def _tags(folder: GitFolder) -> Path:
    refs = folder.common_dir / "refs" / "tags"
    for part in (folder.objects, folder.objects / "pack", refs.parent, refs):
        if part.is_symlink():
            raise SnapshotError("link_refused", f"{part} is a link; no tag is written or removed behind it")
    return refs
