"""Tests that flaked without any change: those that a job's replays of its base disagreed about.

A test that flaked on a snapshot alone is left out: the change of that job may have made it flake, and must not be
excused for it when the same change comes again.
"""

from __future__ import annotations

import sqlite3

from events.catalog import ChangeValidated, ValidationFailed
from events.recorded import Recorded
from learnd.views.rows import Columns

FOLLOWED = frozenset({"ChangeValidated", "ValidationFailed"})


def follow(connection: sqlite3.Connection, record: Recorded, job: Columns | None, prefix: str = "") -> None:
    """Keep what an event's evidence says; `job` is the row of the job that it is of."""
    event = record.data
    if job is None or not isinstance(event, ChangeValidated | ValidationFailed):
        return
    found = {flaky.test for flaky in event.evidence.flaky_tests if flaky.side == "base"}
    connection.executemany(
        f"INSERT OR REPLACE INTO {prefix}flaky_tests VALUES (?, ?, ?, ?)",  # noqa: S608 - a name of our own
        [(str(job["repo_id"]), test, record.stream.removeprefix("job-"), record.at) for test in sorted(found)],
    )
