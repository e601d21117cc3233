"""Runs a command as the lab does, without a sandbox: instrumented, reporting into a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from events.values import CommandClass, ScenarioCommand
from learnd.lab.outcomes import Ended, ReadOutcome, instrument, read_outcome, reporter_dir

Execute = Callable[..., ReadOutcome]


@pytest.fixture
def execute(tmp_path: Path) -> Execute:
    """execute(files, *argv, runner=…): writes the files, runs argv in them, returns what is to be believed."""

    def run(
        files: dict[str, str], *argv: str, runner: str, cls: CommandClass = "test", env: dict[str, str] | None = None
    ) -> ReadOutcome:
        tree, reports = tmp_path / "tree", tmp_path / "report"
        reports.mkdir()
        for name, text in files.items():
            file = tree / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        words = tuple(sys.executable if word == "python" else word for word in argv)
        command = ScenarioCommand(argv=words, cls=cls, runner=runner, env=env or {})
        plan = instrument(command, str(reports), reporter_dir_inside=str(reporter_dir()))
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
        done = subprocess.run(
            plan.argv, cwd=tree, env={**clean, **command.env, **plan.env}, capture_output=True, timeout=120, check=False
        )
        signal = -done.returncode if done.returncode < 0 else None
        ended = Ended(None if signal else done.returncode, signal, done.stdout + done.stderr)
        return read_outcome(command, reports, ended, root=str(tree))

    return run
