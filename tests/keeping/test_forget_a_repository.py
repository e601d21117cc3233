"""Forgetting a repository: nothing of it is watched, worked on or kept, save the log and the repository's own files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_place import CliPlace
from daemon_process import Daemon, events, job_types, left_behind, processes, until
from kept_store import KeptStore
from support.cases import thorough
from support.repos import FIXED_CALC, make_repo, manifest, put_manifest, write

from events.catalog import JobDismissed, JobOpened, RepositoryForgotten, SnapshotPruned
from learnd.engine import Engine
from learnd.keeping.forget import find
from learnd.keeping.retention import Round
from learnd.repositories import register
from learnd.requests import ForgetRepo, PromotePattern, RegisterRepo, Reply, Request
from learnd.settings import Settings
from learnd.views.queries import NotFound
from state import commands as c
from state.job import JobStatus
from state.pattern import PatternStatus

S, P = JobStatus, PatternStatus


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    settings = Settings(state_dir=tmp_path / "state", snapshot_dir=tmp_path / "copies", tag_in_repository=True)
    with Engine.opened(settings) as engine:
        yield engine


@pytest.fixture
def kept(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeptStore:
    return KeptStore(engine, tmp_path / "repo", monkeypatch, days=1)


def ask(engine: Engine, request: Request) -> Reply:
    return engine.desk.answer(request.model_dump_json(), os.getuid())


def files(folder: Path) -> set[str]:
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith(".git/")}


def test_all_that_learnd_kept_of_it_is_deleted_and_the_repositorys_own_is_left(
    kept: KeptStore, engine: Engine, tmp_path: Path
) -> None:
    blocked, active = kept.job(S.VALIDATION_FAILED), kept.job(S.LEARNED, P.ACTIVE)
    quarantined = kept.job(S.LEARNED, P.QUARANTINED)
    engine.publisher.repository_patterns(kept.tree.repo_id, str(kept.repo))
    state = engine.settings.state_dir
    for name in (f"drafts/{active.id}.md", f"evidence/{blocked.id}.json", f"scenarios/{blocked.id[:16]}-scenario.json"):
        (state / name).parent.mkdir(exist_ok=True)
        (state / name).write_text("of the run")
    assert len(list((state / "quarantine").iterdir())) == 1
    assert any(name.startswith(".agent/patterns/active/") for name in files(kept.repo))
    before = {name for name in files(kept.repo) if not name.endswith(".tar.gz")}
    reply = ask(engine, ForgetRepo(repo=kept.tree.repo_id, reason="archived"))
    assert reply.ok, reply.message
    assert "1 job was dismissed" in reply.message
    assert not kept.home.exists()
    assert [
        file for folder in ("quarantine", "drafts", "evidence", "scenarios") for file in files(state / folder)
    ] == []
    assert files(tmp_path / "copies") == set()
    assert subprocess.run(["git", "-C", kept.repo, "tag"], capture_output=True, text=True, check=True).stdout == ""
    assert files(kept.repo) == before, "what learnd wrote about runs, and patterns, are the repository's"
    told = [record.type for record in engine.log.read_all()][-5:]
    assert told == ["RepositoryForgotten", "JobDismissed", "SnapshotPruned", "SnapshotPruned", "SnapshotPruned"]
    dismissed = next(record.data for record in engine.log.read_all() if isinstance(record.data, JobDismissed))
    assert dismissed.reason == "its repository was forgotten: archived"
    assert engine.door.job(quarantined.id).snapshot_pruned
    engine.log.verify()


def test_nothing_of_it_is_shown_or_decided_any_more_and_one_job_can_still_be_read(
    kept: KeptStore, engine: Engine, place: CliPlace
) -> None:
    job = kept.job(S.LEARNED, P.CANDIDATE)
    kept.job(S.NEEDS_MANUAL_SCENARIO)
    assert ask(engine, ForgetRepo(repo=kept.tree.repo_id)).ok
    refused = ask(engine, PromotePattern(pattern=str(job.pattern_id)))
    assert refused.code == "forgotten"
    status = place.learnd("status", "--json").json
    assert (status["jobs"], status["blocked"], status["review"], status["repositories"]) == ({}, [], [], [])
    assert status["room"]["repositories"] == []
    assert status["room"]["pruned"] == 2
    assert place.learnd("jobs").out == ""
    assert len(place.learnd("jobs", "--all").lines) == 3
    assert place.learnd("review", "--json").json == []
    assert len(place.learnd("review", "--all", "--json").json) == 1
    assert place.learnd("show", job.id[:8]).code == 0
    assert engine.publisher.troubles == {}


def test_registered_again_it_is_a_new_repository_and_old_runs_and_files_are_left_alone(
    kept: KeptStore, engine: Engine
) -> None:
    kept.job(S.LEARNED, P.ACTIVE)
    engine.publisher.repository_patterns(kept.tree.repo_id, str(kept.repo))
    (pattern,) = (kept.repo / ".agent/patterns/active").glob("*.md")
    put_manifest(kept.repo, manifest(run="before"))
    assert ask(engine, ForgetRepo(repo=kept.tree.repo_id)).ok
    kept.days = -1
    assert ask(engine, RegisterRepo(path=str(kept.repo))).ok
    (tree,) = engine.views().work_trees()
    assert tree.repo_id != kept.tree.repo_id
    assert [seen.what for seen in engine.sweep(tree)] == ["refused"]
    pattern.unlink()
    engine.publisher.everything()
    engine.publisher.late()
    assert not pattern.exists(), "it was the repository's to delete"
    assert find(engine.views(), str(kept.repo)).id == tree.repo_id


def test_it_is_found_by_its_path_its_id_and_wherever_it_was_moved(kept: KeptStore, engine: Engine) -> None:
    views, repo_id = engine.views(), kept.tree.repo_id
    assert find(views, str(kept.repo)).id == repo_id
    assert find(views, str(kept.repo / "calc.py")).id == repo_id
    assert find(views, repo_id[:8]).id == repo_id
    moved = kept.repo.rename(kept.repo.with_name("moved"))
    assert find(views, str(moved)).id == repo_id
    assert find(views, str(kept.repo)).id == repo_id
    shutil.rmtree(moved)
    assert find(views, str(kept.repo)).id == repo_id
    make_repo(moved, {"another.txt": "history"})
    for unknown in (str(moved), "/", "f" * 8, ""):
        with pytest.raises(NotFound, match="names no registered repository"):
            find(views, unknown)


def test_of_a_repository_that_is_gone_everything_in_the_state_is_deleted(kept: KeptStore, engine: Engine) -> None:
    job = kept.job(S.STALLED_SNAPSHOT)
    shutil.rmtree(kept.repo)
    assert ask(engine, ForgetRepo(repo=kept.tree.repo_id)).ok
    assert not kept.home.exists()
    assert engine.door.job(job.id).status == S.DISMISSED
    assert ask(engine, ForgetRepo(repo=kept.tree.repo_id)).code == "unknown"


def test_even_a_store_that_git_cannot_read_is_deleted(kept: KeptStore, engine: Engine) -> None:
    kept.job(S.SKIPPED)
    shutil.rmtree(kept.home / "store.git/objects")
    assert ask(engine, ForgetRepo(repo=kept.tree.repo_id)).ok
    assert not kept.home.exists()


def test_a_copy_that_another_repository_needs_stays(
    kept: KeptStore, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.job(S.SKIPPED, run="run", own=b"the same")
    other = KeptStore(engine, tmp_path / "clone", monkeypatch, days=1)
    other.job(S.QUEUED, run="run", own=b"the same")
    (copy,) = (tmp_path / "copies").rglob("*.tar.gz")
    assert ask(engine, ForgetRepo(repo=kept.tree.repo_id)).ok
    assert copy.exists()
    assert ask(engine, ForgetRepo(repo=other.tree.repo_id)).ok
    assert not copy.exists()


def test_a_run_that_was_being_looked_at_meanwhile_ends_as_well(kept: KeptStore, engine: Engine) -> None:
    """Between a look at the registered trees and the append there is time for a person."""
    path = put_manifest(kept.repo)
    tree = kept.tree
    kept.days = 0
    assert ask(engine, ForgetRepo(repo=tree.repo_id)).ok
    seen = engine.look(path, tree)
    assert seen is not None
    assert seen.job_id is not None
    assert engine.door.job(seen.job_id).status == S.DISMISSED


def test_only_an_approver_may(kept: KeptStore, engine: Engine) -> None:
    engine.place.settings = engine.settings.model_copy(update={"approvers": ("nobody-here",)})
    job = kept.job(S.QUEUED)
    assert ask(engine, ForgetRepo(repo=kept.tree.repo_id)).code == "not_an_approver"
    assert engine.door.job(job.id).status == S.QUEUED
    assert kept.home.exists()


def test_retention_leaves_what_is_being_forgotten_to_forgetting(kept: KeptStore, engine: Engine) -> None:
    kept.job(S.SKIPPED)
    kept.engine.desk.forgotten = lambda: None
    assert ask(engine, ForgetRepo(repo=kept.tree.repo_id)).ok
    assert Round(engine.place).prune() == 0
    assert kept.home.exists()
    assert engine.clear_forgotten().freed > 0
    assert not kept.home.exists()


# --- the verb and the daemon ------------------------------------------------------------------------


def test_the_verb_shows_first_and_asks(kept: KeptStore, engine: Engine, place: CliPlace) -> None:
    kept.job(S.LEARNED, P.CANDIDATE)
    kept.job(S.OVER_BUDGET)
    engine.log.close()
    nobody = place.learnd("forget", kept.repo)
    assert nobody.code == 2
    assert f"learnd forget {kept.repo} --yes" in nobody.err
    shown = place.on_terminal("forget", kept.repo, typed="n\n")
    assert shown.code == 1
    for told in ("1 over_budget", "1 pattern files", "for ever", "cannot be undone", "KiB"):
        assert told in shown.out
    assert events(place.state, RepositoryForgotten) == []


def test_skills_stay_with_the_patterns_they_are_of_and_the_plan_says_so(
    kept: KeptStore, engine: Engine, place: CliPlace
) -> None:
    own, other = kept.job(S.LEARNED, P.ACTIVE), "cd" * 32
    for folder, pattern_id in ((".claude/skills/own", own.pattern_id), (".agents/skills/other", other)):
        text = f'---\nname: x\nmetadata:\n  learnd-pattern: "{pattern_id}"\n---\n\ntext\n'
        write(kept.repo, {f"{folder}/SKILL.md": text})
    write(kept.repo, {".claude/skills/mine/SKILL.md": "---\nname: mine\n---\n"})
    shown = place.on_terminal("forget", kept.repo, typed="n\n", columns=400)
    assert f"1 skill that learnd wrote in {kept.repo}/.claude/skills: agents load them" in shown.out
    before = files(kept.repo)
    assert ask(engine, ForgetRepo(repo=kept.tree.repo_id)).ok
    assert {name for name in before if "skills" in name} <= files(kept.repo)


GATED = """import os
import time
import unittest

