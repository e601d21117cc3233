"""A disk that is full under a snapshot, or fails under the log, is no job's fault, and nothing is lost by it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from crash_place import Sample
from daemon.daemon_process import events, job_types, until
from fault_place import may_trace

from events.catalog import FaultCleared, FaultRaised, JobLearned, SnapshotAttemptFailed, SnapshotTaken
from learnd.engine import Engine
from learnd.settings import Settings

pytestmark = pytest.mark.sandbox


def own_mounts() -> bool:
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


@pytest.mark.skipif(not own_mounts(), reason="needs root and unshare, for a small disk of the daemon's own")
def test_a_disk_that_is_full_under_the_snapshot_is_one_fault_and_the_job_goes_on_by_itself_when_there_is_room(
    tmp_path: Path,
) -> None:
    sample = Sample(tmp_path / "small")
    copies = sample.repo / "learning-snapshots"
    copies.mkdir()
    (sample.repo / "data.bin").write_bytes(os.urandom(3 << 20))
    small = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size=2m none {copies} && exec "$@"', "sh"]
    with sample.daemon(prefix=small) as daemon:
        (fault,) = daemon.waits_for(FaultRaised)
        assert (fault.kind, "No space left" in fault.detail) == ("disk", True)
        boots = daemon.boots()
        daemon.signal(signal.SIGHUP)  # it looks at once then whether what was wrong is mended
        until(lambda: daemon.boots() > boots, "a daemon that serves again")
        assert not events(sample.state, FaultCleared), "the disk is as full as before"
        remount = ["nsenter", "-t", str(daemon.pid), "-m", "mount", "-o", "remount,size=512m", str(copies)]
        subprocess.run(remount, check=True)
        assert sample.finish(daemon) == 0
    assert len(events(sample.state, FaultRaised)) == len(events(sample.state, FaultCleared)) == 1
    assert not events(sample.state, SnapshotAttemptFailed), "a full disk costs no attempt"
    assert len(events(sample.state, SnapshotTaken)) == len(events(sample.state, JobLearned)) == 1


@pytest.mark.skipif(not may_trace(), reason="strace is missing or may not trace here")
def test_a_log_that_cannot_be_synced_ends_the_daemon_and_the_next_one_ends_the_job(tmp_path: Path) -> None:
    sample = Sample(tmp_path / "broken")
    broken = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync"]
    broken += ["-e", "inject=fdatasync:error=EIO:when=4+"]
    with sample.daemon(prefix=broken) as daemon:
        until(lambda: daemon.process.poll() is not None, "the end of a daemon that cannot know what it wrote")
        assert daemon.process.returncode == 1
        assert "AppendOutcomeUnknown" in daemon.said()
    before = job_types(sample.state)
    with sample.daemon() as daemon:
        assert sample.finish(daemon) == 0
    types = job_types(sample.state)
    assert types[: len(before)] == before
    assert types.count("SnapshotTaken") == types.count("JobQueued") == types.count("JobLearned") == 1
    with Engine.opened(Settings(state_dir=sample.state)) as engine:
        engine.log.verify()
