"""Every real manifest kept beside the checkout, through the whole of learnd: the outcome of its shape, and why.

Three times: swept as what they are, older than the registration; asked for by hand; and in a repository that was
registered before any of them ran.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.repos import git, make_repo, write

from learnd.engine import Engine
from learnd.harvest.repository import identify
from learnd.intake import Seen
from learnd.repositories import register
from learnd.requests import LearnRun, Reply
from learnd.settings import Settings
from learnd.verbs.why import why
from learnd.views.queries import JobRow
from state.commands import RegisterRepository

pytestmark = pytest.mark.shared

DATA = Path(__file__).resolve().parents[3] / "shared/data/co-manifests"
INDEX: dict[str, Any] = (
    json.loads((DATA / "index.json").read_text()) if DATA.is_dir() else {"manifests": [], "extras": []}
)
MANIFESTS: list[dict[str, Any]] = INDEX["manifests"]
SWEPT = [entry for entry in MANIFESTS if entry["source"].startswith(".runs/")]
RUNS = [entry for entry in MANIFESTS if entry["shape"] in ("agents-sdk", "cli-v1")]
SUCCEEDED = [entry for entry in RUNS if entry["status"] == "succeeded"]
FAILED = [entry for entry in RUNS if entry["status"] == "failed"]
NO_RUNS = [entry for entry in MANIFESTS if entry not in RUNS]
SAID = {
    "hand-written": "written by hand",
    "mcp-server": "MCP server",
    "approval-event": "an approval",
    "cli-v1-trimmed": "missing",
}


@dataclass
class Place:
    """The manifests in a real repository, an engine that holds the log, and what was answered."""

    repo: Path
    engine: Engine
    state: Path
    seen: dict[str, Seen]
    replies: dict[str, Reply]

    def job(self, entry: dict[str, Any]) -> JobRow:
        (row,) = self.engine.views().jobs_of_manifest(str(self.repo / entry["source"]))
        return row

    def why(self, entry: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
        """What `learnd why` prints about a manifest."""
        capsys.readouterr()
        assert why(self.state / "events.db", str(self.repo / entry["source"]), as_json=True) == 0
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told


def lay_out(folder: Path) -> Path:
    """A repository whose documentation changed, with every manifest and its companions where they stood."""
    repo = make_repo(folder, {"notes.md": "old\n"})
    git(repo, "rm", "-q", "calc.py", "test_calc.py")
    git(repo, "commit", "-q", "-m", "no code")
    write(repo, {"notes.md": "new\n"})
    for entry in MANIFESTS:
        _copy(DATA / entry["dir"] / "manifest.json", repo / entry["source"])
        for companion in entry["companions"]:
            _copy(DATA / entry["dir"] / companion["file"], repo / companion["source"])
    for extra in INDEX["extras"]:
        _copy(DATA / extra["file"], repo / extra["source"])
    return repo


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def work(engine: Engine) -> None:
    while (job_id := engine.scheduler.take(0)) is not None:
        engine.work(job_id)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Registered today; swept; then every manifest asked for by hand, and every job driven to rest."""
    folder = tmp_path_factory.mktemp("asked")
    with Engine.opened(Settings(state_dir=folder / "state")) as engine:
        repo = lay_out(folder / "repo")
        tree = register(engine.door, engine.views(), repo, "anna")
        seen = {os.path.relpath(one.path, repo): one for one in engine.sweep(tree)}
        assert engine.views().jobs() == []
        replies = {}
        for entry in MANIFESTS:
            request = LearnRun(manifest=str(repo / entry["source"])).model_dump_json()
            replies[entry["source"]] = engine.desk.answer(request, os.getuid())
        work(engine)
        yield Place(repo, engine, folder / "state", seen, replies)


