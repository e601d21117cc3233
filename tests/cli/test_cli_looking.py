"""`jobs`, `show`, `status`, `review`, `metrics`, `verify`, `diagram`: what is printed, and in which shape."""

from __future__ import annotations

import dataclasses
import sqlite3

import pytest
from cli_place import TEXT, CliPlace
from support import histories as h

from state import job, pattern
from state.job import JobStatus
from state.machine import mermaid
from state.pattern import PatternStatus

S, P = JobStatus, PatternStatus
ALL = tuple(status for status in S if status is not S.NEW)
FIELDS = [
    "id", "repo", "task_id", "run_id", "manifest_path", "status", "evidence", "isolation", "scenario_source", "pattern",
    "service", "group", "lead",
    "opened_at", "updated_at",
]  # fmt: skip


def test_jobs_as_json_has_every_job_in_the_promised_shape(place: CliPlace) -> None:
    ids = place.jobs_in(*ALL)
    done = place.learnd("jobs", "--json")
    assert done.code == 0
    assert [list(row) for row in done.json] == [FIELDS] * len(ALL)
    assert {row["id"]: row["status"] for row in done.json} == {ids[status]: status.value for status in ALL}
    learned = next(row for row in done.json if row["status"] == "learned")
    assert (learned["repo"], learned["evidence"], learned["isolation"]) == ("/repo", "proven", "bubblewrap")
    assert (learned["scenario_source"], learned["pattern"]) == ("execution_history", h.PATTERN)


def test_jobs_for_people_leaves_out_what_nothing_is_owed_to_and_says_so(place: CliPlace) -> None:
    place.jobs_in(S.LEARNED, S.RECORDED, S.SUPERSEDED, S.DISMISSED)
    done = place.learnd("jobs")
    assert len(done.lines) == 2
    assert done.err == "3 more that nothing is owed to. Next: learnd jobs --all\n"
    assert len(place.learnd("jobs", "--all").lines) == 5


def test_jobs_are_chosen_by_status_and_repository(place: CliPlace) -> None:
    place.jobs_in(*ALL)
    blocked = place.learnd("jobs", "--status", "blocked", "--json").json
    assert {row["status"] for row in blocked} == {status.value for status in job.BLOCKED}
    two = place.learnd("jobs", "--status", "queued", "--status", "recorded", "--json").json
    assert {row["status"] for row in two} == {"queued", "recorded"}
    elsewhere = place.learnd("jobs", "--repo", "/elsewhere", "--json")
    assert (elsewhere.code, elsewhere.out) == (2, "")
    assert "/elsewhere lies in no repository that learnd knows. Next: " in elsewhere.err
    assert len(place.learnd("jobs", "--repo", "/repo/inside", "--json").json) == len(ALL)


def test_show_as_json_has_job_events_evidence_and_files(place: CliPlace) -> None:
    identity = place.jobs_in(S.LEARNED)[S.LEARNED]
    shown = place.learnd("show", identity[:8], "--json").json
    assert list(shown) == ["job", "events", "group", "evidence", "files"]
    assert shown["job"].items() >= place.learnd("jobs", "--json").json[0].items()
    assert (shown["events"][0]["type"], shown["events"][-1]["type"]) == ("JobOpened", "JobLearned")
    assert set(shown["events"][0]) == {
        "position", "stream", "version", "id", "type", "schema", "at", "actor", "correlation", "causation", "data",
        "hash",
    }  # fmt: skip
    assert shown["evidence"] == {
        "verdict": "proven", "cause": None, "base": [], "snapshot": [], "hunks": [],
        "tests": None, "flaky_tests": [], "minimal": None, "attestations": [], "group": None,
    }  # fmt: skip
    assert shown["files"]["manifest"] == h.RUN.manifest_path
    assert set(shown["files"]) >= {"tarball", "diff", "payload", "prompt", "scenario", "evidence", "draft"}


