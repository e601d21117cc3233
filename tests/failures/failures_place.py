"""Given: a daemon as people run it, repositories of its own for every job, and the command line beside it."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from daemon.daemon_process import Daemon, until
from support import warm
from support.repos import fix, make_repo, manifest, put_manifest

from events.catalog import Event
from events.database import open_reader
from events.log import EventLog
from events.recorded import Recorded
from learnd.requests import RegisterRepo
from learnd.views.queries import FaultRow, JobRow, RepositoryRow, Views

E = TypeVar("E", bound=Event)
QUICK = {"LEARND_SNAPSHOT_BACKOFF_SECONDS": "0", "LEARND_LAB__HUNK_SECONDS": "0", "LEARND_LAB__MINIMAL_SECONDS": "0"}
"""Pauses and searches that no test here is about."""

SILENT = {"calc.py": "x = 1\n", "test_calc.py": "\n", "notes.txt": "one\n"}
"""A repository in which nothing can be run: see `without_code`."""


@dataclasses.dataclass
class Done:
    """What a verb came to."""

    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit {self.code}\n{self.out}{self.err}"


class House:
    """One log, one daemon, and what people do about its jobs. `settings` are environment variables of both."""

    def __init__(self, root: Path, **settings: str) -> None:
        self.root = root
        self.state = root / "state"
        self.settings = {**QUICK, **settings}
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(root / "home"), "XDG_CONFIG_HOME": str(root / "config"),
            "LEARND_STATE_DIR": str(self.state), "TZ": "UTC", "LANG": "C.UTF-8", **self.settings,
        }  # fmt: skip
        self.daemon: Daemon | None = None

    # --- the daemon ---

    @contextmanager
    def at_work(self, *, prefix: tuple[str, ...] = (), **settings: str) -> Iterator[Daemon]:
        """A daemon that works while the block runs, and was stopped well after it."""
        with Daemon(self.state, prefix=prefix, **{**self.settings, **settings}) as daemon:
            self.daemon = daemon.ready()
            yield daemon
            if daemon.process.poll() is None:
                assert daemon.end() == 0, daemon.said()[-3000:]
            self.daemon = None

    def repo(self, name: str, files: dict[str, str] | None = None) -> Path:
        """A repository with one commit, registered."""
        repo = make_repo(self.root / name, files)
        assert self.daemon is not None
        reply = self.daemon.ask(RegisterRepo(path=str(repo)))
        assert reply.ok, reply.message
        return repo

    def run(self, repo: Path, **changes: object) -> str:
        """A run completes in `repo`; the id of its job."""
        path = put_manifest(repo, manifest(**changes))

        def opened() -> str | None:
            rows = self._ask(lambda views: views.jobs_of_manifest(str(path)))
            return rows[-1].id if rows else None

        return until(opened, f"a job for {path}")

    def fixed(self, name: str, **changes: object) -> str:
        """A repository with the sample's fix in it, and its run; the id of the job."""
        repo = self.repo(name)
        fix(repo)
        return self.run(repo, **changes)

    # --- what became of a job ---

    def _ask(self, question: Callable[[Views], list[JobRow]]) -> list[JobRow]:
        with closing(open_reader(self.state / "events.db")) as connection:
            return question(Views(connection))

    def job(self, job_id: str) -> JobRow:
        (row,) = self._ask(lambda views: [views.job(job_id)])
        return row

    def reaches(self, job_id: str, *statuses: str) -> JobRow:
        """The job, as soon as it stands in one of `statuses`."""

        def look() -> JobRow | None:
            if self.daemon is not None:
                assert self.daemon.process.poll() is None, self.daemon.said()[-3000:]
            row = self.job(job_id)
            return row if row.status in statuses else None

        return until(look, f"{' or '.join(statuses)}, got {self.types(job_id)}")

    def records(self, job_id: str) -> list[Recorded]:
        with closing(EventLog.open_readonly(self.state / "events.db")) as log:
            return log.read(f"job-{job_id}")

    def pattern_records(self, pattern_id: str) -> list[Recorded]:
        with closing(EventLog.open_readonly(self.state / "events.db")) as log:
            return log.read(f"pattern-{pattern_id}")

    def types(self, job_id: str) -> list[str]:
        """Its events, without the alerts that may come at any time."""
        return [record.type for record in self.records(job_id) if not record.type.startswith("Alert")]

    def faults(self) -> list[FaultRow]:
        with closing(open_reader(self.state / "events.db")) as connection:
            return Views(connection).faults()

    def repositories(self) -> list[RepositoryRow]:
        with closing(open_reader(self.state / "events.db")) as connection:
            return Views(connection).repositories()

    def last(self, job_id: str, kind: type[E]) -> E:
        found = [record.data for record in self.records(job_id) if isinstance(record.data, kind)]
        assert found, f"no {kind.__name__} in {self.types(job_id)}"
        return found[-1]

    def learning(self, job_id: str) -> Path:
        return Path(self.job(job_id).manifest_path).parent / "learning"

    def block(self, job_id: str) -> dict[str, dict[str, object]]:
        found = json.loads(Path(self.job(job_id).manifest_path).read_text())["learning"]
        assert isinstance(found, dict)
        return found

    def until_told(self, job_id: str, word: str) -> dict[str, dict[str, object]]:
        """The manifest's block, as soon as its validation stands in `word`."""

        def look() -> dict[str, dict[str, object]] | None:
            told = self.block(job_id)
            return told if told["validation"]["status"] == word else None

        return until(look, f"a manifest that says {word}")

    # --- the command line ---

    def learnd(self, *argv: str | Path, prefix: tuple[str, ...] = ()) -> Done:
        """Run a verb to its end."""
        if not prefix:
            done = warm.run(argv, env=self.env, cwd=self.root, timeout=90)
            return Done(done.returncode, done.stdout, done.stderr)
        done = subprocess.run(
            self.argv(*argv, prefix=prefix), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=90,
            cwd=self.root, env=self.env, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *argv: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv(*argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
            cwd=self.root, env=self.env,
        )  # fmt: skip

    def argv(self, *argv: str | Path, prefix: tuple[str, ...] = ()) -> list[str]:
        return [*prefix, sys.executable, "-P", "-m", "learnd", *map(str, argv)]

    def next(self, job_id: str) -> str:
        """The command that `learnd why` prints as the one to type next."""
        told = self.learnd("why", job_id[:12])
        assert told.code == 0, told
        (line,) = [line for line in told.out.splitlines() if line.startswith("next ")]
        return line.removeprefix("next ").strip()

    def does_next(self, job_id: str) -> Done:
        """Type just that. The job has to leave its status for it; returns what was said."""
        before, at = self.job(job_id).status, len(self.types(job_id))
        command = self.next(job_id)
        program, *argv = shlex.split(command)
        assert program == "learnd"
        done = self.learnd(*argv)
        assert done.code == 0, f"{command}: {done}"
        assert len(self.types(job_id)) > at, f"{command} left the job in {before}"
        return done


def completed(form: Path, **fields: str) -> Path:
    """The form as a person completes it in place: each field's line replaced, as TOML."""
    given = {"approver": '"Ada Lovelace"', "date": "2026-01-02", **fields}
    lines = []
    for line in form.read_text().split("\n"):
        name = line.split(" = ")[0]
        lines.append(f"{name} = {given.pop(name)}" if name in given else line)
    assert not given, f"the form lacks {given}"
    form.write_text("\n".join(lines))
    return form
