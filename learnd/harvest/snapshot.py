"""A run's snapshot: captured once, described by a record, checked before anything of it is executed.

- Names follow from the job: the snapshot's id is a UUID of the job's id, so a retry finds what an earlier attempt left
  and never leaves a second tag. What was captured is never captured again: the live tree has moved on.
- An attempt is finished when its record is in the store. Until then a retry starts anew and replaces what it finds.
- The tarball follows from the tree alone: the same tree has the same digest.
"""

from __future__ import annotations

import gzip
import hashlib
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from pydantic import ValidationError

from events.values import FileRef, SnapshotRecord
from learnd import clock
from learnd.harvest import attribution, places
from learnd.harvest.faults import (
    DiskFull,
    GitFailed,
    PatchDoesNotApply,
    SnapshotDamaged,
    SnapshotError,
    SnapshotUnreadable,
    disk_faults,
    shown,
)
from learnd.harvest.own_work import own_paths, without_own
from learnd.harvest.store import SnapshotStore
from learnd.settings import Settings

__all__ = [
    "DiskFull",
    "SnapshotDamaged",
    "SnapshotError",
    "SnapshotRequest",
    "SnapshotUnreadable",
    "git_reports",
    "learnable_diff",
    "rebuild_tarball",
    "recorded_diff",
    "snapshot_id",
    "take_snapshot",
    "verify_snapshot",
]

_NAMESPACE = uuid.UUID("5f3c1c52-6f0e-4f0c-9a41-7f1d3c0b8a11")
_CHANGED_PATHS_MAX = 2000
"""Paths an event names; the diff has them all, and a note says how many are missing."""


@dataclass(frozen=True)
class SnapshotRequest:
    """What to take a snapshot for. Times are ISO 8601 UTC.

    `base_tree` and `base_commit` were observed when the run began. `overlapping_runs` are runs at work in the same
    tree at the same time. `suffix` goes into every file name: empty for a run's first completion, `-<job>` for a later.
    """

    job_id: str
    repo_id: str
    repo_path: Path
    manifest_path: Path
    task_id: str
    run_id: str
    started_at: str | None
    completed_at: str
    learning_dir: Path
    base_tree: str | None
    base_commit: str | None
    recorded_base_commit: str | None
    overlapping_runs: tuple[str, ...]
    retention_days: int
    now: str
    suffix: str = ""

    def file(self, stem: str, ending: str) -> Path:
        """A file of this job in the run's learning folder."""
        return self.learning_dir / f"{_component(stem + self.suffix)}{ending}"


def snapshot_id(job_id: str) -> str:
    """The UUID that follows from a job's id."""
    return str(uuid.uuid5(_NAMESPACE, job_id))


def take_snapshot(request: SnapshotRequest, store: SnapshotStore, settings: Settings) -> SnapshotRecord:
    """Capture the live tree, tag it, and write tarball and diff.

    Looks before it acts: a finished attempt of the same job is given back as it was, its files mended where they are
    gone. Raises SnapshotError (this job's fault; retry may help), SnapshotUnreadable, SnapshotDamaged, DiskFull.
    """
    with store.locked():
        record = _finished(store, request.job_id)
        if record is None:
            record = _capture(request, store, settings)
        else:
            _mend(record, store)
        _copy_to_storage(request, record, store, settings)
        if settings.tag_in_repository:
            store.tag_in_repository(record.tag, record.commit)
    return record


