"""Given: the daemon as people run it, a process of its own, and ways to look at what it left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from events.catalog import Event
from events.log import EventLog, LogMissing
from events.recorded import Recorded
from learnd.control import NoDaemon, ask, health
from learnd.engine import Engine
from learnd.lab.trees import work_roots
from learnd.repositories import register
from learnd.requests import Reply, Request
from learnd.settings import Settings

PATIENCE_S = 90.0
"""How long a test waits for what must come. It bounds a failure; no test depends on how fast anything is."""

T = TypeVar("T")
E = TypeVar("E", bound=Event)


def until(look: Callable[[], T | None], what: str, pause_s: float = 0.05) -> T:
    """The first thing that `look` finds; fails with `what` was waited for."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(pause_s)
    raise AssertionError(f"waited {PATIENCE_S:.0f} s in vain for {what}")


class Daemon:
    """A daemon over the log in `state`. Use as a context manager: leaving it ends the process, however."""

    def __init__(self, state: Path, repos: Sequence[Path] = (), *, prefix: Sequence[str] = (), **environ: str) -> None:
        self.state = state
        self._argv = [*prefix, sys.executable, "-P", "-m", "learnd", "daemon", *map(str, repos)]
        self._environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(state.parent / "home"),
            "XDG_CONFIG_HOME": str(state.parent / "config"),
            "LEARND_STATE_DIR": str(state),
            "LEARND_LAB__CHEAP_SECONDS": "0",
            **environ,
        }
        self.stderr_file = state.parent / f"daemon-{time.monotonic_ns()}.err"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.stderr_file.open("wb") as stderr:
            return subprocess.Popen(
                self._argv, env=self._environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr
            )

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self) -> str:
        return self.stderr_file.read_text(errors="replace")

    def health(self) -> dict[str, object] | None:
        """What it says of itself, None while nobody answers."""
        assert self.process.poll() is None, f"the daemon ended with {self.process.returncode}: {self.said()[-3000:]}"
        try:
            return health(self.state)
        except (NoDaemon, OSError):
            return None

    def ready(self) -> Daemon:
        until(self.health, "a daemon that answers")
        return self

    def boots(self) -> int:
        """How often it began to serve: once at start, and once after each reload."""
        return self.said().count('"event": "ready"')

    def ask(self, request: Request) -> Reply:
        return ask(self.state, request)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """SIGTERM, and the exit code."""
        self.signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def waits_for(self, kind: type[E], count: int = 1, pause_s: float = 0.05) -> list[E]:
        """The events of one type, as soon as there are `count` of them."""

        def look() -> list[E] | None:
            assert self.process.poll() is None, f"the daemon ended: {self.said()[-3000:]}"
            found = events(self.state, kind)
            return found if len(found) >= count else None

        return until(look, f"{count} {kind.__name__}; there are {[r.type for r in recorded(self.state)]}", pause_s)


def recorded(state: Path) -> list[Recorded]:
    """Everything in the log, read as any reader would."""
    try:
        log = EventLog.open_readonly(state / "events.db")
    except LogMissing:
        return []
    try:
        return list(log.read_all())
    finally:
        log.close()


def events(state: Path, kind: type[E]) -> list[E]:
    return [record.data for record in recorded(state) if isinstance(record.data, kind)]


def job_types(state: Path) -> list[str]:
    return [record.type for record in recorded(state) if record.stream.startswith("job-")]


def registered(state: Path, *repos: Path) -> None:
    """Register repositories without a daemon, as `learnd init` does."""
    with Engine.opened(Settings(state_dir=state)) as engine:
        for repo in repos:
            register(engine.door, engine.views(), repo, "anna")


def processes(marker: str) -> list[str]:
    """The command line of every process of the machine, in whatever namespace, that has `marker` in it."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                found.append(line.decode(errors="replace"))
    return [line for line in found if marker in line]


def left_behind(state: Path) -> list[str]:
    """Folders that replays left: none, and in memory not even the one that they lie in."""
    in_memory, on_disk = work_roots(state / "work", None)
    inside = [entry for root in (in_memory, on_disk) if root.is_dir() for entry in root.iterdir()]
    return [str(entry) for entry in (in_memory, *inside) if entry.exists()]


def block(manifest: Path) -> dict[str, dict[str, object]]:
    """The `learning` block of a manifest."""
    found = json.loads(manifest.read_text())["learning"]
    assert isinstance(found, dict)
    return found
