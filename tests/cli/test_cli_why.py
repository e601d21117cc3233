"""`why`: where a job or a file stands, why, and what moves it on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_place import CliPlace, a_manifest, a_repository

from state.job import BLOCKED, JobStatus
from state.pattern import PatternStatus as P

S = JobStatus


@pytest.fixture
def repo(place: CliPlace) -> Path:
    """A registered repository."""
    return place.registered("shop")


def why(place: CliPlace, what: object) -> dict[str, object]:
    done = place.learnd("why", str(what), "--json")
    assert done.code == 0, done.err
    told = done.json
    assert isinstance(told, dict)
    return told


def test_a_job_s_answer_has_since_event_and_command(place: CliPlace) -> None:
    ids = place.jobs_in(*BLOCKED)
    events = [json.loads(line) for line in place.learnd("tail", "--json", "--since", "0").lines]
    for status, identity in ids.items():
        told = why(place, identity[:8])
        assert told["stands"] == status.value
        assert str(told["next"]).startswith(f"learnd approve {identity[:8]}")
        event = told["because"]
        assert isinstance(event, dict)
        recorded = events[event["position"] - 1]
        assert (recorded["type"], recorded["at"]) == (event["type"], told["since"])


def test_a_job_that_waits_for_the_machine_says_so(place: CliPlace) -> None:
    from state.commands import RaiseFault

    identity = place.jobs_in(S.SCENARIO_READY)[S.SCENARIO_READY]
    place.record(RaiseFault("sandbox", "no bubblewrap here"))
    told = why(place, identity)
    assert "no bubblewrap here" in str(told["reason"])
    assert told["next"] == "learnd doctor"


def test_a_run_that_nobody_looked_at_yet(place: CliPlace, repo: Path) -> None:
    told = why(place, a_manifest(repo))
    assert (told["stands"], told["next"]) == ("not seen yet", "learnd once")


def test_a_run_s_folder_stands_for_its_manifest(place: CliPlace, repo: Path) -> None:
    manifest = a_manifest(repo)
    assert why(place, manifest.parent)["path"] == str(manifest)


def test_a_run_older_than_the_registration_is_left_alone_until_asked_for(place: CliPlace, repo: Path) -> None:
    manifest = a_manifest(repo, completed_at="2020-01-31T12:00:00.000Z", started_at="2020-01-31T11:00:00.000Z")
    told = why(place, manifest)
    assert told["stands"] == "older than registration"
    assert told["next"] == f"learnd learn {manifest}"
    learned = place.learnd("learn", manifest)
    assert learned.code == 0
    assert str(why(place, manifest)["stands"]).endswith("is opened")


def test_a_run_in_progress_has_no_job_yet(place: CliPlace, repo: Path) -> None:
    told = why(place, a_manifest(repo, status="in_progress", completed_at=None))
    assert (told["stands"], told["next"]) == ("in progress", None)


def test_a_failed_run_is_recorded_and_never_learned_from(place: CliPlace, repo: Path) -> None:
    manifest = a_manifest(repo, status="failed")
    assert "never learned from" in str(why(place, manifest)["reason"])
    assert place.learnd("once").code == 0
    told = why(place, manifest)
    assert str(told["stands"]).endswith("is recorded")
    assert told["next"] is None


def test_a_stub_and_a_link_are_followed_to_the_run(place: CliPlace, repo: Path) -> None:
    manifest = a_manifest(repo)
    stub = repo / ".runs/fix-total/mcp/run-1/manifest.json"
    stub.parent.mkdir(parents=True)
    stub.write_text('{"redirect_to": ".runs/fix-total/cli/run-1"}')
    link = repo / ".runs/local-mcp"
    link.mkdir()
    (link / "run-1").symlink_to("../fix-total/cli/run-1")
    for path in (stub, link / "run-1/manifest.json"):
        told = why(place, path)
        assert told["path"] == str(manifest)
        assert told["stands"] == "not seen yet"
        assert told["way"]


def test_a_file_that_is_no_run_says_what_it_is(place: CliPlace, repo: Path) -> None:
    file = repo / ".runs/t/cli/r/manifest.json"
    file.parent.mkdir(parents=True)
    for text, stands, said in (
        ('{"mode": "mcp", "started_at": "x", "command": "y"}', "not a run", "MCP server"),
        ('{"version": 1, "task_id": "t", "run_id": "r"}', "not a run", "trimmed"),
        ('{"version": 1, ', "unreadable", "half-written"),
    ):
        file.write_text(text)
        told = why(place, file)
        assert told["stands"] == stands
        assert said in str(told["reason"])


def test_a_link_out_of_the_repository_is_refused(place: CliPlace, repo: Path) -> None:
    outside = a_manifest(a_repository(place.root / "other"))
    file = repo / ".runs/t/cli/r/manifest.json"
    file.parent.mkdir(parents=True)
    file.symlink_to(outside)
    assert why(place, file)["stands"] == "unreadable"


def test_a_repository_that_is_not_registered(place: CliPlace, repo: Path) -> None:
    other = a_repository(place.root / "other")
    told = why(place, a_manifest(other))
    assert (told["stands"], told["next"]) == ("not registered", f"learnd init {other}")


def test_a_file_is_explained_before_there_is_a_log(place: CliPlace) -> None:
    other = a_repository(place.root / "other")
    assert why(place, a_manifest(other))["stands"] == "not registered"
    assert not place.state.exists()


def test_a_path_that_is_not_there_exits_2(place: CliPlace, repo: Path) -> None:
    assert place.learnd("why", str(repo / ".runs/nothing")).code == 2


def test_a_pattern_s_answer_says_what_brought_it_there(place: CliPlace) -> None:
    ids = place.patterns_in(P.QUARANTINED, P.CANDIDATE, P.EDITED, P.STALE, P.EXPIRED, P.ACTIVE)
    said = {status: str(why(place, identity[:8])["reason"]) for status, identity in ids.items()}
    assert said[P.QUARANTINED].startswith("stopped by gate grounding")
    assert said[P.CANDIDATE].startswith("waits for a person's word: ")
    assert said[P.EDITED].startswith("its file was edited")
    assert said[P.STALE] == "what it cites changed: a.py"
    assert said[P.EXPIRED] == "nobody decided on it in time"
    assert said[P.ACTIVE].startswith("decided by")
