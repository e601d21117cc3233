"""Going on with a log that lost something: only when a person says so, and never without a trace.

The chain must hold. What the anchors say otherwise is given up, and the log records what is known to be missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from learnd.clock import now
from learnd.door import Door
from learnd.keeping.anchor import anchors_file, broken_in, give_up, read_anchors
from learnd.keeping.migrations import record_migrations
from learnd.keeping.swap import finish, folder_aside, pending, set_unknown_aside
from learnd.views.store import open_for_writing
from state.commands import RecordRestore


@dataclass(frozen=True, slots=True)
class Accepted:
    """The log ends at `position`; events up to `lost_position` are known to have existed."""

    position: int
    hash: str
    lost_position: int
    patterns: tuple[Path, ...]


def accept(log_path: Path, actor: str) -> Accepted | None:
    """Give up the anchors that the log does not hold to; None where it holds to all of them.

    The caller holds the log's lock. Raises LogUnusable, LogDamaged.
    """
    if pending(log_path) is not None:
        finish(log_path)
    anchors = read_anchors(anchors_file(log_path))
    if broken_in(log_path, anchors) is None:
        return None
    with open_for_writing(log_path) as log:
        verified = log.verify()
        lost = max(anchor.position for anchor in anchors if not anchor.void and broken_in(log_path, [anchor]))
        Door(log).handle(RecordRestore(str(log_path), verified.position, verified.hash, lost), actor)
        record_migrations(Door(log))
        give_up(log)
        aside = folder_aside(log_path.parent, now())
        patterns = tuple(set_unknown_aside(log, log_path.parent / "quarantine", aside))
        return Accepted(verified.position, verified.hash, lost, patterns)
