"""Attend one running replay: collect its output, end it at its limits, leave nothing behind.

Invariants: never more than `output_mb` is held; a replay ends within a tenth of a second or so of its limit or its
cancellation; when `attend` returns, no process of a sandboxed replay is alive, not even one that left its session.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from learnd.lab.limits import MIB, LimitName, Limits
from learnd.lab.usage import Usage

TICK_S: Final = 0.05
CHUNK: Final = 65536
REAP_S: Final = 10.0


@dataclass(frozen=True)
class Ended:
    """How a replay ended. `returncode` is the launched process's, `inside` the command's as bwrap reported it."""

    returncode: int
    inside: int | None
    seconds: float
    output: bytes
    limit: LimitName | None
    cancelled: bool


@dataclass
class Watched:
    """A launched replay. `status` is the read end of bwrap's JSON status pipe; None without a sandbox."""

    process: subprocess.Popen[bytes]
    status: int | None
    kill: Callable[[], None]
    output: bytearray = field(default_factory=bytearray)
    reported: bytearray = field(default_factory=bytearray)
    init: int | None = None
    """pidfd of the sandbox's first process: readable once every process inside is gone."""

    @property
    def first(self) -> int | None:
        """The first process whose use counts: the sandbox's, or without one the launched process; None before it is."""
        return self.process.pid if self.status is None else _first_inside(self.reported)


def attend(watched: Watched, limits: Limits, cancel: threading.Event, grows: tuple[Path, ...]) -> Ended:
    """Wait for the end of a replay, or bring it about. `grows` are the folders whose growth `disk_mb` bounds."""
    began = time.monotonic()
    exited = os.pidfd_open(watched.process.pid)
    try:
        limit, cancelled = _until_end(watched, exited, limits, cancel, Usage(limits, grows))
        _end(watched)
        returncode = watched.process.wait()
        if watched.init is not None:
            # The kernel lets a pid namespace's first process go only after all others.
            _readable(watched.init, REAP_S)
        if not cancelled and limit is None:
            limit = _drain(watched, limits.output_mb * MIB)
    finally:
        watched.kill()
        os.close(exited)
        _close(watched)
    seconds = time.monotonic() - began
    return Ended(returncode, _exit_code(watched.reported), seconds, bytes(watched.output), limit, cancelled)


def _until_end(
    watched: Watched, exited: int, limits: Limits, cancel: threading.Event, usage: Usage
) -> tuple[LimitName | None, bool]:
    deadline, most = time.monotonic() + limits.wall_s, limits.output_mb * MIB
    poller = select.poll()
    out = _output_fd(watched)
    for fd in (out, exited, watched.status):
        if fd is not None:
            poller.register(fd, select.POLLIN)
    while True:
        ready = {fd for fd, _ in poller.poll(TICK_S * 1000)}
        for fd in ready - {exited}:
            if not _take(watched, fd, most):
                poller.unregister(fd)
        if len(watched.output) >= most:
            return "output", False
        if exited in ready:
            return None, False
        if cancel.is_set():
            return None, True
        if time.monotonic() >= deadline:
            return "wall", False
        exceeded = usage.exceeded(watched.first)
        if exceeded:
            return exceeded, False


def _take(watched: Watched, fd: int, most: int) -> bool:
    """Read what is there; False at the end of the stream."""
    if fd == watched.status:
        part = os.read(fd, CHUNK)
        watched.reported += part
        if watched.init is None:
            watched.init = _open_init(watched.reported)
    else:
        part = os.read(fd, min(CHUNK, max(1, most - len(watched.output))))
        watched.output += part
    return bool(part)


def _drain(watched: Watched, most: int) -> LimitName | None:
    """What was written before the end and not yet read; without a sandbox a left-over process may hold the pipe."""
    for fd in (watched.status, _output_fd(watched)):
        while fd is not None and len(watched.output) < most and _readable(fd, 0):
            if not _take(watched, fd, most):
                break
    return "output" if len(watched.output) >= most else None


def _end(watched: Watched) -> None:
    """Kill what is left, the sandbox's first process before bwrap: a bwrap that is killed between making that process
    and tying its life to its own leaves it waiting for ever."""
    if watched.status is not None:
        _kill_children(watched.process.pid)
    watched.kill()
    if watched.init is not None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(watched.init, signal.SIGKILL)


def _kill_children(pid: int) -> None:
    """Kill the children of our child `pid`, which is left stopped: it makes no more, and reaps none meanwhile."""
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        with suppress(FileNotFoundError):  # it has exited, and whatever it made with it
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)


def _readable(fd: int, timeout_s: float) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(timeout_s * 1000))


def _first_inside(reported: bytearray) -> int | None:
    return next((document["child-pid"] for document in _documents(reported) if "child-pid" in document), None)


def _open_init(reported: bytearray) -> int | None:
    first = _first_inside(reported)
    try:
        return None if first is None else os.pidfd_open(first)
    except ProcessLookupError:
        return None


def _exit_code(reported: bytearray) -> int | None:
    """The command's exit code; None when bwrap never got as far as running it, or was killed."""
    codes = [document["exit-code"] for document in _documents(reported) if "exit-code" in document]
    return codes[-1] if codes else None


def _documents(reported: bytearray) -> list[dict[str, int]]:
    whole, _, _ = reported.rpartition(b"\n")
    return [json.loads(line) for line in whole.splitlines() if line.strip()]


def _output_fd(watched: Watched) -> int:
    assert watched.process.stdout is not None  # noqa: S101 - launch() always asks for the pipe
    return watched.process.stdout.fileno()


def _close(watched: Watched) -> None:
    if watched.process.stdout is not None:
        watched.process.stdout.close()
    for fd in (watched.status, watched.init):
        if fd is not None:
            os.close(fd)
