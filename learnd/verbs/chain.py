"""`verify` and `rebuild`: does the log hold, and the read models made anew from it."""

from __future__ import annotations

from pathlib import Path

from learnd.verbs.asking import settled
from learnd.verbs.reading import reading
from learnd.verbs.terminal import Stop, print_json, say


def verify(log: Path | None, *, as_json: bool) -> int:
    """Check the chain of the whole log. JSON: `{ok, log, position, hash, damaged_at, reason}`."""
    from events.log import LogDamaged  # brings pydantic

    with reading(log) as book:
        path = str(book.place.log)
        try:
            found = book.log.verify()
        except LogDamaged as error:
            if as_json:
                told = {"ok": False, "log": path, "position": None, "hash": None}
                print_json({**told, "damaged_at": error.position, "reason": error.reason})
            raise Stop(f"{path}: {error}") from error
    if as_json:
        told = {"ok": True, "log": path, "position": found.position, "hash": found.hash}
        print_json({**told, "damaged_at": None, "reason": None})
    else:
        say(f"{path} holds: {found.position} events")
        say(f"head {found.position} {found.hash}")
    return 0


def rebuild(log: Path | None) -> int:
    """Fold the whole log into fresh read models. Loses nothing: the log is only read."""
    from learnd.requests import RebuildModels  # brings pydantic

    say(settled(log, RebuildModels()).message)
    return 0
