"""What an endpoint's answer says, whichever API it came from: the reply's text, or why there is none; and its usage.

Usage is read before anything else, so that a reply that is of no use is paid for. The answers are read as plain JSON,
not through the SDK's models: those believe whatever a server says.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, cast

from events.values import Usage
from learnd.crystalizer.budget import Price
from learnd.crystalizer.dialect import Api
from learnd.crystalizer.endpoint import said
from learnd.crystalizer.failures import CallFailed, DraftInvalid, LengthStop, ModelUnavailable, RateLimited, Refused

REPLY_BYTES_MAX: Final = 4 * 1024 * 1024
_COUNTS: Final = {"chat": ("prompt_tokens", "completion_tokens"), "responses": ("input_tokens", "output_tokens")}
_FENCED = re.compile(r"\s*```(?:json)?[ \t]*\n(?P<inside>.*?)\n?```\s*", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """`text` is the model's reply. `cost_usd` is None where the endpoint told no usage that can be believed."""

    text: str
    usage: Usage | None
    cost_usd: float | None


def read_answer(content: bytes, api: Api, price: Price, at_most: Usage) -> Answer:
    """The reply in the raw body of a 2xx answer to a call of no more than the tokens `at_most`. Raises a CallFailed."""
    try:
        data = json.loads(content) if len(content) <= REPLY_BYTES_MAX else None
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise DraftInvalid("the answer is not the JSON of a completion", cost_usd=None)
    usage = _usage(data.get("usage"), _COUNTS[api])
    cost = price.cost(usage) if usage is not None and _is_within(usage, at_most) else None
    stop = _error(data) or (_of_responses(data) if api == "responses" else _of_chat(data))
    if isinstance(stop, str):
        return Answer(stop, usage, cost)
    kind, detail = stop
    raise kind(said(detail), cost_usd=cost, usage=usage)


def read_json(answer: Answer) -> object:
    """The JSON that the reply is, also inside of one code fence. Raises DraftInvalid."""
    fenced = _FENCED.fullmatch(answer.text)
    try:
        return json.loads(fenced["inside"] if fenced else answer.text)
    except (ValueError, RecursionError) as error:
        what = "empty" if not answer.text.strip() else f"not JSON ({type(error).__name__})"
        raise DraftInvalid(
            f"the reply is {what}", cost_usd=answer.cost_usd, usage=answer.usage, reply=answer.text
        ) from error


Stop = tuple[type[CallFailed], str]
"""Why there is no reply."""


def _usage(told: object, names: tuple[str, str]) -> Usage | None:
    """Tokens as the provider counted them, cached ones in full. Anything odd counts as not told."""
    if not isinstance(told, dict):
        return None
    counts = tuple(told.get(name) for name in names)
    if not all(type(count) is int and 0 <= count < 10**9 for count in counts):
        return None
    return Usage(input_tokens=cast("int", counts[0]), output_tokens=cast("int", counts[1]))


def _is_within(usage: Usage, at_most: Usage) -> bool:
    """Whether the endpoint kept to the limits that it was sent; of one that did not, no count is believed."""
    return usage.input_tokens <= at_most.input_tokens and usage.output_tokens <= at_most.output_tokens


def _error(data: dict[str, Any]) -> Stop | None:
    """An error that came with a good status, as some proxies send it and the responses API does for a failed one."""
    error = data.get("error")
    if not error:
        return None
    code = str(error.get("code") or "") if isinstance(error, dict) else ""
    text = str(error.get("message") or error) if isinstance(error, dict) else str(error)
    kind: type[CallFailed] = RateLimited if code in ("429", "rate_limit_exceeded") else ModelUnavailable
    return kind, f"the endpoint answered with an error: {code} {text}"


def _of_chat(data: dict[str, Any]) -> str | Stop:
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        return DraftInvalid, "the completion holds no message"
    stopped = choice.get("finish_reason")
    if message.get("refusal"):
        return Refused, f"the model refused: {message['refusal']}"
    if stopped == "content_filter":
        return Refused, "the provider's content filter stopped the reply"
    if stopped == "length":
        return LengthStop, "the reply was cut off at the output limit"
    if message.get("tool_calls") or message.get("function_call"):
        return DraftInvalid, "the model called a tool, and none was offered"
    return _joined(message.get("content"), "text")


def _of_responses(data: dict[str, Any]) -> str | Stop:
    output = data.get("output")
    items = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    contents = [item.get("content") for item in items if item.get("type") == "message"]
    parts = [part for content in contents if isinstance(content, list) for part in content if isinstance(part, dict)]
    refusal = next((part.get("refusal") for part in parts if part.get("type") == "refusal"), None)
    details = data.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    if refusal is not None:
        return Refused, f"the model refused: {refusal}"
    if reason == "content_filter":
        return Refused, "the provider's content filter stopped the reply"
    if reason == "max_output_tokens":
        return LengthStop, "the reply was cut off at the output limit"
    if data.get("status", "completed") != "completed":
        return DraftInvalid, f"the response is {data.get('status')}, not completed"
    if any(str(item.get("type", "")).endswith("_call") for item in items):
        return DraftInvalid, "the model called a tool, and none was offered"
    if not contents:
        return DraftInvalid, "the response holds no message"
    return "".join(_joined(content, "output_text") for content in contents)


def _joined(content: object, kind: str) -> str:
    """The text of a message: a string, or parts of type `kind`."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    texts = (part.get("text") for part in content if isinstance(part, dict) and part.get("type") == kind)
    return "".join(text for text in texts if isinstance(text, str))
