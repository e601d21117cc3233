"""A small repository with a defect, and completed runs in it, as the real producer leaves them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from events.database import LogUnusable, open_reader
from learnd.clock import now

GIT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_{what}": "bench@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}
BROKEN = "def mean(values):\n    return sum(values) / len(values)\n"
MENDED = "def mean(values):\n    if not values:\n        return 0.0\n    return sum(values) / len(values)\n"
TESTS = """import unittest

from calc import mean


class CalcTest(unittest.TestCase):
    def test_mean(self):
        self.assertEqual(mean([1, 3]), 2)
"""
NEW_TEST = "\n    def test_mean_of_nothing(self):\n        self.assertEqual(mean([]), 0.0)\n"
COMMAND = f"{sys.executable} -m unittest -q test_calc"


def git(repo: Path, *argv: str, index: Path | None = None) -> None:
    """git as a user would run it, with a neutral configuration."""
    extra = {"GIT_INDEX_FILE": str(index)} if index else {}
    subprocess.run(["git", "-C", str(repo), *argv], env={**GIT, **extra}, capture_output=True, check=True)


def make_repo(repo: Path) -> Path:
    """A repository with one commit."""
    repo.mkdir(parents=True)
    git(repo, "init", "-q", "-b", "main", ".")
    for name, text in {"calc.py": BROKEN, "test_calc.py": TESTS, ".gitignore": "/.runs/\n"}.items():
        (repo / name).write_text(text)
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "base")
    return repo


def mend(repo: Path) -> None:
    """The change that a run would have made: one hunk of source, and a test of it."""
    (repo / "calc.py").write_text(MENDED)
    (repo / "test_calc.py").write_text(TESTS + NEW_TEST)


def manifest(run: str, *, completed_at: str | None = None) -> str:
    """The manifest of a completed run."""
    moment = now()
    command = {
        "index": 1, "id": "test", "title": "test", "command": COMMAND, "kind": "command", "status": "succeeded",
        "started_at": moment, "completed_at": moment, "exit_code": 0, "summary": None, "log_path": None,
        "error_file": None, "sub_run_id": None,
    }  # fmt: skip
    return json.dumps({
        "version": 1, "task_id": "bench", "run_id": run, "runner": "codex-cli", "status": "succeeded",
        "started_at": completed_at or moment, "completed_at": completed_at or moment, "commands": [command],
        "pipeline_title": "Fix the mean", "artifact_root": f".runs/bench/cli/{run}",
    })  # fmt: skip


def finish_run(repo: Path, number: int) -> str:
    """Put a completed run's manifest into its place, as producers do. Returns the run's id."""
    run = f"run-{number}"
    prepare_run(repo, run).rename(repo / f".runs/bench/cli/{run}/manifest.json")
    return run


def prepare_run(repo: Path, run: str) -> Path:
    """Everything of a completed run but the rename; returns what is to be renamed."""
    folder = repo / f".runs/bench/cli/{run}"
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "manifest.json.tmp"
    part.write_text(manifest(run))
    return part


def settled(state: Path, run: str) -> str | None:
    """The status of the run's job when nothing moves it any more by itself."""
    try:
        connection = open_reader(state / "events.db")
    except LogUnusable:
        return None
    try:
        row = connection.execute("SELECT status FROM jobs WHERE run_id = ?", (run,)).fetchone()
    finally:
        connection.close()
    moving = ("opened", "snapshotted", "queued", "scenario_ready", "replaying", "validated", "crystalizing", "drafted")
    return row[0] if row and row[0] not in moving else None
