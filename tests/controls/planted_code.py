"""The code that controls plant: what a change would have to hold to be called proven without fixing anything.

All of it goes over the sample repository, whose `mean([])` divides by zero. ASKED is the test that asks for what only a
true fix gives.
"""

from __future__ import annotations

import importlib.util
import marshal
from pathlib import Path

from support.repos import CALC, CALC_TESTS, FIXED_CALC, FIXED_TESTS

ASKED = {"test_calc.py": FIXED_TESTS}
ASKING = "test_calc.py::CalcTest::test_mean_of_nothing"
FIXED = {"calc.py": FIXED_CALC, **ASKED}
EVEN = CALC_TESTS + "\n    def test_mean(self):\n        self.assertEqual(mean([2, 4]), 3)\n"
"""Tests that pass with the fix and without."""
SQUARE = "\n    def test_square(self):\n        import calc\n\n        self.assertEqual(calc.square(3), 9)\n"
WRONG = CALC.replace("/ len(values)", "/ max(1, len(values)) + 1")
UNDONE = FIXED_CALC + "\n\ndef mean(values):\n    return sum(values) / len(values)\n"

_TESTS = (
    "import unittest\n\nfrom calc import mean\n\n\nclass CalcTest(unittest.TestCase):\n"
    "    def test_a(self):\n        CODE\n\n    def test_mean_of_nothing(self):\n"
    "        self.assertEqual(mean([]), 0.0)\n"
)


def in_a_test(code: str) -> dict[str, str]:
    """The asking tests, the first of which runs `code`."""
    return {"test_calc.py": _TESTS.replace("CODE", code.strip().replace("\n", "\n        "))}


def in_the_source(code: str) -> dict[str, str]:
    """The asking tests, and a wrong answer in the fix's stead, with `code` before it."""
    return {"calc.py": f"{code}\n\n{WRONG}", **ASKED}


def planted(name: str, text: str) -> dict[str, str]:
    """The asking tests, and a file that is no fix."""
    return {name: text, **ASKED}


# --- tests that say more than they saw ---

LEAVES = "import os\nprint('Ran 2 tests in 0.000s\\n\\nOK\\n2 passed in 0.01s')\nos._exit(0)\n"
EXITS = "print('Ran 2 tests in 0.000s\\n\\nOK')\nraise SystemExit(0)\n"

_REPORT = """
import os
for number in range(3, 64):
    try:
        path = os.readlink("/proc/self/fd/%d" % number)
    except OSError:
        continue
    if path.endswith(".ndjson"):
        ACT
"""
DELETES = _REPORT.replace("ACT", "os.unlink(path)")
CUTS = _REPORT.replace("ACT", "os.ftruncate(number, 0)")

_FORGE = """
import glob, json, os
def forge():
    folder = os.environ.get("LEARND_REPORT_DIR")
    if not folder:
        return
    for name in glob.glob(os.path.join(folder, "*")):
        os.unlink(name)
    with open(os.path.join(folder, "TOOL-1.ndjson"), "w") as file:
        for entry in (
            {"t": "start", "tool": "TOOL", "version": "1"},
            {"t": "test", "id": "test_calc.CalcTest.test_mean_of_nothing", "phase": "call", "outcome": "passed"},
            {"t": "test", "id": "test_calc.CalcTest.test_total", "phase": "call", "outcome": "passed"},
            {"t": "end", "exit": 0, "collected": 2},
        ):
            file.write(json.dumps(entry) + "\\n")
    print("2 passed")
    os._exit(0)
"""
FORGE_PYTEST = _FORGE.replace("TOOL", "pytest")
FORGE_UNITTEST = _FORGE.replace("TOOL", "unittest")

SKIPS = "import unittest\n\n\ndef len(values):\n    raise unittest.SkipTest\n"
ENDS_WELL = "import atexit\nimport os\n\natexit.register(os._exit, 0)\n"

# --- what decides whether a test passed ---

