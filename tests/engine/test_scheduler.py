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


def test_urgent_jobs_come_first_of_whatever_repository_in_the_order_in_which_they_became_it() -> None:
    scheduler = Scheduler()
    for job, repo in (("a1", "A"), ("a2", "A"), ("b1", "B"), ("b2", "B"), ("c1", "C")):
        scheduler.wake(job, repo)
    scheduler.wake("b2", "B", urgent=True)
    scheduler.wake("a2", "A", urgent=True)
    scheduler.wake("c1", "C", urgent=True)
    scheduler.wake("c1", "C")  # not any more
    assert [scheduler.take(0) for _ in range(6)] == ["b2", "a2", "a1", "b1", "c1", None]
    assert not scheduler.idle()


def test_an_urgent_job_that_sleeps_or_is_worked_on_comes_back_as_the_first() -> None:
    scheduler = Scheduler()
    scheduler.wake("a1", "A")
    assert scheduler.take(0) == "a1"
    scheduler.done("a1", "2999-01-01T00:00:00.000Z")
    scheduler.wake("b1", "B")
    scheduler.wake("a1", "A", urgent=True)
    assert scheduler.next_wake() is None
    assert scheduler.take(0) == "a1"
    scheduler.wake("a1", "A", urgent=True)
    scheduler.done("a1")
    assert [scheduler.take(0), scheduler.take(0)] == ["a1", "b1"]


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
@given(st.lists(st.tuples(st.sampled_from("WTD"), st.integers(0, 5), st.booleans()), max_size=60))
def test_every_woken_job_is_handed_out_and_never_to_two(steps: list[tuple[str, int, bool]]) -> None:
    scheduler = Scheduler()
    held: set[str] = set()
    owed: set[str] = set()
    for step, number, urgent in steps:
        job = f"job-{number}"
        if step == "W":
            scheduler.wake(job, f"repo-{number % 2}", urgent=urgent)
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


def test_many_repositories_each_get_a_turn_before_any_gets_a_second() -> None:
    scheduler = Scheduler()
    for number in range(200):
        scheduler.wake(f"greedy-{number}", "greedy")
    for repo in range(50):
        scheduler.wake(f"job-{repo}", f"repo-{repo}")
    first = [scheduler.take(0) for _ in range(51)]
    assert len({job for job in first if job and job.startswith("greedy")}) == 1
    assert {f"job-{repo}" for repo in range(50)} < set(first)
    scheduler.wake("late", "another", urgent=True)
    assert [scheduler.take(0) for _ in range(2)] == ["late", "greedy-1"]
