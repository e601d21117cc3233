"""A repository with active patterns, and the log that knows them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.patterns import Written, make_library
from events.log import EventLog
from learnd.door import Door, Handled
from learnd.serving.answers import Library, library_at
from learnd.serving.servable import ACTIVE_FOLDER
from learnd.views.queries import Views
from learnd.views.store import open_for_writing, read_connection
from state import commands as c
from state.decide import Command

ANNA = c.Person("anna", frozenset({"anna"}), reason="looked at it")
ORDERS = Written(
    "One query a page, not one a row",
    "The orders page runs one query per row of the list, so 200 orders take 201 queries.",
    "In `shop/orders_page.py`, `fetchOrderLines` loads all lines at once.",
    "A list is shown together with what belongs to each of its rows.",
    ("sqlite", "performance"),
    "run-orders",
)
CACHE = Written(
    "Give cached avatars a version",
    "Stale avatars are served for hours after an upload, for the cache key never changes.",
    "In `media/avatar_cache.py`, the key holds the upload's digest.",
    "Something is cached under a key that outlives it.",
    ("cache",),
    "run-cache",
)
RACE = Written(
    "Claim a shipment in one statement",
    "Two workers claim the same shipment because its status is read before it is locked.",
    "In `depot/claims.go`, `ClaimNext` updates and returns in one statement.",
    "",
    ("concurrency",),
    "run-race",
)
THREE = (ORDERS, CACHE, RACE)


@dataclass
class ServingPlace:
    """`ids` are the patterns', in the order of their texts."""

    state: Path
    repo: Path
    ids: list[str] = field(default_factory=list)

    @classmethod
    def made(cls, root: Path, texts: Sequence[Written] = THREE) -> ServingPlace:
        repo = root / "shop"
        repo.mkdir(parents=True)
        subprocess.run(["git", "init", "-q", repo], check=True)
        state = root / "state"
        return cls(state, repo, make_library(state, repo, texts))

    @contextmanager
    def log(self) -> Iterator[EventLog]:
        with open_for_writing(self.state / "events.db") as log:
            yield log

    @contextmanager
    def library(self) -> Iterator[Library]:
        with self.log() as log:
            views = Views(read_connection(log))
            yield library_at(views, views.rows, self.repo)

    def record(self, *commands: Command) -> None:
        with self.log() as log:
            for command in commands:
                outcome = Door(log).handle(command, "anna")
                assert isinstance(outcome, Handled), outcome

    def file(self, at: int) -> Path:
        (found,) = self.repo.joinpath(*ACTIVE_FOLDER).glob(f"*-{self.ids[at][:8]}.md")
        return found

    def found(self, question: str, limit: int = 3) -> list[int]:
        """Which patterns are given for a question, by their place in the texts, best first."""
        with self.library() as library:
            return [self.ids.index(each.pattern.id) for each in library.answer(question, limit).given]
