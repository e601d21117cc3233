"""Writes the `learning` block into a manifest, and `learning/learnd.json` beside it.

The manifest belongs to its producer. So: only the member `learning` changes, every other byte stays; only a
run that is over is written to; the write is atomic, under the lock `manifest.json.lock`, and is given up
when the file changed since it was read. The producer may drop the block with its next save (it replaces
`learning` whole): writing it again then puts it back. No link is followed out of the repository.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from learnd.manifest import jsontext
from learnd.manifest.block import LearndFile, LearningBlock
from learnd.manifest.fields import Fields, WrongField
from learnd.manifest.inside import Folder, NotAFile, OutsideRepository, TooLarge, locate, signature_of
from learnd.manifest.jsontext import Json, NotJson
from learnd.manifest.lockfile import LockBusy, held
from learnd.manifest.read import MAX_BYTES

LEARND_JSON = "learnd.json"
STALE_LOCK_S = 30.0
WAIT_S = 5.0
ATTEMPTS = 3
"""Times a write starts over because the producer saved in between."""


class ManifestUnwritable(Exception):
    """The manifest cannot be written as it stands. The message says why; worth a try when it changes."""


class ManifestChanged(Exception):
    """The producer is at work on the manifest (saved in between, holds its lock, resumed the run). Try later."""


def write_learning(manifest: Path, repo: Path, block: LearningBlock) -> bool:
    """Make the manifest's `learning` say what `block` says; False when it did already.

    Waits at most 5 s for the producer's lock. Raises ManifestUnwritable, ManifestChanged.
    """
    with _opened(manifest) as path:
        found = locate(path, repo)
        folder_path, name = os.path.split(found.real)
        with Folder.open(found.repo, folder_path) as folder:
            for _ in range(ATTEMPTS):
                data, _ = folder.read(name, MAX_BYTES)
                if _with_block(data, block) is None:
                    return False
                with held(folder, f"{name}.lock", stale_s=STALE_LOCK_S, wait_s=WAIT_S):
                    if _rewritten(folder, name, block):
                        return True
    raise ManifestChanged(f"{manifest}: its producer saved it again and again while learnd wrote")


def write_learnd_json(run_dir: Path, repo: Path, content: LearndFile) -> bool:
    """Write `learning/learnd.json` in the run's folder; False when it said so already. Raises ManifestUnwritable."""
    data = (content.model_dump_json(indent=2) + "\n").encode()
    with _opened(run_dir) as path:
        found = locate(path, repo)
        with Folder.open(found.repo, found.real) as folder, folder.enter("learning", create=True) as learning:
            if LEARND_JSON in learning.names() and learning.read(LEARND_JSON, MAX_BYTES)[0] == data:
                return False
            learning.replace(LEARND_JSON, data)
    return True


def _rewritten(folder: Folder, name: str, block: LearningBlock) -> bool:
    """Read, change, and rename only over what was read. True when the file now says what the block says."""
    data, before = folder.read(name, MAX_BYTES)
    changed = _with_block(data, block)
    if changed is None:
        return True
    if signature_of(folder.stat(name)) != signature_of(before):
        return False
    folder.replace(name, changed, like=before)
    return True


def _with_block(data: bytes, block: LearningBlock) -> bytes | None:
    """The manifest's bytes with `block` in them, None when they say it already."""
    manifest = Fields.of(jsontext.parse(data))
    status = manifest.value("status")
    if status == "queued" or status == "in_progress":  # noqa: PLR1714 - it may be of any type, hashable or not
        raise ManifestChanged(f"the run is {status} (again): its producer owns the manifest until it is over")
    old = manifest.value("learning")
    wanted = _sections(block, old)
    text = jsontext.with_member(data.decode(), "learning", wanted).encode()
    new = Fields.of(jsontext.parse(text)).value("learning")
    return None if new == old else text


def _sections(block: LearningBlock, old: object) -> dict[str, Json]:
    """The block's members. One without content is left out, or made null where an older one stands."""
    sections: dict[str, Json] = block.model_dump(mode="json")
    standing = {name for name, value in old.items() if value is not None} if isinstance(old, dict) else set()
    return {name: value for name, value in sections.items() if value is not None or name in standing}


@contextmanager
def _opened(path: Path) -> Iterator[Path]:
    """Turn whatever stands in the way of a write into its reason."""
    try:
        yield path
    except LockBusy as busy:
        raise ManifestChanged(f"{path}: {busy}") from busy
    except (NotJson, WrongField, OutsideRepository, NotAFile, TooLarge) as refusal:
        raise ManifestUnwritable(f"{path}: {refusal}") from refusal
    except OSError as error:
        raise ManifestUnwritable(f"{path}: {error.strerror or error}") from error
