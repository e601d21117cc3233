"""`learnd metrics` as a process: its options, what a terminal shows, and what a task's own file says of the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli.cli_place import CliPlace
from support import histories as h
from timed_histories import ANNA, DAY, HOUR, Past, at, by, candidate, job, regression

from learnd.verbs.terminal import Stop
from learnd.verbs.when import moment
from learnd.views.learning import task_state
from learnd.views.queries import Views
from learnd.views.store import open_for_writing, read_connection
from state import commands as c
from state.job import JobStatus

S = JobStatus


@pytest.fixture
def place(tmp_path: Path) -> Iterator[CliPlace]:
    made = CliPlace(tmp_path)
    made.state.mkdir()
    yield made
    made.close()


@pytest.fixture
def month(place: CliPlace) -> CliPlace:
    """A log with something of everything, in two repositories."""
    past = Past(place.state)
    for number in range(3):
        candidate(past, f"promoted {number}", number * DAY + HOUR)
        past.at(number * DAY + 2 * HOUR, by(ANNA, f"promoted {number}")["promote"])
    candidate(past, "rejected", DAY, "till")
    past.at(2 * DAY, by(ANNA, "rejected")["reject"])
    past.job("stalled", h.WAY_TO[S.STALLED_SNAPSHOT], DAY, "till")
    past.at(DAY, c.RaiseAlert(job("stalled"), "stalled_snapshot", "look", "P2"))
    past.job("resolved", h.WAY_TO[S.NEEDS_MANUAL_SCENARIO], DAY)
    past.at(DAY + HOUR, c.Dismiss(job("resolved"), ANNA))
    past.at(10 * DAY, regression("promoted 0", "1", ANNA, committed=9 * DAY))
    past.log.close()
    return place


def test_a_window_and_a_repository_are_asked_for_by_options(month: CliPlace) -> None:
    whole = month.learnd("metrics", "--json").json
    assert whole["window"].keys() == {"since", "until", "now"}
    assert (whole["repo"], whole["reviewing"]["promoted"], whole["throughput"]["opened"]) == (None, 3, 6)
    days = month.learnd("metrics", "--json", "--since", "2026-03-02", "--until", "2026-03-03T02:00:00Z").json
    assert days["window"]["since"] == "2026-03-02T00:00:00.000Z"
    assert (days["reviewing"]["promoted"], days["reviewing"]["rejected"]) == (1, 1)
    shop = month.learnd("metrics", "--json", "--repo", "/shop/src").json
    assert (shop["repo"], shop["throughput"]["opened"], shop["blocked"]["open"]) == ("/shop/src", 4, 0)


def test_what_nobody_can_know_is_null_in_json_and_a_dash_before_people(place: CliPlace) -> None:
    place.record()
    found = place.learnd("metrics", "--json").json
    unknown = ("pass_rate", "median_seconds", "rejection_rate", "median_seconds_to_detect")
    parts = ("validation", "blocked", "reviewing", "regressions")
    assert [found[part][name] for part, name in zip(parts, unknown, strict=True)] == [None] * 4
    shown = place.learnd("metrics").out
    assert "pass rate" in shown
    assert "—" in shown
    assert "nan" not in shown
    assert "None" not in shown


@pytest.mark.parametrize("columns", [80, 100])
def test_a_terminal_of_80_columns_shows_every_line_whole(month: CliPlace, columns: int) -> None:
    shown = month.on_terminal("metrics", "--repo", "/shop", columns=columns, env={"NO_COLOR": "1"}).out
    lines = re.sub(r"\x1b\[\d*m", "", shown).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert "…" not in shown
    first_words = [line.split()[0] for line in lines if line[:1].isupper()]
    assert first_words == [
        "Validation", "Blocked", "Review", "Regressions", "Patterns", "Use", "Throughput", "Model", "Alerts",
    ]  # fmt: skip


def test_what_is_still_blocked_is_named_with_its_age(month: CliPlace) -> None:
    shown = month.learnd("metrics", "--until", "2026-03-03").out
    assert f"still open: {job('stalled')[:8]}  stalled_snapshot for 24 h" in shown


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--since", "soon"), "neither an age nor a time"),
        (("--since", "99999999999999d"), "neither an age nor a time"),
        (("--since", "2026-03-02", "--until", "2026-03-02"), "the window is empty"),
        (("--since", "2999-01-01"), "the window is empty"),
        (("--repo", "/nowhere"), "in no repository that learnd knows"),
    ],
)
def test_refused_with_a_sentence_when_it_cannot_be_asked_so(
    month: CliPlace, options: tuple[str, ...], said: str
) -> None:
    done = month.learnd("metrics", *options)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("30d", NOW - timedelta(days=30)),
        ("12h", NOW - timedelta(hours=12)),
        ("90 min", NOW - timedelta(minutes=90)),
        ("2w", NOW - timedelta(days=14)),
        ("2026-03-01T10:00:00Z", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-03-01T10:00:00+02:00", datetime(2026, 3, 1, 8, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1).astimezone()),
    ],
)
def test_moments_as_people_type_them(text: str, meant: datetime) -> None:
    assert moment("--since", text, NOW) == meant


def test_what_is_no_moment_is_said_so() -> None:
    with pytest.raises(Stop, match=r"--until '31\.3\.' is neither"):
        moment("--until", "31.3.", NOW)


def test_the_task_s_own_file_counts_as_the_metrics_do(month: CliPlace) -> None:
    with open_for_writing(month.log) as log:
        views = Views(read_connection(log))
        patterns = [str(row[0]) for row in views.rows("SELECT id FROM patterns")]
        told = task_state(log, [row.id for row in views.jobs()], patterns, at(0))
    found = month.learnd("metrics", "--json").json
    safety = told.safety
    assert safety.validation.passed == found["validation"]["passed"] == 4
    assert safety.validation.stalled == sum(found["validation"]["root_causes"]["snapshot_integrity"].values()) == 1
    assert safety.validation.manual == sum(found["validation"]["root_causes"]["scenario_synthesis"].values()) == 1
    assert safety.reviewer.rejections == found["reviewing"]["rejected"] == 1
    assert safety.reviewer.average_latency_ms == (3 * HOUR + DAY) / 4 * 1000
    assert safety.regression_detection.detected == found["regressions"]["escaped"] == 1
    assert safety.pattern_hygiene.promoted == found["reviewing"]["promoted"] == 3
    assert told.throughput.candidates == found["throughput"]["candidates"] == 4
    assert told.alerts.total == found["alerts"]["stalled_snapshot"]["raised"] == 1
