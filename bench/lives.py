"""Whole lives of jobs and patterns as events: the golden histories of the tests, which fold for ever."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from events.catalog import EVENT, AnyEvent

FOLDER = Path(__file__).resolve().parents[1] / "tests/history"
LEARNED = "job-learned.jsonl"
APPROVED = "job-learned-with-approvals.jsonl"
HARD = "job-learned-the-hard-way.jsonl"
ACTIVE = "pattern-active.jsonl"


@cache
def texts(name: str) -> list[tuple[str, str]]:
    """The types of a history's events, and their data as the log has it."""
    stored = [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]
    return [(event["type"], json.dumps(event["data"], separators=(",", ":"))) for event in stored]


@cache
def events(name: str) -> list[AnyEvent]:
    """The events of a history."""
    return [EVENT.validate_json(text) for _, text in texts(name)]
