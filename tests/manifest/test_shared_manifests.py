"""Every real manifest that is kept beside the checkout, laid out as it was, has the outcome of its shape."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from learnd.manifest.find import find_manifests
from learnd.manifest.history import execution_history
from learnd.manifest.read import canonical_path, read_run
from learnd.manifest.runs import NotARun, Run

pytestmark = pytest.mark.shared

DATA = Path(__file__).resolve().parents[3] / "shared/data/co-manifests"
INDEX: dict[str, Any] = (
    json.loads((DATA / "index.json").read_text()) if DATA.is_dir() else {"manifests": [], "extras": []}
)
MANIFESTS: list[dict[str, Any]] = INDEX["manifests"]
NO_RUN = {
    "hand-written": "hand-written",
    "mcp-server": "mcp-server",
    "approval-event": "approval",
    "cli-v1-trimmed": "trimmed",
}


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not MANIFESTS:
        pytest.skip(f"no real manifests at {DATA}")
    repo = tmp_path_factory.mktemp("co")
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


@pytest.mark.parametrize("entry", MANIFESTS, ids=lambda entry: entry["source"])
def test_each_has_the_outcome_of_its_shape(laid_out: Path, entry: dict[str, Any]) -> None:
    found = read_run(Path(entry["source"]), laid_out)
    if entry["shape"] in NO_RUN:
        assert isinstance(found, NotARun), found
        assert found.kind == NO_RUN[entry["shape"]]
        assert found.reason
        return
    assert isinstance(found, Run), found
    assert found.shape == entry["shape"]
    assert found.status == entry["status"]
    assert found.over
    assert len(found.commands) == entry["commands"]
    assert found.completed_at is not None
    assert found.completed_at.endswith("Z")
    parts = Path(entry["source"]).parts
    assert found.task_id == parts[1]
    assert found.run_id == parts[-2]


@pytest.mark.parametrize("entry", [e for e in MANIFESTS if e["status"] and e["commands"]], ids=lambda e: e["source"])
def test_each_run_tells_what_it_executed(laid_out: Path, entry: dict[str, Any]) -> None:
    run = read_run(Path(entry["source"]), laid_out)
    assert isinstance(run, Run)
    executed = execution_history(run)
    ended = [command for command in run.commands if command.status in {"succeeded", "failed"}]
    assert [command.line for command in executed] == [command.command for command in ended]
    recorded = [command.exit_code for command in ended]
    assert [command.exit_code for command in executed] == recorded
    answers = {c["file"] for c in entry["companions"] if c["file"][0].isdigit() and "/" not in c["file"]}
    assert sum(command.source == "response" for command in executed) == len(answers)


def test_the_sweep_finds_each_once(laid_out: Path) -> None:
    expected = sorted(e["source"] for e in MANIFESTS if e["source"].startswith(".runs/"))
    found = sorted(os.path.relpath(item.path, laid_out.resolve()) for item in find_manifests(laid_out))
    assert found == expected


@pytest.mark.parametrize("extra", [e for e in INDEX["extras"] if e["file"].endswith("compat.json")])
def test_a_compatibility_pointer_leads_to_the_migrated_run(tmp_path: Path, extra: dict[str, Any]) -> None:
    """As it stood after the migration: a link beside `compat.json`, here at the place it names."""
    pointer = json.loads((DATA / extra["file"]).read_text())
    entry = next(e for e in MANIFESTS if e["source"] == pointer["manifest"])
    _copy(DATA / entry["dir"] / "manifest.json", tmp_path / entry["source"])
    link = (tmp_path / extra["source"]).with_name("manifest.json")
    link.parent.mkdir(parents=True)
    link.symlink_to(Path("../..") / Path(pointer["manifest"]).relative_to(".runs"))
    found = read_run(link, tmp_path)
    assert isinstance(found, NotARun)
    assert found.kind == "link"
    assert canonical_path(link, tmp_path) == tmp_path.resolve() / pointer["manifest"]
    assert [item.path for item in find_manifests(tmp_path)] == [str(tmp_path.resolve() / pointer["manifest"])]


def test_a_real_servers_log_is_an_execution_history(laid_out: Path) -> None:
    """The log of an MCP server's run, put beside a run that has no commands of its own."""
    log = DATA / "0001/mcp-2025-10-18T13-42-22Z/mcp-server.log"
    target = laid_out / ".runs/0001/mcp/demo-legacy"
    shutil.copyfile(log, target / "mcp-server.log")
    run = read_run(target / "manifest.json", laid_out)
    assert isinstance(run, Run)
    executed = execution_history(run)
    (target / "mcp-server.log").unlink()
    assert len(executed) == log.read_bytes().count(b'"exec_command_begin"')
    assert {command.exit_code for command in executed} == {0, 2}
    assert all(command.cwd and command.argv for command in executed)
