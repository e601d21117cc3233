"""What a disagreement follows: replays under known hash seeds and orders, and what they came to."""

from __future__ import annotations

import random

import pytest

from events.values import ReplayOutcome
from learnd.lab.disagreement import Seeds, crossed, explained, follows, outcome
from learnd.lab.verdict import Judgement, Replayed

TEST = "tests/t.py::leans"
Run = tuple[int, int | None, bool]


def side(*runs: Run) -> list[Replayed]:
    return [
        Replayed(
            ReplayOutcome(ok=ok, cause=None if ok else "assertion", seconds=1, hash_seed=hash_seed, order_seed=order,
                          source="pytest"),
            frozenset({TEST} if ok else ()),
            frozenset(() if ok else {TEST}),
        )
        for hash_seed, order, ok in runs
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("runs", "followed"),
    [
        (((0, None, True), (1, 1, False), (2, None, True)), None),  # both were varied at once
        (((0, None, True), (1, 1, False), (2, None, True), (1, None, True), (0, 1, False)), "order"),
        (((0, None, True), (1, 1, False), (2, None, True), (1, None, False), (0, 1, True)), "hash_seed"),
        (((0, None, True), (1, 1, False), (2, None, True), (1, None, True), (0, 1, True)), None),
        (((0, None, True), (1, 1, False), (1, None, True), (0, 1, False), (0, None, False)), None),  # chance
        (((0, None, True), (1, None, True), (0, 1, True)), None),  # no disagreement
    ],
)
def test_what_a_disagreement_follows(runs: tuple[Run, ...], followed: str | None) -> None:
    assert follows(side(*runs), outcome) == followed


def test_order_dependence_is_a_cause_of_its_own() -> None:
    flaky = Judgement("flaky", "snapshot_disagrees", "2 of 5 equal replays failed")
    ordered = side((0, None, True), (1, 1, False), (2, None, True), (1, None, True), (0, 1, False))
    assert explained(flaky, [], ordered).cause == "order_dependence"
    hashed = side((0, None, True), (1, 1, False), (2, None, True), (1, None, False), (0, 1, True))
    assert (explained(flaky, [], hashed).cause, "hash seed" in explained(flaky, [], hashed).detail) == (
        "snapshot_disagrees", True,
    )  # fmt: skip


def test_replays_that_follow_a_disagreement_vary_one_thing_at_a_time() -> None:
    runs = side((0, None, True), (1, 1, False), (2, None, True))
    given = []
    while len(runs) < 7:
        seeds = crossed([], runs, 3)
        assert seeds is not None
        given.append(seeds)
        runs += side((seeds.hash, seeds.order, seeds.order is None))
    assert given == [Seeds(1, None), Seeds(0, 1), Seeds(0, None), Seeds(1, 1)]
    assert follows(runs, outcome) == "order"


def test_without_a_disagreement_nothing_is_crossed() -> None:
    assert crossed([], side((0, None, True), (1, 1, True)), 2) is None


def test_chance_is_seldom_taken_for_an_order() -> None:
    """Ten replays of a test that fails three times in ten: what is said follows nothing, but for some in a thousand."""
    draw = random.Random(7)  # noqa: S311 - repeatable on purpose
    taken = 0
    for _ in range(1000):
        runs: list[Replayed] = []
        for number in range(10):
            seeds = Seeds(number, number if number % 2 else None)
            if number >= 3:
                seeds = crossed([], runs, 3) or seeds
            runs += side((seeds.hash, seeds.order, draw.random() >= 0.3))
        taken += follows(runs, outcome) is not None
    assert taken < 50
