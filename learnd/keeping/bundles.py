"""A snapshot store as one file that stands alone: a git bundle of every reference, and the captures' records in a tar.

Made while the daemon writes into the store: a bundle begins with the references as they are, and objects never
change. Nothing in it is borrowed from a user's repository, for nothing that a reference names is. Put back, it is added
to what stands there: objects have their content's name, so the two cannot quarrel.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
import tempfile
from pathlib import Path

from pydantic import Field

from events.values import Value
from learnd.atomic import write_atomically
from learnd.harvest.faults import GitFailed, SnapshotError, disk_faults
from learnd.harvest.plumbing import OwnRepository, checked

BUNDLE, RECORDS, STORE = "store.bundle", "records.tar", "store.git"
TRIES = 3
"""Retention may remove a reference, and its objects, while they are read: then they are read again without it."""

_RECORD = re.compile(r"learning-snapshot-[0-9a-f-]{36}\.json")
_REF = re.compile(r"refs/(?:tags|learnd)/[A-Za-z0-9/._-]+")


class StoreCopy(Value):
    """One repository's store in a backup; without references there is no bundle."""

    repo_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
    object_format: str = Field(pattern=r"^(sha1|sha256)$")
    refs: int = Field(ge=0)


def copy_store(home: Path, target: Path) -> StoreCopy:
    """Copy the store in `home` into the new folder `target`. Raises SnapshotError, OSError, DiskFull."""
    git_dir = home / STORE
    own = OwnRepository(git_dir, git_dir / "objects")
    if not (git_dir / "empty").is_dir():
        raise SnapshotError("missing", f"{git_dir} is no snapshot store")
    target.mkdir(mode=0o700, parents=True)
    _copy_records(home / "records", target / RECORDS)
    object_format = own.run("rev-parse", "--show-object-format").decode().strip()
    count = 0
    for attempt in range(TRIES):
        try:
            count = _bundle(own, target / BUNDLE)
            break
        except GitFailed:
            if attempt == TRIES - 1:
                raise
    return StoreCopy(repo_id=home.name, object_format=object_format, refs=count)


def check_store(copy: StoreCopy, folder: Path, scratch: Path) -> None:
    """Put the copy in `folder` back for a trial, below `scratch`. Raises SnapshotError, OSError, DiskFull."""
    if not copy.refs:
        return
    with tempfile.TemporaryDirectory(dir=scratch, prefix="trial-") as place:
        own = OwnRepository(Path(place), Path(place) / "objects")
        own.prepare(copy.object_format, None)
        found = _unbundle(own, folder / BUNDLE)
    if found != copy.refs:
        raise SnapshotError("bundle", f"{folder / BUNDLE} has {found} references, not {copy.refs}")


def put_back(copy: StoreCopy, folder: Path, home: Path, aside: Path) -> Path | None:
    """Add what the copy in `folder` holds to the store in `home`, made where absent. Doing it twice is doing it once.

    A store that is too damaged to be added to is moved to `aside` first; returns where it then is. Raises
    SnapshotError, OSError, DiskFull.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    git_dir = home / STORE
    own = OwnRepository(git_dir, git_dir / "objects")
    moved = None
    if not (git_dir / "empty").is_dir():
        own.prepare(copy.object_format, None)
    try:
        _add(own, copy, folder)
    except (SnapshotError, OSError):
        moved = aside / home.name
        moved.mkdir(mode=0o700, parents=True, exist_ok=True)
        git_dir.rename(_free(moved / STORE))
        own.prepare(copy.object_format, None)
        _add(own, copy, folder)
    _put_records(folder / RECORDS, home / "records")
    return moved


def _bundle(own: OwnRepository, target: Path) -> int:
    """Write a bundle of all references; returns how many there are."""
    target.unlink(missing_ok=True)
    if not own.run("for-each-ref", "--count=1"):
        return 0
    own.run("bundle", "create", "--quiet", os.fspath(target), "--all")
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return len(own.run("bundle", "list-heads", os.fspath(target)).splitlines())


def _add(own: OwnRepository, copy: StoreCopy, folder: Path) -> None:
    if copy.refs and _unbundle(own, folder / BUNDLE) != copy.refs:
        raise SnapshotError("bundle", f"{folder / BUNDLE} has other references than its manifest says")


def _unbundle(own: OwnRepository, bundle: Path) -> int:
    """Add a bundle's objects and references; returns how many references there were. All they need must be there."""
    heads = own.run("bundle", "unbundle", os.fspath(bundle)).decode().splitlines()
    refs = [(checked(line.split(" ")[0]), line.partition(" ")[2]) for line in heads]
    strange = next((name for _, name in refs if not _REF.fullmatch(name) or ".." in name), None)
    if strange is not None:
        raise SnapshotError("bundle", f"{bundle} has the reference {strange[:80]!r}, which is not learnd's")
    wanted = "".join(f"{object_id}\n" for object_id, _ in refs).encode()
    own.run("rev-list", "--objects", "--quiet", "--stdin", stdin=wanted)
    own.run("update-ref", "--stdin", stdin="".join(f"update {name} {object_id}\n" for object_id, name in refs).encode())
    return len(refs)


def _copy_records(records: Path, target: Path) -> None:
    found = sorted(file for file in records.iterdir() if _RECORD.fullmatch(file.name)) if records.is_dir() else []
    with disk_faults(), target.open("xb") as out, tarfile.open(fileobj=out, mode="w") as tar:
        for record in found:
            try:
                content = record.read_bytes()
            except FileNotFoundError:
                continue  # retention was here
            entry = tarfile.TarInfo(record.name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    with target.open("rb") as written:
        os.fsync(written.fileno())


def _put_records(source: Path, records: Path) -> None:
    records.mkdir(mode=0o700, exist_ok=True)
    with disk_faults(), tarfile.open(source, mode="r:") as tar:
        for entry in tar:
            content = tar.extractfile(entry) if entry.isreg() and _RECORD.fullmatch(entry.name) else None
            if content is None:
                raise SnapshotError("records", f"{source} holds {entry.name[:80]!r}, which is no record of learnd's")
            write_atomically(records / entry.name, content.read())


def _free(path: Path) -> Path:
    """`path`, or the first name after it that nothing has."""
    number = 2
    free = path
    while free.exists():
        free = path.with_name(f"{path.name}-{number}")
        number += 1
    return free
