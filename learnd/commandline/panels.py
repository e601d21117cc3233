"""The verbs in panels, as the help of the whole command shows them: a line each, as plain text.

The line is the first paragraph of a verb's help; the rest stands in the verb's own. Plain, because importing rich takes
longer than all else that a verb needs in order to start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import CommandInfo

Verb = TypeVar("Verb", bound=Callable[..., int])


class Panel:
    """The verbs under one heading of the help, in the order of their definition."""

    def __init__(self, heading: str) -> None:
        self._heading = heading
        self._verbs = typer.Typer()

    def verb(self, example: str, *, name: str | None = None) -> Callable[[Verb], Verb]:
        """Make a function a verb of its own name, or of `name`; `example` ends its help."""
        return self._verbs.command(name, rich_help_panel=self._heading, epilog=f"Example: {example}")

    @property
    def verbs(self) -> Sequence[CommandInfo]:
        return self._verbs.registered_commands


class Formatter(Protocol):
    """What is used here of the formatter that typer hands over."""

    def section(self, name: str) -> AbstractContextManager[None]: ...

    def write_dl(self, rows: Sequence[tuple[str, str]]) -> None: ...


class Panels(TyperGroup):
    """A group of commands whose help shows each in its panel."""

    def format_commands(self, ctx: object, formatter: Formatter) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            if isinstance(command, TyperCommand):
                panels.setdefault(command.rich_help_panel or "", []).append(
                    (name, (command.help or "").partition("\n\n")[0])
                )
        width = max(len(name) for rows in panels.values() for name, _ in rows)
        for heading, rows in panels.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), text) for name, text in rows])
