"""The ground taken away under a job, at each of its steps: a defined status, explained, and a daemon that lives."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest
from hostile_place import RUN, Place, changed_run, defined, place
from support.cases import thorough
from support.repos import git

pytestmark = pytest.mark.sandbox

NOBODY = 65534
STEPS = (
    "taking the snapshot", "writing down", "looking for", "replaying the base (2)", "writing the pattern",
)  # fmt: skip


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path) as found:
        yield found


def work_tree(here: Place) -> None:
    shutil.rmtree(here.repo)


def git_folder(here: Place) -> None:
    shutil.rmtree(here.repo / ".git")


def git_is_a_file(here: Place) -> None:
    (here.repo / ".git").rename(here.folder / "moved.git")
    (here.repo / ".git").write_text("gitdir: /nonexistent\n")


def git_is_a_link(here: Place) -> None:
    (here.repo / ".git").rename(here.folder / "moved.git")
    (here.repo / ".git").symlink_to(here.outside)


def run_folder(here: Place) -> None:
    shutil.rmtree(here.repo / RUN)


def all_runs_are_a_file(here: Place) -> None:
    shutil.rmtree(here.repo / ".runs")
    (here.repo / ".runs").write_text("not a folder\n")


def work_tree_is_a_file(here: Place) -> None:
    shutil.rmtree(here.repo)
    here.repo.write_text("not a folder\n")


GONE = [(STEPS[0], work_tree), (STEPS[-1], run_folder)]
"""Of every step with each of both: the first and the last."""
FURTHER = [case for case in product(STEPS, (work_tree, run_folder)) if case not in GONE]


@pytest.mark.parametrize(("line", "take"), [*GONE, *thorough(*FURTHER)])
def test_what_a_job_stands_on_disappears(here: Place, line: str, take: Callable[[Place], None]) -> None:
    changed_run(here)
    here.when(line, lambda: take(here))
    job = here.settle()
    assert defined(job.status), (job, here.types())
    assert job.cause != "internal_error", job.detail
    assert here.explained(job.id)
    here.engine.publisher.everything()
    here.engine.log.verify()


@pytest.mark.parametrize(
    ("line", "take"),
    [
        ("writing down", git_is_a_file), ("replaying the snapshot (1)", git_folder),
        *thorough(
            ("taking the snapshot", git_folder), ("looking for", git_is_a_link),
            ("replaying the snapshot (1)", work_tree_is_a_file), ("taking the snapshot", all_runs_are_a_file),
            ("writing down", work_tree_is_a_file), ("writing the pattern", git_is_a_file),
        ),
    ],
)  # fmt: skip
def test_what_a_job_stands_on_becomes_something_else(here: Place, line: str, take: Callable[[Place], None]) -> None:
    changed_run(here)
    here.when(line, lambda: take(here))
    job = here.settle()
    assert defined(job.status), (job, here.types())
    assert job.cause != "internal_error", job.detail
    assert here.explained(job.id)
    here.engine.publisher.everything()


def test_a_repository_that_is_gone_when_learnd_starts_stops_nobody(tmp_path: Path) -> None:
    with place(tmp_path, trigger="approved") as here:
        changed_run(here)
        assert here.settle().status == "awaiting_approval"
        shutil.rmtree(here.repo)
        here.engine.start()
        here.work()
        (tree,) = here.engine.views().work_trees()
        assert list(here.engine.sweep(tree)) == []
        assert here.job().status == "awaiting_approval"


@pytest.mark.parametrize(
    "at", [f"{RUN}/learning", ".git", *thorough(".", ".runs", RUN, "learning-snapshots", ".agent")]
)
def test_a_folder_that_may_not_be_entered_has_a_defined_end(tmp_path: Path, at: str) -> None:
    """As another user than root, whom no permission stops: the whole engine in a process of its own."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o055)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    script = Path(__file__).with_name("shut_folder.py")
    root = script.parents[2]
    as_nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    if subprocess.run([*as_nobody, sys.executable, "-c", "import pydantic"], check=False, cwd="/").returncode:
        pytest.skip("the interpreter may not be run by another user")
    path = f"{root}:{root / 'tests'}:{script.parent}"
    done = subprocess.run(
        [*as_nobody, sys.executable, str(script), str(home), at],
        env={**os.environ, "HOME": str(home), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
    )
    subprocess.run(["chmod", "-R", "u+rwX", str(home)], check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip(), "a status was told"


def test_a_repository_whose_objects_are_damaged_has_a_defined_end(here: Place) -> None:
    changed_run(here)
    for path in (here.repo / ".git/objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"garbage")
    job = here.settle()
    assert defined(job.status)
    assert job.cause not in ("", "internal_error"), job.detail


def test_a_run_in_a_repository_without_any_commit_is_learned_or_explained(here: Place) -> None:
    shutil.rmtree(here.repo / ".git")
    git(here.repo, "init", "-q", "-b", "main", ".")
    here.sweep()  # another repository now, registered from here on
    changed_run(here)
    job = here.settle()
    assert defined(job.status)
    assert job.cause != "internal_error", job.detail
