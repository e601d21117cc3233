"""A cgroup for each replay, on the machine's real v2 tree; where that is not delegated, nothing of it is touched."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sandbox_place import LIMITS

from learnd.lab.cgroups import Delegated, NotDelegated, bounds_replays_of, cgroup_of, claim

CLAIM = """
import os, sys
from pathlib import Path
from learnd.lab.cgroups import NotDelegated, claim
Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
try:
    print("claimed", claim().root)
except NotDelegated as error:
    print("not delegated:", error)
print(Path("/proc/self/cgroup").read_text().rpartition("0::")[2])
"""


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup of ours in the machine's own tree."""
    try:
        path = cgroup_of(os.getpid()) / f"learnd-test-{uuid.uuid4().hex}"
        path.mkdir()
    except (NotDelegated, OSError) as error:
        pytest.skip(f"no cgroup of version 2 can be made here: {error}")
    yield path
    for folder, _, _ in os.walk(path, topdown=False):
        Path(folder).rmdir()


def claimed(path: Path) -> list[str]:
    """What a process that stands in `path` gets to hear, and where it stands afterwards."""
    argv = [sys.executable, "-c", CLAIM, str(path)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout.split("\n")


def test_what_systemd_did_not_delegate_is_left_alone(cgroup: Path) -> None:
    said, where, *_ = claimed(cgroup)
    assert said == f"not delegated: {cgroup} is not delegated to this process (a unit needs `Delegate=memory pids`)"
    assert where.endswith(f"/{cgroup.name}")
    assert [entry.name for entry in cgroup.iterdir() if entry.is_dir()] == []


def test_a_delegated_cgroup_is_divided_where_it_has_the_controllers_and_left_alone_where_not(cgroup: Path) -> None:
    os.setxattr(cgroup, "user.delegate", b"1")
    lacking = [name for name in ("memory", "pids") if name not in (cgroup / "cgroup.controllers").read_text().split()]
    said, where, *_ = claimed(cgroup)
    if lacking:
        assert said == f"not delegated: {cgroup} has no controller {' and '.join(lacking)}"
        assert where.endswith(f"/{cgroup.name}")
        assert not (cgroup / "learnd-daemon").exists()
    else:
        assert said == f"claimed {cgroup}"
        assert where.endswith(f"/{cgroup.name}/learnd-daemon")
        assert {"memory", "pids"} <= set((cgroup / "cgroup.subtree_control").read_text().split())


def test_a_replay_is_in_its_cgroup_before_it_begins_and_nothing_of_it_is_left(cgroup: Path) -> None:
    with Delegated(cgroup).replay(LIMITS) as group:
        both = "cat /proc/self/cgroup; setsid sleep 60 & exec sleep 60"
        running = subprocess.Popen([*group.argv(), "sh", "-c", both], stdout=subprocess.PIPE)
        assert running.stdout is not None
        lines = iter(running.stdout.readline, b"")
        assert any(line.endswith(f"/{group.path.name}\n".encode()) for line in lines)
        assert group.limit() is None
    assert running.wait(timeout=20) == -9
    assert running.stdout.read() == b""  # the end of the pipe: no one holds it
    running.stdout.close()
    assert not group.path.exists()


def test_the_room_of_a_cgroup_without_a_bound_is_unknown(cgroup: Path) -> None:
    bounds = [one for one in (cgroup, *cgroup.parents) if (one / "memory.max").exists()]
    assert bounds or Delegated(cgroup).room() is None


def test_this_process_has_no_cgroup_to_divide_and_doctor_would_say_so() -> None:
    assert "is not the daemon's to divide" in (bounds_replays_of(os.getpid()) or "")
    with pytest.raises(NotDelegated):
        claim()
    assert "cannot be looked at" in (bounds_replays_of(2**22 + 1) or "")
