"""What comes before anybody writes a log, and is owed to it as soon as somebody does.

A restore that was cut short is carried out; a log that is not what it was known to be is refused.
"""

from __future__ import annotations

from pathlib import Path

from events.log import EventLog
from learnd.keeping.anchor import require_agreement
from learnd.views.store import open_for_writing


def open_kept(log_path: Path) -> EventLog:
    """The log with current read models, for the holder of its lock. Raises LogUnusable, LogBehind among it."""
    from learnd.keeping.swap import finish, pending  # noqa: PLC0415 - only after a restore that was killed

    if pending(log_path) is not None:
        finish(log_path)
    require_agreement(log_path)
    return open_for_writing(log_path)