def test_show_has_the_replays_and_hunks_of_the_evidence(place: CliPlace) -> None:
    outcome = {"seconds": 1.5, "hash_seed": 0, "source": "pytest", "exit_code": 1}
    fails = {**outcome, "ok": False, "cause": "assertion", "failing": ["t.py::test_a"], "counts": {"failed": 1}}
    passes = {**outcome, "ok": True, "exit_code": 0, "counts": {"passed": 1}}
    hunk = {"file": "a.py", "lines": [3, 5], "verdict": "exercised", "turned": ["t.py::test_a"]}
    minimal = {
        "file": h.FILE, "hunks": [0], "lines_added": 3, "lines_removed": 1, "tried": 2,
        "complete": False, "verified": True,
    }  # fmt: skip
    evidence = h.evidence().model_validate(
        {
            "verdict": "proven", "isolation": "bubblewrap", "base": [fails] * 3, "snapshot": [passes] * 3,
            "hunks": [hunk], "minimal": minimal,
            "transitions": {"fail_to_pass": {"count": 1, "ids": ["t.py::test_a"]}},
            "flaky_tests": [{"test": "u.py::test_b", "side": "base", "failed": 1, "runs": 3}],
        }
    )  # fmt: skip
    place.record(*h.TO_READY, h.replay, dataclasses.replace(h.proven, evidence=evidence))
    told = place.learnd("show", h.JOB, "--json").json["evidence"]
    assert [one["ok"] for one in told["base"] + told["snapshot"]] == [False] * 3 + [True] * 3
    assert told["hunks"] == [{**hunk, "together": []}]
    assert (told["tests"]["fail_to_pass"]["count"], told["minimal"]["hunks"]) == (1, [0])
    lines = place.learnd("show", h.JOB).lines
    shown = "\n".join(lines)
    assert "tests: 1 fail to pass, 0 pass to pass, 0 fail to fail, 0 pass to fail" in shown
    assert "flaky on the base: u.py::test_b, failed 1 of 3" in shown
    assert f"smallest proven change: 1 of 1 hunks, +3 -1, {h.FILE.path} (the time was up" in shown
    assert any(line.split()[:3] == ["base", "3", "fails"] for line in lines)
    assert any(line.split()[:2] == ["exercised", "a.py:3-5"] for line in lines)


def test_show_of_a_job_without_evidence_says_null(place: CliPlace) -> None:
    identity = place.jobs_in(S.OPENED)[S.OPENED]
    assert place.learnd("show", identity, "--json").json["evidence"] is None


def test_a_prefix_of_several_jobs_is_refused(place: CliPlace) -> None:
    place.record(*(dataclasses.replace(h.open_job(), job_id="abcdef00" + end * 56) for end in "12"))
    done = place.learnd("show", "abcdef00")
    assert done.code == 1
    assert "give more digits" in done.err


def test_read_models_of_another_learnd_are_not_believed(place: CliPlace) -> None:
    place.jobs_in(S.LEARNED)
    with sqlite3.connect(place.log) as connection:
        connection.execute("UPDATE read_models SET version = version + 1")
        connection.execute("UPDATE jobs SET status = 'opened'")
    assert [row["status"] for row in place.learnd("jobs", "--json").json] == ["learned"]
    rebuilt = place.learnd("rebuild")
    assert (rebuilt.code, rebuilt.err) == (0, "")
    with sqlite3.connect(place.log) as connection:
        assert connection.execute("SELECT status FROM jobs").fetchall() == [("learned",)]


# --- status ---


def test_status_names_the_command_for_everything_that_is_blocked(place: CliPlace) -> None:
    ids = place.jobs_in(*job.BLOCKED)
    told = place.learnd("status", "--json").json
    commands = {item["status"]: item["next"] for item in told["blocked"]}
    assert set(commands) == {status.value for status in job.BLOCKED}
    assert all(commands[status.value].startswith(f"learnd approve {ids[status][:8]}") for status in job.BLOCKED)
    assert commands["needs_manual_scenario"].endswith(f"--scenario {h.FILE.path}")
    assert commands["over_budget"].endswith("--grant-usd 0.20")
    assert told["daemon"]["answers"] is False
    assert told["jobs"] == {status.value: 1 for status in job.BLOCKED}


def test_status_says_aloud_that_learning_is_off(place: CliPlace) -> None:
    place.daemon(env={"LEARNING_PIPELINE_ENABLED": "0"})
    done = place.learnd("status")
    assert any(line.startswith("learning  OFF") for line in done.lines)
    assert place.learnd("status", "--json").json["daemon"]["learning_enabled"] is False


def test_status_shows_faults_of_the_machine(place: CliPlace) -> None:
    from state.commands import RaiseFault

    place.record(RaiseFault("sandbox", "no bubblewrap here"))
    assert [fault["kind"] for fault in place.learnd("status", "--json").json["faults"]] == ["sandbox"]
    assert any("no bubblewrap here" in line and "learnd doctor" in line for line in place.learnd("status").lines)


# --- review ---


