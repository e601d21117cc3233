"""A machine without a sandbox is no job's fault: the job waits, and goes on when the machine is mended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from daemon_process import Daemon, events, job_types, recorded, until
from support.hidden import own_mounts, without_bwrap
from support.repos import fix, put_manifest

from events.catalog import FaultCleared, FaultRaised, JobLearned, JobOpened, ReplayInterrupted, ReplayStarted
from learnd.engine import Engine
from learnd.lab.launcher import tool
from learnd.settings import Settings

pytestmark = pytest.mark.sandbox


@pytest.mark.skipif(not own_mounts(), reason="needs root and unshare, to hide bubblewrap from one daemon alone")
def test_without_a_sandbox_one_fault_is_raised_and_the_job_waits_and_goes_on_when_it_is_back(
    state: Path, repo: Path, tmp_path: Path
) -> None:
    with Daemon(state, prefix=without_bwrap(tmp_path)) as daemon:
        daemon.ready()
        fix(repo)
        put_manifest(repo)
        (fault,) = daemon.waits_for(FaultRaised)
        assert fault.kind == "sandbox"
        assert "bwrap is not installed" in fault.detail
        assert "apt install bubblewrap" in fault.detail
        daemon.waits_for(ReplayInterrupted)
        # A second run does not raise it again, nor does a reload that finds it standing.
        boots = daemon.boots()
        daemon.signal(signal.SIGHUP)
        until(lambda: daemon.boots() > boots, "a daemon that serves again")
        assert waiting(daemon)
        subprocess.run(["nsenter", "-t", str(daemon.pid), "-m", "umount", tool("bwrap")], check=True)
        daemon.signal(signal.SIGHUP)  # it looks at once then, without it within half a minute
        daemon.waits_for(JobLearned)
        assert daemon.end() == 0
    assert len(events(state, FaultRaised)) == len(events(state, FaultCleared)) == 1
    assert [event.cause for event in events(state, ReplayInterrupted)] == ["fault"]
    assert [event.attempt for event in events(state, ReplayStarted)] == [1, 1], "a fault costs no attempt"
    with Engine.opened(Settings(state_dir=state)) as engine:
        (job,) = engine.views().jobs()
        assert (job.status, job.evidence) == ("learned", "proven")
    assert len(events(state, JobOpened)) == 1


@pytest.mark.skipif(not own_mounts(), reason="needs root and unshare, to hide bubblewrap from one daemon alone")
def test_a_fault_that_stood_when_the_daemon_was_killed_is_looked_at_by_whoever_works_next(
    state: Path, repo: Path, tmp_path: Path
) -> None:
    with Daemon(state, prefix=without_bwrap(tmp_path)) as daemon:
        daemon.ready()
        fix(repo)
        put_manifest(repo)
        daemon.waits_for(ReplayInterrupted)
        daemon.kill()
    environ = {"PATH": os.environ["PATH"], "LEARND_STATE_DIR": str(state), "LEARND_LAB__CHEAP_SECONDS": "0"}
    subprocess.run([sys.executable, "-m", "learnd", "once"], env=environ, check=True, capture_output=True)
    assert len(events(state, FaultCleared)) == len(events(state, JobLearned)) == 1


def waiting(daemon: Daemon) -> bool:
    """The job is where it can go on from, and blocked by nothing."""
    types = job_types(daemon.state)
    machine = [record.type for record in recorded(daemon.state) if record.stream == "machine"]
    return types[-1] == "ReplayInterrupted" and "FaultCleared" not in machine
