"""Given: a small repository, a change that a run made in it, and the engine that has to say what that is worth."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.repos import make_repo, manifest, put_manifest

from events.values import Evidence
from learnd.engine import Engine
from learnd.repositories import register
from learnd.settings import Lab, Settings

UNITTEST = f"{shlex.quote(sys.executable)} -m unittest -q test_calc"
PYTEST = f"{shlex.quote(sys.executable)} -m pytest -q -p no:cacheprovider test_calc.py"
NODE = "node --test test/"

STRICT = Lab(cheap_seconds=0, flaky_seconds=0, hunk_seconds=0, minimal_seconds=0)
"""As few replays as a verdict may rest on, and no hunk reverted: nothing but the two sides can save a wrong verdict."""


@dataclass(frozen=True)
class Control:
    """A change that fixes nothing, and what may be said of it: `verdict:cause`, or `status:cause` where none is given.

    `base` and `change` are files over those of the sample; None removes one. `meanwhile` is done to the engine's state
    once the snapshot is taken. `needs` is a program without which the control cannot be.
    """

    change: Mapping[str, str | bytes | None]
    allowed: tuple[str, ...]
    run: str = UNITTEST
    base: Mapping[str, str] = field(default_factory=dict)
    meanwhile: Callable[[Engine], None] | None = None
    needs: str | None = None


@dataclass(frozen=True)
class Told:
    """Where a job ended. `said` is what a control's `allowed` is held against."""

    status: str
    cause: str
    evidence: Evidence | None
    patterns: int

    @property
    def said(self) -> str:
        if self.evidence is None:
            return f"{self.status}:{self.cause}"
        return f"{self.evidence.verdict}:{self.evidence.cause or ''}"


def told(folder: Path, control: Control, lab: Lab = STRICT) -> Told:
    """Have the engine learn from a run that made `control`'s change."""
    repo = make_repo(folder / "repo", dict(control.base))
    settings = Settings(state_dir=folder / "state", snapshot_backoff_seconds=0.0, learning_enabled=True, lab=lab)
    with Engine.opened(settings) as engine:
        tree = register(engine.door, engine.views(), repo, "anna")
        _put(repo, control.change)
        commands = manifest()["commands"]
        assert isinstance(commands, list)
        put_manifest(repo, manifest(commands=[{**commands[0], "command": control.run}]))
        if control.meanwhile is not None:
            _once_queued(engine, control.meanwhile)
        list(engine.sweep(tree))
        while (job_id := engine.scheduler.take(0)) is not None:
            engine.work(job_id)
        job = engine.views().jobs()[-1]
        evidence = engine.door.job(job.id).evidence
        return Told(job.status, job.cause, evidence, len(list((repo / ".agent").rglob("*-*.md"))))


def _put(repo: Path, files: Mapping[str, str | bytes | None]) -> None:
    for name, content in files.items():
        path = repo / name
        if content is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def _once_queued(engine: Engine, act: Callable[[Engine], None]) -> None:
    """Do `act` when the snapshot is taken and its scenario is looked for."""
    waiting = [act]

    def heard(_job: str, said: str) -> None:
        if said.startswith("looking for the command") and waiting:
            waiting.pop()(engine)

    engine.place.progress = heard
