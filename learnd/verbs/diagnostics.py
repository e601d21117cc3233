"""What learnd says of its own work, on stderr: JSON lines for a journal, plain lines for a person."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger


def configure(*, quiet: bool) -> None:
    """Set structlog up for this process. `quiet`: a person typed the verb and wants to hear of warnings only."""
    import structlog

    terminal = sys.stderr.isatty()
    processors: list[structlog.typing.Processor] = [structlog.processors.add_log_level]
    if quiet:
        processors += [structlog.processors.format_exc_info, _line]
    elif terminal:
        processors.append(structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False))
        processors.append(structlog.dev.ConsoleRenderer(colors=not os.environ.get("NO_COLOR"), pad_event_to=0))
    else:
        processors.append(structlog.processors.TimeStamper(fmt="iso"))
        processors += [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if quiet else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _line(_logger: WrappedLogger, _name: str, told: EventDict) -> str:
    """`warning: manifest not written: <reason> (job 7f3a2c1e)`, and the traceback of what nobody foresaw."""
    level, event, trace = told.pop("level", "warning"), told.pop("event", ""), told.pop("exception", None)
    reason = told.pop("reason", told.pop("detail", None))
    rest = ", ".join(f"{name} {value}" for name, value in told.items())
    line = f"{level}: {event}{f': {reason}' if reason else ''}{f' ({rest})' if rest else ''}"
    return f"{line}\n{trace}" if trace and os.environ.get("LEARND_DEBUG") else line
