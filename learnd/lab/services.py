"""Services beside a replay's commands: one sandbox for all of them, with a supervisor of ours as its first program.

    services and commands -> plan -> `supervise.py`, inside -> frames -> what each command and each service came to

Services listen on the sandbox's own localhost, where nothing of the machine is; their ports are free in each replay,
and what they hold ends with it. A replay whose services were not there from its first command to its last says
nothing about the change: its cause is `service:<name>`.

Invariants: no service is started without a network namespace of its own; a frame comes from the supervisor alone.
"""

from __future__ import annotations

import json
import shlex
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from events.values import Service
from learnd.lab import supervise
from learnd.lab.binds import RunRefused, SandboxRun
from learnd.lab.interpreters import interpreter_roots
from learnd.lab.limits import LimitName, limit_of_signal
from learnd.lab.sandbox import Sandbox, SandboxResult, exit_and_signal

SUPERVISOR: Final = Path(supervise.__file__)
SUPERVISOR_AT: Final = Path("/learnd/supervise.py")
ROOM: Final = 64 * 1024
"""Bytes of a service's output that are kept, from its beginning."""


@dataclass(frozen=True)
class Step:
    """One command of the replay, as the sandbox sees it. `must`: nothing may follow it when it fails."""

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    timeout_s: float
    must: bool


@dataclass(frozen=True)
class Down:
    """A service that did not come up, or was gone before the commands were."""

    name: str
    why: str


@dataclass(frozen=True)
class Served:
    """What came of one run: a result for each command that was begun, what services printed, and which one failed."""

    results: tuple[SandboxResult, ...]
    said: Mapping[str, str]
    down: Down | None
    cancelled: bool

    def paragraphs(self, services: Sequence[Service]) -> list[str]:
        """The services in the log: what ran, the beginning of what each printed."""
        return [
            f"service {one.name}: {shlex.join(one.argv)}\n{self.said[one.name].rstrip()}\n"
            f"[{f'{self.down.why}' if self.down and self.down.name == one.name else 'up until the end'}]"
            for one in services
            if one.name in self.said
        ]


@dataclass
class _Told:
    """What the frames say, as they are read."""

    steps: dict[int, bytearray] = field(default_factory=dict)
    ends: dict[int, dict[str, object]] = field(default_factory=dict)
    said: dict[str, bytearray] = field(default_factory=dict)
    starting: str | None = None
    down: Down | None = None
    rest: bytes = b""


def run_served(
    sandbox: Sandbox, spec: SandboxRun, services: Sequence[Service], steps: Sequence[Step], cancel: threading.Event
) -> Served:
    """Run `steps` beside `services`; of `spec` all holds but its command and environment.

    Raises RunRefused where the operator chose no sandbox, and as `Sandbox.run`.
    """
    names = ", ".join(service.name for service in services)
    if sandbox.isolation == "none":
        raise RunRefused(
            f"services ({names})",
            "they are started on the sandbox's own localhost only, and the operator's settings say sandbox = \"none\"",
        )
    python = Path(sys.executable).resolve()
    supervised = replace(
        spec,
        argv=(str(python), "-I", "-S", str(SUPERVISOR_AT)),
        cwd=".",
        env={},
        stdin=_plan(services, steps),
        own_binds=(
            *spec.own_binds,
            *((root, root) for root in interpreter_roots(python)),
            (SUPERVISOR, SUPERVISOR_AT),
        ),
    )
    result = sandbox.run(supervised, cancel)
    told = read_frames(result.output)
    if not (told.steps or told.down or result.limit or result.cancelled) and told.starting is None:
        raise RunRefused(f"services ({names})", told.rest.decode(errors="replace").strip()[-400:] or "no supervisor")
    return _served(told, result)


def _plan(services: Sequence[Service], steps: Sequence[Step]) -> bytes:
    plan: supervise.Plan = {
        "services": [
            {
                "name": service.name, "argv": list(service.argv), "cwd": service.cwd, "env": service.env,
                "ports": list(service.ports), "ready_s": service.ready_s,
                "health": service.health if isinstance(service.health, str) else list(service.health),
            }
            for service in services
        ],
        "steps": [
            {
                "argv": list(step.argv), "cwd": step.cwd, "env": dict(step.env), "timeout_s": step.timeout_s,
                "must": step.must,
            }
            for step in steps
        ],
        "room": ROOM,
    }  # fmt: skip
    return json.dumps(plan).encode()


def read_frames(output: bytes) -> _Told:
    """All whole frames; what follows them, of one that was cut or of nobody, is `rest`."""
    told, at = _Told(), 0
    while at < len(output):
        line, newline, _ = output[at:].partition(b"\n")
        try:
            frame = json.loads(line) if newline else None
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            break
        at += len(line) + 1
        size = frame.get("bytes", 0)
        _hear(told, frame, output[at : at + size])
        at += size
    told.rest = output[at:]
    return told


def _hear(told: _Told, frame: dict[str, object], content: bytes) -> None:
    match frame:
        case {"starting": str(name)}:
            told.starting = name
            told.said[name] = bytearray()
        case {"up": str()}:
            told.starting = None
        case {"service": str(name)}:
            told.said[name] += content
        case {"begin": int(number)}:
            told.steps[number] = bytearray()
        case {"step": int(number)}:
            told.steps[number] += content
        case {"end": int(number)}:
            told.ends[number] = frame
        case {"down": str(name), "why": str(why)}:
            told.down = Down(name, why)


def _served(told: _Told, whole: SandboxResult) -> Served:
    results = tuple(_result(bytes(said), told.ends.get(number), whole) for number, said in told.steps.items())
    down = told.down
    if down is None and told.starting is not None and not told.steps:
        why = f"was not up when the replay was ended by its limit ({whole.limit})" if whole.limit else "never came up"
        down = Down(told.starting, why)
    said = {name: bytes(text).decode(errors="replace") for name, text in told.said.items()}
    return Served(results, said, down, whole.cancelled)


def _result(output: bytes, end: dict[str, object] | None, whole: SandboxResult) -> SandboxResult:
    """One command's result; one that was not seen to end was ended with the whole run."""
    if end is None:
        return replace(whole, output=output)
    code, seconds = end["code"], end["seconds"]
    assert isinstance(code, int) and isinstance(seconds, float)  # noqa: S101, PT018 - the supervisor's own frame
    if end["limit"] == "wall":
        wall: LimitName = "wall"
        return SandboxResult(None, None, seconds, output, wall, cancelled=False)
    exit_code, number = exit_and_signal(code)
    return SandboxResult(exit_code, number, seconds, output, limit_of_signal(number), cancelled=False)
