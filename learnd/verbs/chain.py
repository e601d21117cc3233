"""`verify` and `rebuild`: does the log hold, and to what was known of it; and the read models made anew from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from learnd.verbs.asking import settled
from learnd.verbs.reading import reading
from learnd.verbs.terminal import USAGE, Stop, print_json, say


def verify(log: Path | None, witnesses: Sequence[str], *, as_json: bool) -> int:
    """Check the chain of the whole log, and that it holds to every anchor.

    `witnesses` are further anchors: files of them, backups, or `POSITION:HASH`. JSON: `{ok, log, position, hash,
    damaged_at, reason, anchors}`; `damaged_at` is the first position, or anchor's position, that does not hold.
    """
    from events.log import LogDamaged  # brings pydantic
    from learnd.keeping.anchor import first_broken
    from learnd.keeping.witnesses import WitnessUnreadable, anchors_of

    with reading(log) as book:
        path = str(book.place.log)
        try:
            anchors = anchors_of(book.place.log, witnesses)
        except WitnessUnreadable as error:
            raise Stop(str(error), USAGE) from error
        told = {"ok": False, "log": path, "position": None, "hash": None}
        count = len(anchors)
        try:
            found = book.log.verify()
        except LogDamaged as error:
            if as_json:
                print_json({**told, "damaged_at": error.position, "reason": error.reason, "anchors": count})
            raise Stop(f"{path}: {error}") from error
        broken = first_broken(book.log.connection, anchors)
    if broken is not None:
        if as_json:
            at = broken.anchor.position
            print_json({**told, "damaged_at": at, "reason": broken.reason, "anchors": count})
        known = broken.anchor in anchors_of(book.place.log, ())
        way = f"learnd restore-backup BACKUP{', or learnd verify --accept-loss' if known else ''}"
        raise Stop(f"{path} {broken.reason}. Next: {way}")
    if as_json:
        told = {"ok": True, "log": path, "position": found.position, "hash": found.hash}
        print_json({**told, "damaged_at": None, "reason": None, "anchors": count})
    else:
        say(f"{path} holds: {found.position} events, {'1 anchor' if count == 1 else f'{count} anchors'}")
        say(f"head {found.position} {found.hash}")
    return 0


def rebuild(log: Path | None) -> int:
    """Fold the whole log into fresh read models. Loses nothing: the log is only read."""
    from learnd.requests import RebuildModels  # brings pydantic

    say(settled(log, RebuildModels()).message)
    return 0
