"""Finds every manifest under `.runs/`, in any layout, fast enough to do it again and again.

No link is followed: what a link inside `.runs/` leads to is found by itself, so each run is found once,
and what leads out is never entered. `.runs/` itself may be a link to a folder of the same repository.
100,000 folders take about a second: one scandir each, no Path per entry.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from learnd.manifest.inside import OutsideRepository, Signature, locate, signature_of

MAX_DEPTH = 8
"""Folders below `.runs/`; the deepest real layout needs three."""

MANIFEST = "manifest.json"

_RUN_PARTS = frozenset({"commands", "errors", "learning", "memory"})
"""Folders that a run keeps beside its manifest. Only there: a task may bear any of these names."""


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest: absolute path with links resolved, and what changes when the file does."""

    path: str
    signature: Signature


def find_manifests(repo: Path) -> Iterator[Found]:
    """Every `manifest.json` below `.runs/`, in no particular order. Raises nothing: what is gone is gone.

    A manifest or folder that may not be looked at is found all the same, with a signature of zeros, so that
    reading it says why. Names that are not UTF-8 are left out (asked for by path, the reader says so).
    """
    try:
        root = locate(Path(".runs"), repo).real
    except (OSError, OutsideRepository):
        return
    folders = [(root, 0)]
    while folders:
        folder, depth = folders.pop()
        try:
            inner, manifest = _look(folder, depth)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            manifest, inner = Found(f"{folder}/{MANIFEST}", (0, 0, 0)), []
        if manifest is not None and _is_utf8(manifest.path):
            yield manifest
        folders.extend((path, depth + 1) for path in inner)


def _look(folder: str, depth: int) -> tuple[list[str], Found | None]:
    """The folders in `folder` to look into, and its manifest."""
    manifest = None
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name == MANIFEST:
                if not entry.is_symlink():
                    manifest = Found(entry.path, signature_of(entry.stat(follow_symlinks=False)))
            elif depth < MAX_DEPTH and entry.is_dir(follow_symlinks=False):
                names.append(entry.name)
    if manifest is not None:
        names = [name for name in names if name not in _RUN_PARTS]
    return [f"{folder}/{name}" for name in names], manifest


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
