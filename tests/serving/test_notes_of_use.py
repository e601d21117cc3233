from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_place import ServingPlace

from events.catalog import PatternServed, UseReported
from learnd.door import Door
from learnd.engine import Engine
from learnd.requests import NoteServed, ReportUse
from learnd.serving import notes
from learnd.serving.recording import Recorder
from learnd.settings import Settings
from learnd.views.queries import Views
from learnd.views.store import read_connection
from learnd.views.usage import usage_of
from state import commands as c
from state.pattern import PatternStatus
from state.refusal import Refused
from state.usage import REPORTS_A_DAY, Usage, decide, evolve, fold

PAST = "2026-01-01"


def recorded(place: ServingPlace, at: int = 0) -> list[PatternServed]:
    with place.log() as log:
        events = [record.data for record in log.read(f"usage-{place.ids[at]}")]
    return [event for event in events if isinstance(event, PatternServed)]


def record(place: ServingPlace) -> None:
    with place.log() as log:
        Recorder(Door(log), place.state).record(Views(read_connection(log)))


def move_to_the_past(place: ServingPlace) -> Path:
    (file,) = (place.state / "usage").iterdir()
    return file.rename(file.with_name(f"{PAST}.jsonl"))


def test_use_is_recorded_the_day_it_happens_and_the_rest_when_the_day_is_over(place: ServingPlace) -> None:
    assert notes.note(place.state, place.ids[:2], "task/a")
    assert notes.note(place.state, place.ids[:1], None)
    record(place)
    today = notes.today()
    assert [(event.day, event.times, event.runs) for event in recorded(place)] == [(today, 2, ("task/a",))]
    assert [event.times for event in recorded(place, 1)] == [1]
    for run in ("task/b", "task/c", "task/b"):
        notes.note(place.state, place.ids[:1], run)
    record(place)
    assert len(recorded(place)) == 1
    (file,) = (place.state / "usage").iterdir()
    assert len(file.read_text().splitlines()) == 6


def test_a_day_that_is_over_is_one_event_and_its_file_goes(place: ServingPlace) -> None:
    for run in ("task/b", "task/c", "task/b"):
        notes.note(place.state, place.ids[:1], run)
    file = move_to_the_past(place)
    record(place)
    assert [(event.day, event.times, event.runs) for event in recorded(place)] == [(PAST, 3, ("task/b", "task/c"))]
    assert not file.exists()
    with place.log() as log:
        assert usage_of(Views(read_connection(log)).rows, place.ids[0]).served == 3


def test_a_crash_between_the_event_and_the_end_of_the_file_counts_nothing_twice(place: ServingPlace) -> None:
    notes.note(place.state, place.ids, "task/b")
    file = move_to_the_past(place)
    kept = file.read_bytes()
    record(place)
    file.write_bytes(kept)
    record(place)
    assert [len(recorded(place, at)) for at in range(3)] == [1, 1, 1]
    assert not file.exists()


def test_the_rest_of_a_day_is_what_came_after_its_first_event(place: ServingPlace) -> None:
    notes.note(place.state, place.ids[:1], "task/a")
    file = move_to_the_past(place)
    with place.log() as log:
        early = c.RecordServed(place.ids[0], PAST, 1, ("task/a",), through=1, day_is_over=False)
        Door(log).handle(early, "test")
    with file.open("a") as opened:
        opened.write(file.read_text() * 4)
    record(place)
    assert [event.times for event in recorded(place)] == [1, 4]


def test_what_is_no_note_or_of_no_pattern_is_passed_over(place: ServingPlace) -> None:
    notes.note(place.state, [*place.ids[:1], "e" * 64], "task/a")
    file = move_to_the_past(place)
    broken = b'{"pattern": "half\n[1]\n{"run": 1}\n\xff\n'
    file.write_bytes(broken + file.read_bytes())
    record(place)
    assert [(event.times, event.through) for event in recorded(place)] == [(1, 5)]


def test_half_a_line_of_a_crash_costs_only_itself(place: ServingPlace) -> None:
    notes.note(place.state, place.ids[:1], None)
    (file,) = (place.state / "usage").iterdir()
    file.write_bytes(file.read_bytes() + b'{"pattern": "b2')
    notes.note(place.state, place.ids[1:2], None)
    assert [note.pattern_id for note in notes.read(file)] == place.ids[:2]


def test_where_nothing_can_be_written_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "usage").write_text("a file where the folder would be")
    assert notes.note(tmp_path, ["a" * 64], None) is False
    assert notes.note(tmp_path / "nowhere", ["a" * 64], None) is False


def _many(state: Path, pattern: str) -> None:
    for number in range(100):
        notes.note(state, [pattern, pattern], f"task/{number}")


