"""What patterns are compared by, kept in the read models: a thousand texts are not normalised anew for each new one.

The row of a pattern follows the text that stands: the one that was judged, or the edited one that a person promoted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from events import catalog as e
from events.recorded import Recorded
from events.values import ChangeMarks
from learnd.library.likeness import Known, Likeness, rule_mark
from state.pattern import PatternStatus


def follow(connection: sqlite3.Connection, record: Recorded, prefix: str) -> None:
    """Bring the rows from just before `record` to just after it."""
    event, pattern_id = record.data, record.stream.removeprefix("pattern-")
    match event:
        case e.PatternStaged():
            _write(connection, prefix, pattern_id, event.repo_id, event.text_body, event.change)
        case e.PatternQuarantined(text_body=str(text), repo_id=str(repo_id)):
            _write(connection, prefix, pattern_id, repo_id, text, event.change)
        case e.PatternPromoted(text_body=str(text)):
            said = Likeness.of(text, ChangeMarks())
            connection.execute(
                f"UPDATE {prefix}likenesses SET text = ?, symbols = ? WHERE pattern = ?",  # noqa: S608
                (said.text, _joined(said.symbols), pattern_id),
            )
        case e.PatternRuleVerified():
            connection.execute(
                f"UPDATE {prefix}likenesses SET rule = ? WHERE pattern = ?",  # noqa: S608
                (rule_mark(event.rule), pattern_id),
            )


def _write(
    connection: sqlite3.Connection, prefix: str, pattern_id: str, repo_id: str, text: str, change: ChangeMarks | None
) -> None:
    found = Likeness.of(text, change)
    connection.execute(
        f"INSERT OR REPLACE INTO {prefix}likenesses VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",  # noqa: S608
        (
            pattern_id, repo_id, found.text, _joined(found.symbols), _joined(found.paths), _joined(found.removed),
            _joined(found.added),
        ),
    )  # fmt: skip


def known(connection: sqlite3.Connection, repo_id: str, statuses: Sequence[PatternStatus]) -> list[Known]:
    """What the patterns of a repository in these statuses are compared by, oldest first."""
    marks = ", ".join("?" * len(statuses))
    rows = connection.execute(
        "SELECT pattern, text, symbols, paths, removed, added, rule FROM likenesses "  # noqa: S608 - marks alone
        "JOIN patterns ON patterns.id = likenesses.pattern "
        f"WHERE likenesses.repo_id = ? AND patterns.status IN ({marks}) ORDER BY staged_at, patterns.rowid",
        (repo_id, *(status.value for status in statuses)),
    )
    return [
        (pattern, Likeness(text, _split(symbols), _split(paths), _split(removed), _split(added), rule))
        for pattern, text, symbols, paths, removed, added, rule in rows
    ]


def _joined(values: frozenset[str]) -> str:
    return "\n".join(sorted(values))


def _split(text: str) -> frozenset[str]:
    return frozenset(text.split("\n")) if text else frozenset()
