"""The help of the whole command: its verbs, in the groups that cli.py puts them in, a line each, as plain text.

The line is the first paragraph of a verb's help; the rest stands in the verb's own. Plain, because importing rich takes
longer than all else that a verb needs in order to start.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from typer.core import TyperCommand, TyperGroup


class Formatter(Protocol):
    """What is used here of the formatter that typer hands over."""

    def section(self, name: str) -> AbstractContextManager[None]: ...

    def write_dl(self, rows: Sequence[tuple[str, str]]) -> None: ...


class Verbs(TyperGroup):
    """A group of commands whose help shows each under its `rich_help_panel`, in the order of their definition."""

    def format_commands(self, ctx: object, formatter: Formatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            if isinstance(command, TyperCommand):
                groups.setdefault(command.rich_help_panel or "", []).append(
                    (name, (command.help or "").partition("\n\n")[0])
                )
        width = max(len(name) for rows in groups.values() for name, _ in rows)
        for group, rows in groups.items():
            with formatter.section(group):
                formatter.write_dl([(name.ljust(width), text) for name, text in rows])
