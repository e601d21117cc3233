"""Which active patterns of a repository matter for a question, by the words that they share.

What is ranked is what passes a threshold, and the threshold does not depend on how many patterns there are (bm25's own
scale does: in a small library it is nothing but rounding). A pattern matters when it shares at least
`needed(n)` of the question's n telling words: all of one or two, about log2 n of more, for a longer question shares
more words with anything. A word that stands in more than half of all patterns tells nothing (bm25 says the same), once
there are enough of them to say so. Among those that matter, bm25 decides, title and problem weighing most.

A question can be a whole prompt. Nothing of it reaches SQLite but words of letters and digits, each in quotes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from learnd.serving.words import telling

Rows = Callable[[str, tuple[object, ...]], list[tuple[object, ...]]]
"""Runs a query on the read models."""

MOST_WORDS = 200
"""Of a question; the first ones, for a prompt says early what it is about."""
ENOUGH_TO_JUDGE = 8
"""Patterns, from which on a word in more than half of them is taken to tell nothing."""
WEIGHTS = (8.0, 4.0, 4.0, 3.0, 2.0)
"""Of the columns title, problem, applies-when, tags, paths."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A pattern that matters, by its id. `shared` are the question's words that it has; a smaller score is better."""

    id: str
    shared: tuple[str, ...]
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """Hits, best first, of `active` patterns; `asked` are the question's words that were looked for."""

    hits: tuple[Hit, ...]
    asked: tuple[str, ...]
    active: int


def needed(asked: int) -> int:
    """How many of a question's telling words a pattern must share: 1 of 1, 2 of 2 to 7, 3 of 8, 5 of 32, 7 of 128."""
    return min(asked, max(2, asked.bit_length() - 1))


def search(rows: Rows, repo_id: str, question: str, limit: int) -> Found:
    """At most `limit` active patterns of the repository that matter for `question`. Raises sqlite3.Error."""
    known = active(rows, repo_id)
    shared: dict[object, list[str]] = {}
    asked = []
    for word in telling(question)[:MOST_WORDS]:
        found = known.keys() & {number for (number,) in rows(_HAVING, (_quoted(word),))}
        if len(known) >= ENOUGH_TO_JUDGE and len(found) * 2 > len(known):
            continue
        asked.append(word)
        for number in found:
            shared.setdefault(number, []).append(word)
    # A whole name counts for a pattern that has it, and not against one that only has its parts.
    parts = set(telling(question, whole=False))
    least = needed(sum(word in parts for word in asked))
    matter = {number: tuple(having) for number, having in shared.items() if len(having) >= least}
    hits = tuple(Hit(known[number], matter[number], score) for number, score in _ranked(rows, matter, asked, limit))
    return Found(hits, tuple(asked), len(known))


def active(rows: Rows, repo_id: str) -> dict[object, str]:
    """Ids of the repository's active patterns by their number in the index."""
    return {number: str(pattern) for number, pattern in rows(_ACTIVE, (repo_id,))}


_ACTIVE = (
    "SELECT number, patterns.id FROM patterns JOIN pattern_texts ON pattern_texts.id = patterns.id "
    "WHERE patterns.repo_id = ? AND patterns.status = 'active' AND pattern_texts.indexed ORDER BY promoted_at, number"
)
_HAVING = "SELECT rowid FROM pattern_search WHERE pattern_search MATCH ?"
# The plus keeps SQLite from searching the index anew for each of the numbers.
_RANKED = (
    f"SELECT rowid, bm25(pattern_search, {', '.join(map(str, WEIGHTS))}) AS score FROM pattern_search "  # noqa: S608
    "WHERE pattern_search MATCH ? AND +rowid IN (SELECT value FROM json_each(?)) ORDER BY score, rowid LIMIT ?"
)


def _ranked(rows: Rows, matter: dict[object, tuple[str, ...]], asked: list[str], limit: int) -> list[tuple[int, float]]:
    if not matter or limit < 1:
        return []
    any_of = " OR ".join(map(_quoted, asked))
    found = rows(_RANKED, (any_of, json.dumps(list(matter)), limit))
    return [(int(str(number)), float(str(score))) for number, score in found]


def _quoted(word: str) -> str:
    """A string of FTS5's query language; a word has no quote in it (`words.py`)."""
    return f'"{word}"'
