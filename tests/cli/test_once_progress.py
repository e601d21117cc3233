"""The moving lines of `learnd once` on a terminal: one for each job that is being replayed, and no other."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from events.catalog import EVENT
from events.log import EventLog
from learnd.verbs.once import _follow, _Say

HISTORY = Path(__file__).resolve().parents[1] / "history/job-learned.jsonl"
JOB = "a" * 64
WHO = {"actor": "learnd", "at": "2026-01-02T03:04:05.000Z"}


@pytest.mark.parametrize(("last", "moving"), [("ReplayStarted", 1), ("ChangeValidated", 0), ("JobLearned", 0)])
def test_a_moving_line_stays_as_long_as_its_job_is_replayed(tmp_path: Path, last: str, moving: int) -> None:
    with EventLog.create_or_open(tmp_path / "events.db") as log:
        events = [EVENT.validate_python(json.loads(line)["data"]) for line in HISTORY.read_text().splitlines()]
        at = [event.type for event in events].index(last)
        log.append({f"job-{JOB}": (0, events[:at])}, **WHO)
        say = _Say(Progress(console=Console(file=io.StringIO(), force_terminal=True)))
        statuses: dict[str, str] = {}
        stop = threading.Event()
        stop.set()
        _follow(log, 0, statuses, stop, say)
        say.doing(JOB, "replaying the base (1)")
        log.append({f"job-{JOB}": (at, [events[at]])}, **WHO)
        _follow(log, at, statuses, stop, say)
        assert len(say.moving) == moving
