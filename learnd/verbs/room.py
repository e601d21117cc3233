"""What learnd takes on the disk: lines for `status`, a check for `doctor`."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.verbs.check import Check, ok
from learnd.verbs.terminal import size

if TYPE_CHECKING:
    from learnd.keeping.sizes import RepositoryRoom, Room
    from learnd.locate import Place
    from learnd.views.queries import Views

FREE_FAIL, FREE_WARN = 256 << 20, 2 << 30
"""Bytes free where the log lies: less than the first and the daemon stops working, see `engine.FREE_BYTES`."""
SHOWN = 5
"""Repositories that a line of its own is given to, the largest first."""


def lines(room: Room) -> list[tuple[str, str]]:
    """Names and facts for people."""
    about = "" if room.complete else "at least "
    parts = [("log", room.log), ("snapshots", room.snapshots), ("work", room.work), ("quarantine", room.quarantine)]
    parts += [("drafts and evidence", room.texts), ("backups beside", room.backups), ("other", room.other)]
    told = ", ".join(f"{name} {size(count)}" for name, count in parts if count)
    found = [("takes", f"{about}{size(room.total)}: {told}; {size(room.free)} free")]
    found += [("", _of_repository(repository)) for repository in room.repositories[:SHOWN]]
    if len(room.repositories) > SHOWN:
        found.append(("", f"{len(room.repositories) - SHOWN} smaller ones"))
    if room.pruned:
        snapshots = "1 snapshot" if room.pruned == 1 else f"{room.pruned} snapshots"
        found.append(("pruned", f"{snapshots} so far, {size(room.freed)} freed"))
    return found


def _of_repository(room: RepositoryRoom) -> str:
    return f"{room.path or f'repository {room.id[:8]}'}: store {size(room.store)}, tarballs {size(room.tarballs)}"


def as_json(room: Room) -> dict[str, object]:
    """`{log, work, quarantine, texts, backups, other, free, pruned, freed, complete, snapshots, total, repositories:
    [{id, path, store, tarballs}]}`; bytes, `pruned` a count, `complete` whether everything was counted.
    """
    return {**asdict(room), "snapshots": room.snapshots, "total": room.total}


def disk_check(place: Place, views: Views | None) -> Check:
    """Is there room where the log lies, and if there is little, what takes it."""
    folder = next((parent for parent in (place.state_dir, *place.state_dir.parents) if parent.is_dir()), Path("/"))
    free = shutil.disk_usage(folder).free
    found = f"{size(free)} free at {folder}"
    if views is None:
        return _judged(free, found, "free some space")
    from learnd.keeping.sizes import measure

    room = measure(place.state_dir, views, None)
    found += f", {size(room.total)} taken by learnd"
    if free >= FREE_WARN:
        return ok("disk", found)
    largest = max((room.log, "the log"), (room.work, "replays at work"), (room.backups, "backups beside the log"))
    taking = [f"{_of_repository(repository)}" for repository in room.repositories[:SHOWN]]
    if largest[0]:
        taking.append(f"{largest[1]}: {size(largest[0])}")
    mend = "free some space; lower retention_days and wait an hour, or learnd once; learnd forget REPO"
    return _judged(free, f"{found}, most of it by {'; '.join(taking)}" if taking else found, mend)


def _judged(free: int, found: str, mend: str) -> Check:
    if free < FREE_FAIL:
        return Check("disk", "fail", found, mend)
    return Check("disk", "warn", found, mend) if free < FREE_WARN else ok("disk", found)
