"""What is wrong with the machine blocks no job: a full disk is waited for, and work goes on by itself afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from daemon.daemon_process import events, until
from failures_place import House

from events.catalog import FaultCleared, FaultRaised


def may_mount() -> bool:
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="needs root, to make a small disk")
def test_a_full_disk_is_waited_for_and_the_snapshot_is_taken_when_there_is_room(tmp_path: Path) -> None:
    house = House(tmp_path, LEARND_TRIGGER="approved")
    house.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "learnd-test", str(house.state)], check=True)
    try:
        with house.at_work() as daemon:
            first = house.fixed("before")
            house.reaches(first, "awaiting_approval")
            filler = house.state / "filler"
            with filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, 300 << 20)
            daemon.signal(signal.SIGHUP)  # it looks at once then, without it within half a minute
            until(lambda: [fault.kind for fault in house.faults()] == ["disk"], "a fault of the machine")
            daemon.ready()
            job = house.fixed("during")
            told = house.learnd("why", job[:8]).out
            assert "the machine is at fault" in told
            assert house.next(job) == "learnd doctor"
            assert house.job(job).status == "opened"
            filler.unlink()
            house.reaches(job, "awaiting_approval")  # by itself
            assert "SnapshotAttemptFailed" not in house.types(job)
            assert house.faults() == []
        assert [fault.kind for fault in events(house.state, FaultRaised)] == ["disk"]
        assert [fault.kind for fault in events(house.state, FaultCleared)] == ["disk"]
    finally:
        subprocess.run(["umount", "-l", str(house.state)], check=True)
