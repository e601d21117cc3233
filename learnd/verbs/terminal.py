"""What a person sees: tables, lines and colours on a terminal; plain, whole lines anywhere else.

Text that came from a run or a repository may hold control characters; none of them reaches a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

FAILED = 1
USAGE = 2

STYLES = {
    "learned": "green", "active": "green", "proven": "green", "ok": "green", "exercised": "green",
    "candidate": "cyan", "replaying": "cyan", "crystalizing": "cyan", "scenario_ready": "cyan",
    "failed": "red", "fail": "red", "recorded": "dim", "superseded": "dim", "dismissed": "dim", "skipped": "dim",
    "snapshot_failed": "bold red", "stalled_snapshot": "bold red", "validation_failed": "bold red",
    "crystalization_failed": "bold red", "over_budget": "bold yellow", "awaiting_approval": "bold yellow",
    "needs_manual_scenario": "bold yellow", "warn": "yellow", "flaky": "yellow", "inconclusive": "yellow",
    "pass_only": "yellow", "quarantined": "yellow", "edited": "yellow", "stale": "yellow", "unexercised": "yellow",
    "rejected": "red", "deprecated": "dim", "expired": "dim",
}  # fmt: skip
"""Colours repeat what the word says already: nothing is told by colour alone."""
NARROWEST = 8
READABLE = 24
"""Characters: no column is made narrower, and what a column needs that tells something."""


class Stop(Exception):
    """The verb ends here: one line for stderr (what, where, `Next: …`) and an exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. On a narrow terminal only columns that may `shrink` lose their ends.

    A last column that goes `below` holds what is typed next: where there is no room, it stands whole under its row.
    """

    title: str
    shrink: bool = False
    right: bool = False
    below: bool = False


def clean(text: str) -> str:
    """`text` on one line, with nothing in it that a terminal would obey."""
    return "".join(sign if sign.isprintable() else " " if sign in "\n\t" else "\ufffd" for sign in text)


def is_terminal() -> bool:
    return sys.stdout.isatty()


def console() -> Console:
    """A console that honours NO_COLOR and, in a pipe, neither colours nor wraps."""
    from rich.console import Console  # slow to import, and only terminals need it

    return Console(highlight=False, soft_wrap=True, emoji=False)


def say(text: str = "", style: str | None = None) -> None:
    """One line."""
    line = clean(text)
    if not is_terminal() or style is None:
        print(line)
        return
    from rich.text import Text

    console().print(Text(line, style=style))


def note(text: str) -> None:
    """One line beside the data: to stderr, so that a pipe gets the data alone."""
    print(clean(text), file=sys.stderr, flush=True)


def heading(text: str) -> None:
    """The title of a part, set off from what came before."""
    say()
    say(text, "bold")


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], indent: int = 0) -> None:
    """Aligned columns. Nothing is cut off or wrapped but on a terminal that is too narrow."""
    cells = [[clean(cell) for cell in row] for row in rows]
    if is_terminal():
        _rich_table(columns, cells, indent)
        return
    titles = [column.title for column in columns]
    widths = [max(len(row[at]) for row in (titles, *cells)) for at in range(len(columns))]
    for row in (titles, *cells):
        padded = (
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        )
        print((" " * indent + "  ".join(padded)).rstrip())


def print_facts(facts: Sequence[tuple[str, str]], indent: int = 0) -> None:
    """Names and what they stand for, one a line, never cut."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        say(f"{' ' * indent}{name.ljust(width)}  {value}")


def _rich_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], indent: int) -> None:
    from rich.text import Text

    screen = console()
    room = screen.width - indent
    below = columns[-1].below and _is_cramped(columns, rows, room)
    beside = columns[:-1] if below else columns
    widths = _widths(beside, rows, room)
    for number, row in enumerate(([column.title for column in columns], *rows)):
        line = Text(" " * indent)
        for cell, column, width in zip(row, beside, widths, strict=False):
            text = Text(cell, style=STYLES.get(cell, "") if number else "bold")
            text.truncate(width, overflow="ellipsis")
            text.align("right" if column.right else "left", width)
            line.append_text(text).append("  ")
        line.rstrip()
        screen.print(line)
        if below and number:
            screen.print(Text(f"{' ' * (indent + 2)}{row[-1]}"))


def _natural(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    """As wide as the widest cell."""
    from rich.cells import cell_len

    return [
        max(cell_len(cell) for cell in (column.title, *(row[at] for row in rows))) for at, column in enumerate(columns)
    ]


def _is_cramped(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int) -> bool:
    """Would a column that may shrink become too narrow to tell anything?"""
    needed = zip(_natural(columns, rows), columns, strict=True)
    return sum(min(width, READABLE) if column.shrink else width for width, column in needed) + 2 * len(columns) > room


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """What does not fit is taken from the columns that may shrink, widest first."""
    widths = _natural(columns, rows)
    over = sum(widths) + 2 * len(columns) - room
    while over > 0:
        able = [at for at, column in enumerate(columns) if column.shrink and widths[at] > NARROWEST]
        if not able:
            break
        widths[max(able, key=lambda at: widths[at])] -= 1
        over -= 1
    return widths


def markdown(text: str) -> None:
    """A Markdown text: rendered on a terminal, else as it is."""
    if not is_terminal():
        print(text.rstrip("\n"))
        return
    from rich.markdown import Markdown

    safe = "\n".join(clean(line) for line in text.splitlines())
    console().print(Markdown(safe), soft_wrap=False)


def print_json(value: object) -> None:
    """One JSON document."""
    print(json.dumps(value, indent=2))


def confirm(question: str, *, yes: bool, instead: str | None = None) -> bool:
    """Ask a person. Where nobody is at a terminal: yes, or, with `instead`, Stop that says what to type instead."""
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        if instead is None:
            return True
        raise Stop(f"nobody is at a terminal to be asked: {question} Next: {instead}", USAGE)
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


# --- times and sizes for people ---


def local(at: str) -> datetime:
    """The moment of an ISO 8601 text, in this machine's zone."""
    moment = datetime.fromisoformat(at)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone()


def stamp(at: str | None) -> str:
    """`2026-01-31 12:00:01`, local time."""
    return local(at).strftime("%Y-%m-%d %H:%M:%S") if at else "-"


def clock_time(at: str) -> str:
    """`12:00:01`, local time."""
    return local(at).strftime("%H:%M:%S")


def ago(at: str | None) -> str:
    """`3 min ago`."""
    if at is None:
        return "-"
    seconds = (datetime.now(UTC) - local(at)).total_seconds()
    return "just now" if seconds < 1 else f"{duration(seconds)} ago"


def size(count: int) -> str:
    """Bytes for people: `512 B`, `1.2 MiB`."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    step = min(max(count, 1).bit_length() - 1, 49) // 10
    return f"{count} B" if step == 0 else f"{count / 1024**step:.1f} {units[step]}"


def duration(seconds: float | None) -> str:
    """`0.42 s`, `12 s`, `3 min`, `5 h`, `9 d`."""
    if seconds is None:
        return "-"
    for limit, unit, size in ((90, "s", 1), (5400, "min", 60), (129_600, "h", 3600)):
        if seconds < limit:
            return f"{seconds:.2f} s" if unit == "s" and seconds < 10 else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
