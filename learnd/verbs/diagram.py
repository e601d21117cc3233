"""`diagram`: a state table as Mermaid text, made from the table itself."""

from __future__ import annotations

from typing import Literal


def diagram(which: Literal["job", "pattern"]) -> int:
    """Print the diagram; those in docs/ are this text."""
    from state import job, pattern  # brings pydantic and transitions
    from state.machine import mermaid

    print(mermaid(job.TABLE if which == "job" else pattern.TABLE), end="")
    return 0
