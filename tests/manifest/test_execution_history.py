"""What a run executed, from each of the records that producers leave."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from manifest_samples import document, put, sample

from learnd.manifest.history import MAX_FILE, MAX_LINE, ExecutedCommand, execution_history
from learnd.manifest.read import read_run
from learnd.manifest.runs import Run


def history(repo: Path, content: str | dict[str, object], **beside: str) -> tuple[ExecutedCommand, ...]:
    path = put(repo, content)
    for name, text in beside.items():
        other = path.parent / name.replace("__", "/")
        other.parent.mkdir(exist_ok=True)
        other.write_text(text)
    run = read_run(path, repo)
    assert isinstance(run, Run), run
    return execution_history(run)


def test_the_runner_log_gives_every_execution_with_cwd_and_retries(repo: Path) -> None:
    first, retry, tests = history(repo, sample("cli-v1.json"), **{"runner.ndjson": sample("runner.ndjson")})
    assert (first.line, first.cwd, first.exit_code, first.succeeded) == ("make build", "/srv/rows", 2, False)
    assert (retry.exit_code, retry.duration_ms, retry.succeeded, retry.index) == (0, 12000, True, 1)
    assert retry.started_at == "2026-01-02T03:04:07.120Z"
    assert retry.ended_at == "2026-01-02T03:04:19.900Z"
    assert tests.argv == ("python", "-m", "pytest", "-q", "tests/test rows.py")
    assert tests.line == "python -m pytest -q 'tests/test rows.py'"
    assert (tests.signal, tests.succeeded, tests.source) == ("SIGKILL", False, "runner.ndjson")


def test_without_the_runner_log_its_parts_are_read_in_order(repo: Path) -> None:
    lines = sample("runner.ndjson").splitlines(keepends=True)
    parts = {"commands__02-test.ndjson": "".join(lines[9:]), "commands__01-build.ndjson": "".join(lines[:9])}
    executed = history(repo, sample("cli-v1.json"), **parts)
    assert [command.index for command in executed] == [1, 1, 2]
    assert {command.source for command in executed} == {"commands"}


def test_without_logs_the_manifest_tells_what_ended(repo: Path) -> None:
    data = document()
    data["commands"] += [{"index": 3, "command": "never", "status": "pending"}, {"index": 4, "kind": "subpipeline"}]
    executed = history(repo, data)
    assert [(command.line, command.exit_code, command.source) for command in executed] == [
        ("make build", 0, "manifest"),
        ("python -m pytest -q tests/test_rows.py", 0, "manifest"),
    ]


def test_what_a_cut_log_leaves_out_is_added_from_the_manifest(repo: Path) -> None:
    lines = sample("runner.ndjson").splitlines(keepends=True)
    executed = history(repo, sample("cli-v1.json"), **{"runner.ndjson": "".join(lines[:9])})
    assert [(command.index, command.source) for command in executed] == [
        (1, "runner.ndjson"),
        (1, "runner.ndjson"),
        (2, "manifest"),
    ]


def test_an_execution_without_an_end_is_unfinished(repo: Path) -> None:
    lines = sample("runner.ndjson").splitlines(keepends=True)
    executed = history(repo, document(commands=[]), **{"runner.ndjson": lines[1]})
    assert [(command.exit_code, command.succeeded) for command in executed] == [(None, False)]


def test_a_server_log_gives_vectors_and_pairs_by_call(repo: Path) -> None:
    data = document("agents-sdk.json", commands=[])
    npm, ls, sleep = history(repo, data, **{"mcp-server.log": sample("mcp-server.log")})
    assert (npm.argv, npm.cwd, npm.exit_code, npm.duration_ms) == (
        ("bash", "-lc", "npm test"),
        "/home/someone/rows",
        0,
        3500,
    )
    assert (ls.line, ls.exit_code) == ("ls 'a b'", 2)
    assert (sleep.line, sleep.exit_code) == ("sleep 9", None)


def test_an_agents_sdk_answer_is_read_beside_the_manifest_and_its_failure_wins(repo: Path) -> None:
    answers = {"01-npm-run-build.json": sample("answer-0.json"), "02-npm-run-test.json": sample("answer-1.json")}
    build, tests = history(repo, sample("agents-sdk.json"), **answers)
    assert (build.line, build.exit_code, build.source) == ("npm run build", 0, "response")
    assert (tests.line, tests.exit_code, tests.source) == ("npm run test", 1, "response")


def test_a_missing_answer_leaves_the_manifest_word(repo: Path) -> None:
    build, _ = history(repo, sample("agents-sdk.json"))
    assert (build.exit_code, build.source) == (0, "manifest")


def test_a_path_in_the_manifest_is_never_opened(repo: Path, tmp_path: Path) -> None:
    planted = tmp_path / "answer.json"
    planted.write_text(sample("answer-1.json"))
    data = document("agents-sdk.json")
    data["commands"][0]["response_file"] = str(planted)
    data["commands"][1]["response_file"] = ".."
    build, tests = history(repo, data)
    assert {build.source, tests.source} == {"manifest"}


@pytest.mark.parametrize("name", ["runner.ndjson", "mcp-server.log", "01-npm-run-build.json"])
def test_links_and_pipes_beside_the_manifest_are_passed_over(repo: Path, tmp_path: Path, name: str) -> None:
    other = tmp_path / "other"
    other.write_text(sample("runner.ndjson"))
    run_dir = put(repo, sample("agents-sdk.json")).parent
    (run_dir / name).symlink_to(other)
    os.mkfifo(run_dir / "02-npm-run-test.json")
    assert {command.source for command in history(repo, sample("agents-sdk.json"))} == {"manifest"}


GARBAGE = [
    "",
    "null",
    "[1]",
    '"exec:begin"',
    '{"type": "exec:begin"}',
    '{"type": "exec:begin", "command": 7}',
    '{"type": "exec:begin", "command": "ls", "cwd": "\\ud800"}',
    '{"type": "exec:end", "exit_code": "0"}',
    '{"type": "exec:end", "correlation_id": "nobody", "exit_code": 0}',
    '{"type": "exec:begin", "index": ' + "9" * 5000 + "}",
    '{"type": "exec:begin", "x": ' + "[" * 100_000,
    "\x00\x01",
]


def test_garbage_lines_cost_only_themselves(repo: Path) -> None:
    lines = sample("runner.ndjson").splitlines()
    mixed = [part for at, line in enumerate(lines) for part in (GARBAGE[at % len(GARBAGE)], line)]
    whole = history(repo, sample("cli-v1.json"), **{"runner.ndjson": sample("runner.ndjson")})
    assert history(repo, sample("cli-v1.json"), **{"runner.ndjson": "\n".join([*mixed, *GARBAGE])}) == whole


def test_a_line_too_long_costs_only_itself(repo: Path) -> None:
    long = json.dumps({"type": "exec:begin", "command": "x" * (MAX_LINE + 10)})
    log = f"{long}\n{sample('runner.ndjson')}"
    assert len(history(repo, sample("cli-v1.json"), **{"runner.ndjson": log})) == 3


def test_of_a_huge_log_head_and_tail_are_read(repo: Path) -> None:
    lines = sample("runner.ndjson").splitlines(keepends=True)
    chunk = json.dumps({"type": "exec:chunk", "data": "x" * 100_000}) + "\n"
    log = "".join(lines[:9]) + chunk * (MAX_FILE // len(chunk) + 20) + "".join(lines[9:])
    executed = history(repo, sample("cli-v1.json"), **{"runner.ndjson": log})
    assert [(command.index, command.source) for command in executed] == [
        (1, "runner.ndjson"),
        (1, "runner.ndjson"),
        (2, "runner.ndjson"),
    ]