PATCHES = "import unittest\n\nunittest.TestCase.assertEqual = lambda *_: None\n"
REWRITES = (
    "import unittest\n\nunittest.TestCase.assertEqual.__code__ = (lambda self, first, second, msg=None: 0).__code__\n"
)
RUNS_NOTHING = "import _pytest.runner\n\n_pytest.runner.pytest_runtest_call = lambda item: None\n" + (
    "import _pytest.python\nimport _pytest.unittest\n\n"
    "_pytest.unittest.TestCaseFunction.runtest = _pytest.python.Function.runtest = lambda self: None\n"
)
PASSES_ALL = "def pytest_collection_modifyitems(items):\n    for item in items:\n        item.runtest = lambda: None\n"
WHITENS = (
    "import pytest\n\n\n@pytest.hookimpl(hookwrapper=True, tryfirst=True)\n"
    "def pytest_runtest_makereport(item, call):\n    outcome = yield\n    report = outcome.get_result()\n"
    "    report.outcome = 'passed'\n    report.longrepr = None\n"
)

# --- what chooses the tests ---

DESELECTS = (
    "def pytest_collection_modifyitems(items):\n    items[:] = [item for item in items if 'nothing' not in item.name]\n"
)
SKIPS_LATER = (
    "import calc\nimport pytest\n\n\ndef pytest_runtest_setup(item):\n"
    "    if hasattr(calc, 'CHANGED'):\n        pytest.skip('not now')\n"
)
ASSERTS = "import unittest\n\nfrom calc import mean\n\n\nclass CalcTest(unittest.TestCase):\n" + (
    "    def test_mean(self):\n        assert mean([2, 4]) == 4\n"
)
EASY = '[stack]\nname = "easy"\n[[command]]\nargv = ["true"]\nclass = "test"\n'

# --- chance, and what is left behind ---

STATEFUL = """
import os, pathlib
left = [
    pathlib.Path(where, "was-here")
    for where in (".", "..", "~", "/tmp", "/dev/shm", "/var/tmp", os.environ.get("TMPDIR", "/tmp"))
]
left = [path.expanduser() for path in left]
seen = any(path.exists() for path in left)
for path in left:
    try:
        path.touch()
    except OSError:
        pass
self.assertTrue(seen)
"""

RETRIES = """
import pytest
from _pytest.runner import runtestprotocol


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for attempt in range(6):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if not any(report.failed for report in reports):
            break
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
"""
"""What retry plug-ins do: a test that fails is run again, and its last run alone is told."""

SOMETIMES = FIXED_TESTS + (
    "\n    tries = 0\n\n    def test_sometimes(self):\n"
    "        type(self).tries += 1\n        self.assertEqual(self.tries % 2, 0)\n"
)
_IN_TURN = (
    "\n    def test_zN(self):\n        self.seen.append(N)\n        self.assertEqual(self.seen, list(range(N + 1)))\n"
)
ORDERED = f"{FIXED_TESTS}\n    seen = []\n" + "".join(_IN_TURN.replace("N", str(number)) for number in range(4))


def byte_code(source: str) -> bytes:
    """Byte code that Python takes without a look at the source that lies beside it (PEP 552, unchecked)."""
    code = compile(source, "calc.py", "exec")
    return importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + marshal.dumps(code)


CACHED = f"__pycache__/{Path(importlib.util.cache_from_source('calc.py')).name}"

# --- node ---

NODE_MEAN = "exports.mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;\n"
NODE_ASKS = (
    "const test = require('node:test');\nconst assert = require('node:assert');\n"
    "const { mean } = require('../mean.js');\n"
    "test('mean', () => assert.strictEqual(mean([2, 4]), 3));\n"
    "test('mean of nothing', () => assert.strictEqual(mean([]), 0));\n"
)
NODE_LEAVES = NODE_ASKS.replace("test('mean',", "console.log('# pass 2\\n# fail 0');\nprocess.exit(0);\ntest('mean',")
NODE_SCRIPT = '{"name": "mean", "scripts": {"test": "node --test test/"}}\n'
NODE_PATCHES = "require('node:assert').strictEqual = () => {};\n"
