"""What `read_run` makes of each shape, of ids, times and links; and what it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from manifest_samples import PLACE, RUN_ID, document, put, sample

from learnd.manifest.read import LeadsNowhere, canonical_path, read_run
from learnd.manifest.runs import NotARun, Run, Unreadable


def run_of(path: Path, repo: Path) -> Run:
    found = read_run(path, repo)
    assert isinstance(found, Run), found
    return found


def refusal_of(path: Path, repo: Path) -> str:
    found = read_run(path, repo)
    assert isinstance(found, Unreadable), found
    return found.reason


# --- shapes -----------------------------------------------------------------------------------------


def test_a_current_run_is_read_whole(repo: Path) -> None:
    run = run_of(put(repo, sample("cli-v1.json")), repo)
    assert (run.shape, run.task_id, run.run_id) == ("cli-v1", "fix-rows", RUN_ID)
    assert run.over
    assert run.completed_at == "2026-01-02T03:05:10.001Z"
    assert run.title == "Fix the rows – grün"
    assert run.workspace == "/srv/rows"
    assert [command.command for command in run.commands] == ["make build", "python -m pytest -q tests/test_rows.py"]
    assert run.commands[1].exit_code == 0
    assert run.artifact_root == run.path.parent == (repo / PLACE).parent
    assert len(run.digest) == 64


def test_an_agents_sdk_run_is_read_with_its_times_normalised_and_its_task_from_its_place(repo: Path) -> None:
    run = run_of(put(repo, sample("agents-sdk.json"), ".runs/0007/mcp/r/manifest.json"), repo)
    assert (run.shape, run.task_id) == ("agents-sdk", "0007")
    assert run.started_at == "2025-10-20T08:00:00.001Z"
    assert run.commands[0].started_at == "2025-10-20T08:00:01.250Z"
    assert run.commands[0].response_file == "01-npm-run-build.json"
    assert run.commands[2].status == "pending"
    assert run.workspace == "/home/someone/rows"


def test_the_recorded_artifact_root_names_the_task_of_a_run_that_was_moved(repo: Path) -> None:
    data = document("agents-sdk.json", artifact_root=".runs/0009/mcp/r")
    assert run_of(put(repo, data, ".runs/local-mcp/r/manifest.json"), repo).task_id == "0009"


def test_a_run_without_a_runner_counts_as_agents_sdk_by_its_other_fields(repo: Path) -> None:
    data = document("agents-sdk.json", artifact_root=".runs/0009/mcp/r")
    del data["runner"]
    assert run_of(put(repo, data, ".runs/x/manifest.json"), repo).shape == "agents-sdk"


@pytest.mark.parametrize("place", [".runs/fix-rows/mcp/r/manifest.json", ".runs/local-mcp/r/manifest.json", PLACE])
@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("mcp-server.json", "mcp-server", "never completes"),
        ("hand-written.json", "hand-written", "by hand"),
        ("approval.json", "approval", "approval"),
        ("summary.json", "summary", "camelCase"),
        ("trimmed.json", "trimmed", "run_id, runner, commands"),
    ],
)
def test_what_is_no_run_is_told_by_its_fields_in_any_folder(
    repo: Path, name: str, kind: str, says: str, place: str
) -> None:
    found = read_run(put(repo, sample(name), place), repo)
    assert isinstance(found, NotARun)
    assert found.kind == kind
    assert says in found.reason


def test_fields_that_a_migration_added_change_no_shape(repo: Path) -> None:
    data = document("mcp-server.json", task_id="7", artifact_root=".runs/7/mcp/r", resume_events=[], updated_at="x")
    found = read_run(put(repo, data), repo)
    assert isinstance(found, NotARun)
    assert found.kind == "mcp-server"


@pytest.mark.parametrize("field", ["version", "task_id", "run_id", "status", "started_at", "completed_at", "commands"])
def test_a_trimmed_manifest_says_which_field_is_missing(repo: Path, field: str) -> None:
    data = document()
    del data[field]
    found = read_run(put(repo, data), repo)
    assert isinstance(found, NotARun)
    assert found.kind == "trimmed"
    assert f"{field} missing" in found.reason


def test_a_run_that_lacks_only_what_learnd_does_not_need_is_read(repo: Path) -> None:
    data = document()
    del data["resume_token"], data["runtime_fallback"]
    assert run_of(put(repo, data), repo).task_id == "fix-rows"


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"runner": "other"}, "'other'"), ({"version": 2}, "version 2"), ({"version": True}, "version True")],
)
def test_another_producer_or_version_is_unknown(repo: Path, changes: dict[str, Any], says: str) -> None:
    found = read_run(put(repo, document(**changes)), repo)
    assert isinstance(found, NotARun)
    assert found.kind == "unknown"
    assert says in found.reason


# --- status and times -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "completed_at", "over"),
    [
        ("queued", None, False),
        ("in_progress", None, False),
        ("in_progress", "2026-01-02T03:05:10.001Z", False),
        ("succeeded", None, False),
        ("succeeded", "2026-01-02T03:05:10.001Z", True),
        ("failed", "2026-01-02T03:05:10.001Z", True),
        ("cancelled", "2026-01-02T03:05:10.001Z", True),
    ],
)
def test_a_run_is_over_with_a_final_status_and_a_completion(
    repo: Path, status: str, completed_at: str | None, over: bool
) -> None:
    assert run_of(put(repo, document(status=status, completed_at=completed_at)), repo).over is over


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("2025-10-16T02-50-35Z", "2025-10-16T02:50:35.000Z"),
        ("2025-10-16T02-50-35-7Z", "2025-10-16T02:50:35.700Z"),
        ("2025-10-16T02:50:35Z", "2025-10-16T02:50:35.000Z"),
        ("2025-10-16T02:50:35.123456+02:00", "2025-10-16T00:50:35.123Z"),
        ("20251016T025035Z", "2025-10-16T02:50:35.000Z"),
        ("2025-10-16", "2025-10-16T00:00:00.000Z"),
    ],
)
def test_times_come_out_in_one_form(repo: Path, written: str, normalised: str) -> None:
    assert run_of(put(repo, document(completed_at=written)), repo).completed_at == normalised


@pytest.mark.parametrize("written", ["", "yesterday", "2025-13-01", "0001-01-01T00:00:00+23:00", 17, {}, []])
def test_what_is_no_time_is_refused_by_name(repo: Path, written: object) -> None:
    reason = refusal_of(put(repo, document(completed_at=written)), repo)
    assert reason.startswith("completed_at must be a")


# --- ids --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["task_id", "run_id"])
@pytest.mark.parametrize(
    "value", ["../../etc", "a/b", "a\\b", "..", ".", ".git", "", " ", "a\0b", "a\nb", "x" * 201, "\ud800", 7, None, []]
)
def test_an_id_that_is_no_safe_file_name_is_refused(repo: Path, field: str, value: object) -> None:
    assert field in refusal_of(put(repo, document(**{field: value})), repo)


def test_an_id_with_dots_inside_and_other_scripts_is_fine(repo: Path) -> None:
    assert run_of(put(repo, document(task_id="v1..2-Änderung")), repo).task_id == "v1..2-Änderung"


# --- bytes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"{", "half-written"),
        (sample("cli-v1.json")[:700].encode(), "half-written"),
        (b"not json", "not JSON"),
        (b"[]", "must be an object"),
        (b'{"version": 1', "half-written"),
        (b'{"status": "a", "status": "b"}', "twice"),
        (b'{"x": NaN}', "NaN"),
        (b'{"x": -Infinity}', "Infinity"),
        (b'{"x": 1e999}', "too large"),
        (b'{"x": ' + b"9" * 5000 + b"}", "too many digits"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"x": "\xff"}', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
    ],
)
def test_bytes_that_do_not_mean_one_thing_are_refused(repo: Path, content: bytes, says: str) -> None:
    assert says in refusal_of(put(repo, content), repo)


def test_a_manifest_over_ten_megabytes_is_refused_unread(repo: Path) -> None:
    path = put(repo, b"")
    os.truncate(path, 4 * 1024**4)  # sparse: reading it would take all memory
    assert "at most 10,485,760" in refusal_of(path, repo)


@pytest.mark.parametrize(
    ("commands", "says"),
    [
        ("x", "commands must be a list"),
        ([1], "commands[0] must be an object"),
        ([{"exit_code": True}], "commands[0].exit_code"),
        ([{"exit_code": 2**80}], "a larger number"),
        ([{"command": ["ls"]}], "commands[0].command"),
        ([{}, {"started_at": "?"}], "commands[1].started_at"),
    ],
)
def test_a_command_of_the_wrong_type_is_refused_by_name(repo: Path, commands: object, says: str) -> None:
    assert says in refusal_of(put(repo, document(commands=commands)), repo)


def test_a_title_cut_in_mid_character_does_not_cost_the_run(repo: Path) -> None:
    data = document(pipeline_title="cut \ud83d", summary="cut \ud83d")
    assert run_of(put(repo, data), repo).title == "cut ?"


def test_a_damaged_learning_block_does_not_cost_the_run(repo: Path) -> None:
    assert run_of(put(repo, document(learning={"queue": 7})), repo).prompt_path is None
    data = document(learning={"queue": {"prompt_path": ".runs/p.md"}})
    assert run_of(put(repo, data), repo).prompt_path == ".runs/p.md"


# --- places and links -------------------------------------------------------------------------------


def test_a_link_stands_for_the_one_run(repo: Path) -> None:
    real = put(repo, sample("cli-v1.json"))
    link = repo / ".runs/local-mcp/r/manifest.json"
    link.parent.mkdir(parents=True)
    link.symlink_to(os.path.relpath(real, link.parent))
    found = read_run(link, repo)
    assert isinstance(found, NotARun)
    assert (found.kind, found.leads_to) == ("link", real)
    assert canonical_path(link, repo) == real


def test_a_linked_folder_stands_for_the_one_run(repo: Path) -> None:
    real = put(repo, sample("cli-v1.json"))
    (repo / ".runs/local-mcp").symlink_to(real.parent)
    found = read_run(repo / ".runs/local-mcp/manifest.json", repo)
    assert isinstance(found, NotARun)
    assert (found.kind, found.leads_to) == ("link", real)


def test_a_stub_leads_to_the_one_run(repo: Path) -> None:
    real = put(repo, sample("cli-v1.json"))
    stub = put(repo, sample("stub.json"), f".runs/fix-rows/mcp/{RUN_ID}/manifest.json")
    found = read_run(stub, repo)
    assert isinstance(found, NotARun)
    assert (found.kind, found.leads_to) == ("stub", real)
    assert canonical_path(stub, repo) == canonical_path(real, repo) == real


def test_a_stub_that_names_only_a_folder_leads_to_its_manifest(repo: Path) -> None:
    real = put(repo, sample("cli-v1.json"))
    stub = put(repo, {"redirect_to": str(Path(PLACE).parent)}, ".runs/s/manifest.json")
    assert canonical_path(stub, repo) == real


def test_a_circle_of_stubs_is_refused(repo: Path) -> None:
    one = put(repo, {"redirect_to": ".runs/b"}, ".runs/a/manifest.json")
    put(repo, {"redirect_to": ".runs/a"}, ".runs/b/manifest.json")
    with pytest.raises(LeadsNowhere, match="nowhere"):
        canonical_path(one, repo)


def test_a_link_to_itself_is_refused(repo: Path) -> None:
    loop = repo / ".runs/manifest.json"
    loop.symlink_to("manifest.json")
    assert "cannot be opened" in refusal_of(loop, repo)
    with pytest.raises(LeadsNowhere):
        canonical_path(loop, repo)


@pytest.mark.parametrize("target", ["../../etc", "/etc/manifest.json", ".runs/gone", "", 7, None, "a\0b", "\ud800"])
def test_a_stub_that_leads_out_or_to_nothing_is_refused(repo: Path, target: object) -> None:
    stub = put(repo, json.dumps({"redirect_to": target}), ".runs/s/manifest.json")
    refusal_of(stub, repo)
    with pytest.raises(LeadsNowhere):
        canonical_path(stub, repo)


def test_a_manifest_behind_a_link_that_leaves_the_repository_is_refused(repo: Path, tmp_path: Path) -> None:
    outside = put(tmp_path, sample("cli-v1.json"), "elsewhere/manifest.json")
    (repo / ".runs/a").symlink_to(outside.parent)
    (repo / ".runs/manifest.json").symlink_to(outside)
    assert "leaves the repository" in refusal_of(repo / ".runs/a/manifest.json", repo)
    assert "leaves the repository" in refusal_of(repo / ".runs/manifest.json", repo)
    assert "outside the repository" in refusal_of(outside, repo)
    assert "outside the repository" in refusal_of(Path("../elsewhere/manifest.json"), repo)


def test_a_repository_reached_over_a_link_has_the_same_runs(repo: Path, tmp_path: Path) -> None:
    real = put(repo, sample("cli-v1.json"))
    alias = tmp_path / "alias"
    alias.symlink_to(repo)
    assert run_of(alias / PLACE, alias).path == real
    assert run_of(Path(PLACE), alias).path == real
    assert run_of(real, alias).path == real


def test_a_manifest_inside_git_is_refused(repo: Path) -> None:
    assert "inside .git" in refusal_of(put(repo, sample("cli-v1.json"), ".git/x/manifest.json"), repo)


def test_a_pipe_or_folder_in_the_place_of_a_manifest_is_refused_at_once(repo: Path) -> None:
    pipe = repo / ".runs/manifest.json"
    os.mkfifo(pipe)
    assert "a pipe" in refusal_of(pipe, repo)
    (repo / ".runs/a/manifest.json").mkdir(parents=True)
    assert "a folder" in refusal_of(repo / ".runs/a/manifest.json", repo)


@pytest.mark.parametrize("name", ["gone/manifest.json", "a\0b/manifest.json", "\udcff/manifest.json", "x" * 300])
def test_a_path_that_leads_to_nothing_is_refused(repo: Path, name: str) -> None:
    if name.startswith("\udcff"):
        (repo / ".runs" / name).parent.mkdir()
        (repo / ".runs" / name).write_text("{}")
    assert refusal_of(repo / ".runs" / name, repo)
