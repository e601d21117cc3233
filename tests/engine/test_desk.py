"""The desk: who may ask for what, and what they hear when it cannot be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from support.repos import make_repo, manifest, put_manifest

from learnd.engine import Engine
from learnd.repositories import register
from learnd.requests import ApproveJob, DismissJob, LearnRun, PromotePattern, RegisterRepo, Reply, Request
from learnd.settings import Settings

NOBODY = 65534


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine.opened(Settings(state_dir=tmp_path / "state")) as engine:
        yield engine


def ask(engine: Engine, request: Request, uid: int | None = None) -> Reply:
    return engine.desk.answer(request.model_dump_json(), os.getuid() if uid is None else uid)


def blocked_job(engine: Engine, tmp_path: Path) -> str:
    repo = make_repo(tmp_path / "repo")
    tree = register(engine.door, engine.views(), repo, "anna")
    (repo / "calc.py").unlink()
    (repo / "test_calc.py").unlink()
    put_manifest(repo, manifest(commands=[]))
    list(engine.sweep(tree))
    while (job_id := engine.scheduler.take(0)) is not None:
        engine.work(job_id)
    (job,) = engine.views().jobs()
    assert job.status == "needs_manual_scenario"
    return job.id


@pytest.mark.parametrize("request_type", [ApproveJob, DismissJob])
def test_refused_when_the_kernel_says_another_user(
    engine: Engine, tmp_path: Path, request_type: type[ApproveJob] | type[DismissJob]
) -> None:
    job = blocked_job(engine, tmp_path)
    head = engine.log.head()
    reply = ask(engine, request_type(job=job, claimed="root", reason="trust me"), uid=NOBODY)
    assert reply.code == "not_an_approver"
    assert engine.log.head() == head


def test_a_claimed_name_stands_beside_the_proven_one(engine: Engine, tmp_path: Path) -> None:
    job = blocked_job(engine, tmp_path)
    assert ask(engine, DismissJob(job=job, claimed="Anna", reason="done by hand")).ok
    event = engine.log.read(f"job-{job}")[-1].data
    assert (event.approver, event.claimed, event.reason) == (  # type: ignore[union-attr] # it is JobDismissed
        engine.log.read(f"job-{job}")[-1].actor,
        "Anna",
        "done by hand",
    )


@pytest.mark.parametrize("request_", [ApproveJob(job="f" * 12), PromotePattern(pattern="f" * 12), DismissJob(job="f")])
def test_an_unknown_id_is_said_so(engine: Engine, request_: Request) -> None:
    assert ask(engine, request_).code == "not_found"


def test_what_is_no_request_is_an_error_of_the_sender(engine: Engine) -> None:
    with pytest.raises(ValidationError):
        engine.desk.answer(b'{"verb": "approve", "job": "x", "sudo": true}', 0)
    with pytest.raises(ValidationError):
        engine.desk.answer(b'{"verb": "approve", "job": "x", "grant_usd": -1}', 0)


def test_a_folder_that_is_no_repository_is_not_registered(engine: Engine, tmp_path: Path) -> None:
    assert ask(engine, RegisterRepo(path=str(tmp_path))).code == "not_a_repository"


def test_a_run_outside_of_every_registered_repository_is_not_learned(engine: Engine, tmp_path: Path) -> None:
    reply = ask(engine, LearnRun(manifest=str(tmp_path / "manifest.json")))
    assert reply.code == "not_registered"
    assert "learnd init" in reply.message


def test_who_asks_hears_that_nothing_was_changed_when_the_log_takes_no_append(engine: Engine, tmp_path: Path) -> None:
    job = blocked_job(engine, tmp_path)
    engine.log.close()
    reply = ask(engine, DismissJob(job=job, reason="x"))
    assert reply.code == "not_recorded"
    assert "nothing was changed" in reply.message
