"""However the daemon ends, its jobs go on from what the log says, and nothing of a replay is left.

A test of the sample waits for a file at the gate, which replays see through a read-only bind: so a replay
runs for as long as the test here wants it to.
"""

from __future__ import annotations

import json
import shutil
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon_process import (
    Daemon,
    block,
    events,
    job_types,
    left_behind,
    processes,
    recorded,
    registered,
    until,
)  # fmt: skip
from support.cases import thorough
from support.repos import FIXED_CALC, git, make_repo, manifest, put_manifest, write

from events.catalog import (
    CATALOG,
    DaemonStopped,
    JobDismissed,
    JobLearned,
    JobOpened,
    ReplayInterrupted,
    ReplayStarted,
    RunReopened,
    ValidationFailed,
)
from events.log import EventLog
from learnd.clock import now
from learnd.engine import Engine
from learnd.requests import DismissJob
from learnd.settings import Settings
from learnd.views.store import rebuild

pytestmark = pytest.mark.sandbox

PROVEN = [
    "JobOpened", "SnapshotTaken", "JobQueued", "ScenarioSynthesized", "ReplayStarted", "ChangeValidated",
    "CrystalizationStarted", "PatternDrafted", "JobLearned",
]  # fmt: skip
GATED_TESTS = """import os
import time
import unittest

from calc import mean


class CalcTest(unittest.TestCase):
    def test_mean_of_nothing(self):
        while not os.path.exists({gate!r}):
            time.sleep(0.05)
        self.assertEqual(mean([]), 0.0)
"""


