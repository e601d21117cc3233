"""Flaky tests, test orders and regressions, in real replays."""

from __future__ import annotations

import sys

import pytest
from prove_project import Project, command

pytestmark = pytest.mark.sandbox

BASE = {
    "calc.py": "def mean(values):\n    return sum(values) / len(values)\n\n\ndef scale():\n    return 1\n",
    "tests/test_calc.py": "from calc import mean\n\n\ndef test_old():\n    assert mean([2]) == 2\n",
    "tests/test_scale.py": "from calc import scale\n\n\ndef test_scale():\n    assert scale() == 1\n",
    "tests/test_seed.py": "import os\n\n\ndef test_seed():\n    assert os.environ['PYTHONHASHSEED'] != '1'\n",
}
STEADY = {name: text for name, text in BASE.items() if name != "tests/test_seed.py"}
FIXED = BASE["calc.py"].replace("/ len(values)", "/ max(1, len(values))")
FIX_TEST = BASE["tests/test_calc.py"] + "\n\ndef test_empty():\n    assert mean([]) == 0\n"


def test_a_flake_that_was_there_before_does_not_sink_the_proof_and_is_recorded(project: Project) -> None:
    project.base(BASE)
    evidence = project.prove({"calc.py": FIXED, "tests/test_calc.py": FIX_TEST})
    assert evidence.verdict == "proven", evidence
    assert {(flaky.test, flaky.side, flaky.failed, flaky.runs) for flaky in evidence.flaky_tests} == {
        ("tests/test_seed.py::test_seed", side, 1, 3) for side in ("base", "snapshot")
    }
    assert [hunk.verdict for hunk in evidence.hunks] == ["exercised"]


def test_when_equal_replays_disagree_more_follow(project: Project) -> None:
    project.base(STEADY)
    flaky = FIX_TEST + "\n\ndef test_seed():\n    import os\n    assert os.environ['PYTHONHASHSEED'] != '1'\n"
    evidence = project.prove({"calc.py": FIXED, "tests/test_calc.py": flaky}, replays_max=5, cheap_seconds=0)
    assert (evidence.verdict, evidence.cause) == ("flaky", "snapshot_disagrees")
    assert [replay.hash_seed for replay in evidence.snapshot] == [0, 1, 2, 1, 0]
    assert "it follows the hash seed" in evidence.detail
    (on_base, on_snapshot) = sorted(evidence.flaky_tests, key=lambda flaky: flaky.side)
    assert (on_base.failed, on_base.runs, on_snapshot.failed, on_snapshot.runs) == (2, 5, 2, 5)
    assert {on_base.follows, on_snapshot.follows} == {"hash_seed"}


def test_a_change_that_breaks_another_test_is_a_regression(project: Project) -> None:
    project.base(STEADY)
    breaking = FIXED.replace("return 1", "return 2")
    evidence = project.prove({"calc.py": breaking, "tests/test_calc.py": FIX_TEST})
    assert (evidence.verdict, evidence.cause) == ("failed", "regression"), evidence
    assert evidence.transitions is not None
    assert evidence.transitions.pass_to_fail.ids == ("tests/test_scale.py::test_scale",)
    assert evidence.transitions.fail_to_pass.ids == ("tests/test_calc.py::test_empty",)


ORDERED = """
seen = []


def test_one():
    seen.append(1)


def test_two():
    seen.append(2)


def test_three():
    seen.append(3)


def test_four():
    assert seen == [1, 2, 3]
"""


def test_a_test_that_leans_on_the_order_is_found_out(project: Project) -> None:
    project.base(STEADY)
    change = {"calc.py": FIXED, "tests/test_calc.py": FIX_TEST + ORDERED}
    evidence = project.prove(change, replays_max=5)
    assert (evidence.verdict, evidence.cause) == ("flaky", "order_dependence")
    seeds = [(replay.hash_seed, replay.order_seed) for replay in evidence.snapshot]
    assert seeds == [(0, None), (1, 1), (2, None), (1, None), (0, 1)]
    assert {(flaky.test, flaky.follows) for flaky in evidence.flaky_tests} == {
        ("tests/test_calc.py::test_four", "order")
    }


def test_without_shuffling_the_order_is_the_runners_own(project: Project) -> None:
    project.base(STEADY)
    evidence = project.prove({"calc.py": FIXED, "tests/test_calc.py": FIX_TEST + ORDERED}, shuffle=False)
    assert evidence.verdict == "proven"
    assert {replay.order_seed for replay in evidence.snapshot} == {None}


def test_unittest_is_shuffled_too(project: Project) -> None:
    project.base(
        {
            "calc.py": BASE["calc.py"],
            "tests/__init__.py": "",
            "tests/test_calc.py": "import unittest\nfrom calc import mean\n\n\nclass T(unittest.TestCase):\n"
            "    def test_old(self):\n        self.assertEqual(mean([2]), 2)\n",
        }
    )
    methods = "".join(f"    def test_{n}(self):\n        T.seen.append({n})\n\n" for n in range(5))
    test = (
        "import unittest\nfrom calc import mean\n\n\nclass T(unittest.TestCase):\n    seen = []\n\n"
        f"{methods}    def test_9(self):\n        self.assertEqual(T.seen, [0, 1, 2, 3, 4])\n\n"
        "    def test_empty(self):\n        self.assertEqual(mean([]), 0)\n"
    )
    run = command(sys.executable, "-m", "unittest", "tests.test_calc", runner="unittest")
    evidence = project.prove({"calc.py": FIXED, "tests/test_calc.py": test}, run)
    assert evidence.snapshot[1].order_seed == 1
    assert evidence.verdict == "flaky"
    assert {flaky.test for flaky in evidence.flaky_tests} == {"tests.test_calc.T.test_9"}


def test_what_leans_on_the_time_zone_is_diagnosed_and_vetoes_nothing(project: Project) -> None:
    project.base(STEADY)
    zoned = FIX_TEST + "\n\ndef test_zone():\n    import time\n    assert time.timezone == 0\n"
    evidence = project.prove({"calc.py": FIXED, "tests/test_calc.py": zoned}, cheap_seconds=60)
    assert evidence.verdict == "proven"
    assert [(variant.name, variant.ok, variant.failing) for variant in evidence.variants] == [
        ("TZ=Pacific/Kiritimati", False, ("tests/test_calc.py::test_zone",)),
        ("LC_ALL=C", True, ()),
    ]


def test_a_test_that_is_known_to_flake_sinks_no_proof_where_this_base_did_not_flake(project: Project) -> None:
    """It flakes with the change alone (`CHANGED`), so nothing but what an earlier job saw can excuse it."""
    seeded = BASE["tests/test_seed.py"].replace("!= '1'", "!= '1' or not hasattr(__import__('calc'), 'CHANGED')")
    project.base({**STEADY, "tests/test_seed.py": seeded})
    project.write({"calc.py": f"{FIXED}\n\nCHANGED = True\n", "tests/test_calc.py": FIX_TEST})
    record, store = project.snapshot()
    test, earlier = "tests/test_seed.py::test_seed", "e" * 64
    assert project.prove_record(record, store).verdict == "flaky"
    evidence = project.prove_record(record, store, known_flaky={test: earlier})
    assert evidence.verdict == "proven", evidence
    assert [(flaky.test, flaky.side, flaky.known_from) for flaky in evidence.flaky_tests] == [
        (test, "snapshot", earlier)
    ]
    assert "exercised" in [hunk.verdict for hunk in evidence.hunks]