def test_review_as_json_is_an_array_of_patterns_that_wait(place: CliPlace) -> None:
    ids = place.patterns_in(*(status for status in P if status is not P.NEW))
    waiting = place.learnd("review", "--json").json
    assert {row["status"] for row in waiting} == {"candidate", "edited", "quarantined"}
    assert {"id", "title", "status", "verdict", "repo", "job_id", "manifest_path", "evidence"} <= set(waiting[0])
    assert {row["id"] for row in place.learnd("review", "--all", "--json").json} == set(ids.values())


def test_review_of_one_pattern_has_its_text_and_what_to_type(place: CliPlace) -> None:
    identity = place.patterns_in(P.CANDIDATE)[P.CANDIDATE]
    done = place.learnd("review", identity[:8])
    assert done.lines[-1] == "# text"
    assert f"learnd promote {identity[:8]}" in done.out
    (one,) = place.learnd("review", identity[:8], "--json").json
    assert one["text"] == TEXT


def test_nothing_to_review_is_an_empty_array_and_a_word(place: CliPlace) -> None:
    place.record()
    assert place.learnd("review", "--json").json == []
    assert "nothing to review" in place.learnd("review").err


# --- metrics, verify, diagram ---


def test_metrics_count_what_the_log_says(place: CliPlace) -> None:
    ids = place.jobs_in(S.VALIDATION_FAILED, S.STALLED_SNAPSHOT, S.NEEDS_MANUAL_SCENARIO, S.SKIPPED)
    place.patterns_in(P.CANDIDATE, P.ACTIVE, P.REJECTED, P.DEPRECATED)
    place.record(dataclasses.replace(h.approve, job_id=ids[S.VALIDATION_FAILED]))
    found = place.learnd("metrics", "--json").json
    assert list(found)[:4] == ["validation", "blocked", "reviewing", "regressions"]
    assert (found["validation"]["proven"], found["validation"]["pass_only"], found["validation"]["failed"]) == (1, 1, 3)
    assert found["validation"]["root_causes"] == {
        "snapshot_integrity": {"digest": 1},
        "scenario_synthesis": {"no_command": 1},
        "test_failures": {"disagreement": 1},
        "inconclusive": {},
    }
    assert (found["blocked"]["resolved"], found["blocked"]["open"]) == (1, 2)
    assert (found["reviewing"]["promoted"], found["reviewing"]["rejected"], found["reviewing"]["waiting"]) == (2, 1, 1)
    assert found["reviewing"]["rejection_rate"] == pytest.approx(1 / 3)
    assert found["pattern_hygiene"]["now"] == {"candidate": 1, "active": 1, "rejected": 1, "deprecated": 1}
    assert found["throughput"]["learned"] == 1
    assert found["model_spend"][0].items() >= {"model": "gpt-4o", "calls": 1, "assumed": 0, "cost_usd": 0.1}.items()
    assert found["spent_usd"] == pytest.approx(0.1)


def test_metrics_of_an_empty_log_know_nothing_rather_than_zero(place: CliPlace) -> None:
    place.record()
    found = place.learnd("metrics", "--json").json
    assert found["validation"]["pass_rate"] is None
    assert found["blocked"]["median_seconds"] is None
    assert found["reviewing"]["rejection_rate"] is None
    assert place.learnd("metrics").code == 0


def test_verify_prints_the_head(place: CliPlace) -> None:
    place.jobs_in(S.LEARNED)
    done = place.learnd("verify")
    found = place.learnd("verify", "--json").json
    assert done.code == 0
    assert done.lines[-1] == f"head {found['position']} {found['hash']}"
    assert found["ok"]


def test_verify_names_the_first_position_that_does_not_hold(place: CliPlace) -> None:
    place.jobs_in(S.LEARNED)
    with sqlite3.connect(place.log) as connection:
        connection.execute("DROP TRIGGER events_are_never_changed")
        connection.execute("UPDATE events SET actor = 'somebody' WHERE position >= 4")
    done = place.learnd("verify", "--json")
    assert done.code == 1
    assert (done.json["ok"], done.json["damaged_at"]) == (False, 4)
    assert "position 4" in done.err


@pytest.mark.parametrize(("word", "table"), [("job", job.TABLE), ("pattern", pattern.TABLE)])
def test_diagram_is_the_table_s(place: CliPlace, word: str, table: object) -> None:
    assert place.learnd("diagram", word).out == mermaid(table)  # type: ignore[arg-type]
