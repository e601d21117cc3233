"""Histories that were once written fold for ever. A file here is never changed; new shapes get new files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from events.catalog import CATALOG, EVENT, USAGE_EVENTS, Event
from events.upcasts import UPCASTS, upcast
from state import job as jobs
from state import ledger as ledgers
from state import pattern as patterns
from state import repository as repositories
from state import usage as usages

FOLDER = Path(__file__).resolve().parents[1] / "history"
FILES = sorted(FOLDER.glob("*.jsonl"))


def events_of(file: Path) -> list[Event]:
    events: list[Event] = []
    for line in file.read_text().splitlines():
        stored = json.loads(line)
        current = CATALOG[stored["type"]].SCHEMA
        data = upcast(stored["type"], stored["schema"], current, stored["data"], UPCASTS)
        events.append(EVENT.validate_python(data))
    return events


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_golden_history_folds_to_the_status_it_is_named_after(file: Path) -> None:
    kind, _, status = file.stem.partition("-")
    if kind == "usage":
        usage = usages.fold("b2" * 32, events_of(file))
        assert (usage.day, usage.through, usage.version, len(usage.said)) == ("2026-02-03", 2, 6, 2)
    elif kind == "spend":
        ledger = ledgers.fold(status, events_of(file))
        sums = (round(ledger.month_usd, 6), round(ledger.day_usd("2026-11-21"), 6))
        assert (*sums, len(ledger.in_flight())) == (0.149, 0.14, 1)
    elif kind == "repo":
        repository = repositories.fold("repo-1", events_of(file))
        assert (repository.work_trees, repository.version) == (("/linked",), 3)
        assert {(path, name) for path, name, _ in repository.set_aside} == {
            ("/repo", "trust-me.md"),
            ("/repo", "link.md"),
        }
    elif kind == "job":
        assert jobs.fold("a" * 64, events_of(file)).status == status.split("-", maxsplit=1)[0]
    else:
        assert patterns.fold("b" * 64, events_of(file)).status == status.split("-", maxsplit=1)[0]


def test_the_golden_histories_hold_every_event_of_a_job() -> None:
    assert {event.__name__ for event in jobs.e.JOB_EVENTS} <= told()


def told() -> set[str]:
    """The types of all events that stand in a golden history."""
    return {json.loads(line)["type"] for file in FILES for line in file.read_text().splitlines()}


def test_the_golden_histories_hold_rules_and_what_became_of_stale_patterns() -> None:
    assert {
        "PatternRuleVerified", "PatternRuleNotFound", "PatternWentStale", "ReverificationStarted",
        "ReverificationInterrupted", "ReverificationFailed", "PatternReverified", "ReintroductionDetected",
    } <= told()  # fmt: skip


def test_the_golden_histories_hold_what_people_and_models_said_of_a_pattern() -> None:
    assert {
        "PatternEndorsed", "ConflictFound", "ReviewReminded", "PatternReviewStarted", "PatternReviewed",
        "PatternReleased", "PatternSuperseded", "EvidenceAdded",
    } <= told()  # fmt: skip


def test_the_golden_histories_hold_every_event_of_use() -> None:
    told = {type(event) for event in events_of(FOLDER / "usage-recorded.jsonl")}
    assert told == set(USAGE_EVENTS)


@pytest.mark.parametrize("status", [s.value for s in jobs.JobStatus if s is not jobs.JobStatus.NEW])
def test_there_is_a_golden_history_of_every_job_status(status: str) -> None:
    assert (FOLDER / f"job-{status}.jsonl").is_file()
