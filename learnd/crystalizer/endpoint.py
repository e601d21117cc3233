"""One request to a model's endpoint through the real SDK: its raw answer, or one named failure.

The SDK's own retries are off (its default sends three requests on a 500), for every attempt is paid for and belongs in
the log. What a provider says is redacted before it is repeated: providers quote keys back.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as WallTimeOver
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, cast

from learnd.crystalizer.dialect import Dialect
from learnd.crystalizer.draft import safe
from learnd.crystalizer.failures import (
    BadRequest,
    CallFailed,
    KeyRejected,
    ModelUnavailable,
    ModelUnknown,
    ParameterRefused,
    RateLimited,
)

if TYPE_CHECKING:
    import openai

    from learnd.settings import Settings

LONGEST_RETRY_AFTER_S: Final = 24 * 3600.0
"""Whoever asks for more is asked again after a day."""

_CONNECT_SECONDS: Final = 15.0
_PROBE_SECONDS: Final = 10.0
_HOME: Final = "https://api.openai.com/v1"


def send(body: dict[str, Any], dialect: Dialect, settings: Settings) -> bytes:
    """The raw body of a 2xx answer. Raises a CallFailed."""
    import openai  # noqa: PLC0415 - 0.6 s that only a call should cost

    seconds = settings.model_timeout_seconds
    client = _client(settings, seconds)
    try:
        return _within(seconds, client, body, dialect)
    except openai.APIStatusError as error:
        raise _status_failure(error, dialect) from error
    except openai.APIConnectionError as error:
        raise _connection_failure(error, settings) from error
    except openai.APIError as error:
        raise ModelUnavailable(said(f"the SDK gave up: {error}"), cost_usd=None) from error
    finally:
        client.close()


def reachable(settings: Settings) -> str | None:
    """Why the endpoint cannot be called now, None when it can: one free request, the list of models.

    An endpoint that has no such list (404) answers, and that is all that is asked.
    """
    import openai  # noqa: PLC0415 - as above

    try:
        client = _client(settings, min(_PROBE_SECONDS, settings.model_timeout_seconds))
    except KeyRejected as error:
        return str(error)
    try:
        client.models.list()
    except openai.APIStatusError as error:
        failure = _status_failure(error, None)
        return str(failure) if isinstance(failure, ModelUnavailable | KeyRejected | RateLimited) else None
    except openai.APIError as error:
        return said(str(error))
    finally:
        client.close()
    return None


def said(text: str) -> str:
    """What a provider or the transport said, fit for the log."""
    return safe(" ".join(text.split())[:500])[0]


def _client(settings: Settings, seconds: float) -> openai.OpenAI:
    import openai  # noqa: PLC0415 - as above

    key = settings.openai_api_key
    if key is None:
        raise KeyRejected("no key is set, so no call is made. Next: set OPENAI_API_KEY", cost_usd=0.0)
    return openai.OpenAI(
        api_key=key.get_secret_value(),
        base_url=settings.openai_base_url or _HOME,
        timeout=openai.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds / 2)),
        max_retries=0,
    )


def _within(seconds: float, client: openai.OpenAI, body: dict[str, Any], dialect: Dialect) -> bytes:
    """The SDK's time-out is per read; a server that drips keeps a call open for ever. This one is wall time."""

    def request() -> bytes:
        calls = client.responses if dialect.api == "responses" else client.chat.completions
        create = cast("Any", calls.with_raw_response.create)
        return cast("bytes", create(**body).http_response.content)

    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model-call")
    try:
        return worker.submit(request).result(timeout=seconds)
    except WallTimeOver as error:
        raise ModelUnavailable(f"no whole answer within {seconds:g} s", cost_usd=None) from error
    finally:
        worker.shutdown(wait=False, cancel_futures=True)


# Names of the transport's errors that mean nothing was sent; the SDK has used two transports so far.
_NEVER_CONNECTED: Final = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "ProxyError"}
)


def _connection_failure(error: openai.APIConnectionError, settings: Settings) -> CallFailed:
    reason = error.__cause__
    name = type(reason).__name__ if reason is not None else type(error).__name__
    free = name in _NEVER_CONNECTED
    where = settings.openai_base_url or _HOME
    detail = f"{where}: {'no connection' if free else 'the connection broke or timed out'} ({name}: {reason or error})"
    return ModelUnavailable(said(detail), cost_usd=0.0 if free else None)


def _status_failure(error: openai.APIStatusError, dialect: Dialect | None) -> CallFailed:
    status = error.status_code
    detail = said(f"HTTP {status}: {error.message}")
    if status == 429 and error.code == "insufficient_quota":
        return KeyRejected(f"{detail}. Next: see to the account behind OPENAI_API_KEY", cost_usd=0.0)
    if status == 429:
        return RateLimited(detail, cost_usd=0.0, retry_after_s=_retry_after(error))
    if status in (401, 403):
        return KeyRejected(f"{detail}. Next: check OPENAI_API_KEY and its access to the model", cost_usd=0.0)
    if status == 404:
        return ModelUnknown(f"{detail}. Next: check model, model_api and OPENAI_BASE_URL", cost_usd=0.0)
    if status == 408 or status >= 500:
        return ModelUnavailable(detail, cost_usd=None, retry_after_s=_retry_after(error))
    refused = dialect.refuses(error.param, error.message) if dialect is not None and status in (400, 422) else None
    return ParameterRefused(detail, refused) if refused else BadRequest(detail, cost_usd=0.0)


def _retry_after(error: openai.APIStatusError) -> float | None:
    """Seconds from `Retry-After` (a number or a date) or `retry-after-ms`; None where neither can be read."""
    headers = error.response.headers
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,9}(?:\.\d+)?", value):
            return min(LONGEST_RETRY_AFTER_S, float(value) * factor)
    return _seconds_until(headers.get("retry-after", ""))


def _seconds_until(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    seconds = (moment - datetime.now(moment.tzinfo or UTC)).total_seconds()
    return min(LONGEST_RETRY_AFTER_S, max(0.0, seconds))