def test_notes_of_many_at_once_are_all_there(tmp_path: Path) -> None:
    several = [
        multiprocessing.get_context("fork").Process(target=_many, args=(tmp_path, letter * 64)) for letter in "abc"
    ]
    for process in several:
        process.start()
    for process in several:
        process.join()
    (file,) = (tmp_path / "usage").iterdir()
    found = [note.pattern_id for note in notes.read(file)]
    assert [found.count(letter * 64) for letter in "abc"] == [200, 200, 200]


def test_strangers_at_the_socket_neither_report_nor_note(place: ServingPlace) -> None:
    with Engine.opened(Settings(state_dir=place.state, approvers=("anna",))) as engine:
        for request in (
            ReportUse(pattern=place.ids[0], outcome="helped"),
            NoteServed(patterns=(place.ids[0],)),
        ):
            assert engine.desk.answer(request.model_dump_json(), 54_321).code == "not_an_approver"
        told = engine.desk.answer(ReportUse(pattern=place.ids[0], outcome="helped").model_dump_json(), os.getuid())
        assert told.ok
        assert engine.log.read(f"usage-{place.ids[0]}")[0].actor != "54321"
    assert not (place.state / "usage").exists()


# --- rules ---

SERVED = c.RecordServed("b2" * 32, "2026-02-01", 3, ("t/r",), through=3, day_is_over=False)
HELPED = c.ReportUse("b2" * 32, "t/r", "helped", "2026-02-01", PatternStatus.ACTIVE, "it did")


def after(*events: PatternServed | UseReported) -> Usage:
    return fold("b2" * 32, events)


@pytest.mark.parametrize(
    ("day", "through", "over", "code"),
    [
        ("2026-02-01", 3, True, "already_recorded"),
        ("2026-02-01", 2, True, "already_recorded"),
        ("2026-01-31", 9, True, "already_recorded"),
        ("2026-02-01", 4, False, "day_not_over"),
        ("2026-02-01", 4, True, None),
        ("2026-02-02", 1, False, None),
    ],
)
def test_a_day_has_at_most_two_events(day: str, through: int, over: bool, code: str | None) -> None:
    (event,) = given_events(decide(SERVED, Usage("b2" * 32)))
    answer = decide(c.RecordServed("b2" * 32, day, 1, (), through, over), evolve(Usage("b2" * 32), event))
    assert (answer.code if isinstance(answer, Refused) else None) == code


def given_events(answer: object) -> tuple[PatternServed | UseReported, ...]:
    assert isinstance(answer, tuple)
    return answer


def test_a_run_says_the_same_once_and_may_say_something_else() -> None:
    usage = after(*given_events(decide(HELPED, Usage("b2" * 32))))
    again = decide(HELPED, usage)
    assert isinstance(again, Refused)
    assert again.code == "already_reported"
    wrong = c.ReportUse("b2" * 32, "t/r", "wrong", "2026-02-01", PatternStatus.ACTIVE)
    assert given_events(decide(wrong, usage))


@pytest.mark.parametrize("status", ["staged", "candidate", "quarantined", "rejected", "expired"])
def test_nobody_can_have_used_what_was_never_served(status: str) -> None:
    answer = decide(c.ReportUse("b2" * 32, None, "helped", "2026-02-01", PatternStatus(status)), Usage("b2" * 32))
    assert isinstance(answer, Refused)
    assert answer.code == "never_served"


def test_reports_are_bounded_a_day() -> None:
    usage = Usage("b2" * 32)
    anonymous = c.ReportUse("b2" * 32, None, "helped", "2026-02-01", PatternStatus.ACTIVE)
    for _ in range(REPORTS_A_DAY):
        (event,) = given_events(decide(anonymous, usage))
        usage = evolve(usage, event)
    assert isinstance(decide(anonymous, usage), Refused)
    tomorrow = c.ReportUse("b2" * 32, None, "helped", "2026-02-02", PatternStatus.ACTIVE)
    assert given_events(decide(tomorrow, usage))


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9), st.booleans()), max_size=30))
def test_however_notes_come_in_a_day_has_one_event_before_it_is_over(told: list[tuple[int, int, bool]]) -> None:
    usage, days = Usage("b2" * 32), []
    for day, through, over in told:
        answer = decide(c.RecordServed("b2" * 32, f"2026-02-0{day}", 1, (), through, over), usage)
        if not isinstance(answer, Refused):
            (event,) = given_events(answer)
            usage = evolve(usage, event)
            days.append((day, over))
    assert all(sum(1 for day, over in days if day == each and not over) <= 1 for each in (1, 2, 3))
