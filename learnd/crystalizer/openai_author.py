"""The author `openai`: one priced, bounded call of a chat model through the real SDK, one draft or one named failure.

`estimate` makes the exact request and says what it can cost at most; the caller records that reservation and
only then hands it to `call`, which sends that request once. The SDK's own retries are off (its default sends
three requests on a 500), for every attempt is paid for and belongs in the log.

Invariants:

- No request leaves without a price, and none asks for more than its reservation covers.
- Whatever comes back, its usage is read before its content, so that a reply that fails validation is paid for.
- Nothing unredacted leaves the machine, and nothing unredacted of a reply leaves this module.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as WallTimeOver
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, cast

from events.values import Usage
from learnd.crystalizer.briefing import NothingToBrief, brief
from learnd.crystalizer.budget import Price, context_window, input_bound, price_of
from learnd.crystalizer.draft import Draft, DraftRequest, Reply, ReplyInvalid, bullets, read_reply, safe
from learnd.crystalizer.failures import (
    BadRequest,
    CallFailed,
    DraftInvalid,
    KeyRejected,
    LengthStop,
    ModelUnavailable,
    ModelUnknown,
    RateLimited,
    Refused,
)
from learnd.crystalizer.pack import Pack

if TYPE_CHECKING:
    import openai

    from learnd.settings import Settings

INPUT_MAX: Final = 40_000
"""Bound of input tokens of a call: with gpt-4o's prices a call reserves $0.13, three fit into $0.50."""
OUTPUT_MAX: Final = 3_000
REPLY_BYTES_MAX: Final = 4 * 1024 * 1024

_CONNECT_SECONDS: Final = 15.0
_PROBE_SECONDS: Final = 10.0
_HOME: Final = "https://api.openai.com/v1"
_NO_MAX_TOKENS = re.compile(r"(?:.*/)?(?:o\d|gpt-5)")


@dataclass(frozen=True)
class Reservation:
    """The request as it will be sent, and the most it can cost, in US dollars."""

    usd: float
    model: str
    max_input_tokens: int
    max_output_tokens: int
    price: Price
    body: dict[str, Any]
    redactions: int


def estimate(request: DraftRequest, pack: Pack, settings: Settings) -> Reservation:
    """Make the request and price its worst case. Nothing is sent.

    Raises UnknownPrice (of `budget`), NothingToBrief (of `briefing`), DiffUnreadable (of `change`).
    """
    url = settings.openai_base_url
    window = context_window(settings.model, url)
    output = min(OUTPUT_MAX, window // 4)
    bound = min(INPUT_MAX, window - output)
    frame = _body(settings, [], pack, output)
    briefing = brief(request, pack, bound - input_bound(frame) - 16 * (2 * len(pack.examples) + 2))
    body = _body(settings, list(briefing.messages), pack, output)
    tokens = Usage(input_tokens=input_bound(body), output_tokens=output)
    if tokens.input_tokens + output > window:
        raise NothingToBrief(f"the request needs {tokens.input_tokens + output} tokens, {settings.model} has {window}")
    price = price_of(settings.model, url, settings.model_price, tokens)
    usd = price.cost(tokens)
    return Reservation(usd, settings.model, tokens.input_tokens, output, price, body, briefing.redactions)


def call(reservation: Reservation, pack: Pack, settings: Settings) -> Draft:
    """Send the reserved request, once. Raises a CallFailed (of `failures`) that says what it cost."""
    content = _send(reservation, settings)
    completion, usage, cost = _read(content, reservation)
    reply = _reply(completion, usage, cost)
    return _draft(reply, reservation, pack, usage, cost)


def _body(settings: Settings, messages: list[dict[str, str]], pack: Pack, output: int) -> dict[str, Any]:
    # OpenAI's newer models refuse `max_tokens`; elsewhere it is the one name that every server obeys, and a limit
    # that is not obeyed is a budget that does not hold.
    modern = settings.openai_base_url is None or _NO_MAX_TOKENS.match(settings.model)
    schema = {"name": "pattern_draft", "strict": True, "schema": pack.schema}
    return {
        "model": settings.model,
        "messages": messages,
        "response_format": {"type": "json_schema", "json_schema": schema},
        ("max_completion_tokens" if modern else "max_tokens"): output,
    }


# --- sending ----------------------------------------------------------------------------------------


def _send(reservation: Reservation, settings: Settings) -> bytes:
    """The raw body of a 2xx answer. Raises a CallFailed."""
    import openai  # noqa: PLC0415 - 0.6 s that only a call should cost

    seconds = settings.model_timeout_seconds
    client = _client(settings, seconds)
    try:
        return _within(seconds, client, reservation.body)
    except openai.APIStatusError as error:
        raise _status_failure(error) from error
    except openai.APIConnectionError as error:
        raise _connection_failure(error, settings) from error
    except openai.APIError as error:
        raise ModelUnavailable(_said(f"the SDK gave up: {error}"), cost_usd=None) from error
    finally:
        client.close()


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
        failure = _status_failure(error)
        return str(failure) if isinstance(failure, ModelUnavailable | KeyRejected | RateLimited) else None
    except openai.APIError as error:
        return _said(str(error))
    finally:
        client.close()
    return None


def _within(seconds: float, client: openai.OpenAI, body: dict[str, Any]) -> bytes:
    """The SDK's time-out is per read; a server that drips keeps a call open for ever. This one is wall time."""

    def request() -> bytes:
        create = cast("Any", client.chat.completions.with_raw_response.create)
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
    return ModelUnavailable(_said(detail), cost_usd=0.0 if free else None)


def _status_failure(error: openai.APIStatusError) -> CallFailed:
    status = error.status_code
    detail = _said(f"HTTP {status}: {error.message}")
    if status == 429:
        return RateLimited(detail, retry_after_s=_retry_after(error))
    if status in (401, 403):
        return KeyRejected(f"{detail}. Next: check OPENAI_API_KEY and its access to the model", cost_usd=0.0)
    if status == 404:
        return ModelUnknown(f"{detail}. Next: check model and OPENAI_BASE_URL", cost_usd=0.0)
    if status == 408 or status >= 500:
        return ModelUnavailable(detail, cost_usd=None)
    return BadRequest(detail, cost_usd=0.0)


def _retry_after(error: openai.APIStatusError) -> float | None:
    """Seconds from `Retry-After` (a number or a date) or `retry-after-ms`; None where neither can be read."""
    headers = error.response.headers
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,9}(?:\.\d+)?", value):
            return float(value) * factor
    return _seconds_until(headers.get("retry-after", ""))


