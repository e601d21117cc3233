"""What a model call can cost at most, and what it did cost. Known before the call, or there is no call.

Money is reckoned in whole micro-dollars of `Decimal` and always rounded up; it leaves this module as a
float with at most six decimals, which round-trips exactly.

Invariant: for any usage within the bounds a reservation was made for, `price.cost(usage) <= reservation`.
It holds because both sides use the one price that was looked up for the bound (a provider's higher tier for
long inputs is chosen by the bound) and count cached tokens in full.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Final

from events.values import Usage

_MICRO: Final = Decimal("0.000001")
_MILLION: Final = Decimal(1_000_000)

CONTEXT_WINDOW: Final = 128_000
"""Tokens, where the price table does not know the model's window: gpt-4o's, and that of most after it."""

_TOKENS_PER_MESSAGE: Final = 16
_TOKENS_PER_CALL: Final = 512
"""What providers add around messages and a schema; four and some dozens have been seen."""


class UnknownPrice(Exception):
    """Nobody can say what the call would cost, so it is not made."""


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens."""

    input_per_mtok: Decimal
    output_per_mtok: Decimal

    def cost(self, usage: Usage) -> float:
        """US dollars for these tokens, rounded up to a micro-dollar."""
        exact = (usage.input_tokens * self.input_per_mtok + usage.output_tokens * self.output_per_mtok) / _MILLION
        return float(exact.quantize(_MICRO, rounding=ROUND_CEILING))


def price_of(model: str, base_url: str | None, override: tuple[float, float] | None, at_most: Usage) -> Price:
    """The price of a call with no more than the tokens `at_most`. Raises UnknownPrice.

    The operator's `model_price` wins. Otherwise the price table is asked: for the provider that the
    endpoint's address belongs to, else (a proxy, a loopback address) by the model's name alone.
    """
    if override is not None:
        return Price(Decimal(str(override[0])), Decimal(str(override[1])))
    from genai_prices import Usage as Tokens  # noqa: PLC0415 - loaded only where a call is priced
    from genai_prices import calc_price  # noqa: PLC0415

    # At least one token a side: a price per million cannot be read off nothing.
    bound = Tokens(input_tokens=max(1, at_most.input_tokens), output_tokens=max(1, at_most.output_tokens))
    try:
        found = calc_price(bound, model, provider_id=_provider(base_url))
    except LookupError as error:
        raise UnknownPrice(
            f"the price of model {model!r} is not in the price table, so no call is made. "
            f"Next: set model_price.{json.dumps(model)} = [INPUT, OUTPUT], in US dollars per million tokens; "
            "[0, 0] for a local model"
        ) from error
    table = found.model_price
    if table.input_mtok is None or table.output_mtok is None:
        raise UnknownPrice(
            f"the price table knows model {model!r} but not its price a token. "
            f"Next: set model_price.{json.dumps(model)}"
        )
    return Price(
        _per_million(found.input_price, max(1, at_most.input_tokens)),
        _per_million(found.output_price, max(1, at_most.output_tokens)),
    )


def context_window(model: str, base_url: str | None) -> int:
    """Tokens that fit into one call of `model`, reply included."""
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - as above

    try:
        _, known = get_snapshot().find_provider_model(model, None, _provider(base_url), None)
    except LookupError:
        return CONTEXT_WINDOW
    return known.context_window or CONTEXT_WINDOW


def input_bound(body: Mapping[str, object]) -> int:
    """An upper bound of the input tokens of a request's `body`, whichever API it is for.

    No token of a byte-level tokeniser is shorter than a byte, so the bytes of the whole request bound them,
    schema included; tokenisers themselves download their tables. Plus what providers add around messages.
    """
    messages = body.get("messages", body.get("input"))
    count = len(messages) if isinstance(messages, list) else 0
    return len(json.dumps(body, ensure_ascii=False).encode()) + count * _TOKENS_PER_MESSAGE + _TOKENS_PER_CALL


def _provider(base_url: str | None) -> str | None:
    """The price table's provider for an endpoint; None where the address belongs to none that it knows."""
    if base_url is None:
        return "openai"
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - as above

    try:
        return get_snapshot().find_provider(None, None, base_url).id
    except LookupError:
        return None


def _per_million(price: Decimal, tokens: int) -> Decimal:
    return (price * _MILLION / tokens).quantize(_MICRO, rounding=ROUND_CEILING)
