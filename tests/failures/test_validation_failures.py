"""The replays say no: a failing test, a flaky one, a broken environment; left by a requeue or by another scenario."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from daemon.daemon_process import left_behind, processes, until
from failures_place import House, completed
from support.repos import FIXED_CALC, FIXED_TESTS, manifest, write

from events.catalog import JobDismissed, ManualScenarioSupplied, ValidationFailed
from learnd.assets import agent_dir
from learnd.lab.manual_form import TEMPLATE, fill

pytestmark = pytest.mark.sandbox

COIN = """
    def test_coin(self):
        import random
        self.assertTrue(random.Random(hash("x")).random() < 0.5)
"""
FLAKY = FIXED_TESTS + COIN
NEEDS_A_FILE = FIXED_TESTS + "\n    def test_local(self):\n        open('/opt/learnd-test-absent')\n"


def fixed_so(house: House, name: str, tests: str, **files: str) -> str:
    repo = house.repo(name)
    write(repo, {"calc.py": FIXED_CALC, "test_calc.py": tests, **files})
    return house.run(repo)


def test_a_failing_test_blocks_the_job_again_and_again_until_another_scenario_is_supplied(
    house: House, tmp_path: Path
) -> None:
    job = fixed_so(house, "failing", NEEDS_A_FILE)
    row = house.reaches(job, "validation_failed")
    assert (row.evidence, house.last(job, ValidationFailed).evidence.verdict) == ("failed", "failed")
    log = house.learning(job) / "scenario-validation.log"
    assert "learnd-test-absent" in log.read_text()
    assert str(log) in house.learnd("why", job[:8]).out
    told = house.block(job)["validation"]
    assert (told["status"], str(told["reason"]).split(":")[0]) == ("pending", "validation_failed")

    house.does_next(job)  # nothing was mended
    until(lambda: house.types(job).count("ValidationFailed") == 2, "the same verdict")
    assert house.learnd("approve", job[:8], "--grant-usd", "1").code == 1
    template = (agent_dir() / "task/templates" / TEMPLATE).read_text()
    form = tmp_path / "form.md"
    form.write_text(fill(template, {}, job=job, today="2026-01-02"))
    completed(form, entrypoint='"python3 -m unittest -q test_calc.CalcTest.test_mean_of_nothing"')
    done = house.learnd("approve", job[:8], "--scenario", form, "--reason", "the other test needs this machine")
    assert done.code == 0, done
    assert house.last(job, ManualScenarioSupplied).reason == "the other test needs this machine"
    row = house.reaches(job, "learned")
    assert (row.evidence, row.scenario_source) == ("proven", "manual")


def test_replays_that_disagree_are_flaky_and_leave_by_a_requeue(house: House) -> None:
    job = fixed_so(house, "flaky", FLAKY)
    assert house.reaches(job, "validation_failed").evidence == "flaky"
    house.does_next(job)
    until(lambda: house.types(job).count("ReplayStarted") == 2, "another replay")
    assert house.learnd("dismiss", job[:8], "--reason", "flaky by itself").code == 0


def test_an_environment_that_is_missing_is_inconclusive_and_the_job_goes_on_when_it_was_mended(house: House) -> None:
    repo = house.repo("environment", {".gitignore": "/.runs/\n/vendor/\n"})
    write(
        repo,
        {
            "calc.py": FIXED_CALC,
            "test_calc.py": "import sys\nsys.path.insert(0, 'vendor')\nimport gone\n" + FIXED_TESTS,
        },
    )
    job = house.run(repo)
    row = house.reaches(job, "validation_failed")
    assert row.evidence == "inconclusive", (row.cause, row.detail)
    write(repo, {"vendor/gone.py": ""})  # what git ignores is no part of the snapshot, and bound into every replay
    house.does_next(job)
    assert house.reaches(job, "learned", "validation_failed").status == "learned", house.last(job, ValidationFailed)


def test_dismissing_a_job_ends_its_replay_at_once_and_leaves_nothing_behind(house: House) -> None:
    module = f"test_endless_{os.getpid()}"
    repo = house.repo("endless")
    write(repo, {"calc.py": FIXED_CALC, f"{module}.py": "import time\ntime.sleep(8642)\n"})
    (command,) = manifest()["commands"]  # type: ignore[misc] # a list of one
    job = house.run(repo, commands=[{**command, "command": f"{sys.executable} -m unittest -q {module}"}])
    house.reaches(job, "replaying")
    until(lambda: any(line.startswith(sys.executable) for line in processes(module)), "a replay that runs")
    refused = house.learnd("approve", job[:8])
    assert refused.code == 1
    assert "is replaying: nothing waits for an approval" in refused.err
    assert house.learnd("dismiss", job[:8], "--reason", "it never ends").code == 0
    until(lambda: not processes(module), "an end of the replay")
    until(lambda: not [left for left in left_behind(house.state) if job[:12] in left], "an empty work folder")
    assert house.job(job).status == "dismissed"
    assert house.last(job, JobDismissed).reason == "it never ends"
    assert house.types(job)[-1] == "JobDismissed", "what the replay had to say came too late"
    assert house.next(job) == "nothing"