def _seconds_until(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(moment.tzinfo or UTC)).total_seconds())


def _said(text: str) -> str:
    """What a provider or the transport said, fit for the log: providers quote keys back."""
    return safe(" ".join(text.split())[:500])[0]


# --- reading ----------------------------------------------------------------------------------------


def _read(content: bytes, reservation: Reservation) -> tuple[dict[str, Any], Usage | None, float | None]:
    """The completion as JSON, its usage and cost; both None where the provider told no usage."""
    try:
        data = json.loads(content) if len(content) <= REPLY_BYTES_MAX else None
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise DraftInvalid("the answer is not the JSON of a chat completion", cost_usd=None)
    usage = _usage(data.get("usage"))
    return data, usage, None if usage is None else reservation.price.cost(usage)


def _usage(told: object) -> Usage | None:
    """Tokens as the provider counted them, cached ones in full. Anything odd counts as not told."""
    if not isinstance(told, dict):
        return None
    counts = (told.get("prompt_tokens"), told.get("completion_tokens"))
    if not all(type(count) is int and 0 <= count < 10**9 for count in counts):
        return None
    return Usage(input_tokens=cast("int", counts[0]), output_tokens=cast("int", counts[1]))


def _reply(completion: dict[str, Any], usage: Usage | None, cost: float | None) -> Reply:
    choices = completion.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise DraftInvalid("the completion holds no message", cost_usd=cost, usage=usage)
    stopped = choice.get("finish_reason")
    if message.get("refusal"):
        raise Refused(_said(f"the model refused: {message['refusal']}"), cost_usd=cost, usage=usage)
    if stopped == "content_filter":
        raise Refused("the provider's content filter stopped the reply", cost_usd=cost, usage=usage)
    if stopped == "length":
        raise LengthStop("the reply was cut off at the output limit", cost_usd=cost, usage=usage)
    content = message.get("content")
    try:
        return read_reply(json.loads(content if isinstance(content, str) else ""))
    except (ValueError, RecursionError) as error:
        raise DraftInvalid(f"the reply is not JSON ({type(error).__name__})", cost_usd=cost, usage=usage) from error
    except ReplyInvalid as error:
        raise DraftInvalid(
            f"the reply does not fit the schema: {_said(str(error))}", cost_usd=cost, usage=usage
        ) from error


def _draft(reply: Reply, reservation: Reservation, pack: Pack, usage: Usage | None, cost: float | None) -> Draft:
    """The reply without the secrets that it may have repeated."""
    texts = {
        "title": reply.title,
        "problem": reply.problem,
        "solution": reply.solution,
        "rationale": reply.rationale,
        "applies_when": bullets(reply.applies_when),
        "does_not_apply_when": bullets(reply.does_not_apply_when),
        "cited_files": "\n".join(reply.cited_files),
    }
    made = {name: safe(text) for name, text in texts.items()}
    return Draft(
        **{name: made[name][0] for name in texts if name != "cited_files"},
        cited_files=tuple(made["cited_files"][0].splitlines()),
        tags=reply.tags,
        author="openai",
        model=reservation.model,
        prompt_pack=pack.name,
        prompt_pack_stamp=pack.stamp,
        redactions=reservation.redactions + sum(count for _, count in made.values()),
        cost_usd=reservation.usd if cost is None else cost,
        cost_assumed=cost is None,
        usage=usage,
    )
