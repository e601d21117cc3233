"""A small real repository whose change is proven: base committed, change in the work tree, snapshot taken."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from events.values import CommandClass, Evidence, Installation, Scenario, ScenarioCommand, SnapshotRecord
from learnd.harvest.snapshot import SnapshotRequest, take_snapshot
from learnd.harvest.store import SnapshotStore
from learnd.lab.attest import LogHead
from learnd.lab.prove import ProofRequest, prove
from learnd.lab.sandbox import Sandbox
from learnd.lab.templates import Stack
from learnd.settings import Lab, Settings

PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
ENV = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
IGNORED = ".venv/\n__pycache__/\n.runs/\nlearning-snapshots/\n_version.py\n"
GIT_ENV = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_{what}": "a@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}

Files = Mapping[str, str | None]


def command(
    *argv: str,
    cls: CommandClass = "test",
    runner: str = "pytest",
    cwd: str = ".",
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> ScenarioCommand:
    variables = ENV | dict(env or {})
    return ScenarioCommand(argv=argv, cls=cls, runner=runner, cwd=cwd, env=variables, timeout_s=timeout_s)


@dataclass
class Project:
    """`base` is committed at once; `change` is what a run then did."""

    place: Path
    sandbox: Sandbox
    settings: Settings
    said: list[str] = field(default_factory=list)
    cancel: threading.Event = field(default_factory=threading.Event)

    @property
    def repo(self) -> Path:
        return self.place / "repo"

    @property
    def work(self) -> Path:
        return self.place / "work"

    @property
    def learning(self) -> Path:
        return self.repo / ".runs/t/cli/r/learning"

    def git(self, *args: str) -> str:
        done = subprocess.run(["git", *args], cwd=self.repo, env=GIT_ENV, check=True, capture_output=True, text=True)
        return done.stdout

    def base(self, files: Files) -> None:
        self.repo.mkdir()
        self.git("init", "-q")
        self.write({".gitignore": IGNORED, **files})
        self.git("add", "-A")
        self.git("commit", "-qm", "base")

    def write(self, files: Files) -> None:
        for name, content in files.items():
            path = self.repo / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def snapshot(self) -> tuple[SnapshotRecord, SnapshotStore]:
        store = SnapshotStore(self.place / "state", "repo-1", self.repo)
        self.learning.mkdir(parents=True, exist_ok=True)
        manifest = self.learning.parent / "manifest.json"
        manifest.write_text("{}")
        request = SnapshotRequest(
            job_id="a" * 64,
            repo_id="repo-1",
            repo_path=self.repo,
            manifest_path=manifest,
            task_id="t",
            run_id="r",
            started_at=None,
            completed_at="2026-01-01T00:00:00.000Z",
            learning_dir=self.learning,
            base_tree=None,
            base_commit=None,
            recorded_base_commit=self.git("rev-parse", "HEAD").strip(),
            overlapping_runs=(),
            retention_days=30,
            now="2026-01-01T00:00:01.000Z",
        )
        return take_snapshot(request, store, self.settings), store

    def prove(
        self,
        change: Files,
        *commands: ScenarioCommand,
        setup: tuple[ScenarioCommand, ...] = (),
        stacks: tuple[Stack, ...] = (),
        **lab: object,
    ) -> Evidence:
        """Make the change, snapshot it, and prove it by `commands` (default: pytest over `tests`)."""
        self.write(change)
        record, store = self.snapshot()
        return self.prove_record(record, store, *commands, setup=setup, stacks=stacks, **lab)

    def prove_record(
        self,
        record: SnapshotRecord,
        store: SnapshotStore,
        *commands: ScenarioCommand,
        setup: tuple[ScenarioCommand, ...] = (),
        stacks: tuple[Stack, ...] = (),
        installations: tuple[Installation, ...] = (),
        known_flaky: Mapping[str, str] | None = None,
        **lab: object,
    ) -> Evidence:
        scenario = Scenario(
            source="execution_history",
            setup=setup,
            commands=commands or (command(*PYTEST, "tests"),),
            installations=installations,
        )
        owner = self.repo.stat()
        request = ProofRequest(
            job_id="a" * 64,
            repo_path=self.repo,
            record=record,
            scenario=scenario,
            learning_dir=self.learning,
            work_dir=self.work,
            lab=Lab.model_validate(
                {"replays_max": 3, "cheap_seconds": 0, "work_dir": self.work, "timeout_seconds": 60} | lab
            ),
            owner_uid=owner.st_uid,
            owner_gid=owner.st_gid,
            root=self.repo,
            log_head=LogHead(7, "f" * 64),
            stacks=stacks,
            known_flaky=known_flaky or {},
            progress=self.said.append,
        )
        return prove(request, store, self.sandbox, self.cancel)
