"""What is acknowledged stays, whatever ends the process or fails under it.

Real processes, really killed; failing system calls are injected by strace where it may trace.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cases import thorough

from events.log import EventLog

HERE = Path(__file__).parent

WRITER = """
import sys
from pathlib import Path
from log_samples import APPROVED, SKIPPED, WHO
from events.log import AppendFailed, AppendOutcomeUnknown, EventLog, LogLock

path, count = Path(sys.argv[1]), int(sys.argv[2])
with LogLock(path):
    log = EventLog.create_or_open(path)
    # Closed again: a reader beside the writer would keep the write-ahead log alive when the writer reopens.
    with EventLog.open_readonly(path) as reader:
        version = reader.version("job-1")
    print("open", flush=True)
    for _ in range(count):
        try:
            recorded = log.append({"job-1": (version, [SKIPPED]), "job-2": (version, [APPROVED])}, **WHO)
            version += 1
            print("stands", *(event.id for event in recorded), flush=True)
        except AppendOutcomeUnknown as error:
            print("unknown", error, flush=True)
            break
        except AppendFailed as error:
            print("failed", version + 1, error.disk_full, flush=True)
    log.verify()
"""


def strace(*arguments: str) -> list[str]:
    return ["strace", "-f", "-qq", "-o", "/dev/null", *arguments]


def may_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run([*strace("-e", "trace=none"), "true"], capture_output=True, check=False).returncode == 0


tracing = pytest.mark.skipif(not may_trace(), reason="strace is missing or may not trace here")


def start(path: Path, count: int, *prefix: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", WRITER, str(path), str(count)], cwd=HERE, stdout=subprocess.PIPE, text=True
    )


def acknowledged(lines: Iterator[str] | list[str]) -> list[str]:
    return [name for line in lines if line.startswith("stands") and line.endswith("\n") for name in line.split()[1:]]


def assert_stand(path: Path, ids: list[str]) -> None:
    """Every id is there, in order, in a log that holds and whose appends are whole."""
    with EventLog.create_or_open(path) as log:
        recorded = [event.id for event in log.read_all()]
        assert [name for name in recorded if name in set(ids)] == ids
        assert log.version("job-1") == log.version("job-2")
        assert log.verify().count == len(recorded)


def test_kill_9_loses_no_acknowledged_event(path: Path) -> None:
    ids: list[str] = []
    for round_ in range(6):
        with start(path, 1_000_000) as writer:
            assert writer.stdout is not None
            # Killed in mid-append, wherever that is: each time after another number of acknowledgements.
            lines = [writer.stdout.readline() for _ in range(3 + 17 * round_)]
            writer.kill()
            lines += list(writer.stdout)
        assert writer.returncode == -signal.SIGKILL
        ids += acknowledged(lines)
        assert_stand(path, ids)
    assert len(ids) >= 6 * 2


@tracing
@pytest.mark.parametrize("sync", [4, 9, *thorough(1, 3, 5)])
def test_killed_at_a_sync_the_log_holds_what_was_acknowledged(path: Path, sync: int) -> None:
    prefix = strace("-e", f"inject=fdatasync:signal=SIGKILL:when={sync}")
    with start(path, 20, *prefix) as writer:
        assert writer.stdout is not None
        lines = list(writer.stdout)
    assert len(acknowledged(lines)) < 40
    assert_stand(path, acknowledged(lines))
    with start(path, 2) as writer:
        assert writer.stdout is not None
        lines += list(writer.stdout)
    assert writer.returncode == 0
    assert_stand(path, acknowledged(lines))


@pytest.fixture(scope="module")
def before_append(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """How many syncs and writes a writer of an empty log makes before its first append."""
    folder = tmp_path_factory.mktemp("counted")
    path, trace = folder / "events.db", folder / "trace"
    EventLog.create_or_open(path).close()
    with start(path, 1, "strace", "-f", "-qq", "-o", str(trace), "-e", "trace=fdatasync,pwrite64,write") as writer:
        assert writer.stdout is not None
        assert writer.stdout.read().count("stands") == 1
    lines = trace.read_text().splitlines()
    opened = next(number for number, line in enumerate(lines) if '"open' in line)
    return {call: sum(f" {call}(" in line for line in lines[:opened]) for call in ("fdatasync", "pwrite64")}


@tracing
@pytest.mark.parametrize("followed", [False, True], ids=["alone", "followed"])
@pytest.mark.parametrize(("sync", "failures"), [(3, 1), (5, 2), *thorough((5, 1), (5, 3))])
def test_failed_syncs_are_settled_one_way_or_the_other(
    path: Path, before_append: dict[str, int], sync: int, failures: int, followed: bool
) -> None:
    EventLog.create_or_open(path).close()
    first = before_append["fdatasync"] + sync
    reader = EventLog.open_readonly(path) if followed else None
    with start(path, 12, *strace("-e", f"inject=fdatasync:error=EIO:when={first}..{first + failures - 1}")) as writer:
        assert writer.stdout is not None
        lines = list(writer.stdout)
    if reader is not None:
        reader.close()
    assert writer.returncode == 0
    ids = acknowledged(lines)
    assert_stand(path, ids)
    if lines[-1].startswith("unknown"):
        assert failures > 1
    else:
        with EventLog.open_readonly(path) as log:
            assert [event.id for event in log.read_all()] == ids
            assert len(ids) + 2 * sum(line.startswith("failed") for line in lines) == 24


@tracing
def test_a_sync_that_fails_for_good_leaves_the_outcome_open_and_says_so(
    path: Path, before_append: dict[str, int]
) -> None:
    EventLog.create_or_open(path).close()
    first = before_append["fdatasync"] + 5
    with start(path, 12, *strace("-e", f"inject=fdatasync:error=EIO:when={first}+")) as writer:
        assert writer.stdout is not None
        lines = list(writer.stdout)
    assert lines[-1].startswith("unknown")
    assert acknowledged(lines)
    assert_stand(path, acknowledged(lines))


@tracing
def test_a_full_disk_refuses_appends_until_there_is_room_again(path: Path, before_append: dict[str, int]) -> None:
    EventLog.create_or_open(path).close()
    first = before_append["pwrite64"] + 10
    with start(path, 12, *strace("-e", f"inject=pwrite64:error=ENOSPC:when={first}..{first + 4}")) as writer:
        assert writer.stdout is not None
        lines = list(writer.stdout)
    assert writer.returncode == 0
    outcomes = [line.split()[0] for line in lines[1:]]
    assert outcomes[0] == outcomes[-1] == "stands"
    assert "failed" in outcomes
    assert all(line.endswith("True\n") for line in lines if line.startswith("failed"))
    assert_stand(path, acknowledged(lines))
    with EventLog.open_readonly(path) as log:
        assert log.head()[0] == len(acknowledged(lines))


def test_threads_of_a_killed_process_leave_whole_appends(path: Path) -> None:
    script = """
import os, sys, threading
from pathlib import Path
from log_samples import APPROVED, SKIPPED, WHO
from events.log import EventLog

log = EventLog.create_or_open(Path(sys.argv[1]))
def work(number):
    version = 0
    while True:
        log.append({f"job-{number}": (version, [SKIPPED]), f"pattern-{number}": (version, [APPROVED])}, **WHO)
        version += 1
        os.write(1, f"{number} {version}\\n".encode())
for number in range(3):
    threading.Thread(target=work, args=(number,)).start()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], cwd=HERE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(60)]
        writer.kill()
        lines += [line for line in writer.stdout if line.endswith("\n")]
    with EventLog.create_or_open(path) as log:
        for number in range(3):
            acked = max((int(line.split()[1]) for line in lines if line.startswith(f"{number} ")), default=0)
            assert log.version(f"job-{number}") == log.version(f"pattern-{number}") >= acked
        log.verify()