def _capture(request: SnapshotRequest, store: SnapshotStore, settings: Settings) -> SnapshotRecord:
    identity = snapshot_id(request.job_id)
    tag = f"learning-snapshot-{identity}"
    # Refused before the work, not after it.
    with places.folder_in(store.repo, request.learning_dir):
        pass
    taken = store.take_tree()
    base = attribution.choose_base(
        store,
        taken,
        observed=(request.base_tree, request.base_commit) if request.base_tree else None,
        recorded=request.recorded_base_commit,
        started_at=request.started_at,
    )
    changes = store.numstat(base.tree, taken.tree)
    before = store.commit(base.tree, parent_tree_commit=None, message="base\n", at=request.completed_at)
    message = f"snapshot of job {request.job_id}\n"
    commit = store.commit(taken.tree, parent_tree_commit=before, message=message, at=request.completed_at)
    notes = [*base.notes, *taken.notes]
    if len(changes) > _CHANGED_PATHS_MAX:
        notes.append(f"{len(changes) - _CHANGED_PATHS_MAX} more paths changed; diff.patch has them all")
    diff = places.put(store.repo, request.file("diff", ".patch"), store.diff(base.tree, taken.tree))
    tarball = _write_tarball(store, taken.tree, request.file(request.run_id, ".tar.gz"))
    record = SnapshotRecord(
        snapshot_id=identity,
        tag=tag,
        commit=commit,
        tree=taken.tree,
        base_tree=base.tree,
        base_commit=base.commit,
        base_source=base.source,
        tarball=tarball,
        storage_copy=FileRef(path=str(_storage_path(request, tarball, store, settings)), sha256=tarball.sha256),
        diff=diff,
        files_changed=len(changes),
        insertions=sum(change.insertions for change in changes),
        deletions=sum(change.deletions for change in changes),
        changed_paths=tuple(shown(change.path) for change in changes[:_CHANGED_PATHS_MAX]),
        own_paths=own_paths([shown(change.path) for change in changes], base.tree, taken.tree, store)[
            :_CHANGED_PATHS_MAX
        ],
        lag_s=round(clock.seconds_between(request.completed_at, request.now), 3),
        head_moved=attribution.head_moved(store.moves(), request.completed_at),
        overlapping_runs=request.overlapping_runs,
        not_attributable=attribution.not_attributable(
            store,
            (change.path for change in changes),
            started_at=request.started_at,
            completed_at=request.completed_at,
            overlapping_runs=request.overlapping_runs,
        ),
        retention_days=request.retention_days,
        notes=tuple(notes),
    )
    store.tag(tag, commit)
    store.save_record(identity, record.model_dump_json().encode())
    return record


def _finished(store: SnapshotStore, job_id: str) -> SnapshotRecord | None:
    """The record of an earlier attempt whose tag still stands."""
    content = store.load_record(snapshot_id(job_id))
    if content is None:
        return None
    try:
        record = SnapshotRecord.model_validate_json(content)
    except ValidationError:
        # Written by another version of learnd: capture again, under the same names.
        return None
    return record if store.tagged(record.tag) == record.commit else None


def _mend(record: SnapshotRecord, store: SnapshotStore) -> None:
    if places.digest(Path(record.diff.path)) != record.diff.sha256:
        places.put(store.repo, Path(record.diff.path), store.diff(record.base_tree, record.tree))
    if places.digest(Path(record.tarball.path)) != record.tarball.sha256:
        rebuild_tarball(record, store)


# --- tarballs ---------------------------------------------------------------------------------------


def _write_tarball(store: SnapshotStore, tree: str, path: Path, expected: str | None = None) -> FileRef:
    """The tree as a gzipped tar at `path` below the repository. Nothing is put there unless it is as `expected`."""
    with disk_faults(), tempfile.TemporaryDirectory(dir=store.home, prefix="tarball-") as place:
        packed = Path(place) / "tree.tar.gz"
        with (
            packed.open("wb") as file,
            # No name and no time in the header: the same tree gives the same bytes.
            gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as sink,
        ):
            store.archive(tree, cast(BinaryIO, sink))
        found = places.digest(packed) or ""
        if expected is not None and found != expected:
            raise SnapshotDamaged("digest", expected, found)
        places.put_file(store.repo, path, packed)
    return FileRef(path=str(path), sha256=found)


def rebuild_tarball(record: SnapshotRecord, store: SnapshotStore) -> FileRef:
    """Make the tarball again from the tree; its digest is the recorded one.

    Raises SnapshotDamaged when the tree is not intact, or another zlib gives other bytes; SnapshotError, DiskFull.
    """
    _check_tree(record, store)
    return _write_tarball(store, record.tree, Path(record.tarball.path), record.tarball.sha256)


def _storage_root(store: SnapshotStore, settings: Settings) -> Path:
    chosen = settings.snapshot_dir
    return store.repo / "learning-snapshots" if chosen is None else store.repo / chosen.expanduser()


def _storage_path(request: SnapshotRequest, tarball: FileRef, store: SnapshotStore, settings: Settings) -> Path:
    """Where the copy goes; a name that another snapshot has already is not taken from it."""
    folder = _storage_root(store, settings) / _component(request.task_id)
    plain = folder / f"{_component(request.run_id + request.suffix)}.tar.gz"
    if places.digest(plain) in (None, tarball.sha256):
        return plain
    return folder / f"{_component(request.run_id)}-{request.job_id[:12]}.tar.gz"


