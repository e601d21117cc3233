"""What learnd says of its own work, on stderr: JSON lines for a journal, aligned lines on a terminal."""

from __future__ import annotations

import logging
import sys


def configure(*, quiet: bool) -> None:
    """Set structlog up for this process. `quiet` keeps to warnings: for verbs that a person runs."""
    import structlog  # only who works needs it

    terminal = sys.stderr.isatty()
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
    ]
    if terminal:
        processors.append(
            structlog.dev.ConsoleRenderer(
                colors=not _no_color(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
            )
        )
    else:
        # Plain tracebacks: structlog's own show every local variable, settings with their key among them.
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if quiet else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _no_color() -> bool:
    import os

    return bool(os.environ.get("NO_COLOR"))
