"""Where restored trees may stand: known to whoever restores them, sweeps them, or adds up what they take."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - folders in it are checked to be ours, and each tree has an unguessable name


def work_roots(work_dir: Path, override: Path | None) -> tuple[Path, ...]:
    """Every folder that may hold restored trees, the preferred first: what to sweep at start.

    `work_dir` belongs to one log; folders outside it carry its mark, since another daemon of this user (a demo, a test)
    must not sweep ours. `override` is the operator's `lab.work_dir`: with it nothing else is used.
    """
    mark = hashlib.sha256(os.fsencode(work_dir.absolute())).hexdigest()[:12]
    name = f"learnd-lab-{os.geteuid()}-{mark}"
    return (override / name,) if override is not None else (MEMORY / name, work_dir)
