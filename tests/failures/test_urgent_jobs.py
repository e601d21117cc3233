"""`--now`: a job goes before all others, of whatever repository, also after the daemon was killed in between."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from daemon.daemon_process import recorded, until
from failures_place import House

pytestmark = pytest.mark.sandbox


def first_worked_on(house: House) -> list[str]:
    """Jobs in the order in which they were worked on."""
    return [record.stream.removeprefix("job-") for record in recorded(house.state) if record.type == "JobQueued"]


def test_urgent_jobs_are_worked_on_first_across_repositories_and_across_a_crash(tmp_path: Path) -> None:
    house = House(tmp_path, LEARND_TRIGGER="approved")
    with house.at_work():
        jobs = [house.fixed(name) for name in ("one", "two", "three")]
        for job in jobs:
            house.reaches(job, "awaiting_approval")
    # Nobody works: approvals are recorded, and the last one asked for goes first.
    for job, *more in ((jobs[0],), (jobs[1],), (jobs[2], "--now")):
        done = house.learnd("approve", job[:8], *more)
        assert done.code == 0, done
    assert "and goes first" in done.out
    listed = house.learnd("jobs").out
    assert "snapshotted, urgent" in next(line for line in listed.splitlines() if line.startswith(jobs[2][:8]))
    assert listed.count("urgent") == 1
    assert "goes before all others" in house.learnd("why", jobs[2][:8]).out
    assert "goes before all others" in house.learnd("show", jobs[2][:8]).out
    shown = json.loads(house.learnd("show", jobs[2][:8], "--json").out)["job"]
    assert shown["urgent"] is True

    with house.at_work() as daemon:
        until(lambda: first_worked_on(house), "work on the first of them")
        daemon.kill()
    assert first_worked_on(house)[0] == jobs[2]
    house.daemon = None
    again = house.learnd("approve", jobs[1][:8], "--now", "--reason", "this one next")
    assert again.code == 0, again
    with house.at_work():
        until(lambda: len(first_worked_on(house)) == 3, "work on all of them")
        order = first_worked_on(house)
        for job in jobs:
            house.learnd("dismiss", job[:8], "--reason", "seen enough")
    assert order[1:] == [jobs[1], jobs[0]]
