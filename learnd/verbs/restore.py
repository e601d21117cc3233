"""`restore-backup`: the log and its stores put back, after saying what that loses; and `verify --accept-loss`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.locate import NAME, Place
from learnd.verbs import diagnostics
from learnd.verbs.asking import locked
from learnd.verbs.reading import place_of
from learnd.verbs.terminal import USAGE, Stop, confirm, note, print_json, say, stamp

if TYPE_CHECKING:
    from learnd.keeping.restore import Loss, Plan
    from learnd.keeping.swap import Restored


def restore(log: Path | None, folder: Path, *, yes: bool, accept_loss: bool, as_json: bool) -> int:
    """Put a backup back. The log that was there is set aside.

    JSON: `{backup, position, hash, lost: {kept, position, since, types, parted}|null, former, patterns: [path]}`.
    """
    place = _writable_place(log)
    diagnostics.configure(quiet=True)
    from learnd.identity import user_name  # brings pydantic
    from learnd.keeping.restore import look, put_back

    with _alone(place):
        restored = _cut_short(place, folder)
        if restored is None:
            plan = look(folder.absolute(), place.log)
            _tell(plan, place, as_json=as_json)
            if plan.loss and not accept_loss:
                raise Stop(f"nothing was restored: {_counted(plan.loss)} would be lost. Next: {_again(folder, plan)}")
            instead = f"{_again(folder, plan)} --yes"
            if not confirm(f"Put {plan.folder} in the place of {place.log}?", yes=yes, instead=instead):
                raise Stop("nothing was restored")
            restored = put_back(plan, place.log, user_name(os.geteuid()))
    _say_done(restored, place, as_json=as_json)
    return 0


def accept_loss(log: Path | None, *, as_json: bool) -> int:
    """Go on with a log that is not what it was known to be: its anchors are given up, and the log says so.

    JSON: `{log, position, hash, lost_position, patterns: [path]}`.
    """
    place = _writable_place(log)
    diagnostics.configure(quiet=True)
    from learnd.identity import user_name  # brings pydantic
    from learnd.keeping.accept import accept

    with _alone(place):
        accepted = accept(place.log, user_name(os.geteuid()))
    if accepted is None:
        raise Stop(f"{place.log} is what it was known to be: there is no loss to accept")
    if as_json:
        print_json({"log": str(place.log), **asdict(accepted), "patterns": [str(file) for file in accepted.patterns]})
        return 0
    say(f"{place.log} goes on behind position {accepted.position}; up to {accepted.lost_position} was known before")
    _say_patterns(accepted.patterns)
    return 0


def _writable_place(log: Path | None) -> Place:
    place = place_of(log)
    if place.log.name != NAME:
        raise Stop(f"{place.log} can only be read: a log that is written is called {NAME}. Next: --log FOLDER", USAGE)
    return place


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Hold the log's lock. Raises Stop for all that can stand in the way, in the block too."""
    from events.log import AppendFailed, LogDamaged, LogLock, LogLocked, LogUnusable
    from learnd.keeping.manifest import BackupUnusable

    try:
        with LogLock(place.log):
            yield
    except LogLocked as error:
        raise Stop(locked(error)) from error
    except (LogUnusable, BackupUnusable, LogDamaged, AppendFailed) as error:
        raise Stop(str(error)) from error


def _cut_short(place: Place, folder: Path) -> Restored | None:
    """What an earlier try that was killed had begun, carried out; None where this is another restore."""
    from learnd.keeping import swap

    order = swap.pending(place.log)
    if order is None:
        return None
    done = swap.finish(place.log)
    return done if order.backup == str(folder.resolve()) else None


def _tell(plan: Plan, place: Place, *, as_json: bool) -> None:
    tell = note if as_json else say
    backup = plan.backup
    tell(f"{plan.folder} was made at {stamp(backup.made_at)} and holds: {backup.position} events")
    for entry in backup.left_out:
        tell(f"it lacks {entry.what}, which could not be copied: {entry.reason}")
    if plan.newer:
        tell(f"a newer backup is beside it: {plan.newer}")
    if plan.unreadable:
        tell(f"what would be lost is not known for sure: {plan.unreadable}")
    if plan.loss:
        told = ", ".join(f"{count} {name}" for name, count in plan.loss.types.items())
        tell(f"{place.log} had {_counted(plan.loss)} that the backup has not{f': {told}' if told else ''}")
        if plan.loss.parted:
            tell(f"the two are not one history: they part behind position {plan.loss.kept}")


def _counted(loss: Loss) -> str:
    number = "1 event" if loss.count == 1 else f"{loss.count} events"
    return f"{number} since {stamp(loss.since)}"


def _again(folder: Path, plan: Plan) -> str:
    return f"learnd restore-backup {folder}{' --accept-loss' if plan.loss else ''}"


def _say_done(restored: Restored, place: Place, *, as_json: bool) -> None:
    order = restored.order
    if as_json:
        told = order.model_dump(mode="json", include={"backup", "position", "hash", "lost_position"})
        former = str(restored.former) if restored.former else None
        print_json({**told, "former": former, "patterns": [str(file) for file in restored.patterns]})
        return
    say(f"{place.log} is restored from {order.backup}: {order.position} events")
    if restored.former:
        say(f"the log that was there is kept at {restored.former}")
    _say_patterns(restored.patterns)
    say("Next: start learnd; runs that completed later are learned from again")


def _say_patterns(patterns: tuple[Path, ...]) -> None:
    for file in patterns:
        say(f"set aside, for the log knows nothing of it: {file}")
