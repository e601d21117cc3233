from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnd.serving.search import needed
from learnd.serving.words import COMMON, LONGEST, telling, words

NAMES = st.from_regex(r"[a-z]{2,8}", fullmatch=True)


@pytest.mark.parametrize(
    "name", ["fetchOrders", "fetch_orders", "fetch-orders", "FetchOrders", "FETCH_ORDERS", "fetch.orders"]
)
def test_a_name_is_the_same_words_however_it_is_put_together(name: str) -> None:
    assert list(words(name)) == ["fetch", "orders", "fetchorders"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("HTTPServer", ["http", "server", "httpserver"]),
        ("src/orders/models.py", ["src", "orders", "models", "py", "modelspy"]),
        ("it's `getUserById(42)`", ["it", "s", "get", "user", "by", "id", "getuserbyid", "42"]),
        ("", []),
        ("?!* \"()", []),
    ],
)  # fmt: skip
def test_text_comes_apart_into_words(text: str, told: list[str]) -> None:
    assert list(words(text)) == told


def test_words_that_every_task_has_tell_nothing() -> None:
    assert telling("Please fix the failing test in this function") == ()
    assert telling("Fix the currency rounding, fix it") == ("currency", "rounding")


def test_a_name_is_its_parts_alone_where_the_whole_does_not_count() -> None:
    assert telling("rename fetch_orders", whole=False) == ("rename", "fetch", "orders")


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_camel_and_snake_case_are_the_same_question(parts: list[str]) -> None:
    camel = parts[0] + "".join(part.capitalize() for part in parts[1:])
    assert list(words(camel)) == list(words("_".join(parts)))


@given(st.text())
def test_a_word_is_letters_and_digits_and_nothing_that_a_query_could_obey(text: str) -> None:
    for word in words(text):
        assert word.isalnum()
        assert 0 < len(word) <= LONGEST
    assert not set(telling(text)) & COMMON


@given(st.text())
def test_any_text_makes_a_query_that_sqlite_takes(text: str) -> None:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE VIRTUAL TABLE pattern_search USING fts5(title, tokenize = 'porter unicode61')")
        connection.execute("INSERT INTO pattern_search VALUES (?)", (" ".join(words(text)),))
        for word in telling(text):
            connection.execute("SELECT 1 FROM pattern_search WHERE pattern_search MATCH ?", (f'"{word}"',)).fetchall()


@pytest.mark.parametrize(("asked", "least"), [(0, 0), (1, 1), (2, 2), (7, 2), (8, 3), (31, 4), (32, 5), (128, 7)])
def test_a_longer_question_must_share_more(asked: int, least: int) -> None:
    assert needed(asked) == least
