"""Takes out of `active/` what neither the log nor git knows: kept aside, then recorded, then removed.

A crash in between leaves the file where it is, and the next look does the same again. What git tracks is left whoever
committed it: a pattern that was promoted in another clone stands in another machine's log, and the file belongs to all
who share the repository. learnd serves by its own log alone, so it hands such a file to nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from events.log import EventLog
from learnd.harvest.faults import DiskFull, SnapshotError
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.tracked import GitAtWork, Rest, Tracked, at_rest, still, tracked
from learnd.library.canonical import canonical_digest
from learnd.library.files import Library
from learnd.library.folders import FolderRefused
from learnd.library.unknown import ACTIVE, Found, Stranger, find_unknown, keep_aside, take_out
from learnd.library.wanted import FOLDED, names_of
from learnd.views.queries import Views
from learnd.workplace import Workplace
from state import commands as c
from state import pattern as patterns
from state.pattern import PatternStatus
from state.refusal import Refused

ACTOR = "learnd:clearing"
TOGETHER = 200
"""Files that one event names."""

log = structlog.get_logger("learnd.clearing")


@dataclass
class Left:
    """What could not be done, by path; `again`: it can be tried again soon."""

    troubles: dict[str, str] = field(default_factory=dict)
    again: bool = False


def unknown_in(events: EventLog, views: Views, repo_path: str) -> Found:
    """What lies in a work tree's `active/` and is not the log's. Raises FolderRefused, OSError."""
    with_rule = {row.pattern for row in views.rules(statuses=tuple(PatternStatus))}

    active = {row.id for row in views.patterns(statuses=(PatternStatus.ACTIVE,))}

    def is_active(pattern_id: str, digest: str) -> bool:
        if pattern_id not in active:
            return False
        told = (record.data for record in events.read_types([f"pattern-{pattern_id}"], FOLDED))
        return digest == canonical_digest(patterns.fold(pattern_id, told).text)

    return find_unknown(Path(repo_path), names_of(views, repo_path), with_rule, is_active)


def judged(events: EventLog, views: Views, repo_path: str) -> tuple[Found, Tracked, Rest]:
    """The same, with what of it git tracks, at one moment at which git was at rest.

    Raises as `unknown_in` and `tracked`.
    """
    folder = Path(repo_path, *ACTIVE)
    rest = at_rest(folder)
    found = unknown_in(events, views, repo_path)
    return found, tracked(folder, rest), rest


def clear_active(place: Workplace, library: Library, repo_id: str) -> Left:
    """Take out what is nobody's; what is in the way of that is told.

    Raises FolderRefused and OSError where `active/` cannot be looked through, and what the log raises when it cannot be
    written.
    """
    left = Left()
    repo, folder = str(library.repo), library.repo.joinpath(*ACTIVE)
    found = unknown_in(place.door.log, place.views(), repo)
    for name, reason in found.unreadable.items():
        left.troubles[str(folder / name)] = f"it is no pattern of this log, and was left: {reason}. Next: move it away"
    if not found.strangers:
        return left
    try:
        found, teams, rest = judged(place.door.log, place.views(), repo)
        strangers = [each for name, each in found.strangers.items() if name not in teams]
        for start in range(0, len(strangers), TOGETHER):
            _set_aside(place, library, repo_id, strangers[start : start + TOGETHER], rest)
    except (GitAtWork, DiskFull, OSError) as error:
        left.troubles[str(folder)] = f"unknown files left for now, {len(found.strangers)}: {error}"
        left.again = True
    except (NotARepository, SnapshotError, FolderRefused) as error:
        left.troubles[str(folder)] = f"unknown files left, {len(found.strangers)}: {error}"
    return left


def _set_aside(place: Workplace, library: Library, repo_id: str, strangers: Sequence[Stranger], rest: Rest) -> None:
    files = keep_aside(library, repo_id, strangers)
    outcome = place.door.handle(c.RecordUnknownFiles(repo_id, str(library.repo), files), ACTOR)
    if isinstance(outcome, Refused) and outcome.code != "already_recorded":
        log.info("unknown files not recorded, and left", repository=str(library.repo), reason=outcome.reason)
        return
    still(library.repo.joinpath(*ACTIVE), rest)  # a person may have had git take one in meanwhile
    for path in take_out(library.repo, strangers):
        log.warning("taken out of active", file=str(path), reason="neither the log nor git knows it")
