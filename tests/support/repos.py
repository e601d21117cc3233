"""Given: real git repositories and run manifests, small and fast to make."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from learnd.clock import now

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
}

CALC = """def mean(values):
    return sum(values) / len(values)


def square(value):
    return value * value


def cube(value):
    return value * value * value


def total(values):
    return sum(values)
"""
CALC_TESTS = """import unittest

from calc import mean, total


class CalcTest(unittest.TestCase):
    def test_total(self):
        self.assertEqual(total([1, 3]), 4)
"""
FIXED_CALC = CALC.replace(
    "    return sum(values) / len(values)",
    "    if not values:\n        return 0.0\n    return sum(values) / len(values)",
).replace("    return sum(values)\n", "    values = list(values)\n    return sum(values)\n")
FIXED_TESTS = (
    CALC_TESTS
    + """
    def test_mean_of_nothing(self):
        self.assertEqual(mean([]), 0.0)
"""
)


def git(repo: Path, *argv: str) -> str:
    """Run git in `repo` as a user would, with a neutral configuration."""
    done = subprocess.run(["git", "-C", str(repo), *argv], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return done.stdout


def make_repo(folder: Path, files: dict[str, str] | None = None) -> Path:
    """A repository with one commit of `files` (default: a package with a bug)."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main", ".")
    write(folder, {"calc.py": CALC, "test_calc.py": CALC_TESTS, ".gitignore": "/.runs/\n", **(files or {})})
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "base")
    return folder


def write(repo: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def fix(repo: Path) -> None:
    """The change of the sample: one hunk that its new test exercises, one that it does not."""
    write(repo, {"calc.py": FIXED_CALC, "test_calc.py": FIXED_TESTS})


def manifest(task: str = "fix-mean", run: str = "run-1", **changes: object) -> dict[str, object]:
    """A completed run of the current producer, as its `manifest.json` has it."""
    moment = now()
    command = {
        "index": 1, "id": "test", "title": "test", "command": f"{sys.executable} -m unittest -q test_calc",
        "kind": "command", "status": "succeeded", "started_at": moment, "completed_at": moment, "exit_code": 0,
        "summary": None, "log_path": None, "error_file": None, "sub_run_id": None,
    }  # fmt: skip
    base: dict[str, object] = {
        "version": 1, "task_id": task, "run_id": run, "runner": "codex-cli", "status": "succeeded",
        "started_at": moment, "completed_at": now(), "commands": [command], "pipeline_title": "Fix the mean",
        "artifact_root": f".runs/{task}/cli/{run}",
        "learning": {"validation": {"mode": "per-task", "grouping": None, "status": "pending"}},
    }  # fmt: skip
    return {**base, **changes}


def put_manifest(repo: Path, content: dict[str, object] | None = None, text: str | None = None) -> Path:
    """Write a manifest the way the producer does: a temporary file, then a rename."""
    content = content or manifest()
    folder = repo / ".runs" / str(content["task_id"]) / "cli" / str(content["run_id"])
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "manifest.json.tmp"
    part.write_text(text if text is not None else json.dumps(content, indent=2))
    path = folder / "manifest.json"
    part.rename(path)
    return path
