"""Whole proofs: a real repository, real replays in bubblewrap, and the evidence they give."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from prove_project import PYTEST, Project, command

from learnd.harvest.faults import SnapshotDamaged
from learnd.lab.prove import ReplayCancelled
from learnd.lab.templates import parse

pytestmark = pytest.mark.sandbox

CALC = """\
def mean(values):
    return sum(values) / len(values)


def first(values):
    return values[0]


# A comment far enough away to be a hunk of its own.
#
#
#
#
def last(values):
    return values[-1]
"""
FIXED = CALC.replace("/ len(values)", "/ max(1, len(values))")
TEST = "from calc import mean\n\n\ndef test_old():\n    assert mean([2, 4]) == 3\n"
TEST_FIX = TEST + "\n\ndef test_empty():\n    assert mean([]) == 0\n"
BASE = {"calc.py": CALC, "tests/test_calc.py": TEST}
EMPTY = "tests/test_calc.py::test_empty"


def test_proven_when_the_fix_turns_its_test(project: Project) -> None:
    project.base(BASE)
    fixed = FIXED.replace("values[-1]", "values[len(values) - 1]")
    evidence = project.prove({"calc.py": fixed, "tests/test_calc.py": TEST_FIX})
    assert (evidence.verdict, evidence.cause) == ("proven", None), evidence
    assert evidence.isolation == "bubblewrap"
    assert [(replay.ok, replay.cause, replay.failing) for replay in evidence.base] == [(False, "error", (EMPTY,))] * 3
    assert [(replay.ok, replay.source, replay.hash_seed) for replay in evidence.snapshot] == [
        (True, "pytest", seed) for seed in range(3)
    ]
    assert evidence.flake_upper_bound == pytest.approx(0.6316, abs=1e-4)
    first, second = evidence.hunks
    assert (first.file, first.lines, first.verdict, first.turned) == ("calc.py", (2, 2), "exercised", (EMPTY,))
    assert (second.verdict, second.turned) == ("unexercised", ())


def test_nothing_is_left_behind_and_the_log_tells_what_ran(project: Project) -> None:
    project.base(BASE)
    evidence = project.prove({"calc.py": FIXED, "tests/test_calc.py": TEST_FIX})
    assert list(project.work.glob("*/*")) == []
    assert evidence.log is not None
    text = Path(evidence.log.path).read_text()
    assert Path(evidence.log.path) == project.learning / "scenario-validation.log"
    assert "-m pytest -q -p no:cacheprovider tests" in text
    assert "ZeroDivisionError" in text
    assert "calc.py:2: exercised" in text
    assert "=== verdict: proven" in text
    assert "replaying the base (1)" in project.said


def test_the_live_tree_is_neither_used_nor_touched(project: Project) -> None:
    project.base(BASE)
    project.write({"calc.py": FIXED, "tests/test_calc.py": TEST_FIX})
    record, store = project.snapshot()
    project.write({"calc.py": "raise SystemExit('the live tree was run')\n"})
    before = project.git("status", "--porcelain", "--ignored")
    assert project.prove_record(record, store).verdict == "proven"
    assert project.git("status", "--porcelain", "--ignored") == before


@pytest.mark.parametrize(
    "changed",
    [CALC.replace("A comment", "Another comment"), CALC.replace("values[0]", "next(iter(values))")],
    ids=["comment", "refactoring"],
)
def test_pass_only_when_the_tests_pass_without_the_change(project: Project, changed: str) -> None:
    project.base(BASE)
    evidence = project.prove({"calc.py": changed})
    assert (evidence.verdict, evidence.cause, evidence.hunks) == ("pass_only", "base_passes", ())


def test_a_repository_cannot_declare_its_tests_to_be_source(project: Project) -> None:
    """A stack of its own that calls nothing a test takes nothing from what learnd's stacks call one."""
    project.base(BASE | {"tests/test_calc.py": "def test_old():\n    assert False\n"})
    stack = parse("python.toml", b'name = "python"\nroots = ["pyproject.toml"]\n')
    evidence = project.prove({"tests/test_calc.py": TEST}, stacks=(stack,))
    assert (evidence.verdict, evidence.cause) == ("pass_only", "test_only")


def test_pass_only_when_only_tests_changed(project: Project) -> None:
    project.base({**BASE, "calc.py": FIXED})
    evidence = project.prove({"tests/test_calc.py": TEST_FIX})
    assert (evidence.verdict, evidence.cause, evidence.base) == ("pass_only", "test_only", ())


def test_flaky_when_the_hash_seed_decides(project: Project) -> None:
    project.base(BASE)
    flaky = TEST_FIX + "\n\ndef test_seed():\n    import os\n    assert int(os.environ['PYTHONHASHSEED']) % 2 == 0\n"
    evidence = project.prove({"calc.py": FIXED, "tests/test_calc.py": flaky})
    assert (evidence.verdict, evidence.cause) == ("flaky", "snapshot_disagrees")
    assert "1 of 3" in evidence.detail
    assert "test_seed" in evidence.detail


