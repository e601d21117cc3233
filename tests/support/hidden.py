"""Given: a machine on which one process alone finds no bubblewrap."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from learnd.lab.launcher import tool


def own_mounts() -> bool:
    """Whether a process here may have mounts of its own, under which bubblewrap can be hidden from it."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


def without_bwrap(folder: Path) -> list[str]:
    """How to start a daemon that finds a file in bubblewrap's place that is no program."""
    nothing = folder / "nothing"
    nothing.touch(mode=0o644)
    return ["unshare", "-m", "sh", "-c", f'mount --bind {nothing} {tool("bwrap")} && exec "$@"', "sh"]
