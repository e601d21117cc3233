"""The task's metrics and state: one line a job, nothing of others lost."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from learnd.manifest import tasks
from learnd.manifest.tasks import (
    MetricsLine,
    Safety,
    TaskFileBusy,
    TaskFileRefused,
    TaskState,
    ValidationCounts,
    append_metrics,
    write_state,
)

AT = "2026-01-02T03:06:00.000Z"
PRODUCERS = '{"run_id":"r","task_id":"t","status":"succeeded","recorded_at":"2026-01-02T03:05:00.000Z"}'


def line(job: str = "a" * 64) -> MetricsLine:
    return MetricsLine(job=job, task_id="t", run_id="r", recorded_at=AT, learning_status="learned")


def metrics(repo: Path) -> Path:
    path = repo / ".runs/t/metrics.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_a_job_has_exactly_one_line(repo: Path) -> None:
    assert append_metrics(repo, "t", line())
    assert not append_metrics(repo, "t", line())
    assert append_metrics(repo, "t", line("b" * 64))
    stored = [json.loads(text) for text in metrics(repo).read_text().splitlines()]
    assert [item["job"] for item in stored] == ["a" * 64, "b" * 64]
    assert list(metrics(repo).parent.iterdir()) == [metrics(repo)]


@pytest.mark.parametrize("before", [PRODUCERS, PRODUCERS + "\n", "", "garbage\n\n", '{"job": "' + "a" * 64])
def test_what_stands_there_stays(repo: Path, before: str) -> None:
    metrics(repo).write_text(before)
    assert append_metrics(repo, "t", line())
    text = metrics(repo).read_text()
    assert text.startswith(before)
    assert json.loads(text.splitlines()[-1])["job"] == "a" * 64
    assert text.endswith("}\n")


def test_a_job_that_is_only_mentioned_has_no_line_yet(repo: Path) -> None:
    metrics(repo).write_text(json.dumps({"note": "a" * 64}) + "\n")
    assert append_metrics(repo, "t", line())


def test_the_producer_does_not_count_a_line_of_learnd_as_a_run() -> None:
    assert not {"run_id", "status", "recorded_at"} <= set(line().model_dump())


def test_refused_when_the_file_is_an_array(repo: Path) -> None:
    metrics(repo).write_text(f"\n [{PRODUCERS}]".lstrip("\n"))
    with pytest.raises(TaskFileRefused, match="move it aside"):
        append_metrics(repo, "t", line())
    assert json.loads(metrics(repo).read_text())[0]["run_id"] == "r"


def test_refused_when_the_file_is_huge(repo: Path) -> None:
    metrics(repo).touch()
    os.truncate(metrics(repo), 1024**4)
    with pytest.raises(TaskFileRefused, match="move it aside"):
        append_metrics(repo, "t", line())


def test_waits_for_nobody_for_ever(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "WAIT_S", 0.1)
    metrics(repo).with_name("metrics.lock").write_text("producer")
    with pytest.raises(TaskFileBusy):
        append_metrics(repo, "t", line())


def test_writers_at_the_same_time_lose_no_line(repo: Path) -> None:
    def append(part: int) -> None:
        for at in range(5):
            append_metrics(repo, "t", line(f"{part}-{at}"))

    threads = [threading.Thread(target=append, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = [json.loads(text)["job"] for text in metrics(repo).read_text().splitlines()]
    assert sorted(stored) == sorted(f"{part}-{at}" for part in range(4) for at in range(5))


def state(passed: int, at: str = AT) -> TaskState:
    return TaskState(updated_at=at, safety=Safety(validation=ValidationCounts(passed=passed)))


def test_the_state_has_exactly_the_names_of_the_task_report(repo: Path) -> None:
    assert write_state(repo, "t", state(2))
    assert json.loads((repo / "out/t/state.json").read_text()) == {
        "updated_at": AT,
        "safety": {
            "validation": {"passed": 2, "failed": 0, "stalled": 0, "manual": 0},
            "reviewer": {"rejections": 0, "average_latency_ms": None},
            "regression_detection": {"detected": 0},
            "pattern_hygiene": {"promoted": 0, "deprecated": 0},
        },
        "throughput": {"candidates": 0},
        "alerts": {"total": 0, "snapshot_failed": 0, "stalled_snapshot": 0, "needs_manual_scenario": 0},
    }


def test_the_state_is_written_again_only_when_it_says_something_else(repo: Path) -> None:
    assert write_state(repo, "t", state(2))
    assert not write_state(repo, "t", state(2, "2027-01-01T00:00:00.000Z"))
    assert write_state(repo, "t", state(3, "2027-01-01T00:00:00.000Z"))


def test_members_of_others_stay_in_the_state(repo: Path) -> None:
    path = repo / "out/t/state.json"
    path.parent.mkdir(parents=True)
    path.write_text('{\n  "theirs": 1.10,\n  "alerts": {\n    "total": 9,\n    "more": 1\n  }\n}\n')
    assert write_state(repo, "t", state(1))
    text = path.read_text()
    assert '"theirs": 1.10' in text
    assert json.loads(text)["alerts"]["more"] == 1
    assert json.loads(text)["alerts"]["total"] == 0
    assert not write_state(repo, "t", state(1))


@pytest.mark.parametrize("content", ["[]", "{", ""])
def test_refused_when_the_state_is_no_object(repo: Path, content: str) -> None:
    path = repo / "out/t/state.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(TaskFileRefused):
        write_state(repo, "t", state(1))
    assert path.read_text() == content


@pytest.mark.parametrize("task_id", ["..", "../x", "a/b", "", ".git", "a\0b"])
def test_refused_when_the_task_is_no_name(repo: Path, task_id: str) -> None:
    with pytest.raises(TaskFileRefused):
        append_metrics(repo, task_id, line())
    with pytest.raises(TaskFileRefused):
        write_state(repo, task_id, state(1))


@pytest.mark.parametrize("target", ["outside", "repo/src", "repo/.git"])
def test_refused_behind_a_link(repo: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / target).mkdir()
    (repo / ".runs/t").symlink_to(tmp_path / target)
    (repo / "out").mkdir()
    (repo / "out/t").symlink_to(tmp_path / target)
    with pytest.raises(TaskFileRefused, match=r"link|\.git"):
        append_metrics(repo, "t", line())
    with pytest.raises(TaskFileRefused, match=r"link|\.git"):
        write_state(repo, "t", state(1))
    assert not list((tmp_path / target).iterdir())
