"""A replay lives as long as the daemon, not as long as the thread that asked for it."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sandbox_place import Place, wait_for

from learnd.lab.launcher import launch
from learnd.lab.sandbox import Sandbox

pytestmark = pytest.mark.sandbox
Alive = Callable[[str], list[int]]

DAEMON = """
import sys, threading
from pathlib import Path
from learnd.lab.limits import Limits
from learnd.lab.sandbox import Sandbox, SandboxRun
tree, report, origin, seconds, isolation = sys.argv[1:]
spec = SandboxRun(("sh", "-c", f"touch begun; sleep {seconds}"), Path(tree), Path(origin), Path(report),
                  Limits(wall_s=60, memory_mb=512, processes=32, file_mb=8, output_mb=1), owner_uid=0, owner_gid=0)
Sandbox(isolation).run(spec, threading.Event())
"""


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("isolation", ["bubblewrap", "none"])
def test_killing_the_daemon_kills_its_replay(place: Place, alive: Alive, isolation: str) -> None:
    seconds = f"60.{secrets.randbits(32)}"
    folders = [str(place.tree), str(place.report), str(place.origin)]
    if isolation == "none":
        place.tree.chmod(0o777)
    with subprocess.Popen([sys.executable, "-c", DAEMON, *folders, seconds, isolation]) as daemon:
        wait_for(place.tree / "begun")
        assert len(alive(seconds)) > 1
        daemon.kill()
    deadline = time.monotonic() + 20
    while alive(seconds) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert alive(seconds) == []


def test_a_launch_outlives_the_thread_that_asked_for_it() -> None:
    started: list[subprocess.Popen[bytes]] = []
    # setpriv asks the kernel for what --die-with-parent asks for: death with the launching thread.
    argv = ["setpriv", "--pdeathsig", "KILL", "sh", "-c", "sleep 0.3; echo survived"]
    asking = threading.Thread(target=lambda: started.append(launch(argv)))
    asking.start()
    asking.join()
    out, _ = started[0].communicate(timeout=20)
    assert (started[0].returncode, out) == (0, b"survived\n")


def test_the_kernel_does_kill_what_a_short_lived_thread_launched_itself() -> None:
    """Why there is a launching thread: should this ever pass without it, the thread can go."""
    started: list[subprocess.Popen[bytes]] = []
    argv = ["setpriv", "--pdeathsig", "KILL", "sh", "-c", "echo up; sleep 20"]

    def ask() -> None:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join()
    with started[0] as process:
        assert process.wait(timeout=15) == -signal.SIGKILL


def test_the_launch_leaves_no_descriptor_open(place: Place, sandbox: Sandbox) -> None:
    run = sandbox.run
    run(place.spec("true"), threading.Event())
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        run(place.spec("true"), threading.Event())
    assert len(list(Path("/proc/self/fd").iterdir())) == before
