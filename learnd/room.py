"""Whether there is room where learnd writes besides its log: a disk that was full is looked at before work goes on.

A fault that is taken for mended while it stands would be raised again by the next job, and told to people each time.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from learnd.settings import Settings
from learnd.work_folders import work_roots

LEAST_BYTES = 16 << 20
"""Less than this is no room: tarballs and logs of even small runs come near."""


def full_places(settings: Settings, trees: Iterable[str]) -> list[Path]:
    """Places that learnd writes to for the work trees `trees` and that have no room. What is not there is not full."""
    return [place for place in _places(settings, trees) if place.is_dir() and _free(place) < LEAST_BYTES]


def _places(settings: Settings, trees: Iterable[str]) -> Iterator[Path]:
    yield Path(tempfile.gettempdir())
    yield from (root for root in work_roots(settings.state_dir / "work", settings.lab.work_dir))
    for tree in map(Path, trees):
        copies = Path("learning-snapshots") if settings.snapshot_dir is None else settings.snapshot_dir.expanduser()
        yield from (tree, tree / ".runs", tree / "out", tree / copies)


def _free(place: Path) -> int:
    return shutil.disk_usage(place).free
