"""No usage within the bounds costs more than was reserved for it."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.values import Usage
from learnd.crystalizer.budget import CONTEXT_WINDOW, Price, UnknownPrice, context_window, input_bound, price_of

TOKENS = st.integers(0, 2_000_000)
RATES = st.decimals(0, 1_000, places=6)


@settings(deadline=None)
@given(RATES, RATES, TOKENS, TOKENS, st.data())
def test_the_reservation_covers_any_usage_within_its_bounds(
    first: Decimal, second: Decimal, most_in: int, most_out: int, data: st.DataObject
) -> None:
    price = Price(first, second)
    reserved = price.cost(Usage(input_tokens=most_in, output_tokens=most_out))
    used = Usage(input_tokens=data.draw(st.integers(0, most_in)), output_tokens=data.draw(st.integers(0, most_out)))
    assert 0 <= price.cost(used) <= reserved


@settings(deadline=None)
@given(
    st.sampled_from(["gpt-4o", "gpt-4o-mini", "o1", "gpt-5", "gpt-4.1"]),
    st.integers(1, 400_000),
    st.integers(1, 16_000),
)
def test_a_price_from_the_table_covers_the_tables_own_reckoning(model: str, most_in: int, most_out: int) -> None:
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    usage = Usage(input_tokens=most_in, output_tokens=most_out)
    table = calc_price(Tokens(input_tokens=most_in, output_tokens=most_out), model, provider_id="openai").total_price
    ours = Decimal(str(price_of(model, None, None, usage).cost(usage)))
    assert table <= ours <= table + Decimal("0.000003") + table / 1000


def test_a_fraction_of_a_micro_dollar_is_rounded_up() -> None:
    assert Price(Decimal("0.000001"), Decimal(0)).cost(Usage(input_tokens=1, output_tokens=0)) == 0.000001
    assert Price(Decimal("2.5"), Decimal(10)).cost(Usage(input_tokens=1, output_tokens=1)) == 0.000013


def test_gpt_4o_costs_what_it_is_known_to_cost() -> None:
    full = Usage(input_tokens=128_000 - 16_384, output_tokens=16_384)
    assert price_of("gpt-4o", None, None, full) == Price(Decimal("2.5"), Decimal(10))
    assert price_of("gpt-4o", None, None, full).cost(full) < 0.45


def test_the_operators_price_wins_over_the_table() -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    assert price_of("gpt-4o", None, (1.0, 2.0), usage).cost(usage) == 3.0
    assert price_of("nobody-knows-me", "http://127.0.0.1:1/v1", (0.0, 0.0), usage).cost(usage) == 0.0


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:8000/v1", "https://api.openai.com/v1"])
def test_an_unknown_model_has_no_price(url: str | None) -> None:
    with pytest.raises(UnknownPrice, match=r"nobody-knows-me.*Next: set model_price"):
        price_of("nobody-knows-me", url, None, Usage(input_tokens=1, output_tokens=1))


def test_a_known_model_behind_an_unknown_address_has_its_price() -> None:
    usage = Usage(input_tokens=1_000, output_tokens=1_000)
    assert price_of("gpt-4o", "http://127.0.0.1:8000/v1", None, usage) == price_of("gpt-4o", None, None, usage)


def test_the_tier_for_long_inputs_is_chosen_by_the_bound() -> None:
    url = "https://api.anthropic.com/v1"
    short = price_of("claude-sonnet-4-5", url, None, Usage(input_tokens=10_000, output_tokens=10))
    long = price_of("claude-sonnet-4-5", url, None, Usage(input_tokens=500_000, output_tokens=10))
    assert short.input_per_mtok < long.input_per_mtok


@settings(deadline=None)
@given(st.lists(st.text(max_size=200), max_size=6))
def test_the_input_bound_is_no_less_than_the_bytes_sent(texts: list[str]) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text} for text in texts]}
    assert input_bound(body) >= sum(len(text.encode()) for text in texts)
    assert input_bound(body) >= len(json.dumps(body, ensure_ascii=False).encode())


def test_the_window_is_the_models_where_it_is_known() -> None:
    assert context_window("gpt-4o", None) == 128_000
    assert context_window("nobody-knows-me", None) == CONTEXT_WINDOW
