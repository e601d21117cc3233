"""The smallest change that proves the same, and hunks that cannot be taken out alone."""

from __future__ import annotations

import pytest
from prove_project import PYTEST, Project, command

from events.values import Evidence

pytestmark = pytest.mark.sandbox

FAR = "# far enough away\n# to be a hunk\n# of its own\n" * 3
TEST = "from shop import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n"
BASE = {
    "shop.py": f"def total(prices):\n    return 0\n\n\n{FAR}\n\ndef idle():\n    return 1\n\n\n{FAR}\n\nNAME = 'a'\n",
    "tests/test_shop.py": TEST.replace("== 3", "== 0"),
}


def verdicts(evidence: Evidence) -> list[str]:
    return [hunk.verdict for hunk in evidence.hunks]


def test_what_the_tests_do_not_miss_is_no_part_of_the_smallest_change(project: Project) -> None:
    project.base(BASE)
    changed = BASE["shop.py"].replace("return 0", "return sum(prices)").replace("return 1", "return 2")
    evidence = project.prove({"shop.py": changed.replace("'a'", "'b'"), "tests/test_shop.py": TEST})
    assert verdicts(evidence) == ["exercised", "unexercised", "unexercised"]
    minimal = evidence.minimal
    assert minimal is not None
    assert (minimal.hunks, minimal.lines_added, minimal.lines_removed) == ((0,), 1, 1)
    assert minimal.complete
    assert minimal.verified
    text = (project.learning / "minimal.diff").read_text()
    assert minimal.file.path == str(project.learning / "minimal.diff")
    assert "+    return sum(prices)" in text
    assert "return 2" not in text
    assert "test_shop" not in text


def test_the_smallest_change_applied_to_the_base_makes_the_tests_pass(project: Project) -> None:
    project.base(BASE)
    changed = BASE["shop.py"].replace("return 0", "return sum(prices)").replace("return 1", "return 2")
    project.prove({"shop.py": changed, "tests/test_shop.py": TEST})
    project.git("checkout", "-q", "HEAD", "--", "shop.py")
    project.git("apply", str(project.learning / "minimal.diff"))
    assert (project.repo / "shop.py").read_text() == BASE["shop.py"].replace("return 0", "return sum(prices)")


def test_two_hunks_of_which_either_is_enough_are_not_both_kept(project: Project) -> None:
    """Alone each is idle and both together are not: taking out all that is idle at once would take out the fix."""
    base = {
        "shop.py": f"def one():\n    return 0\n\n\n{FAR}\n\ndef other():\n    return 0\n\n\n{FAR}\n\n"
        "def total(prices):\n    return None\n",
        "tests/test_shop.py": "from shop import total\n\n\ndef test_total():\n    assert total([1]) == 0\n",
    }
    changed = (
        base["shop.py"]
        .replace("def one():\n    return 0", "def one():\n    return 1")
        .replace("def other():\n    return 0", "def other():\n    return 1")
        .replace("return None", "return max(one(), other())")
    )
    test = "from shop import total\n\n\ndef test_total():\n    assert total([1]) == 1\n"
    project.base(base)
    evidence = project.prove({"shop.py": changed, "tests/test_shop.py": test})
    assert verdicts(evidence) == ["unexercised", "unexercised", "exercised"]
    assert evidence.minimal is not None
    assert evidence.minimal.hunks in ((0, 2), (1, 2))
    assert evidence.minimal.complete


def test_a_hunk_that_breaks_the_import_is_tried_with_the_hunks_that_name_what_it_defines(project: Project) -> None:
    base = {
        "shop.py": "def total(prices):\n    return 0\n",
        "rates.py": "RATE = 1\n",
        "tests/test_shop.py": TEST.replace("== 3", "== 0"),
    }
    project.base(base)
    evidence = project.prove(
        {
            "rates.py": "RATE = 1\nFACTOR = 1\n",
            "shop.py": "from rates import FACTOR\n\n\ndef total(prices):\n    return sum(prices) * FACTOR\n",
            "tests/test_shop.py": TEST,
        }
    )
    rates = next(hunk for hunk in evidence.hunks if hunk.file == "rates.py")
    assert rates.verdict == "inseparable"
    assert rates.together
    assert all(name.startswith("shop.py:") for name in rates.together)
    assert rates.turned == ("tests/test_shop.py::test_total",)
    assert evidence.minimal is not None
    assert len(evidence.minimal.hunks) == len(evidence.hunks)


def test_without_time_nothing_is_said_to_be_the_smallest(project: Project) -> None:
    project.base(BASE)
    changed = BASE["shop.py"].replace("return 0", "return sum(prices)").replace("return 1", "return 2")
    evidence = project.prove({"shop.py": changed, "tests/test_shop.py": TEST}, minimal_seconds=0, hunk_seconds=0)
    assert verdicts(evidence) == ["unknown", "unknown"]
    assert evidence.minimal is not None
    assert not evidence.minimal.complete
    assert evidence.minimal.hunks == (0, 1)


def test_hunks_reverted_side_by_side_say_the_same(project: Project) -> None:
    project.base(BASE)
    changed = BASE["shop.py"].replace("return 0", "return sum(prices)").replace("return 1", "return 2")
    files = {"shop.py": changed.replace("'a'", "'b'"), "tests/test_shop.py": TEST}
    evidence = project.prove(files, command(*PYTEST, "tests"), hunks_at_once=3)
    assert verdicts(evidence) == ["exercised", "unexercised", "unexercised"]
    log = (project.learning / "scenario-validation.log").read_text()
    for hunk in evidence.hunks:
        told = log.index(f"without {hunk.file}:{hunk.lines[0]} ")
        assert log.index("--- ", told) < log.find("\n=== ", told)
