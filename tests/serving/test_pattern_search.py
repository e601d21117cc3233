from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_place import ANNA, CACHE, ORDERS, RACE, THREE, ServingPlace

from bench.patterns import Written, text_of
from learnd.library.canonical import canonical_digest
from learnd.views.store import read_connection, rebuild
from state import commands as c

ORDERS_AT, CACHE_AT, RACE_AT = range(3)


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("the orders page is slow, it does a query for each row", [ORDERS_AT]),
        ("users see stale avatars after uploading a new one", [CACHE_AT]),
        ("why do two workers get the same shipment?", [RACE_AT]),
        ("rename fetch_order_lines in shop/orders_page.py", [ORDERS_AT]),
        ("avatarCache", [CACHE_AT]),
        ("cached_avatars_v2 are stale", [CACHE_AT]),
        ("concurrency", [RACE_AT]),
        ("querying rows of orders", [ORDERS_AT]),
    ],
)
def test_what_matters_is_found_by_words_names_paths_and_tags(
    place: ServingPlace, question: str, found: list[int]
) -> None:
    assert place.found(question) == found


@pytest.mark.parametrize(
    "question",
    [
        "make the coffee machine speak Portuguese",
        "fix the bug in the code and update the tests",
        "",
        "???",
        "draw a page with a pie chart of monthly revenue for the board",
    ],
)
def test_what_does_not_matter_is_not_padded_with(place: ServingPlace, question: str) -> None:
    assert place.found(question) == []


@pytest.mark.parametrize(
    "hostile",
    [
        'orders" OR title:*',
        "orders NEAR(page",
        "{title}: orders -page",
        "orders^2 + page*",
        "'; DROP TABLE jobs; --",
    ],
)
def test_what_looks_like_a_query_is_only_words(place: ServingPlace, hostile: str) -> None:
    assert set(place.found(f"{hostile} query per row of orders page")) == {ORDERS_AT}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(question=st.text(max_size=400))
def test_no_question_breaks_the_search(place: ServingPlace, question: str) -> None:
    with place.library() as library:
        answer = library.answer(question, 3)
    for given_ in answer.given:
        assert set(given_.shared) <= set(answer.asked)


def test_a_word_that_most_patterns_have_tells_nothing(tmp_path: Path) -> None:
    texts = [Written(f"Ledger {name}", "The ledger drifts.", "x", run=name) for name in
             ("amber", "birch", "cedar", "dahlia", "elder", "fennel", "ginger", "hazel", "iris")]  # fmt: skip
    place = ServingPlace.made(tmp_path, texts)
    assert place.found("ledger", limit=9) == []
    assert place.found("ledger cedar", limit=9) == [2]


def test_the_limit_holds_and_the_best_comes_first(tmp_path: Path) -> None:
    better = Written("Orders page: one query a row", ORDERS.problem, "x", run="better")
    place = ServingPlace.made(tmp_path, (ORDERS, better, CACHE))
    assert place.found("orders page one query row", limit=1) == [1]
    assert place.found("orders page one query row", limit=5) == [1, 0]


@pytest.mark.parametrize("left", ["edited", "stale", "deprecated", "superseded"])
def test_a_pattern_that_is_active_no_more_is_found_no_more(place: ServingPlace, left: str) -> None:
    own = place.ids[ORDERS_AT]
    commands: dict[str, c.PatternCommand] = {
        "edited": c.RecordEdit(own, "07" * 32, "d4" * 32),
        "stale": c.MarkStale(own, ("shop/orders_page.py",)),
        "deprecated": c.Deprecate(own, ANNA),
        "superseded": c.Supersede(own, ANNA, place.ids[CACHE_AT]),
    }
    place.record(commands[left])
    assert place.found("orders page query row") == []
    with place.library() as library:
        assert own not in library.ids()


def test_a_pattern_that_waits_for_a_person_is_not_found(place: ServingPlace) -> None:
    own = place.ids[ORDERS_AT]
    place.record(c.Deprecate(own, ANNA), c.Restore(own, ANNA))
    assert place.found("orders page query row") == []


def test_a_persons_own_text_is_what_is_found_once_it_is_promoted(place: ServingPlace) -> None:
    own = place.ids[ORDERS_AT]
    text = text_of(own, "f" * 64, "m.json", Written(ORDERS.title, "Walrus migrations stall.", "x", run="run-orders"))
    digest = canonical_digest(text)
    place.file(ORDERS_AT).write_text(text)
    place.record(c.RecordEdit(own, digest, "d4" * 32))
    assert place.found("walrus migrations stall") == []
    place.record(c.Promote(own, ANNA, "m.json", digest, edited_text=text))
    assert place.found("walrus migrations stall") == [ORDERS_AT]
    assert place.found("201 queries for 200 orders") == []


def test_the_index_of_a_rebuild_and_of_a_fold_in_memory_is_that_of_the_appends(place: ServingPlace) -> None:
    place.record(c.Deprecate(place.ids[CACHE_AT], ANNA), c.MarkStale(place.ids[RACE_AT], ("a",)))
    query = (
        "SELECT id, text, indexed, title, problem, applies_when, tags, paths FROM pattern_texts "
        "LEFT JOIN pattern_search ON pattern_search.rowid = number ORDER BY id"
    )
    with place.log() as log:
        kept = log.connection.execute(query).fetchall()
        assert [bool(row[3]) for row in kept].count(True) == 1
        rebuild(log)
        assert log.connection.execute(query).fetchall() == kept
        with log.writing() as connection:
            connection.execute("UPDATE read_models SET version = 0")
        memory = read_connection(log)
        assert memory is not log.connection
        assert memory.execute(query).fetchall() == kept
    assert len(kept) == len(THREE)
    assert place.found(RACE.problem) == [] == place.found(CACHE.problem)
