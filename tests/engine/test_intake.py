"""Intake: what a manifest on disk leads to, once, whoever looks and however often."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.repos import git, make_repo, manifest, put_manifest

from learnd.clock import now
from learnd.engine import Engine
from learnd.intake import Seen
from learnd.repositories import register, registered
from learnd.settings import Settings
from learnd.views.queries import JobRow, WorkTreeRow


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine.opened(Settings(state_dir=tmp_path / "state")) as engine:
        yield engine


@pytest.fixture
def tree(engine: Engine, tmp_path: Path) -> WorkTreeRow:
    return register(engine.door, engine.views(), make_repo(tmp_path / "repo"), "anna")


def sweep(engine: Engine, tree: WorkTreeRow) -> list[Seen]:
    return list(engine.sweep(tree))


def jobs(engine: Engine) -> list[JobRow]:
    return engine.views().jobs()


def test_a_succeeded_run_opens_one_job_however_often_it_is_looked_at(engine: Engine, tree: WorkTreeRow) -> None:
    path = put_manifest(Path(tree.path))
    assert [seen.reason for seen in sweep(engine, tree)] == ["JobOpened"]
    assert sweep(engine, tree) == []
    again = engine.look(path, tree)
    assert again is not None
    assert again.what == "known"
    assert [job.status for job in jobs(engine)] == ["opened"]


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_run_that_ended_badly_is_recorded_and_never_learned(engine: Engine, tree: WorkTreeRow, status: str) -> None:
    put_manifest(Path(tree.path), manifest(status=status))
    sweep(engine, tree)
    sweep(engine, tree)
    assert [(job.status, job.cause) for job in jobs(engine)] == [("recorded", status)]


def test_a_run_that_completed_before_the_registration_is_left_alone(engine: Engine, tree: WorkTreeRow) -> None:
    path = put_manifest(Path(tree.path), manifest(completed_at="2020-01-01T00:00:00.000Z"))
    (seen,) = sweep(engine, tree)
    assert seen.what == "refused"
    assert "before the repository was registered" in seen.reason
    assert jobs(engine) == []
    asked = engine.intake.look(path, tree, requested=True)
    assert asked.done
    assert [job.status for job in jobs(engine)] == ["opened"]


def test_a_run_seen_when_it_began_has_its_base_tree_taken_and_keeps_its_job(engine: Engine, tree: WorkTreeRow) -> None:
    repo = Path(tree.path)
    running = manifest(status="in_progress", completed_at=None, started_at=now())
    put_manifest(repo, running)
    sweep(engine, tree)
    (observed,) = jobs(engine)
    assert observed.status == "observed"
    put_manifest(repo, {**running, "status": "succeeded", "completed_at": now()})
    sweep(engine, tree)
    (opened,) = jobs(engine)
    assert (opened.id, opened.status) == (observed.id, "opened")
    job = engine.door.job(opened.id)
    assert job.base_tree == git(repo, "rev-parse", "HEAD^{tree}").strip()
    assert job.base_commit == git(repo, "rev-parse", "HEAD").strip()


def test_a_run_seen_long_after_it_began_is_not_taken_for_a_base(engine: Engine, tree: WorkTreeRow) -> None:
    put_manifest(
        Path(tree.path), manifest(status="in_progress", completed_at=None, started_at="2020-01-01T00:00:00.000Z")
    )
    (seen,) = sweep(engine, tree)
    assert seen.what == "waiting"
    assert jobs(engine) == []


def test_a_run_that_its_producer_resumed_supersedes_the_job_and_completes_as_another(
    engine: Engine, tree: WorkTreeRow
) -> None:
    repo = Path(tree.path)
    first = manifest()
    put_manifest(repo, first)
    sweep(engine, tree)
    put_manifest(repo, {**first, "status": "in_progress", "completed_at": None})
    sweep(engine, tree)
    assert [job.status for job in jobs(engine)] == ["superseded", "observed"]
    put_manifest(repo, {**first, "completed_at": now()})
    sweep(engine, tree)
    assert [job.status for job in jobs(engine)] == ["superseded", "opened"]


def test_a_resumption_that_nobody_saw_is_noticed_by_the_second_completion(engine: Engine, tree: WorkTreeRow) -> None:
    repo = Path(tree.path)
    first = manifest()
    put_manifest(repo, first)
    sweep(engine, tree)
    put_manifest(repo, {**first, "completed_at": now()})
    sweep(engine, tree)
    assert [job.status for job in jobs(engine)] == ["superseded", "opened"]


def test_a_half_written_manifest_is_refused_and_taken_when_it_is_whole(engine: Engine, tree: WorkTreeRow) -> None:
    repo = Path(tree.path)
    whole = json.dumps(manifest())
    put_manifest(repo, manifest(), text=whole[: len(whole) // 2])
    (seen,) = sweep(engine, tree)
    assert seen.what == "unreadable"
    put_manifest(repo, manifest())
    assert [seen.what for seen in sweep(engine, tree)] == ["run"]


def test_a_stub_and_a_link_lead_to_the_same_run_once(engine: Engine, tree: WorkTreeRow) -> None:
    repo = Path(tree.path)
    real = put_manifest(repo)
    stub = repo / ".runs/fix-mean/mcp/run-1/manifest.json"
    stub.parent.mkdir(parents=True)
    stub.write_text(json.dumps({"redirect_to": ".runs/fix-mean/cli/run-1"}))
    (repo / ".runs/local-mcp").mkdir()
    (repo / ".runs/local-mcp/run-1").symlink_to(real.parent)
    sweep(engine, tree)
    engine.look(repo / ".runs/local-mcp/run-1/manifest.json", tree)
    engine.look(stub, tree)
    assert len(jobs(engine)) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
HOSTILE_NAMES = st.sampled_from(["../../escape", "a/b", "..", "", "\0", "-rf", "x" * 300, ".git", "run-1"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.dictionaries(st.sampled_from(sorted(manifest())), JSON | HOSTILE_NAMES, max_size=4),
    cut=st.integers(0, 4000),
)
def test_no_manifest_crashes_the_intake_or_writes_outside_of_the_repository(
    engine: Engine, tree: WorkTreeRow, tmp_path: Path, changes: dict[str, object], cut: int
) -> None:
    text = json.dumps({**manifest(), **changes})
    put_manifest(Path(tree.path), manifest(), text=text[: cut or len(text)])
    sweep(engine, tree)
    while (job_id := engine.scheduler.take(0)) is not None:
        engine.scheduler.done(job_id)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["repo", "state"]
    engine.log.verify()


def test_two_clones_are_two_repositories_and_a_moved_one_stays_itself(engine: Engine, tmp_path: Path) -> None:
    one = make_repo(tmp_path / "one")
    git(tmp_path, "clone", "-q", str(one), str(tmp_path / "two"))
    first = register(engine.door, engine.views(), one, "anna")
    second = register(engine.door, engine.views(), tmp_path / "two", "anna")
    assert first.repo_id != second.repo_id
    one.rename(tmp_path / "moved")
    moved = register(engine.door, engine.views(), tmp_path / "moved", "anna")
    assert moved.repo_id == first.repo_id
    assert [row.path for row in engine.views().work_trees()] == [str(tmp_path / "moved"), str(tmp_path / "two")]


def test_a_linked_work_tree_shares_the_repository_and_is_watched_by_itself(engine: Engine, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    git(repo, "worktree", "add", "-q", str(tmp_path / "linked"), "-b", "other")
    main = register(engine.door, engine.views(), repo, "anna")
    linked = register(engine.door, engine.views(), tmp_path / "linked", "anna")
    assert linked.repo_id == main.repo_id
    put_manifest(tmp_path / "linked")
    sweep(engine, linked)
    assert [job.repo_path for job in jobs(engine)] == [str(tmp_path / "linked")]


def test_registering_twice_changes_nothing(engine: Engine, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    first = register(engine.door, engine.views(), repo, "anna")
    head = engine.log.head()
    assert register(engine.door, engine.views(), repo / ".runs" / "..", "anna") == first
    assert engine.log.head() == head


def test_a_path_belongs_to_the_innermost_registered_tree(engine: Engine, tmp_path: Path) -> None:
    outer = register(engine.door, engine.views(), make_repo(tmp_path / "outer"), "anna")
    inner = register(engine.door, engine.views(), make_repo(tmp_path / "outer/inner"), "anna")
    assert registered(engine.views(), tmp_path / "outer/inner/x.py") == inner
    assert registered(engine.views(), tmp_path / "outer/x.py") == outer
    assert registered(engine.views(), tmp_path / "elsewhere") is None
