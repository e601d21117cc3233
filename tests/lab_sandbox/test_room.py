"""Replays at the same time: bounded by cores and by free memory, in the order they asked; none waits for ever."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from learnd.lab.limits import MIB
from learnd.lab.room import NoLongerWanted, Room, of_this_machine

NEVER = threading.Event()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Crowd:
    """Many who want a place, and what they saw."""

    def __init__(self, room: Room, memory_mb: int) -> None:
        self.room, self.memory_mb = room, memory_mb
        self.inside: list[int] = []
        self.order: list[int] = []
        self.most = 0
        self._lock = threading.Lock()
        self.leave = [threading.Event() for _ in range(12)]

    def enter(self, number: int) -> None:
        with self.room.place(self.memory_mb, NEVER):
            with self._lock:
                self.inside.append(number)
                self.order.append(number)
                self.most = max(self.most, len(self.inside))
            self.leave[number].wait(20)
            with self._lock:
                self.inside.remove(number)


def come(crowd: Crowd, pool: ThreadPoolExecutor, count: int) -> list[Future[None]]:
    """One after the other: each has asked before the next does."""
    asked = []
    for number in range(count):
        asked.append(pool.submit(crowd.enter, number))
        until(lambda done=number: len(crowd.order) + len(crowd.room._waiting) > done)  # type: ignore[misc]
    return asked


@pytest.mark.parametrize(("cores", "free_mib", "at_once"), [(3, 10_000, 3), (8, 400, 4), (8, 130, 1), (1, 10_000, 1)])
def test_no_more_at_once_than_cores_and_memory_allow_and_in_order(cores: int, free_mib: int, at_once: int) -> None:
    crowd = Crowd(Room(cores, lambda: free_mib * MIB, 10_000 * MIB), 100)
    with ThreadPoolExecutor(12) as pool:
        asked = come(crowd, pool, 12)
        until(lambda: len(crowd.inside) == at_once)
        for number in range(12):
            until(lambda which=number: which in crowd.inside)  # type: ignore[misc]
            crowd.leave[number].set()
        for one in asked:
            one.result()
    assert crowd.most == at_once
    assert crowd.order == list(range(12))


def test_the_only_replay_waits_for_memory_and_starts_when_there_is_some() -> None:
    free = [10 * MIB]
    crowd = Crowd(Room(4, lambda: free[0], 10_000 * MIB), 100)
    with ThreadPoolExecutor(1) as pool:
        (asked,) = come(crowd, pool, 1)
        time.sleep(0.1)
        assert crowd.inside == []
        free[0] = 100 * MIB
        until(lambda: crowd.inside == [0])
        crowd.leave[0].set()
        asked.result()


def test_a_small_machine_replays_one_at_a_time() -> None:
    crowd = Crowd(Room(4, lambda: 600 * MIB, 1000 * MIB), 4096)
    with ThreadPoolExecutor(2) as pool:
        asked = come(crowd, pool, 2)
        until(lambda: crowd.inside == [0])
        crowd.leave[0].set()
        until(lambda: crowd.inside == [1])
        crowd.leave[1].set()
        [one.result() for one in asked]
    assert crowd.most == 1


def test_who_is_cancelled_while_waiting_goes_and_holds_nobody_up() -> None:
    room, cancel = Room(1, lambda: 1000 * MIB, 1000 * MIB), threading.Event()
    crowd = Crowd(room, 100)

    def give_up() -> None:
        with room.place(100, cancel):
            pytest.fail("it had a place")

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(crowd.enter, 0)
        until(lambda: crowd.inside == [0])
        gone = pool.submit(give_up)
        until(lambda: len(room._waiting) == 1)
        last = pool.submit(crowd.enter, 2)
        cancel.set()
        with pytest.raises(NoLongerWanted):
            gone.result()
        crowd.leave[0].set()
        crowd.leave[2].set()
        first.result()
        last.result()


def test_this_machine_has_the_room_that_the_kernel_says() -> None:
    room = of_this_machine(lambda: None)
    assert room._cores == len(os.sched_getaffinity(0))
    assert MIB < room._free() <= room._total
    assert of_this_machine(lambda: 5)._free() == 5
