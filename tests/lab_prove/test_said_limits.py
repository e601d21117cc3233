"""Words that name a limit: believed where more room takes them away, a failure like any other where it does not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from prove_project import Project, command

pytestmark = pytest.mark.sandbox

RUN = command(sys.executable, "-m", "unittest", "-q", "test_save", runner="unittest")
BASE = {"save.py": "def save(write):\n    return write()\n", "test_save.py": ""}
FULL = (
    "import unittest\n\nfrom save import save\n\n\ndef full():\n    raise OSError(28, 'No space left on device')\n\n\n"
    "class Save(unittest.TestCase):\n    def test_a_full_disk(self):\n        self.assertIsNone(save(full))\n"
)
LARGE = (
    "import unittest\n\nfrom save import SIZE\n\n\n"
    "class Save(unittest.TestCase):\n    def test_large(self):\n"
    "        self.assertEqual(len(bytearray(SIZE << 20)), SIZE << 20)\n"
)


def test_a_test_about_a_full_disk_fails_for_a_test_reason(project: Project) -> None:
    project.base(BASE)
    fixed = "def save(write):\n    try:\n        return write()\n    except OSError:\n        return None\n"
    evidence = project.prove({"save.py": fixed, "test_save.py": FULL}, RUN)
    assert (evidence.verdict, evidence.cause) == ("proven", None), evidence
    assert {replay.cause for replay in evidence.base} == {"error"}
    assert evidence.log is not None
    text = Path(evidence.log.path).read_text()
    assert text.count("with more room") == 1  # asked once; from then on it is known


def test_a_test_that_needs_more_than_it_may_use_is_ended_by_its_limit(project: Project) -> None:
    project.base({"save.py": "SIZE = 100\n", "test_save.py": ""})
    evidence = project.prove({"save.py": "SIZE = 200\n", "test_save.py": LARGE}, RUN, memory_mb=150)
    assert (evidence.verdict, evidence.cause) == ("inconclusive", "limit:memory")
