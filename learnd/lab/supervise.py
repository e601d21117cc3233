"""Runs inside the sandbox: starts services, waits until they are up, runs the replay's commands one after another.

Its plan is one JSON document on stdin, its report a row of frames on stdout: a line of JSON, and after one with `bytes`
that many bytes of what a program printed. `services.py` writes the one and reads the other. Only the standard library
is imported: it is run by its path, under learnd's own interpreter, without learnd.

Invariants:
- Nothing but this process holds stdout, and it cannot be traced or opened by way of /proc: programs write into pipes
  that end here, so that no text of theirs is taken for a frame.
- A service that does not come up, or is gone before the commands are, ends the run; so does a command out of time.
- When this process ends, the pid namespace does, and with it whatever any of them left behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Mapping
from typing import NoReturn, TypedDict

PR_SET_DUMPABLE = 4
CHUNK = 65536
TICK_MS = 20
CHECK_PAUSE_S = 0.03
"""Between two looks at whether a service is up."""
SHORT_LOOK_S = 0.25
"""A look that the deadline leaves less time than this is cut short, and says less than the one before it."""
STILL_UP_S = 10.0
"""For a look at whether a service that went to the background still answers."""


class Run(TypedDict):
    """A program to start; `cwd` is relative to the tree, `env` comes over the sandbox's own."""

    argv: list[str]
    cwd: str
    env: dict[str, str]


class Step(Run):
    """A command of the replay. `must`: nothing may follow it when it fails."""

    timeout_s: float
    must: bool


class Served(Run):
    """A service, see `events.values.Service`."""

    name: str
    ports: list[int]
    health: str | list[str]
    ready_s: float


class Plan(TypedDict):
    """`room`: bytes of each service's output that are passed on."""

    services: list[Served]
    steps: list[Step]
    room: int


class Down(Exception):
    """A service is not there: its name, and why."""


class Program:
    """A started program and the pipe of its output."""

    def __init__(self, what: Run, *, room: int | None = None) -> None:
        """Start it in a session of its own. `room`: how many bytes of its output are passed on; None is all.

        Raises OSError when it cannot be started.
        """
        read, write = os.pipe()
        try:
            self.process = subprocess.Popen(
                what["argv"], cwd=what["cwd"], env={**os.environ, **what["env"]},
                stdin=subprocess.DEVNULL, stdout=write, stderr=write, start_new_session=True,
            )  # fmt: skip
        except OSError:
            os.close(read)
            raise
        finally:
            os.close(write)
        os.set_blocking(read, False)
        self.output, self.room, self.ended = read, room, os.pidfd_open(self.process.pid)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


class Service(Program):
    """A service, by its name."""

    def __init__(self, what: Served, room: int) -> None:
        super().__init__(what, room=room)
        self.name, self.ports, self.health = what["name"], what["ports"], what["health"]
        self.cwd, self.env = what["cwd"], {**os.environ, **what["env"]}

    def trouble(self, within_s: float) -> str | None:
        """Why it is not up; None when it is."""
        for port in self.ports:
            why = _refuses(port, within_s)
            if why:
                return why
        if not self.health:
            return None
        return _unwell(self.health, within_s) if isinstance(self.health, str) else self._failing(within_s)

    def _failing(self, within_s: float) -> str | None:
        with subprocess.Popen(
            self.health, cwd=self.cwd, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        ) as check:  # fmt: skip
            try:
                code = check.wait(within_s)
            except subprocess.TimeoutExpired:
                os.killpg(check.pid, signal.SIGKILL)
                return "its health check does not end"
        return f"its health check ends with {code}" if code else None


def _refuses(port: int, within_s: float) -> str | None:
    try:
        socket.create_connection(("localhost", port), within_s).close()
    except OSError as error:
        return f"port {port}: {error.strerror or error}"
    return None


def _unwell(url: str, within_s: float) -> str | None:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "localhost", parts.port or 80, timeout=within_s)
    try:
        connection.request("GET", urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, "")))
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{url}: {error}"
    finally:
        connection.close()
    return f"{url} answers {status}" if status >= 400 else None


