"""Given: a repository whose one defect takes two runs to mend, and an engine that validates by groups.

`invoice` needs both `rate` (the first run's work) and `total` (the second's): the first run's own test fails until the
second one's fix is there.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.repos import make_repo, manifest, put_manifest, write

from events.catalog import GroupClosed
from learnd.clock import now
from learnd.engine import Engine
from learnd.grouping.terms import terms
from learnd.harvest.snapshot import SnapshotRequest, take_snapshot
from learnd.ids import job_id
from learnd.repositories import register
from learnd.requests import Reply, Request
from learnd.settings import Lab, Settings, Validation
from learnd.views.queries import JobRow
from state import commands as c
from state.refusal import Refused

FAST = Lab(cheap_seconds=0, hunk_seconds=0, minimal_seconds=0)
GROUPED = Validation(mode="grouped")

PROJECT = {
    "api/pyproject.toml": "[project]\nname = 'api'\nversion = '1'\n",
    "api/rates.py": "def rate(country):\n    return 0\n",
    "api/totals.py": "def total(values):\n    return 0\n",
    "api/test_rates.py": "import unittest\n",
    "api/test_totals.py": "import unittest\n",
    "web/package.json": '{"name": "web"}\n',
    "web/page.js": "module.exports = 1\n",
    "notes.txt": "one\n",
}

RATES = {
    "api/rates.py": "def rate(country):\n    return 19 if country == 'de' else 0\n",
    "api/test_rates.py": (
        "import unittest\n\nfrom rates import rate\nfrom totals import total\n\n\n"
        "class InvoiceTest(unittest.TestCase):\n    def test_invoice(self):\n"
        "        self.assertEqual(total([rate('de'), 1]), 20)\n"
    ),
}
"""The first run: half of the fix, and a test that needs the other half too."""

TOTALS = {
    "api/totals.py": "def total(values):\n    return sum(values)\n",
    "api/test_totals.py": (
        "import unittest\n\nfrom totals import total\n\n\n"
        "class TotalTest(unittest.TestCase):\n    def test_total(self):\n"
        "        self.assertEqual(total([1, 3]), 4)\n"
    ),
}
"""The second run: the other half, and its own test."""


def command(module: str) -> dict[str, object]:
    """What a run executed, as a manifest has it."""
    moment = now()
    return {
        "index": 1, "id": "test", "title": "test", "kind": "command", "status": "succeeded", "exit_code": 0,
        "command": f"cd api && {sys.executable} -m unittest -q {module}", "started_at": moment, "completed_at": moment,
        "summary": None, "log_path": None, "error_file": None, "sub_run_id": None,
    }  # fmt: skip


class Shop:
    """A registered repository, and runs in it that are seen from their beginning."""

    def __init__(self, engine: Engine, folder: Path, files: dict[str, str] | None = None) -> None:
        self.engine = engine
        self.repo = make_repo(folder, files if files is not None else PROJECT)
        self.register()

    def register(self) -> None:
        self.tree = register(self.engine.door, self.engine.views(), self.repo, "anna")

    def sweep(self) -> None:
        for _ in self.engine.sweep(self.tree):
            pass

    def run(self, name: str, changes: dict[str, str], module: str = "test_rates", **more: object) -> JobRow:
        """A run that begins, is seen, changes files and completes; worked on until nothing is left to do."""
        started = now()
        put_manifest(self.repo, self._manifest(name, started, status="in_progress", completed_at=None))
        self.sweep()
        write(self.repo, changes)
        time.sleep(0.002)  # completion times are whole milliseconds
        path = put_manifest(
            self.repo, self._manifest(name, started, commands=[command(module)], completed_at=now(), **more)
        )
        self.sweep()
        work(self.engine)
        return self.engine.views().jobs_of_manifest(str(path))[-1]

    def waiting(self, name: str, changes: dict[str, str], completed_at: str, hours: float = 1.0) -> str:
        """A run that completed at any time, and whose job waits for its group: the same commands, other times."""
        engine, tree = self.engine, self.tree
        job = job_id(tree.repo_id, "invoices", name, completed_at)
        path = put_manifest(self.repo, self._manifest(name, completed_at, status="failed", completed_at=completed_at))
        store = engine.place.store(tree.repo_id, tree.path)
        base = store.observe().tree
        write(self.repo, changes)
        request = SnapshotRequest(
            job, tree.repo_id, self.repo, path, "invoices", name, None, completed_at, path.parent / "learning", base,
            store.resolve_head(), None, (), 30, now(),
        )  # fmt: skip
        record = take_snapshot(request, store, engine.settings).model_copy(update={"not_attributable": None})
        run = c.RunRef(tree.repo_id, tree.path, str(path), "invoices", name)
        asked = Validation(mode="grouped", window_hours=hours)
        opened_ = c.OpenJob(job, run, "cli-v1", None, completed_at, "2020-01-01T00:00:00.000Z", "completed", 0.5)
        done = engine.door.handle_together([opened_, c.RecordSnapshot(job, record)], "test")
        assert not isinstance(done, Refused), done
        grouping = terms(engine.door.job(job), record, store, asked)
        queued = c.RecordQueued(job, record.snapshot_id, record.diff, None, None, record.diff, grouping)
        done = engine.door.handle(queued, "test")
        assert not isinstance(done, Refused), done
        return job

    def _manifest(self, name: str, started: str, **changes: object) -> dict[str, object]:
        return manifest(task="invoices", run=name, started_at=started, **changes)


@contextmanager
def opened(state: Path, asked: Validation = GROUPED, **more: object) -> Iterator[Engine]:
    settings = Settings(state_dir=state, lab=FAST, validation=asked, **more)  # type: ignore[arg-type] # as given
    with Engine.opened(settings) as engine:
        yield engine


def work(engine: Engine) -> None:
    while (job_id := engine.scheduler.take(0)) is not None:
        engine.work(job_id)
    engine.publisher.late()


def ask(engine: Engine, request: Request) -> Reply:
    reply = engine.desk.answer(request.model_dump_json(), os.getuid())
    work(engine)
    return reply


def types_of(engine: Engine, job: str) -> list[str]:
    return [record.type for record in engine.log.read(f"job-{job}")]


def held(engine: Engine) -> None:
    """A fault of the machine: nothing is replayed, so that all else can be looked at in peace."""
    assert not isinstance(engine.door.handle(c.RaiseFault("sandbox", "held by a test"), "test"), Refused)


def closed(engine: Engine, job: str) -> GroupClosed:
    """How the group was closed that the job leads, the last time."""
    (*_, last) = [record.data for record in engine.log.read(f"job-{job}") if isinstance(record.data, GroupClosed)]
    return last


def names(event: GroupClosed) -> list[str]:
    return [member.run_id for member in event.group.members]


def status(engine: Engine, *jobs: str) -> list[str]:
    return [engine.views().job(job).status for job in jobs]
