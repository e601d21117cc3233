"""A place of its own for one test: a state folder, a home, and the real command line in processes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from support import histories as h
from support import warm

from learnd.door import Door, Handled
from learnd.repositories import register
from learnd.views.queries import Views
from learnd.views.store import open_for_writing, read_connection
from state import commands as c
from state.decide import Command
from state.job import JobStatus
from state.pattern import PatternStatus

PATIENCE_S = 60.0
TEXT = "---\nstatus: candidate\n---\n# text\n"


@dataclasses.dataclass
class Done:
    """What a verb came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class CliPlace:
    """Runs `learnd` in processes that see nothing of whoever runs the tests."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "state"
        self.log = self.state / "events.db"
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(root / "home"), "LEARND_STATE_DIR": str(self.state),
            "TZ": "UTC", "LANG": "C.UTF-8", "PYTHONSAFEPATH": "1",
        }  # fmt: skip
        (root / "home").mkdir()
        self._running: list[subprocess.Popen[str]] = []

    def learnd(self, *argv: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> Done:
        """Run a verb to its end, without a terminal; in a Python of its own where the environment is the test's."""
        if env is None:
            done = warm.run(argv, env=self.env, cwd=cwd or self.root, timeout=PATIENCE_S)
            return Done(done.returncode, done.stdout, done.stderr)
        done = subprocess.run(
            self._argv(argv), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE_S,
            cwd=cwd or self.root, env={**self.env, **env}, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *argv: str | Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a verb that runs until it is stopped; it is ended with the test at the latest."""
        process = subprocess.Popen(
            self._argv(argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
            cwd=self.root, env={**self.env, **(env or {})}, preexec_fn=_interruptible,  # noqa: PLW1509 - one call, no lock
        )  # fmt: skip
        self._running.append(process)
        return process

    def on_terminal(
        self, *argv: str | Path, typed: str = "", columns: int = 100, env: dict[str, str] | None = None
    ) -> Done:
        """Run a verb on a terminal of its own; `out` is all that was shown on it."""
        shown = {**self.env, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40", **(env or {})}
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.root)
            os.execve(sys.executable, self._argv(argv), shown)  # noqa: S606 - the command line itself
        if typed:
            os.write(terminal, typed.encode())
        out = bytearray()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    piece = os.read(terminal, 65536)
                except OSError:
                    break
                if not piece:
                    break
                out += piece
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
        return Done(os.waitstatus_to_exitcode(status), out.decode().replace("\r\n", "\n"), "")

    def daemon(self, *repos: Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """A daemon that answers at its socket."""
        process = self.start("daemon", *repos, env=env)
        until(lambda: process.poll() is not None or self._answers(process.pid))
        assert process.poll() is None, process.communicate()[1]
        return process

    def _answers(self, pid: int) -> bool:
        from learnd.control import NoDaemon, health

        try:
            return health(self.state)["pid"] == pid
        except (NoDaemon, OSError):
            return False

    def stop(self, process: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
        process.send_signal(number)
        return process.wait(PATIENCE_S)

    def _argv(self, argv: Sequence[str | Path]) -> list[str]:
        return [sys.executable, "-m", "learnd", *(str(word) for word in argv)]

    def close(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.communicate()

    # --- logs ---

    def record(self, *commands: Command) -> None:
        """Put commands through the door of this place's log, made where it is not there."""
        with open_for_writing(self.log) as log:
            door = Door(log)
            for command in commands:
                outcome = door.handle(command, "root")
                assert isinstance(outcome, Handled), outcome

    def registered(self, name: str) -> Path:
        """A repository that is registered and not laid out."""
        repo = a_repository(self.root / name)
        with open_for_writing(self.log) as log:
            register(Door(log), Views(read_connection(log)), repo, "root")
        return repo

    def jobs_in(self, *statuses: JobStatus) -> dict[JobStatus, str]:
        """A job in each status, in a log; ids by status."""
        ids = {status: hashlib.sha256(status.value.encode()).hexdigest() for status in statuses}
        for status in statuses:
            run = dataclasses.replace(h.RUN, run_id=f"run-{status.value}")
            self.record(*(_for_job(command, ids[status], run) for command in h.WAY_TO[status]))
        return ids

    def patterns_in(self, *statuses: PatternStatus) -> dict[PatternStatus, str]:
        """A pattern in each status, of one job in a repository that is there; ids by status."""
        repo = self.root / "library"
        if not repo.exists():
            a_repository(repo)
            manifest = a_manifest(repo, "t", "r", completed_at=h.AT)
            run = dataclasses.replace(h.RUN, repo_path=str(repo), manifest_path=str(manifest))
            self.record(*(_for_job(command, h.JOB, run) for command in h.WAY_TO[JobStatus.LEARNED]))
        ids = {status: hashlib.sha256(f"pattern {status.value}".encode()).hexdigest() for status in statuses}
        for status in statuses:
            for command in h.PATTERN_WAY_TO[status]:
                changed = dataclasses.replace(command, pattern_id=ids[status])
                if isinstance(changed, c.JudgeDraft):
                    origin = dataclasses.replace(changed.origin, repo_path=str(repo), body=TEXT)
                    changed = dataclasses.replace(changed, origin=origin)
                self.record(changed)
        return ids


def _for_job(command: c.JobCommand, job_id: str, run: c.RunRef) -> c.JobCommand:
    changed = dataclasses.replace(command, job_id=job_id)
    return dataclasses.replace(changed, run=run) if hasattr(command, "run") else changed


def _interruptible() -> None:
    """Tests that run in the background of a shell inherit that Ctrl-C means nothing."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def until(true: Callable[[], bool]) -> None:
    """Wait until something holds. Fails after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def git(repo: Path, *argv: str) -> str:
    identity = ["-c", "user.name=Anna", "-c", "user.email=anna@example.org"]
    asked = ["git", "-C", str(repo), *identity, *argv]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def a_repository(path: Path) -> Path:
    """A repository with one commit."""
    path.mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    (path / "shop.py").write_text("def total(prices):\n    return sum(prices[1:])\n")
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "Add the shop")
    return path


def a_manifest(repo: Path, task: str = "fix-total", run: str = "run-1", **changes: object) -> Path:
    """A run of the real producer's shape, put into place in one step."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S.999Z", time.gmtime())
    document: dict[str, object] = {
        "version": 1, "runner": "codex-cli", "task_id": task, "run_id": run, "status": "succeeded",
        "started_at": at, "completed_at": at, "pipeline_title": "Fix total", "commands": [],
    }  # fmt: skip
    folder = repo / ".runs" / task / "cli" / run
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "manifest.part"
    part.write_text(json.dumps({**document, **changes}))
    part.replace(folder / "manifest.json")
    return folder / "manifest.json"