class Supervisor:
    """All programs of one run."""

    def __init__(self) -> None:
        self.services: list[Service] = []
        self.poller = select.poll()
        self.pipes: dict[int, tuple[Program, dict[str, object]]] = {}

    def run(self, plan: Plan) -> None:
        """Services in their order, each up before the next is started; then the commands in theirs."""
        try:
            for what in plan["services"]:
                self._bring_up(what, plan["room"])
            for number, step in enumerate(plan["steps"]):
                if not self._step(number, step):
                    return
        except Down as down:
            # The last words of a service that has just died may still be in its pipe.
            for service in self.services:
                self._pass_on(service.output)
            tell({"down": down.args[0], "why": down.args[1]})

    def _bring_up(self, what: Served, room: int) -> None:
        tell({"starting": what["name"]})
        deadline = time.monotonic() + what["ready_s"]
        try:
            service = Service(what, room)
        except OSError as error:
            raise Down(what["name"], f"cannot be started: {error}") from error
        self.services.append(service)
        self._listen(service, {"service": service.name})
        why: str | None = None
        heard = "it was never looked at"
        looked = False
        while why or not looked:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Down(service.name, f"is not up after {what['ready_s']:g} s: {heard}")
            why = self._look(service, left)
            if why and (left > SHORT_LOOK_S or not looked):
                heard = why
            looked = True
            self._all_there()
            self._pump(CHECK_PAUSE_S if why else 0)
        tell({"up": service.name})

    def _look(self, service: Service, within_s: float) -> str | None:
        """One look, in a thread: what all services print is taken meanwhile."""
        found: list[str | None] = []
        looking = threading.Thread(target=lambda: found.append(service.trouble(within_s)), daemon=True)
        looking.start()
        until = time.monotonic() + within_s
        while looking.is_alive() and time.monotonic() < until:
            self._pump(0.002)
            self._all_there()
        return found[0] if found else "its health check does not end"

    def _all_there(self) -> None:
        """Raises Down for a service that ended in any way but into the background."""
        for service in self.services:
            code = service.process.poll()
            if code:
                ended = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
                raise Down(service.name, ended)

    def _all_answer(self) -> None:
        """Raises Down for a service that went to the background and no longer answers."""
        self._all_there()
        for service in self.services:
            if service.process.returncode is not None:
                why = self._look(service, STILL_UP_S)
                if why:
                    raise Down(service.name, f"is no longer up: {why}")

    def _step(self, number: int, step: Step) -> bool:
        """Run one command; False when nothing may follow it."""
        tell({"begin": number})
        began = time.monotonic()
        try:
            program = Program(step)
        except OSError as error:
            write({"step": number}, f"{error}\n".encode())
            code = 126 if isinstance(error, PermissionError) else 127
            tell({"end": number, "code": code, "seconds": 0.0, "limit": None})
            return not step["must"]
        self._listen(program, {"step": number})
        limit = None
        try:
            while program.process.poll() is None:
                if time.monotonic() - began >= step["timeout_s"]:
                    limit = "wall"
                    break
                self._all_there()
                self._pump(None, program.ended)
        finally:
            program.kill()
            program.process.wait()
            self._pass_on(program.output)
        code = program.process.returncode
        tell({"end": number, "code": code, "seconds": time.monotonic() - began, "limit": limit})
        self._all_answer()
        return limit is None and not (step["must"] and code)

    # --- what they print ---

    def _listen(self, program: Program, label: dict[str, object]) -> None:
        self.pipes[program.output] = (program, label)
        self.poller.register(program.output, select.POLLIN)

    def _pump(self, seconds: float | None, ended: int | None = None) -> None:
        """Pass on what is printed, for `seconds` or a tick; wakes when `ended` is readable."""
        if ended is not None:
            self.poller.register(ended, select.POLLIN)
        ready = self.poller.poll(TICK_MS if seconds is None else seconds * 1000)
        if ended is not None:
            self.poller.unregister(ended)
        for fd, _ in ready:
            if fd in self.pipes:
                self._pass_on(fd, once=True)

    def _pass_on(self, fd: int, *, once: bool = False) -> None:
        while fd in self.pipes:
            program, label = self.pipes[fd]
            try:
                part = os.read(fd, CHUNK)
            except BlockingIOError:
                return
            if not part:
                self.poller.unregister(fd)
                os.close(fd)
                del self.pipes[fd]
                return
            if program.room is not None:
                part, program.room = part[: program.room], max(0, program.room - len(part))
            if part:
                write(label, part)
            if once:
                return


def write(label: Mapping[str, object], content: bytes) -> None:
    """One frame with content."""
    _put(json.dumps({**label, "bytes": len(content)}).encode() + b"\n" + content)


def tell(event: Mapping[str, object]) -> None:
    """One frame without."""
    _put(json.dumps(event).encode() + b"\n")


def _put(content: bytes) -> None:
    while content:
        content = content[os.write(1, content) :]


def main() -> NoReturn:
    """Run the plan. The exit code says only that it came to an end; what became of it is in the frames."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    Supervisor().run(json.load(sys.stdin))
    os._exit(0)  # a health check that hangs in its thread holds nothing up


if __name__ == "__main__":
    main()
