"""What verbs that serve agents have in common: the record of use, made without making anybody wait."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from learnd.locate import Place
from learnd.serving import notes
from learnd.verbs.reading import place_of


def note_use(log: Path | None, pattern_ids: Sequence[str], run: str | None) -> bool:
    """Note that patterns were served; whether that was possible."""
    return note_use_at(place_of(log), pattern_ids, run)


def note_use_at(place: Place, pattern_ids: Sequence[str], run: str | None) -> bool:
    """Beside the log; where that cannot be written (a sandboxed agent's read-only view), through the daemon."""
    if not pattern_ids or notes.note(place.state_dir, pattern_ids, run):
        return True
    if not any((folder / "control.sock").exists() for folder in place.sockets):
        return False
    from learnd.requests import NoteServed  # brings pydantic
    from learnd.verbs.asking import asked

    reply = asked(place, NoteServed(patterns=tuple(pattern_ids), run=run[: notes.LONGEST_RUN] if run else None))
    return reply is not None and reply.ok
