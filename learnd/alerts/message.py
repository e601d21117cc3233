"""What an alert says: what happened, where, since when, and the command that moves it on; a line each.

Causes, details, task and run ids come from a run or a repository. They are redacted, on one line, bounded, and without
characters that a reader cannot see. The text is stored so; each channel escapes it in its own way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from learnd.clock import parse
from learnd.ids import short
from learnd.views.diagnosis import MEANING

if TYPE_CHECKING:
    from events.catalog import FaultKind
    from learnd.views.queries import JobRow

DETAIL = 300
"""Characters of a detail. The whole is in `learnd why`."""
COMMAND = 1500
"""Characters of a command, which is of use only whole: it may hold a path."""
NAME = 120
NEXT = "Next: "


def about_job(job: JobRow, command: str | None) -> str:
    """The message about a job that is blocked."""
    why = plain(": ".join(part for part in (job.cause, job.detail) if part), DETAIL)
    said = MEANING[job.status]
    lines = [
        f"job {short(job.id)} is {job.status}: {why or said}",
        f"task {plain(job.task_id, NAME)}, run {plain(job.run_id, NAME)}, in {plain(job.repo_path, NAME)}",
        f"since {moment(job.since)}",
        NEXT + (plain(command, COMMAND) if command else f"learnd why {short(job.id)}"),
    ]
    return "\n".join(lines)


def about_fault(kind: FaultKind, detail: str, since: str | None) -> str:
    """The message about a fault of the machine."""
    lines = [f"machine fault {kind}: {plain(detail, DETAIL)}", "jobs that need it wait, and go on by themselves"]
    if since:
        lines.append(f"since {moment(since)}")
    return "\n".join([*lines, f"{NEXT}learnd doctor"])


def headline(message: str) -> str:
    return message.partition("\n")[0]


def moment(at: str) -> str:
    """`2026-01-31 12:00:01 UTC`, read the same by people in any zone."""
    return parse(at).strftime("%Y-%m-%d %H:%M:%S UTC")


def plain(text: str, limit: int) -> str:
    """`text` redacted, on one line, at most `limit` characters, nothing invisible in it."""
    from learnd.crystalizer.redact import redact  # noqa: PLC0415 - detect-secrets is slow to import

    safe = redact(text[: limit * 20]).text
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in safe).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