def test_inconclusive_when_the_base_fails_by_an_import_error_alone(project: Project) -> None:
    broken = "raise ImportError('no backend')\n" + CALC
    project.base({**BASE, "calc.py": broken})
    evidence = project.prove({"calc.py": CALC})
    assert (evidence.verdict, evidence.cause) == ("inconclusive", "base_import")


def test_a_symbol_that_the_change_adds_may_be_what_the_base_misses(project: Project) -> None:
    project.base(BASE)
    median = CALC + "\n\ndef median(values):\n    return sorted(values)[len(values) // 2]\n"
    test = "from calc import median\n\n\ndef test_median():\n    assert median([3, 1, 2]) == 2\n"
    evidence = project.prove({"calc.py": median, "tests/test_median.py": test})
    assert (evidence.verdict, evidence.cause) == ("proven", None), evidence
    assert {replay.cause for replay in evidence.base} == {"missing_symbol"}
    assert [hunk.verdict for hunk in evidence.hunks] == ["exercised"]


def test_an_added_module_may_be_what_the_base_misses(project: Project) -> None:
    project.base({**BASE, "pkg/__init__.py": ""})
    test = "from pkg.extra import twice\n\n\ndef test_twice():\n    assert twice(2) == 4\n"
    evidence = project.prove({"pkg/extra.py": "def twice(n):\n    return 2 * n\n", "tests/test_extra.py": test})
    assert (evidence.verdict, [hunk.verdict for hunk in evidence.hunks]) == ("proven", ["exercised"]), evidence
    assert evidence.hunks[0].lines == (1, 2)


def test_failed_when_the_snapshot_fails(project: Project) -> None:
    project.base(BASE)
    evidence = project.prove({"tests/test_calc.py": TEST_FIX, "calc.py": CALC + "\nX = 1\n"})
    assert (evidence.verdict, evidence.cause) == ("failed", "snapshot_fails")
    assert len(evidence.base) == 3  # the base is asked too: what passes there and fails here is a regression
    assert EMPTY in evidence.detail
    assert evidence.snapshot[0].failing == (EMPTY,)


def test_inconclusive_when_no_test_runs(project: Project) -> None:
    project.base(BASE)
    evidence = project.prove({"calc.py": FIXED}, command(*PYTEST, "tests", "-k", "nothing_is_called_this"))
    assert (evidence.verdict, evidence.cause) == ("inconclusive", "no_tests")


def test_hunks_that_need_each_other_are_inseparable(project: Project) -> None:
    project.base({"pkg/__init__.py": "", "pkg/a.py": CALC, "tests/test_calc.py": TEST.replace("calc", "pkg.a")})
    using = "from pkg.b import divide\n\n\n" + CALC.replace(
        "sum(values) / len(values)", "divide(sum(values), len(values))"
    )
    change = {
        "pkg/a.py": using,
        "pkg/b.py": "def divide(one, other):\n    return one / max(1, other)\n",
        "tests/test_calc.py": TEST_FIX.replace("calc", "pkg.a"),
    }
    evidence = project.prove(change)
    assert evidence.verdict == "proven"
    assert {hunk.file: hunk.verdict for hunk in evidence.hunks} == {"pkg/a.py": "exercised", "pkg/b.py": "inseparable"}


def test_hunks_out_of_budget_are_unknown(project: Project) -> None:
    project.base(BASE)
    evidence = project.prove({"calc.py": FIXED, "tests/test_calc.py": TEST_FIX}, hunk_seconds=0)
    assert [hunk.verdict for hunk in evidence.hunks] == ["unknown"]
    assert (evidence.verdict, evidence.cause) == ("proven", None)


def test_pass_only_when_no_hunk_matters_alone(project: Project) -> None:
    project.base({"one.py": "FIXED = False\n", "two.py": "FIXED = False\n", "tests/test_calc.py": "def test(): pass\n"})
    test = "import one, two\n\n\ndef test_either():\n    assert one.FIXED or two.FIXED\n"
    evidence = project.prove({"one.py": "FIXED = True\n", "two.py": "FIXED = True\n", "tests/test_calc.py": test})
    assert (evidence.verdict, evidence.cause) == ("pass_only", "no_exercised_hunk")
    assert {hunk.verdict for hunk in evidence.hunks} == {"unexercised"}


def test_inconclusive_when_a_replay_takes_too_long(project: Project) -> None:
    project.base(BASE)
    slow = "import time\n\n\ndef test_slow():\n    time.sleep(600)\n"
    evidence = project.prove({"calc.py": FIXED, "tests/test_slow.py": slow}, timeout_seconds=2)
    assert (evidence.verdict, evidence.cause) == ("inconclusive", "timeout")
    assert len(evidence.snapshot) == 1


