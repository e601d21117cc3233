"""`regression`: the change behind a promoted pattern came undone, and a person had to notice."""

from __future__ import annotations

from pathlib import Path

from learnd.verbs.asking import settled, understood
from learnd.verbs.terminal import say


def report(log: Path | None, pattern: str, commit: str, detail: str, approver: str | None) -> int:
    """Report that the change behind `pattern` came undone at `commit`; `detail` tells how."""
    from learnd.requests import ReportRegression  # brings pydantic

    with understood():
        request = ReportRegression(pattern=pattern, commit=commit, detail=detail, claimed=approver)
    say(settled(log, request).message)
    return 0
