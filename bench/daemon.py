"""A real daemon over a log of its own, as a process, and what can be seen of it from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from learnd.control import NoDaemon, health
from learnd.engine import Engine
from learnd.repositories import register
from learnd.settings import Settings

PATIENCE_S = 300.0
T = TypeVar("T")


class NeverCame(Exception):
    """What a measurement waited for did not come."""


def until(look: Callable[[], T | None], what: str, pause_s: float = 0.01) -> T:
    """The first thing that `look` finds. Raises NeverCame."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = look()
        if found is not None:
            return found
        time.sleep(pause_s)
    raise NeverCame(f"waited {PATIENCE_S:.0f} s in vain for {what}")


class Daemon:
    """Use as a context manager: leaving it drains the process and waits for its end."""

    def __init__(self, state: Path, **environ: str) -> None:
        self.state = state
        state.mkdir(parents=True, exist_ok=True)
        self.began = time.monotonic()
        with (state / "daemon.err").open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "learnd", "daemon"],
                cwd=Path(__file__).resolve().parents[1],
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
                    "HOME": str(state),
                    "XDG_CONFIG_HOME": str(state),
                    "LEARND_STATE_DIR": str(state),
                    **environ,
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def health(self) -> dict[str, object] | None:
        """What it says of itself, None while nobody answers. Raises NeverCame when it ended."""
        if self._process.poll() is not None:
            said = (self.state / "daemon.err").read_text(errors="replace")[-2000:]
            raise NeverCame(f"the daemon ended with {self._process.returncode}: {said}")
        try:
            return health(self.state)
        except (NoDaemon, OSError):
            return None

    def ready(self) -> Daemon:
        until(self.health, "a daemon that answers")
        return self

    def resident_bytes(self) -> int:
        """How much of it is in memory now."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def registered(state: Path, repo: Path) -> None:
    """Register a repository, as `learnd init` does."""
    with Engine.opened(Settings(state_dir=state)) as engine:
        register(engine.door, engine.views(), repo, "bench")
