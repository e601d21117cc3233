"""What belongs into a window: its edges, neighbours, what was open when it ended, and one repository's share."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from support import histories as h
from timed_histories import ANNA, DAY, HOUR, Past, by, candidate, job

from learnd.views.queries import Views
from learnd.views.store import read_connection
from state import commands as c
from state.job import JobStatus

S = JobStatus
BEFORE = -0.001
"""The smallest step of the log's time, in seconds."""


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path)


@pytest.mark.parametrize(
    ("since", "until", "counted"),
    [
        (HOUR, None, 1),
        (HOUR - BEFORE, None, 0),
        (None, HOUR, 0),
        (None, HOUR - BEFORE, 1),
        (HOUR, HOUR - BEFORE, 1),
        (0, HOUR, 0),
    ],
)
def test_an_event_counts_from_since_on_and_before_until(
    past: Past, since: float | None, until: float | None, counted: int
) -> None:
    past.job("a", h.WAY_TO[S.OPENED], HOUR)
    assert past.asked(since, until).throughput.opened == counted


def test_neighbouring_windows_share_no_event_and_leave_none_out(past: Past) -> None:
    for number in range(10):
        past.job(f"{number}", h.WAY_TO[S.OPENED], number * HOUR)
    edges = [None, 3 * HOUR, 3 * HOUR, 7 * HOUR + 1, None]
    counts = [past.asked(*window).throughput.opened for window in pairwise(edges)]
    assert counts == [3, 0, 5, 2]


def test_a_time_belongs_to_the_window_in_which_it_ended(past: Past) -> None:
    past.job("a", h.WAY_TO[S.STALLED_SNAPSHOT], 0)
    past.at(2 * HOUR, c.Dismiss(job("a"), ANNA))
    early, late = past.asked(None, 2 * HOUR).blocked, past.asked(2 * HOUR, None).blocked
    assert (early.resolved, early.median_seconds, early.open, early.oldest_open_seconds) == (0, None, 1, 2 * HOUR)
    assert [(one.job, one.age_seconds) for one in early.open_jobs] == [(job("a"), 2 * HOUR)]
    assert (late.resolved, late.median_seconds, late.open) == (1, 2 * HOUR, 0)


def test_what_began_after_the_window_was_not_open_when_it_ended(past: Past) -> None:
    past.job("a", h.WAY_TO[S.STALLED_SNAPSHOT], 2 * HOUR)
    candidate(past, "b", 2 * HOUR)
    found = past.asked(None, 2 * HOUR)
    assert (found.blocked.open, found.reviewing.waiting) == (0, 0)
    found = past.asked(None, 2 * HOUR - BEFORE)
    assert (found.blocked.open, found.reviewing.waiting) == (1, 1)


def test_a_candidate_waited_when_the_window_ended_although_it_was_decided_since(past: Past) -> None:
    candidate(past, "a", 0)
    past.at(DAY, by(ANNA, "a")["promote"])
    found = past.asked(None, HOUR).reviewing
    assert (found.waiting, found.oldest_waiting_seconds, found.promoted) == (1, HOUR, 0)
    assert past.asked(None, None).reviewing.waiting == 0


def test_patterns_by_status_are_known_of_now_alone(past: Past) -> None:
    candidate(past, "a", 0)
    assert past.asked(until=HOUR, now=DAY).pattern_hygiene.now is None
    assert past.asked(until=2 * DAY, now=DAY).pattern_hygiene.now == {"candidate": 1}


def test_an_age_is_taken_now_when_the_window_ends_later(past: Past) -> None:
    past.job("a", h.WAY_TO[S.STALLED_SNAPSHOT], 0)
    assert past.asked(until=10 * DAY, now=DAY).blocked.oldest_open_seconds == DAY


def test_what_a_clock_that_was_set_back_made_has_no_length(past: Past) -> None:
    past.job("a", h.WAY_TO[S.STALLED_SNAPSHOT], HOUR)
    past.at(0, c.Dismiss(job("a"), ANNA))
    past.job("b", h.WAY_TO[S.STALLED_SNAPSHOT], HOUR)
    found = past.asked(now=0).blocked
    assert (found.resolved, found.median_seconds) == (1, None)
    assert (found.open, found.oldest_open_seconds) == (1, None)


def test_repositories_add_up_to_the_whole(past: Past) -> None:
    candidate(past, "a", HOUR, "shop")
    past.at(2 * HOUR, by(ANNA, "a")["promote"])
    candidate(past, "b", HOUR, "till")
    past.at(3 * HOUR, by(ANNA, "b")["reject"])
    past.job("c", h.WAY_TO[S.STALLED_SNAPSHOT], 0, "till")
    past.at(1, c.RaiseAlert(job("c"), "stalled_snapshot", "look", "P2"))
    shop, till, both = (past.asked(repos=repos) for repos in (("shop",), ("till",), None))
    assert (shop.reviewing.promoted, shop.reviewing.rejected, till.reviewing.promoted) == (1, 0, 0)
    assert (shop.blocked.open, till.blocked.open, both.blocked.open) == (0, 1, 1)
    assert (shop.alerts, till.alerts["stalled_snapshot"].open) == ({}, 1)
    assert (shop.pattern_hygiene.now, till.pattern_hygiene.now) == ({"active": 1}, {"rejected": 1})
    assert shop.throughput.opened + till.throughput.opened == both.throughput.opened == 3
    assert shop.spent_usd + till.spent_usd == pytest.approx(both.spent_usd)


def test_no_question_reads_the_events(past: Past) -> None:
    """Else the answer would take the longer the larger the log is."""
    candidate(past, "a", 0)
    past.job("c", h.WAY_TO[S.STALLED_SNAPSHOT], 0)
    connection = read_connection(past.log)
    asked: list[tuple[str, tuple[object, ...]]] = []

    def rows(query: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
        asked.append((query, values))
        return Views(connection).rows(query, values)

    from timed_histories import window

    from learnd.views.metrics import metrics

    metrics(rows, window(0, HOUR, DAY), ("shop",))
    assert len(asked) > 10
    for query, values in asked:
        plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]
        assert not any(" events" in step for step in plan), plan
        if "FROM measures" in query:
            assert any("SEARCH measures USING PRIMARY KEY (kind=? AND at" in step for step in plan), plan
