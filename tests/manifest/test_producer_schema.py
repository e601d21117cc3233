"""Against the real producer: its schema accepts what learnd wrote, its runs are read.

The package is found by LEARND_TEST_PRODUCER, the folder node_modules/@kbediako/codex-orchestrator.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from manifest_samples import put, sample
from test_write_learning import FULL

from learnd.manifest.block import LearningBlock, Validation, validation_words
from learnd.manifest.find import find_manifests
from learnd.manifest.history import execution_history
from learnd.manifest.read import canonical_path, read_run
from learnd.manifest.runs import NotARun, Run
from learnd.manifest.tasks import MetricsLine, append_metrics
from learnd.manifest.write import write_learning


@pytest.fixture
def producer() -> Path:
    place = os.environ.get("LEARND_TEST_PRODUCER")
    if not place:
        pytest.skip("LEARND_TEST_PRODUCER is not set: the producer's package is not installed")
    return Path(place)


@pytest.fixture
def schema(producer: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((producer / "schemas/manifest.json").read_text())
    return loaded


def run_exec(producer: Path, repo: Path, *command: str) -> None:
    package = json.loads((producer / "package.json").read_text())
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("CODEX_", "LEARNING_"))}
    subprocess.run(
        ["node", str(producer / package["bin"]["codex-orchestrator"]), "exec", "--", *command],
        cwd=repo, env={**environment, "MCP_RUNNER_TASK_ID": "fix-f"}, capture_output=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture
def produced(producer: Path, tmp_path: Path) -> Path:
    """A repository in which the producer ran one command that succeeded and one that failed."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    run_exec(producer, tmp_path, "echo", "two words")
    run_exec(producer, tmp_path, "false")
    return tmp_path


def test_the_schema_accepts_every_block(schema: dict[str, Any], repo: Path) -> None:
    path = put(repo, sample("cli-v1.json"))
    jsonschema.validate(json.loads(path.read_text()), schema)
    status, reason = validation_words("validation_failed", "flaky")
    for block in (LearningBlock(), FULL, LearningBlock(validation=Validation(status=status, reason=reason))):
        write_learning(path, repo, block)
        jsonschema.validate(json.loads(path.read_text()), schema)


def test_the_models_have_the_names_of_the_schema(schema: dict[str, Any]) -> None:
    learning = schema["properties"]["learning"]["properties"]
    assert set(learning) == set(LearningBlock.model_fields)
    dumped = FULL.model_dump(mode="json")
    for name, part in learning.items():
        closed = part["items"] if part["type"] == "array" else part
        written = dumped[name][0] if part["type"] == "array" else dumped[name]
        assert set(closed["properties"]) == set(written), name


def test_runs_of_the_producer_are_read_and_written(schema: dict[str, Any], produced: Path) -> None:
    read = [read_run(Path(found.path), produced) for found in find_manifests(produced)]
    runs = [run for run in read if isinstance(run, Run)]
    stubs = [stub for stub in read if isinstance(stub, NotARun)]
    assert sorted(run.status for run in runs) == ["failed", "succeeded"]
    assert {stub.kind for stub in stubs} == {"stub"}
    assert {canonical_path(stub.path, produced) for stub in stubs} == {run.path for run in runs}
    for run in runs:
        (executed,) = execution_history(run)
        assert executed.source == "runner.ndjson"
        assert executed.cwd == str(produced)
        assert executed.succeeded is (run.status == "succeeded")
        before = json.loads(run.path.read_text())
        assert write_learning(run.path, produced, FULL)
        after = json.loads(run.path.read_text())
        jsonschema.validate(after, schema)
        assert {**after, "learning": 0} == {**before, "learning": 0}


def test_the_producer_goes_on_beside_a_line_of_learnd(producer: Path, produced: Path) -> None:
    line = MetricsLine(job="a" * 64, task_id="fix-f", run_id="x", recorded_at="2026-01-01", learning_status="learned")
    assert append_metrics(produced, "fix-f", line)
    run_exec(producer, produced, "true")
    lines = [json.loads(text) for text in (produced / ".runs/fix-f/metrics.json").read_text().splitlines()]
    assert len(lines) == 4
    counted = json.loads((produced / ".runs/fix-f/metrics/post-rollout.json").read_text())
    assert counted["total_runs"] == 3
    assert not append_metrics(produced, "fix-f", line)
