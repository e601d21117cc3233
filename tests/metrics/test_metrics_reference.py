"""For any history, window and repository: the numbers are those of a naive count of the raw events."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from naive_metrics import Naive
from support import histories as h
from timed_histories import ANNA, BORIS, START, Past, by, candidate, of_job, of_pattern, pattern, regression

from learnd.views.measures.safety import BECAME, ROOT_CAUSES, STALLED_FIRST
from learnd.views.measures.taken import Measure
from learnd.views.queries import Views
from learnd.views.store import read_connection, rebuild
from state import commands as c
from state.decide import Command
from state.job import BLOCKED
from state.pattern import PatternStatus as P

REPOS = {"a": "shop", "b": "shop", "c": "till", "d": "shop", "e": "till", "f": "shop"}


def commands_of(name: str) -> list[Command]:
    """Everything that can be asked of a job, its pattern and the machine."""
    repo = REPOS[name]
    of_jobs = {repr(command): command for case in h.job_cases() for command in (*case.given, case.when)}
    of_patterns = {repr(command): command for case in h.pattern_cases() for command in (*case.given, case.when)}
    decisions = [*by(ANNA, name).values(), *by(BORIS, name).values()]
    regressions = [regression(name, digit, who, 5.0) for digit in "12" for who in (ANNA, None)]
    raised: list[Command] = [
        c.RaiseFault("disk", "full"),
        c.RaiseFaultAlert("disk", "full", "P2"),
        c.ClearFault("disk"),
    ]
    own = pattern(name)
    used: list[Command] = [
        c.RecordServed(own, "2026-03-01", 2, ("t/r",), 2, day_is_over=False),
        c.RecordServed(own, "2026-03-02", 5, (), 9, day_is_over=True),
        c.ReportUse(own, "t/r", "helped", "2026-03-02", P.ACTIVE),
        c.ReportUse(own, None, "wrong", "2026-03-02", P.DEPRECATED),
    ]
    return [
        *used,
        *(of_job(command, name, repo) for command in of_jobs.values()),
        *(of_pattern(command, name, repo) for command in of_patterns.values()),
        *decisions, *regressions, regression(name, "3", ANNA, None), *raised,
    ]  # fmt: skip


def lives(name: str) -> list[list[Command]]:
    """Whole ways through the tables: single commands at random seldom get far."""
    repo = REPOS[name]
    ways = [[of_job(command, name, repo) for command in way] for way in h.WAY_TO.values() if way]
    left: list[list[Command]] = []
    for status in BLOCKED:
        alert = of_job(c.RaiseAlert(h.JOB, status.value, "look", "P3"), name, repo)
        ways_out = (h.approve, h.supplied, c.Dismiss(h.JOB, h.ANNA), c.ReopenRun(h.JOB, "/m"))
        way = [of_job(command, name, repo) for command in h.WAY_TO[status]]
        left += [[*way, alert, of_job(out, name, repo)] for out in ways_out]
    unclear = (*h.TO_READY, h.replay, c.RecordEvidence(h.JOB, h.evidence("inconclusive", "setup"), h.FILE))
    left.append([of_job(command, name, repo) for command in unclear])
    drafted = [of_job(command, name, repo) for command in (*h.TO_DRAFTED, h.finished)]
    own = [
        [*drafted, *(of_pattern(command, name, repo) for command in way)] for way in h.PATTERN_WAY_TO.values() if way
    ]
    return [*ways, *left, *own, *([command] for command in commands_of(name))]


LIVES = {name: lives(name) for name in REPOS}
STEPS = st.sampled_from(sorted(REPOS)).flatmap(lambda name: st.sampled_from(LIVES[name]))
PAUSES = st.sampled_from([0.0, 0.001, 1.0, 59.999, 3600.0, 86_400.0, -30.0])
MOMENTS = st.one_of(st.none(), st.integers(-10, 400_000).map(lambda tenths: tenths * 1.0), st.just(3601.0))


def alike(found: Any, expected: Any, where: str = "") -> None:
    """The same, up to the rounding of sums of floats; tuples are lists."""
    if isinstance(expected, Mapping):
        assert set(found) == set(expected), where
        for name in expected:
            alike(found[name], expected[name], f"{where}.{name}")
    elif isinstance(expected, float) and found is not None:
        assert found == pytest.approx(expected, abs=1e-6), where
    elif isinstance(expected, Sequence) and not isinstance(expected, str):
        assert len(found) == len(expected), (where, found, expected)
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            alike(one, other, f"{where}[{place}]")
    else:
        assert found == expected, where


@settings(max_examples=30, deadline=None)
@for_all(
    steps=st.lists(st.tuples(STEPS, PAUSES), max_size=12),
    since=MOMENTS,
    until=MOMENTS,
    repos=st.sampled_from([None, ("shop",), ("till",), ("shop", "till"), ("nowhere",)]),
    now=st.sampled_from([0.0, 7200.0, 200_000.0, 4_000_000.0]),
)
def test_the_metrics_are_those_of_a_naive_count(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[list[Command], float]],
    since: float | None,
    until: float | None,
    repos: tuple[str, ...] | None,
    now: float,
) -> None:
    past = Past(tmp_path_factory.mktemp("log"))
    clock = 0.0
    for commands, pause in steps:
        for command in commands:
            clock += pause  # clocks are set back, too
            past.tried(clock, command)
    after = lambda seconds: None if seconds is None else START + timedelta(seconds=seconds)  # noqa: E731
    naive = Naive(past.log.read_all(), after(since), after(until), START + timedelta(seconds=now), repos).whole()

    found = asdict(past.asked(since, until, repos, now))
    open_jobs = sorted((one["job"], one["status"], one["age_seconds"]) for one in found["blocked"]["open_jobs"])
    found["blocked"]["open_jobs"] = open_jobs
    alike(found, naive)

    rows = _measures(past)
    rebuild(past.log)
    assert _measures(past) == rows
    past.log.close()


def _measures(past: Past) -> list[tuple[object, ...]]:
    return Views(read_connection(past.log)).rows("SELECT * FROM measures ORDER BY kind, at, position")


def test_the_histories_reach_every_kind_of_measure(tmp_path: Path) -> None:
    """Else the property above would say little."""
    past = Past(tmp_path)
    for number in range(len(LIVES["a"])):
        name = f"life-{number}"
        REPOS[name] = "shop"
        for command in lives(name)[number]:
            past.tried(10.0, command)
        del REPOS[name]
    for name in ("a", "b"):
        candidate(past, name, 20.0)
        past.at(30.0, by(ANNA, name)["promote"])
    past.at(40.0, c.MarkStale(pattern("a"), ("a.py",)), regression("b", "1", ANNA, None))
    past.at(50.0, c.Reverify(pattern("a"), h.evidence()), by(ANNA, "b")["supersede"])
    past.at(50.0, c.RecordReintroduction(pattern("a"), h.JOB, "a.py"))
    rows = _measures(past)
    kinds = set(re.findall(r"^    \| (\w+(?:, \w+)*)(?: \(|(?= \|))", Measure.__doc__ or "", re.MULTILINE)) - {"kind"}
    assert {str(row[0]) for row in rows} == {kind for line in kinds for kind in line.split(", ")}
    assert {str(row[4]) for row in rows if row[0] == "hygiene"} == set(BECAME)
    assert {str(row[4]) for row in rows if row[0] == "failed"} == set(ROOT_CAUSES)
    assert {str(row[4]) for row in rows if row[0] == "unblocked"} == set(STALLED_FIRST)
