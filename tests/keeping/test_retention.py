"""Retention: what nobody leans on is deleted and recorded, everything else is kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.repos import fix, make_repo, manifest, put_manifest, write

from learnd.engine import Engine
from learnd.keeping.retention import Round
from learnd.repositories import register
from learnd.requests import PromotePattern, RejectPattern, Request
from learnd.settings import Lab, Settings
from state.job import Job

LATER = "2099-01-01T00:00:00.000Z"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine.opened(Settings(state_dir=tmp_path / "state", lab=Lab(cheap_seconds=0))) as engine:
        yield engine


def settle(engine: Engine, repo: Path) -> Job:
    tree = register(engine.door, engine.views(), repo, "anna")
    list(engine.sweep(tree))
    while (job_id := engine.scheduler.take(0)) is not None:
        engine.work(job_id)
    return engine.door.job(engine.views().jobs()[-1].id)


def ask(engine: Engine, request: Request) -> None:
    reply = engine.desk.answer(request.model_dump_json(), os.getuid())
    assert reply.ok, reply.message


def kept(engine: Engine, job: Job) -> list[bool]:
    """Whether tarball, copy and tag of the job's snapshot are there."""
    assert job.snapshot is not None
    assert job.snapshot.storage_copy is not None
    tagged = engine.place.store(job.repo_id, job.repo_path).tagged(job.snapshot.tag)
    return [Path(job.snapshot.tarball.path).exists(), Path(job.snapshot.storage_copy.path).exists(), tagged is not None]


def test_nothing_is_pruned_before_its_time(engine: Engine, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    register(engine.door, engine.views(), repo, "anna")
    put_manifest(repo)
    job = settle(engine, repo)
    assert job.status == "skipped"
    assert Round(engine.place).prune() == 0
    assert kept(engine, job) == [True, True, True]


def test_the_snapshot_of_a_skipped_job_is_pruned_once_and_said_so(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_repo(tmp_path / "repo")
    register(engine.door, engine.views(), repo, "anna")
    put_manifest(repo)
    job = settle(engine, repo)
    assert kept(engine, job) == [True, True, True]
    monkeypatch.setattr("learnd.keeping.retention.now", lambda: LATER)
    assert Round(engine.place).prune() > 0
    assert kept(engine, job) == [False, False, False]
    assert engine.door.job(job.id).snapshot_pruned
    assert Round(engine.place).prune() == 0
    engine.log.verify()


def test_a_blocked_job_keeps_its_snapshot(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = make_repo(tmp_path / "repo")
    register(engine.door, engine.views(), repo, "anna")
    write(repo, {"notes.txt": "no command verifies this\n", "test_calc.py": ""})
    (repo / "test_calc.py").unlink()
    (repo / "calc.py").unlink()
    put_manifest(repo, manifest(commands=[]))
    job = settle(engine, repo)
    assert job.status == "needs_manual_scenario"
    monkeypatch.setattr("learnd.keeping.retention.now", lambda: LATER)
    Round(engine.place).prune()
    assert kept(engine, job) == [True, True, True]


@pytest.mark.sandbox
def test_a_snapshot_is_kept_while_its_pattern_is_leaned_on_and_pruned_when_it_is_rejected(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_repo(tmp_path / "repo")
    register(engine.door, engine.views(), repo, "anna")
    fix(repo)
    put_manifest(repo)
    job = settle(engine, repo)
    monkeypatch.setattr("learnd.keeping.retention.now", lambda: LATER)
    Round(engine.place).prune()
    assert kept(engine, job) == [True, True, True], "a candidate"
    ask(engine, PromotePattern(pattern=str(job.pattern_id)))
    Round(engine.place).prune()
    assert kept(engine, job) == [True, True, True], "active"


@pytest.mark.sandbox
def test_a_rejected_patterns_snapshot_goes(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = make_repo(tmp_path / "repo")
    register(engine.door, engine.views(), repo, "anna")
    fix(repo)
    put_manifest(repo)
    job = settle(engine, repo)
    ask(engine, RejectPattern(pattern=str(job.pattern_id), reason="no"))
    monkeypatch.setattr("learnd.keeping.retention.now", lambda: LATER)
    Round(engine.place).prune()
    assert kept(engine, job) == [False, False, False]
