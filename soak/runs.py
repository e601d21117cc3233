"""The runs of the soak: what arrives, how it is written, and in which statuses it may end.

Every kind's end follows from how it is made. Where two ends are right, because the daemon and whoever spoils the run
race for it, both are named. Runs of one repository follow one another without a gap and never overlap, so that the
change which lies in its tree is each one's own; the tree changes only while every run of before is captured.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.repos import CALC, git, make_repo, manifest, put_manifest, write

NO_JOB = "no job"
LEARNED = frozenset({"learned"})
HUGE_BYTES = 11 << 20
TEST = """import unittest

from calc import mean


class MeanTest(unittest.TestCase):
    def test_mean_of_nothing(self):
        self.assertEqual(mean([]), {answer}.0)
"""
BROKEN = """import unittest


class BrokenTest(unittest.TestCase):
    def test_it_is_broken(self):
        self.assertEqual(1, 2)
"""
FLAKY = """import os
import unittest


from calc import mean


class FlakyTest(unittest.TestCase):
    def test_it_is_flaky_with_the_change_and_fails_without(self):
        mean([])
        self.assertEqual(int(os.environ["PYTHONHASHSEED"]) % 2, 0)
"""


@dataclass(frozen=True)
class Run:
    """One run that arrived: its manifest, its kind, and the ends that are right."""

    manifest: Path
    kind: str
    ends: frozenset[str]


@dataclass
class Repository:
    """A small project that is fixed again and again. `mark` is in the name of everything that it runs."""

    path: Path
    mark: str
    answer: int = 0
    runs: list[Run] = field(default_factory=list)
    clock: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def make(cls, path: Path, mark: str) -> Repository:
        files = {f"test_{mark}_{name}.py": text for name, text in (("broken", BROKEN), ("flaky", FLAKY))}
        make_repo(path, {**files, f"test_{mark}_mean.py": TEST.format(answer=1), "notes.txt": "nothing yet\n"})
        repository = cls(path, mark)
        repository.change()
        return repository

    def change(self) -> None:
        """The next change to be proven: another answer, and the test that asks for it."""
        self.answer += 2
        fixed = CALC.replace(
            "    return sum(values) / len(values)",
            f"    if not values:\n        return {self.answer}.0\n    return sum(values) / len(values)",
        )
        write(self.path, {"calc.py": fixed, f"test_{self.mark}_mean.py": TEST.format(answer=self.answer)})

    def window(self) -> tuple[str, str]:
        """When the next run began and completed: a millisecond that no other run of this repository has."""
        began = max(datetime.now(UTC), self.clock)
        self.clock = began + timedelta(milliseconds=1)
        return iso(began), iso(self.clock)

    def arrives(self, kind: str) -> Run:
        """One run of a kind arrives, written as its producer does."""
        number = len(self.runs)
        began, completed = self.window()
        content = manifest(task=f"task-{number % 7}", run=f"run-{number:05}", started_at=began, completed_at=completed)
        content["commands"] = [{**content["commands"][0], "command": self.line("mean")}]  # type: ignore[index] # one
        ends, write_it = KINDS[kind]
        self.runs.append(Run(write_it(self, content), kind, ends))
        return self.runs[-1]

    def line(self, tests: str) -> str:
        return f"{sys.executable} -m unittest -q test_{self.mark}_{tests}"

    def runs_command(self, content: dict[str, object], line: str | None) -> dict[str, object]:
        (command,) = content["commands"]  # type: ignore[misc] # it has one
        return {**content, "commands": [{**command, "command": line}] if line else []}


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


Content = dict[str, object]
Write = Callable[[Repository, Content], Path]


def whole(repository: Repository, content: Content) -> Path:
    return put_manifest(repository.path, content)


def half(repository: Repository, content: Content) -> Path:
    text = json.dumps(content, indent=2)
    return put_manifest(repository.path, content, text[: len(text) // 2])


def junk(repository: Repository, content: Content) -> Path:
    return put_manifest(repository.path, content, "\x00\xff not JSON {")


def huge(repository: Repository, content: Content) -> Path:
    return put_manifest(repository.path, {**content, "summary": "x" * HUGE_BYTES})


def separators(repository: Repository, content: Content) -> Path:
    """The names in it lead elsewhere; it lies where a good one would."""
    text = json.dumps({**content, "task_id": "../../elsewhere"})
    return put_manifest(repository.path, content, text)


def nothing_ran(repository: Repository, content: Content) -> Path:
    return put_manifest(repository.path, repository.runs_command(content, None))


def failing(repository: Repository, content: Content) -> Path:
    return put_manifest(repository.path, repository.runs_command(content, repository.line("broken")))


def flaky(repository: Repository, content: Content) -> Path:
    return put_manifest(repository.path, repository.runs_command(content, repository.line("flaky")))


def cancelled(repository: Repository, content: Content) -> Path:
    return put_manifest(repository.path, {**content, "status": "cancelled"})


def odd_names(repository: Repository, content: Content) -> Path:
    return put_manifest(repository.path, {**content, "task_id": "-täsk 'x' $(y)", "run_id": f"{content['run_id']} ☂"})


def control_characters(repository: Repository, content: Content) -> Path:
    return put_manifest(repository.path, {**content, "task_id": "task\nof two lines"})


def locked(repository: Repository, content: Content) -> Path:
    """The user's own git is at work, or was killed at it."""
    (repository.path / ".git/index.lock").touch()
    return put_manifest(repository.path, content)


KINDS: dict[str, tuple[frozenset[str], Write]] = {
    "whole": (LEARNED, whole),
    "half written": (frozenset({NO_JOB}), half),
    "not JSON": (frozenset({NO_JOB}), junk),
    "huge manifest": (frozenset({NO_JOB}), huge),
    "names with separators": (frozenset({NO_JOB}), separators),
    "no command": (LEARNED, nothing_ran),  # the changed test says what to run
    "failing test": (frozenset({"validation_failed: failed"}), failing),
    "flaky test": (frozenset({"validation_failed: flaky"}), flaky),
    "cancelled": (frozenset({"recorded"}), cancelled),
    "odd names": (LEARNED, odd_names),
    "names of two lines": (frozenset({NO_JOB}), control_characters),
    "repository locked": (LEARNED, locked),
    "folder deleted": (frozenset({NO_JOB, "snapshot_failed", "learned"}), whole),
    "tarball tampered": (frozenset({"stalled_snapshot", "learned"}), whole),
}
BROKEN_KINDS = tuple(kind for kind in KINDS if kind != "whole")


def kinds(count: int, chance: random.Random) -> list[str]:
    """`count` kinds, one in ten broken, each broken kind as often as the others, in random order."""
    broken = [BROKEN_KINDS[number % len(BROKEN_KINDS)] for number in range(count // 10)]
    chosen = broken + ["whole"] * (count - len(broken))
    chance.shuffle(chosen)
    return chosen


def spoil(run: Run) -> bool:
    """Do to a run what its kind says is done to it after it arrived. True when there is nothing more to do."""
    folder = run.manifest.parent
    if run.kind == "folder deleted":
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()
    tarballs = list((folder / "learning").glob("*.tar.gz"))
    if run.kind == "tarball tampered" and tarballs:
        with tarballs[0].open("r+b") as file:
            file.seek(40)
            file.write(b"\x00\x01\x02\x03")
        return True
    return run.kind != "tarball tampered"


def committed(repository: Repository) -> str:
    """What HEAD is: nobody may have moved it."""
    return git(repository.path, "rev-parse", "HEAD").strip()
