"""What a channel is: somewhere that hears of an alert, and of its end.

A channel makes one attempt and says what came of it; when to try again is not its matter. It never touches the log, so
that an attempt which hangs can be left behind. Errors are words of a small vocabulary: the same failure gives the same
text (the log takes it once), and nothing of a secret or of an answer's body can get into it.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from learnd.alerts.config import AlertSettings
from learnd.alerts.policy import ChannelName

TIMEOUT_S = 10.0
"""Longest wait for one answer's next bytes. Both SDKs would wait for 30 s and more."""
LONGEST_RETRY_AFTER_S = 3600.0


@dataclass(frozen=True, slots=True)
class Notice:
    """An alert on its way to a channel. `key` is the same for every attempt, and for no other alert of anybody's.

    `receipt` is what the channel called it when it took it, empty where that is not known.
    """

    id: str
    key: str
    kind: str
    severity: str
    message: str
    raised_at: str
    over_at: str | None = None
    receipt: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """The channel has it."""

    receipt: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The channel does not have it or, with `unknown`, nobody can say whether it has.

    `whole` means that the channel is at fault, and would be for any other alert; `retry_after_s` is its own wish.
    """

    error: str
    unknown: bool = False
    whole: bool = True
    retry_after_s: float | None = None


class Channel(Protocol):
    """`target` is where in the channel, as shown to people."""

    name: ChannelName
    target: str

    def tell(self, notice: Notice, *, in_doubt: bool) -> Told | Failed:
        """Bring an alert; `in_doubt` when an earlier attempt may have brought it."""

    def end(self, notice: Notice) -> Told | Failed:
        """Say that what an alert is about is over."""

    def test(self) -> Told | Failed:
        """Bring something that is marked as a test."""


def configured(settings: AlertSettings) -> list[Channel]:
    """The channels that have what they need."""
    from learnd.alerts.pagerduty import PagerDuty  # noqa: PLC0415 - each brings its part of the SDKs only when used
    from learnd.alerts.slack import Slack  # noqa: PLC0415

    found: list[Channel] = []
    if settings.slack.token is not None:
        found.append(Slack(settings.slack))
    if settings.pagerduty.routing_key is not None:
        found.append(PagerDuty(settings.pagerduty))
    return found


def host_name() -> str:
    return socket.gethostname()


def refused(status: int, headers: Mapping[str, str]) -> Failed:
    """What an answer that is not a success means, by its status alone."""
    if status == 429:
        return Failed("rate limited (HTTP 429)", retry_after_s=retry_after(headers))
    # After a 5xx nobody knows whether it was taken; a 4xx took nothing.
    return Failed(f"HTTP {status}", unknown=status >= 500, retry_after_s=retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the header Retry-After (RFC 9110, 10.2.3: seconds or a date) asks for, at most an hour."""
    value = next((text for name, text in headers.items() if name.lower() == "retry-after"), "").strip()
    if value.isdecimal():
        return min(float(value), LONGEST_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)


def unreachable(error: BaseException) -> Failed:
    """What a connection that failed means. Only a connection that never stood took surely nothing."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, TimeoutError) or "TimeoutException" in names:
        return Failed(f"no answer within {TIMEOUT_S:.0f} s", unknown="ConnectTimeout" not in names)
    if isinstance(error, ConnectionRefusedError):
        return Failed("connection refused")
    if isinstance(error, socket.gaierror):
        return Failed("host name not found")
    return Failed(f"connection failed ({type(error).__name__})", unknown="ConnectError" not in names)
