"""The sample is what it says: slow before, quick after, and its recorder records what really ran."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from learnd.demo import sample
from learnd.demo.recorder import Recorder
from learnd.manifest.history import execution_history
from learnd.manifest.read import read_run
from learnd.manifest.runs import Run


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    repo = tmp_path / "shop"
    sample.build(repo)
    return repo


def queries(repo: Path, orders: int) -> int:
    """How many queries SQLite ran for `totals` over so many orders."""
    script = (
        "from shop.orders import place, totals; from shop.schema import open_shop; shop = open_shop(); seen = []\n"
        f"for n in range({orders}): place(shop, str(n), [('tea', 1)])\n"
        "shop.set_trace_callback(seen.append); totals(shop); print(len(seen))"
    )
    done = subprocess.run([sys.executable, "-B", "-c", script], cwd=repo, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_the_defect_grows_with_the_rows_and_the_change_mends_it(shop: Path) -> None:
    assert [queries(shop, 5), queries(shop, 50)] == [6, 51]
    sample.mend(shop)
    assert [queries(shop, 5), queries(shop, 50)] == [1, 1]


def test_a_recorded_run_reads_as_the_producers(shop: Path) -> None:
    sample.mend(shop)
    recorder = Recorder(shop, "task", "Title", "A prompt")
    recorder.begin()
    before = read_run(recorder.manifest, shop)
    assert isinstance(before, Run)
    assert (before.status, before.over) == ("in_progress", False)
    assert recorder.execute("Tests", (sys.executable, *sample.TEST_ARGUMENTS)) == 0
    recorder.finish()
    run = read_run(recorder.manifest, shop)
    assert isinstance(run, Run)
    assert (run.shape, run.status, run.over) == ("cli-v1", "succeeded", True)
    (command,) = execution_history(run)
    assert command.source == "runner.ndjson"
    assert command.argv == (sys.executable, *sample.TEST_ARGUMENTS)
    assert command.cwd == str(shop)
    assert command.succeeded


def test_a_failing_command_fails_the_run(shop: Path) -> None:
    recorder = Recorder(shop, "task", "Title", "A prompt")
    recorder.begin()
    assert recorder.execute("Tests", (sys.executable, "-c", "raise SystemExit(3)")) == 3
    recorder.finish()
    run = read_run(recorder.manifest, shop)
    assert isinstance(run, Run)
    assert run.status == "failed"
    assert execution_history(run)[0].exit_code == 3
