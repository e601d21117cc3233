"""Which tests earlier jobs saw flake, asked of a real log: without a change only, lately only, never the job's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.histories import FILE, JOB, WAY_TO, evidence

from events.values import FlakyTest
from learnd.door import Door, Handled
from learnd.steps.replay import known_flaky
from learnd.views.queries import Views
from learnd.views.store import open_for_writing, read_connection, rebuild
from state import commands as c
from state.job import Job, JobStatus

OTHER = "0" * 64
NEVER, ALWAYS = "9999-01-01T00:00:00.000Z", "2000-01-01T00:00:00.000Z"


@pytest.fixture
def door(tmp_path: Path) -> Door:
    """A job whose base flaked by one test, and whose snapshot flaked by another."""
    found = Door(open_for_writing(tmp_path / "e.db"))
    said = evidence("flaky", "snapshot_disagrees").model_copy(
        update={
            "flaky_tests": (
                FlakyTest(test="t.py::race", side="base", failed=1, runs=3),
                FlakyTest(test="t.py::race", side="snapshot", failed=1, runs=3),
                FlakyTest(test="t.py::new", side="snapshot", failed=1, runs=3),
            )
        }
    )
    for command in (*WAY_TO[JobStatus.REPLAYING], c.RecordEvidence(JOB, said, FILE)):
        assert isinstance(found.handle(command, "x"), Handled)
    return found


def test_what_flaked_without_a_change_is_known_to_other_jobs_of_the_repository(door: Door) -> None:
    views, repo = Views(read_connection(door.log)), door.job(JOB).repo_id
    assert views.flaky_tests(repo, ALWAYS, OTHER) == {"t.py::race": JOB}
    assert views.flaky_tests("another", ALWAYS, OTHER) == {}
    assert views.flaky_tests(repo, ALWAYS, JOB) == {}
    assert views.flaky_tests(repo, NEVER, OTHER) == {}
    rebuild(door.log)
    assert Views(read_connection(door.log)).flaky_tests(repo, ALWAYS, OTHER) == {"t.py::race": JOB}


def test_a_replay_is_told_of_the_last_ninety_days(door: Door) -> None:
    views, job = Views(read_connection(door.log)), door.job(JOB)
    assert known_flaky(job, views) == {}  # its own flakes excuse nothing
    assert known_flaky(Job(id=OTHER, repo_id=job.repo_id), views) == {"t.py::race": JOB}
