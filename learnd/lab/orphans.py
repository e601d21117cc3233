"""What a sandbox leaves when bubblewrap dies at the one wrong moment.

bwrap makes the sandbox's first process, and only that process ties its own life to bwrap's. Killed in between
(with a daemon that is killed), bwrap leaves it waiting for ever: it runs nothing and holds its memory. Whoever
holds the log ends such processes at start, those of any log: one whose bwrap is gone is of use to nobody.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

MARK: Final = "memfd:learnd"
"""The name of the memory files that every sandbox of ours is given."""


def end_orphans() -> int:
    """Kill the first processes of our sandboxes whose bwrap is gone; returns how many there were."""
    ended = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it ended meanwhile, or is another user's
                if _is_orphan(entry):
                    os.kill(int(entry.name), signal.SIGKILL)
                    ended += 1
    return ended


def _is_orphan(entry: Path) -> bool:
    line = (entry / "cmdline").read_bytes()
    if not line.split(b"\0", 1)[0].endswith(b"/bwrap"):
        return False
    status = dict(field.split(":", 1) for field in (entry / "status").read_text().splitlines() if ":" in field)
    if status["NSpid"].split()[1:] != ["1"] or not _is_ours(entry):
        return False
    # It is a fork of its bwrap, so both have one command line.
    parent = Path("/proc") / status["PPid"].strip() / "cmdline"
    return not parent.exists() or parent.read_bytes() != line


def _is_ours(entry: Path) -> bool:
    return any(MARK in str(fd.readlink()) for fd in (entry / "fd").iterdir())
