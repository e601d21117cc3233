"""PagerDuty through its SDK's Events API v2 client: `trigger`, and `resolve` when it is over, under one `dedup_key`.

PagerDuty itself knows a repetition by that key, so an attempt whose fate is unknown is simply made again; resolving
what it never had does nothing there.

The SDK's own loop would go on for ever on a 429, without looking at Retry-After, sleep through six repetitions of a 503
and three of a broken connection, with 60 s for each answer. All of that is off: an attempt is one request, with
`TIMEOUT_S`. The SDK's hook `postprocess` raises before it could loop on a 429.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from learnd.alerts.channel import TIMEOUT_S, Failed, Notice, Told, host_name, refused, unreachable
from learnd.alerts.config import PagerDutySettings
from learnd.alerts.message import NEXT, headline
from learnd.alerts.policy import ChannelName

if TYPE_CHECKING:
    from pagerduty import EventsApiV2Client

SEVERITY = {"P1": "critical", "P2": "error", "P3": "warning", "P4": "info", "P5": "info"}
LONGEST = 1024
"""Characters of a summary that PagerDuty takes."""

_SILENT = logging.Logger("learnd.alerts.pagerduty", logging.CRITICAL + 1)


class PagerDuty:
    """The service that the operator's routing key belongs to."""

    name: ChannelName = "pagerduty"

    def __init__(self, settings: PagerDutySettings) -> None:
        self.target = settings.service
        self._settings = settings

    def tell(self, notice: Notice, *, in_doubt: bool) -> Told | Failed:
        what, _, command = notice.message.rpartition(f"\n{NEXT}")
        details = {"what": what, "next": command, "severity": notice.severity, "alert": notice.id}
        # In doubt or not: the key tells PagerDuty that it is the same.
        return self._attempt(
            lambda client: client.trigger(
                headline(notice.message)[:LONGEST],
                host_name(),
                dedup_key=notice.key,
                severity=SEVERITY[notice.severity],
                payload={
                    "timestamp": notice.raised_at, "component": "learnd", "group": self.target, "class": notice.kind,
                },
                custom_details=details,
            )
        )  # fmt: skip

    def end(self, notice: Notice) -> Told | Failed:
        return self._attempt(lambda client: client.resolve(notice.key))

    def test(self) -> Told | Failed:
        """An incident of the mildest kind, resolved at once."""
        key = f"learnd-test-{uuid.uuid4()}"

        def work(client: EventsApiV2Client) -> str:
            text = f"learnd on {host_name()}: this is a test, nothing is wrong"
            client.trigger(text, host_name(), dedup_key=key, severity="info")
            return client.resolve(key)

        return self._attempt(work)

    def _attempt(self, work: Callable[[EventsApiV2Client], str]) -> Told | Failed:
        import httpx2  # noqa: PLC0415 - the SDK's own HTTP library
        from pagerduty import Error, UrlError  # noqa: PLC0415 - imported when something is to be said

        try:
            with _client(self._settings) as client:
                return Told(work(client))
        except Error as error:
            if error.response is not None:
                return _refusal(error.response)
            return unreachable(_root(error))
        except (httpx2.HTTPError, httpx2.InvalidURL, UrlError, OSError, ValueError) as error:
            return Failed(f"not sent ({type(error).__name__})", unknown=True)


def _client(settings: PagerDutySettings) -> EventsApiV2Client:
    """The SDK's client, with its loops taken out."""
    from pagerduty import EventsApiV2Client, HttpError  # noqa: PLC0415

    class OneAttempt(EventsApiV2Client):
        def postprocess(self, response: Any) -> None:
            if response.status_code == 429:
                raise HttpError("rate limited", response)

        def normalize_url(self, url: str) -> str:
            # The settings have judged the URL; the SDK refuses http:// to this machine, too.
            return f"{settings.base_url.rstrip('/')}/{url.lstrip('/')}"

    assert settings.routing_key is not None  # noqa: S101 - `configured` makes no channel without
    client = OneAttempt(settings.routing_key.get_secret_value())
    client.retry = {}
    client.max_network_attempts = 0
    client.timeout = int(TIMEOUT_S)
    client.log = _SILENT
    return client


def _refusal(response: Any) -> Failed:
    if response.is_success:
        return Failed("the answer is not PagerDuty's", unknown=True)
    failed = refused(response.status_code, response.headers)
    # 400: PagerDuty does not take this very event (or key, which `learnd alerts test` tells apart).
    return Failed(failed.error, failed.unknown, response.status_code != 400, failed.retry_after_s)


def _root(error: BaseException) -> BaseException:
    """What lies at the bottom of a connection error: the SDK and its HTTP library wrap it."""
    inner = error.__cause__ or error.__context__
    wrapped = error
    while inner is not None:
        wrapped, inner = inner, inner.__cause__ or inner.__context__
        if type(wrapped).__module__.startswith("httpx2") and "Timeout" in type(wrapped).__name__:
            return wrapped
    return wrapped