@pytest.fixture(scope="module")
def in_time(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Registered before the oldest of them ran; swept, and every job driven to rest."""
    folder = tmp_path_factory.mktemp("in-time")
    with Engine.opened(Settings(state_dir=folder / "state")) as engine:
        repo = lay_out(folder / "repo")
        known = identify(repo)
        engine.door.handle(
            RegisterRepository(
                repo_id="00" * 16, path=str(known.work_tree), common_dir=str(known.common_dir), device=known.device,
                inode=known.inode, root_commit=known.root_commit, at="2025-01-01T00:00:00.000Z",
            ),
            "anna",
        )  # fmt: skip
        (tree,) = engine.views().work_trees()
        seen = {os.path.relpath(one.path, repo): one for one in engine.sweep(tree)}
        work(engine)
        yield Place(repo, engine, folder / "state", seen, {})


def by_source(entry: dict[str, Any]) -> str:
    return str(entry["source"])


@pytest.mark.parametrize("entry", SWEPT, ids=by_source)
def test_a_sweep_leaves_alone_what_is_no_run_or_older_than_the_registration(
    asked: Place, entry: dict[str, Any]
) -> None:
    seen = asked.seen[entry["source"]]
    assert not seen.done
    if entry in RUNS:
        assert seen.what == "refused"
        assert "before the repository was registered" in seen.reason
    else:
        assert seen.what == "not_a_run"
        assert SAID[entry["shape"]] in seen.reason


def test_the_sweep_sees_each_once(asked: Place) -> None:
    assert sorted(asked.seen) == sorted(entry["source"] for entry in SWEPT)


@pytest.mark.parametrize("entry", NO_RUNS, ids=by_source)
def test_what_is_no_run_opens_no_job_even_when_asked_for(
    asked: Place, entry: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    reply = asked.replies[entry["source"]]
    assert reply.code == "not_a_run"
    assert SAID[entry["shape"]] in reply.message
    assert asked.engine.views().jobs_of_manifest(str(asked.repo / entry["source"])) == []
    told = asked.why(entry, capsys)
    assert told["stands"] == "not a run"
    assert SAID[entry["shape"]] in told["reason"]


@pytest.mark.parametrize("entry", SUCCEEDED, ids=by_source)
def test_a_succeeded_run_that_is_asked_for_says_what_it_lacks(
    asked: Place, entry: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The work tree has no code, so nothing in it can verify the change: a person has to say how."""
    assert asked.replies[entry["source"]].ok
    job = asked.job(entry)
    assert job.status == "needs_manual_scenario"
    assert job.detail
    told = asked.why(entry, capsys)
    assert told["stands"].endswith("needs_manual_scenario")
    assert job.detail in told["reason"]
    assert told["next"].startswith(f"learnd approve {job.id[:8]} --scenario ")
    block = json.loads((asked.repo / entry["source"]).read_text())["learning"]
    assert block["validation"]["status"] == "needs_manual_scenario"


@pytest.mark.parametrize("entry", FAILED, ids=by_source)
def test_a_failed_run_that_is_asked_for_is_recorded_and_left_alone(
    asked: Place, entry: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked.replies[entry["source"]].ok
    assert asked.job(entry).status == "recorded"
    told = asked.why(entry, capsys)
    assert told["stands"].endswith("recorded")
    assert "never learned from" in told["reason"]
    assert (asked.repo / entry["source"]).read_bytes() == (DATA / entry["dir"] / "manifest.json").read_bytes()


@pytest.mark.parametrize("entry", [entry for entry in SWEPT if entry in RUNS], ids=by_source)
def test_a_run_swept_long_after_it_ended_is_recorded_or_skipped_with_the_reason(
    in_time: Place, entry: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """What lies in the work tree today cannot be said to be the work of a run of last year."""
    assert in_time.seen[entry["source"]].done
    job = in_time.job(entry)
    told = in_time.why(entry, capsys)
    assert told["stands"].endswith(job.status)
    if entry["status"] == "failed":
        assert job.status == "recorded"
        return
    assert (job.status, job.cause) == ("skipped", "not_attributable")
    assert job.detail in told["reason"]


def test_the_log_of_all_this_holds(asked: Place, in_time: Place) -> None:
    asked.engine.log.verify()
    in_time.engine.log.verify()