def _copy_to_storage(
    request: SnapshotRequest, record: SnapshotRecord, store: SnapshotStore, settings: Settings
) -> None:
    copy = record.storage_copy
    if copy is None or places.digest(Path(copy.path)) == copy.sha256:
        return
    top = _storage_root(store, settings)
    inside = top.is_relative_to(store.repo)
    if not inside:
        with places.writable(top):
            top.mkdir(parents=True, exist_ok=True)
    root = store.repo if inside else top
    if inside:
        with places.folder_in(root, top) as folder:
            if ".gitignore" not in folder.names():
                folder.create(".gitignore", b"*\n")
    places.put_file(root, Path(copy.path), Path(record.tarball.path))


# --- checking ---------------------------------------------------------------------------------------


def verify_snapshot(record: SnapshotRecord, store: SnapshotStore) -> None:
    """Read everything again: the tarball's digest, every object of the tree, and that base + diff is the tree.

    Raises SnapshotDamaged(cause, expected, found).
    """
    found = places.digest(Path(record.tarball.path))
    if found is None:
        raise SnapshotDamaged("missing", record.tarball.path, "no such file")
    if found != record.tarball.sha256:
        raise SnapshotDamaged("digest", record.tarball.sha256, found)
    _check_tree(record, store)
    _check_diff(record, store)


def _check_tree(record: SnapshotRecord, store: SnapshotStore) -> None:
    tagged = store.tagged(record.tag)
    if tagged is None:
        raise SnapshotDamaged("missing", record.tag, "no such tag")
    if tagged != record.commit:
        raise SnapshotDamaged("checkout", record.commit, tagged)
    tree = store.tree_of(record.commit)
    if tree != record.tree:
        raise SnapshotDamaged("checkout", record.tree, tree or "no such commit")
    wrong = store.intact(record.tree, record.base_tree)
    if wrong is not None:
        raise SnapshotDamaged("checkout", record.tree, wrong)


def _check_diff(record: SnapshotRecord, store: SnapshotStore) -> None:
    patch = places.recorded(record.diff)
    if patch is None:
        found = places.digest(Path(record.diff.path))
        if found is None:
            raise SnapshotDamaged("missing", record.diff.path, "no such file")
        raise SnapshotDamaged("diff", record.diff.sha256, found)
    try:
        tree = store.apply(record.base_tree, patch)
    except (PatchDoesNotApply, GitFailed) as error:
        raise SnapshotDamaged("diff", record.tree, str(error)) from error
    if tree != record.tree:
        raise SnapshotDamaged("diff", record.tree, tree)


def recorded_diff(record: SnapshotRecord, store: SnapshotStore) -> bytes:
    """The diff as it was recorded: from its file, or made again from the trees where the file is not that any more.

    Raises SnapshotDamaged when the trees are not what they were, SnapshotError.
    """
    patch = places.recorded(record.diff)
    if patch is None:
        patch = store.diff(record.base_tree, record.tree)
        found = hashlib.sha256(patch).hexdigest()
        if found != record.diff.sha256:
            raise SnapshotDamaged("diff", record.diff.sha256, found)
    return patch


def learnable_diff(record: SnapshotRecord, store: SnapshotStore) -> bytes:
    """The recorded diff without learnd's own part. Raises as `recorded_diff`."""
    return without_own(recorded_diff(record, store), record.own_paths)


def git_reports(store: SnapshotStore, dest: Path) -> tuple[FileRef, FileRef]:
    """Write `git-status.txt` and `git-log.txt` into `dest`, a folder of the repository.

    They say what `git status` and `git log` would, without running git on the user's own configuration. Raises
    SnapshotError, DiskFull.
    """
    head = store.resolve_head()
    taken = store.take_tree()
    at_head = store.tree_of(head) if head else None
    base = store.settle_base(at_head, taken)[0] if at_head else store.empty_tree
    lines = [f"HEAD {head or 'has no commit'}\n".encode(), store.name_status(base, taken.tree)]
    lines += [f"# {note}\n".encode() for note in taken.notes]
    status = places.put(store.repo, dest / "git-status.txt", b"".join(lines))
    log = places.put(store.repo, dest / "git-log.txt", store.log_text(head) if head else b"")
    return status, log


def _component(name: str) -> str:
    """`name` when it can name one file. Raises SnapshotError: it came from a manifest."""
    if not name or name in (".", "..") or "/" in name or "\0" in name or len(name.encode()) > 200:
        raise SnapshotError("bad_name", f"{name[:80]!r} cannot name a file")
    return name
