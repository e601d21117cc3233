"""Verbs that change something: sent to the daemon, or done here under the log's lock when none runs.

Both ways lead through the same desk, so that a verb means the same with and without a daemon.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.locate import NAME, Place
from learnd.verbs import diagnostics
from learnd.verbs.reading import no_log, place_of
from learnd.verbs.terminal import USAGE, Stop

if TYPE_CHECKING:
    from learnd.engine import Engine
    from learnd.requests import Reply, Request
    from learnd.settings import Settings

TRIES = 20
PAUSE_S = 0.25
"""Whoever holds the log without answering is starting, stopping, or another verb: that passes."""
ALERTS_S = 5.0
"""How long a verb stays to tell Slack and PagerDuty what it changed; the next one goes on with what is left."""


@contextmanager
def understood() -> Iterator[None]:
    """Make a request in this block: what it cannot say (a path that is not UTF-8, infinite dollars) is a Stop."""
    from pydantic import ValidationError

    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Stop(f"{where}: {first['msg']}. Next: the verb with --help", USAGE) from error


def settled(log: Path | None, request: Request, *, may_make_log: bool = False) -> Reply:
    """What was done about a request. Raises Stop with the reason when nothing was."""
    reply = answered(log, request, may_make_log=may_make_log)
    if not reply.ok:
        raise Stop(reply.message)
    return reply


def answered(log: Path | None, request: Request, *, may_make_log: bool = False) -> Reply:
    """The reply, also where it is a refusal. Raises Stop when nobody could answer."""
    return _settle(place_of(log), request, may_make_log)


def _settle(place: Place, request: Request, may_make_log: bool) -> Reply:
    from events.log import LogLocked  # brings pydantic

    for attempt in range(TRIES):
        reply = asked(place, request)
        if reply is not None:
            return reply
        if not may_make_log and not place.has_log():
            raise Stop(no_log(place))
        try:
            return _done_here(place, request)
        except LogLocked as error:
            if attempt == TRIES - 1:
                raise Stop(locked(error)) from error
            time.sleep(PAUSE_S)
    raise AssertionError("the last attempt returns or raises")


def asked(place: Place, request: Request) -> Reply | None:
    """The daemon's reply, None when there is no daemon."""
    from learnd.control import NoDaemon, ask

    for folder in place.sockets:
        try:
            return ask(folder, request)
        except (NoDaemon, OSError):
            continue  # no socket there, or nobody behind it
    return None


def _done_here(place: Place, request: Request) -> Reply:
    diagnostics.configure(quiet=True)
    with engine(settings_for(place)) as opened:
        reply = opened.desk.answer(request.model_dump_json(), os.getuid())
        opened.alerts.settle(ALERTS_S)
        opened.publisher.late()
        return reply


@contextmanager
def engine(settings: Settings) -> Iterator[Engine]:
    """The engine, and with it the log's lock. Raises LogLocked, and Stop for a log that cannot be written here."""
    from events.log import LogUnusable
    from learnd.engine import Engine  # brings all that works

    try:
        with Engine.opened(settings) as opened:
            yield opened
    except LogUnusable as error:
        raise Stop(str(error)) from error


def locked(error: Exception) -> str:
    """Who holds the log, and what to do about it."""
    pid = getattr(error, "pid", None)
    log = getattr(error, "log", "the log")
    holder = f"process {pid}" if pid else "another process"
    way = f"kill {pid} stops it" if pid else "stop it"
    return f"{log} is held by {holder}; one learnd at a time writes a log. Next: let it work, or {way}"


def settings_for(place: Place) -> Settings:
    """The operator's settings, with the state kept where the verb's log is. Raises Stop."""
    from learnd.settings import SettingsInvalid, read_settings  # pydantic-settings is slow

    if place.log.name != NAME:
        raise Stop(f"{place.log} can only be read: a log that is written is called {NAME}. Next: --log FOLDER", USAGE)
    try:
        settings = read_settings()
    except SettingsInvalid as error:
        raise Stop(f"{error}. Next: correct the setting", USAGE) from error
    if settings.state_dir.absolute() == place.state_dir:
        return settings
    return settings.model_copy(update={"state_dir": place.state_dir})
