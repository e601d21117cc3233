"""Wherever the daemon is killed inside of a job's effects, the job ends as if nothing had happened.

A sample of what `make crash` does at every point.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from crash_place import BUDGET_USD, COMPLETION, End, Point, Sample, uncovered
from daemon.daemon_process import events, until
from pytest_httpserver import HTTPServer
from support.cases import thorough
from werkzeug import Request, Response

from events.catalog import CrystalizationStarted, JobLearned, ModelCallSettled
from state.effects import Effect

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Point], End]:
    return Sample(tmp_path_factory.mktemp("undisturbed")).dry_run()


def test_there_is_a_point_to_be_killed_at_inside_of_every_effect(undisturbed: tuple[list[Point], End]) -> None:
    points, _ = undisturbed
    assert uncovered(points) == []
    assert uncovered([point for point in points if point.place != Effect.ENQUEUE]) == ["enqueue"]


@pytest.mark.parametrize("depth", [0.2, *thorough(1.0)], ids=["on its way", "at its end"])
def test_killed_in_every_effect_in_turn_a_job_ends_as_if_nothing_had_happened(
    tmp_path: Path, undisturbed: tuple[list[Point], End], depth: float
) -> None:
    points, end = undisturbed
    chosen = []
    for effect in Effect:
        inside = [point.name for point in points if point.place == effect.value]
        chosen.append(inside[int(depth * (len(inside) - 1))])
    sample = Sample(tmp_path / "killed")
    assert sample.killed_at(*chosen) == chosen
    sample.holds(end)


def test_a_crash_while_the_model_answers_counts_what_was_reserved_as_spent_and_the_next_call_fits_the_budget(
    tmp_path: Path, httpserver: HTTPServer
) -> None:
    sample = Sample(tmp_path / "paid", httpserver)
    asked: list[int] = []

    def answer(_: Request) -> Response:
        asked.append(0)
        if len(asked) == 1:
            os.kill(daemon.pid, signal.SIGKILL)
        return Response(COMPLETION, content_type="application/json")

    httpserver.expect_request("/v1/chat/completions", method="POST").respond_with_handler(answer)
    with sample.daemon() as daemon:
        until(lambda: daemon.process.poll() is not None, "a model that is asked")
    with sample.daemon() as daemon:
        assert sample.finish(daemon) == 0
    assert len(events(sample.state, JobLearned)) == 1
    reserved = [event.reserved_usd for event in events(sample.state, CrystalizationStarted)]
    lost, paid = events(sample.state, ModelCallSettled)
    assert len(asked) == len(reserved) == 2
    assert lost.cost_usd == reserved[0], "nobody can say whether the provider charged for it"
    assert 0 < paid.cost_usd < reserved[1]
    assert sum(reserved) <= BUDGET_USD
