"""The demo itself, as a person starts it: its words, its exit code, and what it leaves alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from events import catalog as e
from events.log import EventLog
from learnd.demo.tour import FolderTaken, run_demo
from learnd.verbs.terminal import Stop

RUN = (
    "import sys; from pathlib import Path; from learnd.demo.tour import run_demo\n"
    "sys.exit(run_demo(Path(sys.argv[1]), True))"
)


def start(folder: Path, wrapper: tuple[str, ...] = (), **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*wrapper, sys.executable, "-c", RUN, str(folder)],
        env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def toured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One run of the demo, with an operator's settings and key around that it must not use."""
    base = tmp_path_factory.mktemp("demo")
    config = base / "config/learnd/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('trigger = "approved"\nno_such_setting = 1\n')
    env = {
        "XDG_CONFIG_HOME": str(base / "config"), "XDG_STATE_HOME": str(base / "state"), "HOME": str(base / "home"),
        "OPENAI_API_KEY": "sk-not-a-key", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "LEARND_BUDGET_USD": "0",
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": "/nonexistent",
    }  # fmt: skip
    return base, start(base / "tour", **env)


@pytest.mark.sandbox
def test_a_run_becomes_a_proven_active_pattern(toured: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    base, done = toured
    assert done.returncode == 0, done.stdout + done.stderr
    with EventLog.open_readonly(base / "tour/state/events.db") as log:
        events = [record.data for record in log.read_all()]
    validated = next(event for event in events if isinstance(event, e.ChangeValidated))
    assert validated.evidence.verdict == "proven"
    assert validated.evidence.isolation == "bubblewrap"
    assert any(isinstance(event, e.PatternPromoted) for event in events)
    assert len(list((base / "tour/shop/.agent/patterns/active").glob("*-*.md"))) == 1


@pytest.mark.sandbox
def test_the_hunk_that_no_test_needs_is_shown_and_not_claimed(
    toured: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    base, done = toured
    assert "shop/schema.py:8" in done.stdout
    assert "unexercised" in done.stdout
    pattern = next((base / "tour/shop/.agent/patterns/active").glob("*-*.md")).read_text()
    assert "orders.py" in pattern
    assert "schema.py" not in pattern


@pytest.mark.sandbox
def test_every_part_is_told_in_plain_lines(toured: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, done = toured
    for words in ("RunObserved", "ChangeValidated", "test_totals_take_one_query (", "## Problem", "PatternPromoted",
                  "init .", "daemon", "--log"):  # fmt: skip
        assert words in done.stdout
    assert "\x1b" not in done.stdout
    assert not [line for line in done.stdout.splitlines() if line != line.rstrip()]


@pytest.mark.sandbox
def test_nothing_of_the_users_own_is_read_or_written(toured: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    base, done = toured
    assert not (base / "state").exists()
    assert not (base / "home").exists()
    assert "author extractive" in done.stdout


def test_refused_when_the_folder_holds_something(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FolderTaken, match="not empty"):
        run_demo(tmp_path, plain=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_refused_when_the_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(Stop, match=r"cannot be made: Not a directory\. Next: "):
        run_demo(tmp_path / "file" / "demo", plain=True)


@pytest.mark.sandbox
def test_runs_its_own_sample_where_there_is_no_sandbox_and_says_so(tmp_path: Path) -> None:
    bwrap = str(shutil.which("bwrap"))
    masked = (bwrap, "--dev-bind", "/", "/", "--ro-bind", "/dev/null", str(Path(bwrap).resolve()))
    done = start(tmp_path / "tour", wrapper=masked)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("*** NO SANDBOX: replays are NOT ISOLATED")
    assert "proven, isolation none" in done.stdout
