"""`mcp`: active patterns for agents that speak the Model Context Protocol, over standard input and output."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.serving.answers import Library, library_at
from learnd.verbs.reading import reading
from learnd.verbs.serving import note_use
from learnd.verbs.terminal import note

if TYPE_CHECKING:
    from learnd.requests import Reply, ReportUse
    from learnd.serving.tools import Doors


def serve(log: Path | None, repo: Path) -> int:
    """Serve one client until it closes its end. Without a log, or in no repository, every call says so."""
    from learnd.serving.mcp_server import run  # brings the SDK, which is slow
    from learnd.verbs import diagnostics

    diagnostics.configure(quiet=True)
    if sys.stdin.isatty():
        note("learnd mcp waits for a client on standard input. Next: name it as a server in the agent's settings")
    run(doors(log, repo))
    return 0


def doors(log: Path | None, repo: Path) -> Doors:
    """The library of the repository that `repo` lies in, as it is whenever it is asked, and the ways to report."""
    from learnd.serving.tools import Doors  # brings pydantic

    folder = repo.absolute()

    @contextmanager
    def library() -> Iterator[Library]:
        with reading(log) as book:
            yield library_at(book.views, book.rows, folder)

    def report(request: ReportUse) -> Reply:
        from learnd.verbs.asking import answered

        return answered(log, request)

    def noted(pattern_ids: Sequence[str], run: str | None) -> bool:
        return note_use(log, pattern_ids, run)

    return Doors(library, report, noted)