from calc import mean


class CalcTest(unittest.TestCase):
    def test_mean_of_nothing(self):
        while not os.path.exists("/nowhere"):
            time.sleep(0.05)
        self.assertEqual(mean([]), 0.0)
"""


@pytest.mark.sandbox
def test_a_daemon_stops_watching_ends_the_replay_and_deletes(place: CliPlace) -> None:
    repo, module = make_repo(place.root / "repo"), f"test_gate_{uuid.uuid4().hex}"
    copies = place.root / "copies"
    with Daemon(place.state, [repo], LEARND_SWEEP_SECONDS="1", LEARNING_SNAPSHOT_DIR=str(copies)) as daemon:
        daemon.ready()
        write(repo, {"calc.py": FIXED_CALC, f"{module}.py": GATED})
        run = manifest()
        (command,) = run["commands"]  # type: ignore[misc] # it has one
        put_manifest(repo, {**run, "commands": [{**command, "command": f"{sys.executable} -m unittest {module}"}]})
        until(lambda: any(line.startswith(sys.executable) for line in processes(module)), "a replay")
        (home,) = (place.state / "repositories").iterdir()
        done = place.learnd("forget", repo, "--yes", "--reason", "archived")
        assert done.code == 0, done.err
        until(lambda: not home.exists(), "the store's end")
        until(lambda: not processes(module) and not left_behind(place.state), "the replay's end")
        put_manifest(repo, manifest(run="afterwards"))
        other = make_repo(place.root / "other")
        assert place.learnd("init", other, "--yes").code == 0
        put_manifest(other, manifest(run="elsewhere"))
        opened = daemon.waits_for(JobOpened, 2)
        assert [event.run_id for event in opened] == ["run-1", "elsewhere"]
        health = daemon.health()
        assert health is not None
        assert health["troubles"] == {}
        assert daemon.end() == 0
    assert len(events(place.state, SnapshotPruned)) == 1
    assert files(copies) == {name for name in files(copies) if "elsewhere" in name}
    assert "elsewhere" not in {path.name for path in (repo / ".runs").rglob("*")}


@pytest.mark.parametrize("point", [4, *thorough(1)])
def test_killed_while_it_forgets_the_next_start_finishes(
    place: CliPlace, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is missing")
    with Engine.opened(Settings(state_dir=place.state)) as engine:
        kept = KeptStore(engine, place.root / "repo", monkeypatch, days=1)
        jobs = [kept.job(S.SKIPPED), kept.job(S.NEEDS_MANUAL_SCENARIO)]
    inject = f"inject=unlink,unlinkat:signal=KILL:when={point}"
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject]
    argv = [*strace, sys.executable, "-P", "-m", "learnd", "forget", str(kept.repo), "--yes"]
    done = subprocess.run(argv, env=place.env, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == -signal.SIGKILL
    assert len(events(place.state, RepositoryForgotten)) == 1
    assert kept.home.exists()
    with Daemon(place.state) as daemon:
        daemon.ready()
        until(lambda: not kept.home.exists(), "the store's end")
        assert daemon.end() == 0
    assert len(events(place.state, JobDismissed)) == len(events(place.state, SnapshotPruned)) == len(jobs)
    assert files(kept.repo / "learning-snapshots") == {".gitignore"}
    assert not list((kept.repo / ".runs").rglob("*.tar.gz"))
    assert place.learnd("verify").code == 0


def test_killed_right_after_the_event_the_next_start_dismisses_and_deletes(
    place: CliPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engine.opened(Settings(state_dir=place.state)) as engine:
        kept = KeptStore(engine, place.root / "repo", monkeypatch, days=1)
        kept.job(S.QUEUED)
        person = c.Person("anna", frozenset({"anna"}), claimed="Anna", reason="old")
        engine.door.handle(c.ForgetRepository(kept.tree.repo_id, person), "anna")
    assert kept.home.exists()
    other = make_repo(place.root / "other")
    assert place.learnd("once", other).code == 0
    assert not kept.home.exists()
    (dismissed,) = events(place.state, JobDismissed)
    assert (dismissed.approver, dismissed.claimed) == ("anna", "Anna")
    assert job_types(place.state)[-2:] == ["JobDismissed", "SnapshotPruned"]


def test_a_linked_work_tree_is_forgotten_with_its_repository(kept: KeptStore, engine: Engine) -> None:
    linked = kept.repo.with_name("linked")
    subprocess.run(["git", "-C", kept.repo, "worktree", "add", "-q", str(linked)], check=True)
    register(engine.door, engine.views(), linked, "anna")
    assert len(engine.views().work_trees()) == 2
    assert ask(engine, ForgetRepo(repo=find(engine.views(), str(linked)).id)).ok
    assert engine.views().work_trees() == []
