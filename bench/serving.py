"""A library of 1,000 active patterns: searched, beside a bare FTS5 query of the same words; and asked over MCP.

learnd's search asks for each word by itself, to know which patterns share enough of them, then ranks; the peer is the
one query that ranks whatever matches any word. A round trip over MCP goes from the SDK's client through a real process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from anyio.from_thread import start_blocking_portal
from mcp import Client, StdioServerParameters

from bench.measuring import Line, in_turns, median, quantile, scaled, shown
from bench.patterns import make_library, texts
from learnd.serving.answers import library_at
from learnd.serving.search import MOST_WORDS, WEIGHTS
from learnd.serving.words import telling
from learnd.verbs.reading import reading

PATTERNS = 1000
ROUNDS = 200
TRIPS = 100
AIM_S = 0.050
QUESTIONS = (
    "the orders page is slow: it runs a query for each row of the list",
    "Stale avatars are shown after an upload. Find out which cache key is used in api/avatars_view.py, give it a "
    "version and a time to live, and make sure that devices and sessions which were cached before are not served any "
    "more. Acceptance: uploading a new avatar shows it at once on every page; old playlists, comments and articles "
    "still load; no worker claims the same upload twice, and the import of 50,000 rows takes no longer than before.",
    "make the coffee machine speak Portuguese",
)
PEER = (
    f"SELECT rowid, bm25(pattern_search, {', '.join(map(str, WEIGHTS))}) AS score FROM pattern_search "  # noqa: S608
    "WHERE pattern_search MATCH ? ORDER BY score LIMIT 3"
)
WHY = "each word of the question is a query, and each pattern's evidence and file are read"


def measure(folder: Path, scale: float) -> list[Line]:
    repo, state = folder / "repo", folder / "state"
    repo.mkdir()
    subprocess.run(["git", "init", "-q", repo], check=True)
    count = len(make_library(state, repo, texts(scaled(PATTERNS, scale, 10))))
    n = scaled(ROUNDS, scale, 3)
    lines = []
    with reading(state) as book:
        for question in QUESTIONS:
            library = library_at(book.views, book.rows, repo)
            any_of = " OR ".join(f'"{word}"' for word in telling(question)[:MOST_WORDS])
            taken = in_turns(
                {
                    "learnd": lambda question=question, library=library: library.answer(question, 3),  # type: ignore[misc]
                    "bare": lambda any_of=any_of: book.rows(PEER, (any_of,)),  # type: ignore[misc]
                },
                n,
                1,
            )
            what = f"{count:,} patterns searched, {len(telling(question))} telling words"
            lines.append(_line(what, taken["learnd"], "bare FTS5 query", taken["bare"], f"{n} each"))
    trips = scaled(TRIPS, scale, 3)
    with _client(repo, state) as search:
        taken = in_turns({"learnd": lambda: search(QUESTIONS[0]), "nothing": lambda: search("")}, trips, 2)
    what = f"{count:,} patterns, search_patterns over MCP and back"
    return [*lines, _line(what, taken["learnd"], "a call that the server refuses", taken["nothing"], f"{trips} each")]


def _line(what: str, ours: list[float], peer: str, theirs: list[float], n: str) -> Line:
    slow = quantile(ours, 0.95)
    return Line(
        what,
        f"{shown(median(ours))}, p95 {shown(slow)}",
        f"{peer}: {shown(median(theirs))}",
        f"{median(ours) / median(theirs):.1f} × the time",
        "< 50 ms",
        slow < AIM_S,
        n,
        WHY,
    )


@contextmanager
def _client(repo: Path, state: Path) -> Iterator[Callable[[str], bool]]:
    """A connected client's search, to be called from here."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(state.parent), "LEARND_STATE_DIR": str(state)}
    parameters = StdioServerParameters(
        command=sys.executable, args=["-P", "-m", "learnd", "mcp"], cwd=repo, env=environ
    )
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Client(parameters)) as client:

        async def search(question: str) -> bool:
            return (await client.call_tool("search_patterns", {"question": question})).is_error

        yield lambda question: portal.call(search, question)
