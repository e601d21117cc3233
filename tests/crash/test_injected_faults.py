"""System calls that fail or kill: no acknowledged event is lost and no step is taken twice.

A sample of what `make faults` does at some three hundred points.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_place import KILL, Fault, Writing, may_trace

tracing = pytest.mark.skipif(not may_trace(), reason="strace is missing or may not trace here")

EIO, ENOSPC = "error=EIO", "error=ENOSPC"


@tracing
@pytest.mark.parametrize(
    "fault",
    [
        *(Fault("fdatasync", KILL, number) for number in (2, 5, 9, 14, 23, 37)),
        *(Fault("pwrite64", KILL, number) for number in (3, 20, 45, 80, 160)),
        Fault("fsync", KILL, 1),
        Fault("ftruncate", KILL, 1),
    ],
    ids=str,
)
def test_killed_in_a_system_call_nothing_acknowledged_is_lost_and_nothing_done_twice(
    tmp_path: Path, fault: Fault
) -> None:
    Writing(tmp_path).strikes(fault)
