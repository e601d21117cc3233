"""Which files are learnd's own, by where they stand: what is written there is never learned from."""

from __future__ import annotations

from pathlib import PurePosixPath


def is_own_place(path: str) -> bool:
    """Whether a path (from the repository's root) is a pattern, their index, a snapshot, or of a run's learning."""
    parts = PurePosixPath(path).parts
    if parts[:2] == (".agent", "patterns") or parts[:1] == ("learning-snapshots",):
        return True
    return parts == ("docs", "patterns", "README.md") or (parts[:1] == (".runs",) and "learning" in parts[1:-1])
