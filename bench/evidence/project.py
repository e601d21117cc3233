"""A pair as a repository in which a run has just completed: the older release committed, the newer in the work tree.

    older release, environment -> commit -> registered -> newer release laid over -> its tests run by hand -> manifest

The command is really run before the manifest says that it succeeded.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.evidence import archives
from bench.evidence.archives import unpack
from bench.evidence.pairs import Pair
from bench.measuring import timed
from bench.sample import GIT, git
from learnd.clock import now

BY_HAND = 3
RUN_S = 600.0
IGNORED = """
# beside the change
/.runs/
/.venv/
/node_modules
/PKG-INFO
/learning-snapshots/
/out/
*.egg-info/
*.egg-info
__pycache__/
.pytest_cache/
.hypothesis/
.coverage
"""


class CommandFailed(Exception):
    """A command that a run is said to have executed fails by hand; the message has the end of what it printed."""


@dataclass(frozen=True)
class Project:
    """`line` is the command as the run executed it."""

    repo: Path
    line: str

    def by_hand(self) -> list[float]:
        """Seconds of the command, run a few times in the work tree. Raises CommandFailed."""
        return [timed(lambda: _call(["bash", "-o", "pipefail", "-c", self.line], self.repo)) for _ in range(BY_HAND)]


def begin(pair: Pair, older: Path, folder: Path) -> Path:
    """The repository before the run: the older release committed, its environment beside it."""
    repo = folder / pair.name
    repo.mkdir(parents=True)
    _lay(older, repo)
    git(repo, "init", "-q", "-b", "main", ".")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", f"{pair.package} {pair.old.version}")
    return repo


def equip(pair: Pair, repo: Path) -> None:
    """Put the pinned environment into the repository, and the package into it as people work on one: editable."""
    if pair.registry == "npm":
        _copy(archives.node_modules(), repo / "node_modules")
        return
    _copy(archives.python_environment(), repo / ".venv")
    python = str(repo / ".venv/bin/python")
    _call([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "-e", "."], repo)


def finish(pair: Pair, newer: Path, repo: Path) -> Project:
    """The run: the newer release laid over the work tree, its tests run, the manifest written.

    Raises CommandFailed, NothingToRun.
    """
    began = now()
    for path in _paths(repo, "ls-files", "-z"):
        (repo / path).unlink()
    _lay(newer, repo)
    changed = _paths(repo, "diff", "--name-only", "--diff-filter=d", "-z", "HEAD")
    line = pair.run_line(changed + _paths(repo, "ls-files", "-zo", "--exclude-standard"))
    project = Project(repo, line)
    project.by_hand()
    write_manifest(repo, pair, line, began)
    return project


def write_manifest(repo: Path, pair: Pair, line: str, began: str) -> Path:
    """The manifest of the completed run, as the real producer writes it."""
    run = "run-1"
    folder = f".runs/{pair.name}/cli/{run}"
    ended = now()
    command = {
        "index": 1, "id": "test", "title": "Run the changed tests", "command": line, "kind": "command",
        "status": "succeeded", "started_at": began, "completed_at": ended, "exit_code": 0, "summary": "exit code 0",
        "log_path": f"{folder}/commands/01-test.ndjson", "error_file": None, "sub_run_id": None,
    }  # fmt: skip
    document = {
        "version": 1, "task_id": pair.name, "task_slug": pair.name, "run_id": run, "parent_run_id": None,
        "pipeline_id": "exec", "pipeline_title": f"{pair.package} {pair.new.version}", "runner": "codex-cli",
        "approval_policy": None, "status": "succeeded", "status_detail": None, "started_at": began,
        "completed_at": ended, "updated_at": ended, "heartbeat_at": ended, "heartbeat_interval_seconds": 5,
        "heartbeat_stale_after_seconds": 30, "artifact_root": folder, "compat_path": f".runs/local-mcp/{run}",
        "log_path": f"{folder}/runner.ndjson", "summary": None, "metrics_recorded": False, "resume_token": "0" * 32,
        "resume_events": [], "approvals": [], "commands": [command], "child_runs": [], "run_summary_path": None,
        "workspace_path": str(repo), "plan_target_id": None, "runtime_mode_requested": "cli", "runtime_mode": "cli",
        "runtime_provider": "CliRuntimeProvider", "runtime_fallback": None, "instructions_hash": None,
        "instructions_sources": [],
        "learning": {
            "validation": {"mode": "per-task", "grouping": None, "status": "pending"}, "alerts": [], "approvals": [],
        },
    }  # fmt: skip
    place = repo / folder
    place.mkdir(parents=True)
    part = place / "manifest.json.tmp"
    part.write_text(json.dumps(document, indent=2))
    return part.rename(place / "manifest.json")


def _lay(release: Path, repo: Path) -> None:
    unpack(release, repo)
    ignore = repo / ".gitignore"
    ignore.write_text((ignore.read_text() if ignore.is_file() else "") + IGNORED)


def _copy(environment: Path, into: Path) -> None:
    shutil.copytree(environment, into, symlinks=True)


def _paths(repo: Path, *argv: str) -> list[str]:
    done = subprocess.run(["git", "-C", str(repo), *argv], env=GIT, capture_output=True, check=True)
    return [os.fsdecode(path) for path in done.stdout.split(b"\0") if path]


def _call(argv: list[str], repo: Path) -> None:
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        argv, cwd=repo, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        check=False, timeout=RUN_S,
    )  # fmt: skip
    if done.returncode:
        said = done.stdout.decode(errors="replace").strip()[-1500:]
        raise CommandFailed(f"`{shlex.join(argv)}` in {repo.name}: exit code {done.returncode}\n{said}")
