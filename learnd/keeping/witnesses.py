"""Anchors from wherever they were kept: beside the log, in a backup, in a copied file, in a line of the journal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from learnd.keeping.anchor import Anchor, anchors_file, read_anchors
from learnd.keeping.manifest import MANIFEST, BackupUnusable, read_manifest
from learnd.locate import NAME

_HEAD = re.compile(r"(\d{1,18}):([0-9a-f]{64})")
_SOMETIME = "a time that was not noted"


class WitnessUnreadable(Exception):
    """Something that was named as a witness tells nothing."""


def anchors_of(log_path: Path, witnesses: Sequence[str]) -> list[Anchor]:
    """The anchors beside a log, and those of `witnesses`, that stand. Raises WitnessUnreadable."""
    # A copy under another name, beside some log, is not what that log's anchors speak of.
    own = [str(anchors_file(log_path))] if log_path.name == NAME and anchors_file(log_path).exists() else []
    return [anchor for witness in (*own, *witnesses) for anchor in _told_by(witness) if not anchor.void]


def _told_by(witness: str) -> list[Anchor]:
    head = _HEAD.fullmatch(witness)
    if head:
        return [Anchor(at=_SOMETIME, position=int(head[1]), hash=head[2])]
    path = Path(witness)
    if path.name == MANIFEST:
        path = path.parent
    try:
        if path.is_dir():
            backup = read_manifest(path)
            return [Anchor(at=backup.made_at, position=backup.position, hash=backup.hash)]
        path.stat()
        found = read_anchors(path)
    except BackupUnusable as error:
        raise WitnessUnreadable(str(error)) from error
    except OSError as error:
        raise WitnessUnreadable(f"{witness} cannot be read: {error.strerror}. Next: name a backup or a file") from error
    if not found:
        raise WitnessUnreadable(f"{witness} holds no anchors. Next: name a backup, a file of anchors, or POSITION:HASH")
    return found
