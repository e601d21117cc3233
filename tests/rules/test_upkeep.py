"""A learned pattern whose file moves on: out of service, verified again by real replays, or stale for good, and why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from daemon.daemon_process import Daemon, events, left_behind, recorded, until
from support.repos import fix, git, make_repo, put_manifest, write

from events import catalog as e
from learnd.requests import PromotePattern
from learnd.views.queries import PatternRow, Views
from learnd.views.store import open_for_writing, read_connection

pytestmark = pytest.mark.sandbox


def pattern(state: Path) -> PatternRow:
    log = open_for_writing(state / "events.db")
    try:
        (row,) = Views(read_connection(log)).patterns()
        return row
    finally:
        log.close()


def told(state: Path) -> list[str]:
    """What happened to the pattern, by name, from when it first went stale."""
    types = [record.type for record in recorded(state) if record.stream.startswith("pattern-")]
    return types[types.index("PatternWentStale") :]


def commit(repo: Path, text: str, message: str) -> str:
    write(repo, {"calc.py": text})
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", message)
    return git(repo, "rev-parse", "HEAD").strip()


def standing(repo: Path) -> list[str]:
    folder = repo / ".agent/patterns"
    return sorted(str(path.relative_to(folder).parent) for path in folder.rglob("make-*"))


def checked(state: Path, repo: Path) -> list[str]:
    """What `learnd check --json` finds."""
    argv = [sys.executable, "-P", "-m", "learnd", "check", "--json", str(repo)]
    env = {"PATH": os.environ["PATH"], "HOME": str(state.parent), "LEARND_STATE_DIR": str(state)}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    return [f"{found['path']}:{found['line']}" for found in json.loads(done.stdout)["findings"]]


def test_a_pattern_goes_stale_with_its_file_and_comes_back_with_its_evidence(tmp_path: Path) -> None:
    repo, state = make_repo(tmp_path / "repo"), tmp_path / "state"
    settings = {"LEARND_SWEEP_SECONDS": "1", "LEARND_LAB__SHUFFLE": "false"}
    with Daemon(state, [repo], **settings) as daemon:
        daemon.ready()
        fix(repo)
        put_manifest(repo)
        (learned,) = daemon.waits_for(e.JobLearned)
        assert daemon.ask(PromotePattern(pattern=learned.pattern_id[:8], reason="good")).ok
        fixed = (repo / "calc.py").read_text()
        moved = commit(repo, f"import math\n\n\n{fixed}\n\ndef root(value):\n    return math.sqrt(value)\n", "more")
        daemon.waits_for(e.ReverificationStarted, pause_s=0.01)
        daemon.kill()
    (stale,) = events(state, e.PatternWentStale)
    assert (stale.changed_paths, stale.seen_in) == (("calc.py",), f"commit {moved}")

    with Daemon(state, **settings) as daemon:
        until(
            lambda: standing(repo) == ["staging", "staging"] or events(state, e.PatternReverified), "it out of service"
        )
        daemon.waits_for(e.ReverificationStarted, 2, pause_s=0.01)
        assert daemon.end() == 0
    with Daemon(state, **settings) as daemon:
        (again,) = daemon.waits_for(e.PatternReverified)
        until(lambda: standing(repo) == ["active", "active"], "its files, and its rule's, in service again")
        assert again.evidence.verdict == "proven"
        assert [hunk.file for hunk in again.evidence.hunks] == ["calc.py"]
        assert {file.path for file in again.files} == {"calc.py"}

        undone = commit(repo, (repo / "calc.py").read_text().replace("if not values", "if len(values) < 1"), "again")
        (failed,) = daemon.waits_for(e.ReverificationFailed)
        assert failed.cause == "does_not_apply"
        assert f"commit {undone}" in failed.detail
        write(repo, {"bad.py": "def average(xs):\n    return sum(xs) / len(xs)\n"})
        until(lambda: standing(repo) == ["staging", "staging"], "it out of service")
        assert checked(state, repo) == [], "a stale pattern's rule is not run"

        git(repo, "reset", "-q", "--hard", moved)
        daemon.waits_for(e.PatternReverified, 2)
        until(lambda: standing(repo) == ["active", "active"], "it in service again")
        assert checked(state, repo) == ["bad.py:2"]
        daemon.signal(signal.SIGTERM)
        assert daemon.process.wait(60) == 0
    types = told(state)
    assert [kind for kind in types if kind in ("PatternWentStale", "PatternReverified", "ReverificationFailed")] == [
        "PatternWentStale", "PatternReverified", "PatternWentStale", "ReverificationFailed", "PatternReverified",
    ]  # fmt: skip
    interrupted = [event.cause for event in events(state, e.ReverificationInterrupted)]
    assert interrupted == ["crash", "drain"]
    assert [event.attempt for event in events(state, e.ReverificationStarted)][:3] == [1, 2, 2], "a drain costs nothing"
    assert left_behind(state) == []
    assert pattern(state).status == "active"
