"""A job's evidence, checked off-line and shown again: what holds, and every way in which it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import warm
from support.cases import thorough

from events.log import EventLog
from learnd.lab.attest import STATEMENT, TEST_RESULT, Statement
from state.job import Job, fold

pytestmark = pytest.mark.sandbox


@dataclass
class Learned:
    """What the demo left: one learned job, its log and its files."""

    folder: Path
    job: Job

    def learnd(self, *words: str) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / "config")}
        return warm.run([*words, "--log", self.folder / "state"], env=environ, cwd=self.folder, timeout=300)

    def problems(self) -> dict[str, str]:
        """What `verify JOB` says of each thing, its exit code held against it."""
        done = self.learnd("verify", self.job.id[:12], "--json")
        told = json.loads(done.stdout)
        found = {check["what"]: check["problem"] for check in told["checks"]}
        assert (done.returncode == 0) == told["ok"] == (not any(found.values()))
        return found

    @property
    def attestations(self) -> list[Path]:
        assert self.job.evidence is not None
        return [Path(file.path) for file in self.job.evidence.attestations]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    folder = tmp_path_factory.mktemp("demo") / "sample"
    argv = [sys.executable, "-P", "-m", "learnd", "demo", "--plain", "--folder", str(folder)]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), "XDG_CONFIG_HOME": str(folder.parent / "config")}
    done = subprocess.run(argv, capture_output=True, text=True, env=environ, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    with EventLog.open_readonly(folder / "state/events.db") as log:
        stream = next(record.stream for record in log.read_all() if record.type == "JobLearned")
        job = fold(stream.removeprefix("job-"), (record.data for record in log.read(stream)))
    return Learned(folder, job)


@contextmanager
def changed(path: Path, content: bytes | None) -> Iterator[None]:
    """The file with other content, or gone, while the block runs."""
    before = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def test_each_side_is_attested_as_the_log_has_it(learned: Learned) -> None:
    job = learned.job
    assert job.evidence is not None
    assert job.snapshot is not None
    base, snapshot = (Statement.model_validate_json(path.read_bytes()) for path in learned.attestations)
    assert (base.predicate.result, snapshot.predicate.result) == ("FAILED", "PASSED")
    assert snapshot.subject[0].digest == {"gitCommit": job.snapshot.commit, "gitTree": job.snapshot.tree}
    turned = set(job.evidence.transitions.fail_to_pass.ids if job.evidence.transitions else ())
    assert turned
    assert turned <= set(snapshot.predicate.passed_tests)
    assert turned <= set(base.predicate.failed_tests)


def test_a_statement_has_the_names_that_other_tools_look_for(learned: Learned) -> None:
    for path in learned.attestations:
        told = json.loads(path.read_bytes())
        assert (told["_type"], told["predicateType"]) == (STATEMENT, TEST_RESULT)
        assert set(told) == {"_type", "subject", "predicateType", "predicate"}
        assert set(told["predicate"]) == {"result", "configuration", "passedTests", "warnedTests", "failedTests"}
        assert all(set(part) <= {"name", "digest", "annotations"} for part in told["predicate"]["configuration"])


def test_untouched_evidence_holds(learned: Learned) -> None:
    found = learned.problems()
    assert set(found.values()) == {""}
    assert len(found) == 5, found


@pytest.mark.parametrize("content", [b"other bytes", *thorough(None)], ids=["tampered with", "gone"])
def test_a_tarball_that_is_not_what_was_recorded_is_found(learned: Learned, content: bytes | None) -> None:
    assert learned.job.snapshot is not None
    with changed(Path(learned.job.snapshot.tarball.path), content):
        (problem,) = (problem for problem in learned.problems().values() if problem)
    assert "expected" in problem
    assert set(learned.problems().values()) == {""}


def test_an_attestation_that_was_rewritten_is_found(learned: Learned) -> None:
    path = learned.attestations[0]
    with changed(path, path.read_bytes().replace(b"FAILED", b"PASSED")):
        found = learned.problems()
    assert "digest" in found["attestation attestation-base.json"]


def test_a_smallest_change_that_was_rewritten_is_found(learned: Learned) -> None:
    assert learned.job.evidence is not None
    assert learned.job.evidence.minimal is not None
    with changed(Path(learned.job.evidence.minimal.file.path), b"diff\n"):
        assert "digest" in learned.problems()["smallest change"]


def test_the_evidence_is_shown_again_and_nothing_is_changed(learned: Learned) -> None:
    before = {path: path.stat().st_mtime_ns for path in (learned.folder).rglob("learning/*")}
    done = learned.learnd("replay", learned.job.id[:12], "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["holds"], told["lost"]) == (0, True, []), done.stderr
    assert told["evidence"]["verdict"] == "proven"
    assert {path: path.stat().st_mtime_ns for path in (learned.folder).rglob("learning/*")} == before
    assert set(learned.problems().values()) == {""}


def test_a_snapshot_that_does_not_hold_is_not_replayed(learned: Learned) -> None:
    assert learned.job.snapshot is not None
    with changed(Path(learned.job.snapshot.tarball.path), b"other bytes"):
        done = learned.learnd("replay", learned.job.id[:12])
    assert done.returncode == 1
    assert "does not hold" in done.stderr
    assert f"learnd verify {learned.job.id[:8]}" in done.stderr


def test_an_unknown_job_is_one_sentence(learned: Learned) -> None:
    done = learned.learnd("verify", "ffffffff")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
