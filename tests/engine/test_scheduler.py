"""The scheduler: turns between repositories, no job lost, no job with two workers."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from learnd.clock import now
from learnd.scheduler import Scheduler


def test_repositories_take_turns() -> None:
    scheduler = Scheduler()
    for job in ("a1", "a2", "a3"):
        scheduler.wake(job, "A")
    scheduler.wake("b1", "B")
    taken = [scheduler.take(0) for _ in range(4)]
    assert taken == ["a1", "b1", "a2", "a3"]


def test_a_job_woken_while_a_worker_has_it_comes_round_once_more() -> None:
    scheduler = Scheduler()
    scheduler.wake("a", "A")
    assert scheduler.take(0) == "a"
    scheduler.wake("a", "A")
    assert scheduler.take(0) is None
    scheduler.done("a")
    assert scheduler.take(0) == "a"


def test_a_sleeping_job_is_handed_out_when_its_time_has_come() -> None:
    scheduler = Scheduler()
    for job, until in (("past", "2000-01-01T00:00:00.000Z"), ("future", "2999-01-01T00:00:00.000Z")):
        scheduler.wake(job, "A")
        assert scheduler.take(0) == job
        scheduler.done(job, until)
    assert scheduler.take(0) == "past"
    assert scheduler.take(0) is None
    assert scheduler.next_wake() == "2999-01-01T00:00:00.000Z"
    assert now() < "2999"


def test_a_closed_scheduler_hands_out_nothing() -> None:
    scheduler = Scheduler()
    scheduler.wake("a", "A")
    scheduler.close()
    assert scheduler.take(10) is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("WTD"), st.integers(0, 5)), max_size=60))
def test_every_woken_job_is_handed_out_and_never_to_two(steps: list[tuple[str, int]]) -> None:
    scheduler = Scheduler()
    held: set[str] = set()
    owed: set[str] = set()
    for step, number in steps:
        job = f"job-{number}"
        if step == "W":
            scheduler.wake(job, f"repo-{number % 2}")
            owed.add(job)
        elif step == "T":
            taken = scheduler.take(0)
            if taken is not None:
                assert taken not in held
                held.add(taken)
                owed.discard(taken)
        elif job in held:
            held.discard(job)
            scheduler.done(job)
    for job in held:
        scheduler.done(job)
    rest = set()
    while (taken := scheduler.take(0)) is not None:
        rest.add(taken)
        scheduler.done(taken)
    assert owed <= rest