class Sample:
    """A repository with a fix whose test waits at the gate."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.state = state
        self.gate = folder / "gate"
        self.gate.mkdir()
        self.module = f"test_gate_{uuid.uuid4().hex}"
        self.repo = make_repo(folder / "gated")
        registered(state, self.repo)

    @property
    def environ(self) -> dict[str, str]:
        return {"LEARND_LAB__EXTRA_BINDS": json.dumps([str(self.gate)]), "LEARND_SWEEP_SECONDS": "3600"}

    def open(self) -> None:
        (self.gate / "open").touch()

    def complete(self, **changes: object) -> Path:
        """The run makes its fix and completes."""
        gated = GATED_TESTS.format(gate=str(self.gate / "open"))
        write(self.repo, {"calc.py": FIXED_CALC, f"{self.module}.py": gated})
        content = manifest(**changes)
        (command,) = content["commands"]  # type: ignore[misc] # it has one
        return put_manifest(
            self.repo, {**content, "commands": [{**command, "command": f"{sys.executable} -m unittest {self.module}"}]}
        )

    def launched(self) -> bool:
        """Something of a replay is there, if only what starts it."""
        return bool(processes(self.module))

    def replaying(self) -> bool:
        """The test itself runs."""
        return any(line.startswith(sys.executable) for line in processes(self.module))

    def nothing_left(self) -> None:
        assert processes(self.module) == []
        assert left_behind(self.state) == []


@pytest.fixture
def sample(tmp_path: Path, state: Path) -> Sample:
    return Sample(tmp_path, state)


def learned_once(state: Path, repo: Path) -> None:
    """One job, proven and learned; one tag, one pattern, one file."""
    assert len(events(state, JobOpened)) == len(events(state, JobLearned)) == 1
    with Engine.opened(Settings(state_dir=state)) as engine:
        (job,) = engine.views().jobs()
        assert (job.status, job.evidence) == ("learned", "proven")
        (pattern,) = engine.views().patterns()
        assert pattern.status == "candidate"
        store = engine.place.store(job.repo_id, job.repo_path).git_dir
        assert len(git(store, "tag", "--list", "learning-snapshot-*").split()) == 1
        engine.log.verify()
    files = [p.relative_to(repo / ".agent/patterns") for p in (repo / ".agent/patterns").rglob(f"*{pattern.id[:8]}.md")]
    assert [file.parts[0] for file in files] == ["candidates"]
    assert block(Path(job.manifest_path))["crystalizer"]["status"] == "succeeded"


def test_a_drain_interrupts_the_replay_cleanly_and_the_next_start_finishes_the_job(sample: Sample) -> None:
    state = sample.state
    with Daemon(state, **sample.environ) as daemon:
        daemon.ready()
        sample.complete()
        until(sample.replaying, "a replay")
        assert daemon.end() == 0
    sample.nothing_left()
    assert [event.cause for event in events(state, ReplayInterrupted)] == ["drain"]
    assert job_types(state) == [*PROVEN[:5], "ReplayInterrupted"], "no effect began after the signal"
    assert [event.drained for event in events(state, DaemonStopped)][-1:] == [True]
    sample.open()
    with Daemon(state, **sample.environ) as daemon:
        daemon.waits_for(JobLearned)
        assert daemon.end() == 0
    assert [event.attempt for event in events(state, ReplayStarted)] == [1, 1], "a drain costs no attempt"
    sample.nothing_left()
    learned_once(state, sample.repo)


def test_a_kill_during_a_replay_leaves_nothing_running_costs_an_attempt_and_the_next_start_finishes_the_job(
    sample: Sample,
) -> None:
    state = sample.state
    with Daemon(state, **sample.environ) as daemon:
        daemon.ready()
        sample.complete()
        until(sample.replaying, "a replay")
        daemon.kill()
    until(lambda: not sample.launched(), "the end of the replay, with its daemon")
    sample.open()
    with Daemon(state, **sample.environ) as daemon:
        daemon.waits_for(JobLearned)
        assert daemon.end() == 0
    assert [event.cause for event in events(state, ReplayInterrupted)] == ["crash"]
    assert [event.attempt for event in events(state, ReplayStarted)] == [1, 2]
    sample.nothing_left()
    learned_once(state, sample.repo)


@pytest.mark.parametrize("how", ["kill", *thorough("drain")])
def test_a_daemon_that_ends_just_when_a_sandbox_is_made_leaves_no_process(sample: Sample, how: str) -> None:
    """bwrap has a moment in which its death leaves a process that waits for ever; the next start ends those."""
    sample.complete()
    for _ in range(2):
        with Daemon(sample.state, LEARND_REPLAY_ATTEMPTS="10", **sample.environ) as daemon:
            until(sample.launched, "a launch", 0.0)
            if how == "kill":
                daemon.kill()
            else:
                assert daemon.end() == 0
                sample.nothing_left()
    with Daemon(sample.state, LEARNING_PIPELINE_ENABLED="0") as daemon:
        daemon.ready()
        until(lambda: not sample.launched(), "the end of what a killed bwrap left")
        assert daemon.end() == 0
    sample.nothing_left()


def test_a_replay_that_takes_the_daemon_down_again_and_again_is_given_up_for_a_person(sample: Sample) -> None:
    state = sample.state
    sample.complete()
    for attempt in (1, 2):
        with Daemon(state, LEARND_REPLAY_ATTEMPTS="2", **sample.environ) as daemon:
            daemon.waits_for(ReplayStarted, attempt)
            until(sample.replaying, "a replay")
            daemon.kill()
        until(lambda: not sample.launched(), "the end of the replay, with its daemon")
    with Daemon(state, LEARND_REPLAY_ATTEMPTS="2", **sample.environ) as daemon:
        (failed,) = daemon.waits_for(ValidationFailed)
        assert daemon.end() == 0
    assert (failed.evidence.verdict, failed.cause) == ("inconclusive", "crashed")
    assert [event.attempt for event in events(state, ReplayStarted)] == [1, 2]
    sample.nothing_left()


@pytest.mark.thorough
def test_killed_after_each_event_of_a_proven_job_in_turn_it_ends_as_if_nothing_had_happened(sample: Sample) -> None:
    """The daemon is killed as soon as an event is in the log, and again at the next: nine crashes for one job."""
    state = sample.state
    sample.open()
    sample.complete()
    for name in PROVEN:
        with Daemon(state, **sample.environ) as daemon:
            daemon.waits_for(CATALOG[name], pause_s=0.005)
            daemon.kill()
    with Daemon(state, **sample.environ) as daemon:
        daemon.ready()
        until(lambda: "succeeded" in json.dumps(block(manifest_of(sample.repo))), "a manifest as the log says")
        assert daemon.end() == 0
    until(lambda: not sample.launched(), "the end of all replays")
    sample.nothing_left()
    learned_once(state, sample.repo)
    kept = [t for t in job_types(state) if t in PROVEN]
    assert [t for t in kept if kept.count(t) == 1] == [t for t in PROVEN if kept.count(t) == 1]
    assert {t for t in kept if kept.count(t) > 1} <= {"ReplayStarted", "CrystalizationStarted"}
    with_models(state)


def manifest_of(repo: Path) -> Path:
    (found,) = (repo / ".runs").rglob("manifest.json")
    return found


def with_models(state: Path) -> None:
    """The read models are what a fold of the whole log makes of it."""
    with Engine.opened(Settings(state_dir=state)) as engine:
        before = (engine.views().jobs(), engine.views().patterns())
        rebuild(engine.log)
        assert (engine.views().jobs(), engine.views().patterns()) == before


def dismissed(daemon: Daemon, sample: Sample) -> None:
    (job,) = {record.stream.removeprefix("job-") for record in recorded(sample.state) if record.type == "JobOpened"}
    assert daemon.ask(DismissJob(job=job[:8], reason="not worth it")).ok
    daemon.waits_for(JobDismissed)


def reopened(daemon: Daemon, sample: Sample) -> None:
    content = json.loads(manifest_of(sample.repo).read_text())
    put_manifest(sample.repo, {**content, "status": "in_progress", "completed_at": None})
    daemon.waits_for(RunReopened)


@pytest.mark.parametrize("ended", [dismissed, *thorough(reopened)])
def test_a_job_that_ends_from_outside_has_its_replay_stopped_and_what_it_would_have_said_dropped(
    sample: Sample, ended: Callable[[Daemon, Sample], None]
) -> None:
    with Daemon(sample.state, **sample.environ) as daemon:
        daemon.ready()
        sample.complete()
        until(sample.replaying, "a replay")
        ended(daemon, sample)
        until(lambda: not sample.launched() and not left_behind(sample.state), "the end of the replay")
        until(lambda: "outdated result dropped" in daemon.said(), "the runner's word on it")
        assert daemon.end() == 0
    last = "JobDismissed" if ended is dismissed else "RunObserved"
    assert job_types(sample.state)[-1] == last
    assert not events(sample.state, ReplayInterrupted)


def test_a_run_that_is_resumed_while_it_is_replayed_is_learned_from_when_it_completes_again(sample: Sample) -> None:
    with Daemon(sample.state, **sample.environ) as daemon:
        daemon.ready()
        sample.complete()
        until(sample.replaying, "a replay")
        reopened(daemon, sample)
        sample.open()
        sample.complete(completed_at=now())
        daemon.waits_for(JobOpened, 2)
        daemon.waits_for(CATALOG["SnapshotTaken"], 2)
        assert daemon.end() == 0
    with EventLog.open_readonly(sample.state / "events.db") as log:
        log.verify()


def test_a_repository_deleted_while_its_replay_runs_does_not_end_the_daemon(sample: Sample, repo: Path) -> None:
    with Daemon(sample.state, **sample.environ) as daemon:
        daemon.ready()
        sample.complete()
        until(sample.replaying, "a replay")
        shutil.rmtree(sample.repo)
        sample.open()
        until(lambda: not sample.launched(), "the end of the replay")
        put_manifest(repo, manifest(run="other"))
        daemon.waits_for(CATALOG["JobSkipped"])
        assert daemon.end() == 0
    sample.nothing_left()
