"""What a crash leaves in learnd's own folders: temporary files and folders that nobody will put in their place.

Only the holder of the log's lock may sweep, and only before any work begins: nobody else is writing then. What a
crash leaves in a run's own folder is removed when the file that it was to become is written again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

PART = ".*.part"
"""What `write_atomically` writes to before it renames."""
WRITTEN = ("drafts", "evidence", "scenarios", "repositories/*/records")
TEMPORARY = ("capture-*", "index-*", "tarball-*", "tmp????????", "store.git/tmp????????")
"""Below `repositories/<id>/`: what captures, restores and packing work in, by tempfile's naming."""


def sweep_state(state_dir: Path) -> int:
    """Remove what a crash left below `state_dir`; returns how many entries went. Raises OSError."""
    doomed = list(_leftovers(state_dir))
    for path in doomed:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return len(doomed)


def _leftovers(state_dir: Path) -> Iterator[Path]:
    for folder in WRITTEN:
        yield from state_dir.glob(f"{folder}/{PART}")
    for name in TEMPORARY:
        yield from state_dir.glob(f"repositories/*/{name}")