def test_inconclusive_names_the_limit_that_was_hit(project: Project) -> None:
    project.base(BASE)
    loud = "import os\n\n\ndef test_loud():\n    while True:\n        os.write(2, b'x' * 65536)\n"
    evidence = project.prove(
        {"tests/test_loud.py": loud, "calc.py": FIXED}, command(*PYTEST, "-s", "tests"), output_mb=1
    )
    assert (evidence.verdict, evidence.cause) == ("inconclusive", "limit:output")


def test_cancelled_promptly_and_nothing_left(project: Project) -> None:
    project.base(BASE)
    slow = "import time\n\n\ndef test_slow():\n    time.sleep(600)\n"
    timer = threading.Timer(1.0, project.cancel.set)
    timer.start()
    with pytest.raises(ReplayCancelled):
        project.prove({"calc.py": FIXED, "tests/test_slow.py": slow})
    assert list(project.work.glob("*/*")) == []


def test_nothing_runs_when_the_snapshot_is_damaged(project: Project) -> None:
    project.base(BASE)
    project.write({"calc.py": FIXED, "tests/test_calc.py": TEST_FIX})
    record, store = project.snapshot()
    Path(record.tarball.path).write_bytes(b"another")
    with pytest.raises(SnapshotDamaged):
        project.prove_record(record, store)
    assert project.said == []


def test_inconclusive_when_an_executable_is_nowhere(project: Project) -> None:
    project.base(BASE)
    evidence = project.prove({"calc.py": FIXED}, command(str(project.repo / ".venv/bin/python"), "-m", "pytest"))
    assert (evidence.verdict, evidence.cause) == ("inconclusive", "environment")
    assert ".venv/bin/python" in evidence.detail


def test_inconclusive_when_a_third_party_module_is_missing(project: Project) -> None:
    project.base(BASE)
    test = "import no_such_distribution\n\n\ndef test_it():\n    pass\n"
    evidence = project.prove({"calc.py": FIXED, "tests/test_more.py": test})
    assert (evidence.verdict, evidence.cause) == ("inconclusive", "environment")
    assert "no_such_distribution" in evidence.detail


def test_pass_only_when_an_exit_code_is_all_there_is(project: Project) -> None:
    project.base({"check.py": "raise SystemExit(1)\n"})
    python = PYTEST[0]
    evidence = project.prove({"check.py": "print('1 passed')\n"}, command(python, "check.py", runner="python"))
    assert (evidence.verdict, evidence.cause) == ("pass_only", "exit_code_only")


def test_pass_only_when_nothing_but_a_build_verifies(project: Project) -> None:
    project.base({"check.py": "def broken(:\n"})
    build = command(PYTEST[0], "-c", "import check", cls="build", runner="python")
    evidence = project.prove({"check.py": "ok = 1\n"}, build)
    assert (evidence.verdict, evidence.cause) == ("pass_only", "no_test_command")


def test_a_failed_set_up_is_inconclusive(project: Project) -> None:
    project.base(BASE)
    setup = (command(PYTEST[0], "-c", "raise SystemExit(3)", cls="build", runner="python"),)
    evidence = project.prove({"calc.py": FIXED, "tests/test_calc.py": TEST_FIX}, setup=setup)
    assert (evidence.verdict, evidence.cause) == ("inconclusive", "snapshot_setup")


def test_a_log_is_not_written_through_a_link_out_of_the_repository(project: Project, tmp_path: Path) -> None:
    project.base(BASE)
    project.write({"calc.py": FIXED, "tests/test_calc.py": TEST_FIX})
    record, store = project.snapshot()
    outside = tmp_path / "outside"
    project.learning.rename(outside)
    project.learning.symlink_to(outside)
    held = sorted(outside.iterdir())
    evidence = project.prove_record(record, store)
    assert (evidence.verdict, evidence.log) == ("proven", None)
    assert sorted(outside.iterdir()) == held


def test_unittest_in_a_subfolder_is_proven_by_its_own_report(project: Project) -> None:
    test = (
        "import unittest\nfrom calc import mean\n\n\nclass Mean(unittest.TestCase):\n"
        "    def test_empty(self):\n        self.assertEqual(mean([]), 0)\n"
    )
    project.base({"lib/calc.py": CALC, "lib/tests/__init__.py": ""})
    unittest = command(PYTEST[0], "-m", "unittest", "tests.test_calc", runner="unittest", cwd="lib")
    evidence = project.prove({"lib/calc.py": FIXED, "lib/tests/test_calc.py": test}, unittest)
    assert (evidence.verdict, evidence.snapshot[0].source) == ("proven", "unittest"), evidence
