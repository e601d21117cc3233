"""What the log says of each pattern, as the files shall show it."""

from __future__ import annotations

from collections.abc import Sequence

from events import catalog as e
from events.log import EventLog
from events.recorded import Recorded
from learnd.ids import short
from learnd.library.canonical import file_name
from learnd.library.files import WantedPattern
from learnd.views.queries import PatternRow, Views
from state import pattern as patterns
from state.pattern import PatternStatus

_JUDGED = (PatternStatus.ACTIVE, PatternStatus.DEPRECATED, PatternStatus.STALE)


DECIDED = (e.PatternPromoted, e.PatternDeprecated, e.PatternSuperseded)
FOLDED = frozenset(kind.__name__ for kind in e.PATTERN_EVENTS) - {"EvidenceAdded", "EvidenceWithdrawn"}
"""What a file shows comes of these. Of evidence there may be hundreds of events, each with a text of its own."""


def wanted(log: EventLog, views: Views, pattern_id: str) -> WantedPattern | None:
    """One pattern as its file shall be; None when the log knows no such pattern."""
    row = next((row for row in views.patterns() if row.id == pattern_id), None)
    if row is None:
        return None
    name = next(name for other, name in _named(views, row.repo_path) if other.id == pattern_id)
    return _wanted(row, name, log.read_types([f"pattern-{row.id}"], FOLDED))


def wanted_of(log: EventLog, views: Views, repo_path: str) -> list[WantedPattern]:
    """Every pattern of one work tree, oldest first, but for those of a repository that stood there and was forgotten:
    their files are nobody's but the repository's.
    """
    forgotten = {row.id for row in views.forgotten()}
    shown = [(row, name) for row, name in _named(views, repo_path) if row.repo_id not in forgotten]
    streams: dict[str, list[Recorded]] = {f"pattern-{row.id}": [] for row, _ in shown}
    for record in log.read_types(list(streams), FOLDED):
        streams[record.stream].append(record)
    return [_wanted(row, name, streams[f"pattern-{row.id}"]) for row, name in shown]


def names_of(views: Views, repo_path: str) -> dict[str, str]:
    """The ids of the patterns of `wanted_of` by their files' names, without reading the log."""
    forgotten = {row.id for row in views.forgotten()}
    return {name: row.id for row, name in _named(views, repo_path) if row.repo_id not in forgotten}


def _named(views: Views, repo_path: str) -> list[tuple[PatternRow, str]]:
    """The patterns of one work tree and their files' names, which are given in order and never change."""
    taken: set[str] = set()
    found = []
    for row in views.patterns():
        if row.repo_path == repo_path:
            name = file_name(row.slug, row.id, taken)
            taken.add(name)
            found.append((row, name))
    return found


def _wanted(row: PatternRow, name: str, records: Sequence[Recorded]) -> WantedPattern:
    pattern = patterns.fold(row.id, (record.data for record in records))
    promoted = [record for record in records if isinstance(record.data, DECIDED)]
    if pattern.status not in _JUDGED or not promoted:
        return WantedPattern(row.id, pattern.status, name, pattern.text, reason=_brought_back(records, pattern.status))
    last = promoted[-1]
    assert isinstance(last.data, e.Approval)  # noqa: S101 - chosen above
    reason = " ".join(last.data.reason.split())
    if isinstance(last.data, e.PatternSuperseded):
        reason = f"superseded by {short(last.data.by)}{f': {reason}' if reason else ''}"
    return WantedPattern(
        row.id, pattern.status, name, pattern.text,
        approver=_who(last.data), approved_at=last.at, reason=reason or None,
    )  # fmt: skip


def _brought_back(records: Sequence[Recorded], status: PatternStatus) -> str | None:
    """Who restored or released a candidate, and why; it has no approver, for nobody approved it."""
    words = {"PatternRestored": "restored", "PatternReleased": "released"}
    last = next((record.data for record in reversed(records) if record.type in words), None)
    if status is not PatternStatus.CANDIDATE or not isinstance(last, e.Approval):
        return None
    reason = " ".join(last.reason.split())
    return f"{words[last.type]} by {_who(last)}{f': {reason}' if reason else ''}"


def _who(decision: e.Approval) -> str:
    return f"{decision.approver} (as {decision.claimed})" if decision.claimed else decision.approver
