"""A group in the daemon: killed right after the group was closed, and right after its lead had learned."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from daemon.daemon_process import Daemon, events, recorded, registered, until
from group_place import PROJECT, RATES, TOTALS, command
from support.repos import make_repo, manifest, put_manifest, write

from events.catalog import GroupAwaited, GroupClosed, GroupJoined, JobLearned, RunObserved
from learnd.clock import now
from learnd.engine import Engine
from learnd.requests import ApproveJob
from learnd.settings import Settings

pytestmark = pytest.mark.sandbox
LAUNCHER = Path(__file__).resolve().parents[1] / "crash/kill_points.py"
GROUPED = {
    "LEARND_VALIDATION__MODE": "grouped",
    "LEARND_SWEEP_SECONDS": "2",
    "LEARND_LAB__HUNK_SECONDS": "0",
    "LEARND_LAB__MINIMAL_SECONDS": "0",
}


def run(daemon: Daemon, repo: Path, number: int, changes: dict[str, str], module: str) -> None:
    """A run that the daemon sees begin, and that waits for its group in the end."""
    started, name = now(), f"run-{number}"
    known = {"task": "invoices", "run": name, "started_at": started}
    put_manifest(repo, manifest(**known, status="in_progress", completed_at=None))
    daemon.waits_for(RunObserved, number)
    write(repo, changes)
    put_manifest(repo, manifest(**known, commands=[command(module)]))
    daemon.waits_for(GroupAwaited, number)


def test_killed_between_what_one_job_and_the_others_hear_a_group_ends_as_if_nothing_had_happened(
    tmp_path: Path,
) -> None:
    state, repo = tmp_path / "state", make_repo(tmp_path / "repo", PROJECT)
    registered(state, repo)
    trace = {"KILL_TRACE": str(tmp_path / "points")}
    launcher = [sys.executable, "-P", str(LAUNCHER)]
    with Daemon(state, prefix=launcher, **GROUPED, **trace, KILL_AT="append|GroupClosed") as daemon:
        daemon.ready()
        run(daemon, repo, 1, RATES, "test_rates")
        run(daemon, repo, 2, TOTALS, "test_totals")
        first = next(record.stream for record in recorded(state) if record.type == "GroupAwaited")
        daemon.ask(ApproveJob(job=first.removeprefix("job-"), now=True))
        assert daemon.process.wait(90) < 0
    (joined,), (closed,) = events(state, GroupJoined), events(state, GroupClosed)
    assert joined.group == closed.group
    assert closed.group.several
    with Daemon(state, prefix=launcher, **GROUPED, **trace, KILL_AT="append|JobLearned") as daemon:
        assert daemon.process.wait(90) < 0
    (learned,) = events(state, JobLearned)
    assert learned.outcome == "new"
    with Daemon(state, **GROUPED) as daemon:
        daemon.waits_for(JobLearned, 2)
        assert daemon.end() == 0
    assert [event.outcome for event in events(state, JobLearned)] == ["new", "grouped"]
    assert len({event.pattern_id for event in events(state, JobLearned)}) == 1
    assert len(events(state, GroupClosed)) == len(events(state, GroupJoined)) == 1
    with Engine.opened(Settings(state_dir=state)) as engine:
        engine.log.verify()
    until(lambda: "grouped" in (repo / ".runs/invoices/cli/run-1/manifest.json").read_text(), "a manifest that tells")
