"""Questions of agents, answered: from a repository's folder and some text to patterns, by whichever door they came.

The command line and the MCP server both ask here. Only the read models and the table of events are read; nothing is
changed but the note that something was served.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from learnd.serving.search import Hit, active, search
from learnd.serving.servable import HeldBack, Rows, Served, served
from learnd.views.queries import NotFound, Views

MOST = 20
"""Patterns of one answer: agents load what they are given."""


class NoRepository(Exception):
    """The folder lies in no repository that is registered; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Given:
    """A pattern that is served, and the question's words that it shares."""

    pattern: Served
    shared: tuple[str, ...]
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What matters for a question, best first; `held` would have, but their files are not what was judged."""

    given: tuple[Given, ...]
    held: tuple[HeldBack, ...]
    asked: tuple[str, ...]
    active: int


@dataclass(frozen=True, slots=True)
class Library:
    """The patterns of one repository, on the read models of one moment."""

    views: Views
    events: Rows
    repo_id: str
    work_tree: Path

    def answer(self, question: str, limit: int) -> Answer:
        """At most `limit` patterns that matter for `question`. One that is held back makes room for the next."""
        found = search(self.views.rows, self.repo_id, question, limit=MOST + limit)
        hits = {hit.id: hit for hit in found.hits}
        given, held = self._serve(list(hits.values()), limit)
        return Answer(
            tuple(Given(each, hits[each.id].shared, hits[each.id].score) for each in given),
            tuple(held),
            found.asked,
            found.active,
        )

    def _serve(self, hits: list[Hit], limit: int) -> tuple[list[Served], list[HeldBack]]:
        given: list[Served] = []
        held: list[HeldBack] = []
        while hits and len(given) < limit:
            some, hits = hits[: limit - len(given)], hits[limit - len(given) :]
            more, back = self.some([hit.id for hit in some])
            given += more
            held += back
        return given, held

    def everything(self) -> tuple[list[Served], list[HeldBack]]:
        """All active patterns, in the order of their promotion."""
        return self.some(self.ids())

    def some(self, ids: Sequence[str]) -> tuple[list[Served], list[HeldBack]]:
        """Active patterns by their whole ids."""
        return served(self.views.rows, self.events, ids)

    def ids(self) -> list[str]:
        """Of all active patterns, in the order of their promotion, whatever their files say."""
        return list(active(self.views.rows, self.repo_id).values())

    def has(self, pattern_id: str) -> bool:
        """Whether a pattern, of whatever status, is this repository's."""
        return bool(self.views.rows("SELECT 1 FROM patterns WHERE id = ? AND repo_id = ?", (pattern_id, self.repo_id)))

    def pattern(self, prefix: str) -> Served:
        """The active pattern of this repository whose id begins so. Raises NotFound, Ambiguous."""
        row = self.views.pattern(prefix)
        if row.repo_id != self.repo_id or row.status != "active":
            raise NotFound(f"no active pattern of this repository has the id {prefix}. Next: search for one")
        given, held = served(self.views.rows, self.events, [row.id])
        if not given:
            reason = held[0].reason if held else "it is active no more"
            raise NotFound(f"pattern {prefix} is not served: {reason}. Next: learnd review {prefix}")
        return given[0]


def library_at(views: Views, events: Rows, folder: Path) -> Library:
    """The library of the registered repository that `folder` lies in. Raises NoRepository."""
    path = os.path.realpath(folder)
    trees = [tree for tree in views.work_trees() if path == tree.path or path.startswith(f"{tree.path.rstrip('/')}/")]
    if not trees:
        raise NoRepository(f"{path} lies in no repository that learnd watches. Next: learnd init {path}")
    inner = max(trees, key=lambda tree: len(tree.path))
    return Library(views, events, inner.repo_id, Path(inner.path))
