"""System calls that fail or kill: no acknowledged event is lost and no step is taken twice.

A sample of what `make faults` does at some three hundred points.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_place import KILL, Fault, Torn, Writing, may_trace
from support.cases import thorough

tracing = pytest.mark.skipif(not may_trace(), reason="strace is missing or may not trace here")

EIO, ENOSPC = "error=EIO", "error=ENOSPC"


@tracing
@pytest.mark.parametrize(
    "fault",
    [
        Fault("fdatasync", KILL, 37),
        Fault("pwrite64", KILL, 160),
        *thorough(Fault("fdatasync", KILL, 5), Fault("fsync", KILL, 1)),
    ],
    ids=str,
)
def test_killed_in_a_system_call_nothing_acknowledged_is_lost_and_nothing_done_twice(
    tmp_path: Path, fault: Fault
) -> None:
    Writing(tmp_path).strikes(fault)


@tracing
@pytest.mark.parametrize(
    "fault",
    [
        Fault("fdatasync", EIO, 25, None),
        Fault("pwrite64", ENOSPC, 241, 248),
        *thorough(
            Fault("fdatasync", EIO, 8),  # while the read models are made
            Fault("pwrite64", EIO, 101, 103),
        ),
    ],
    ids=str,
)
def test_what_fails_and_what_finds_no_room_is_said_and_the_next_writer_goes_on(tmp_path: Path, fault: Fault) -> None:
    lines = Writing(tmp_path).strikes(fault)
    assert lines[-1].split()[0] in ("refused", "unknown", "wal"), "an end that nobody foresaw"


@tracing
def test_a_torn_side_file_gives_whole_appends_and_what_was_anchored_is_missed(tmp_path: Path) -> None:
    log = Torn.make(tmp_path)
    outcomes = {log.tear(tmp_path / f"torn-{seed}", seed) for seed in range(24)}
    assert outcomes == {"noticed", "a beginning", "all that was acknowledged"}
