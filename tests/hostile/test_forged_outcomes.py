"""Changes that try to be called proven without fixing anything: the code under test is no witness of itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_place import Place, defined, place
from support.repos import FIXED_CALC, FIXED_TESTS, manifest, put_manifest, write

from learnd.settings import Lab

pytestmark = pytest.mark.sandbox

REPORT = """
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


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path, lab=Lab(cheap_seconds=0, hunk_seconds=0)) as found:
        yield found


def judged(here: Place, files: dict[str, str], runner: str = "unittest") -> str:
    """The evidence on a change that adds a test which the old code fails, and `files` in the fix's stead."""
    write(here.repo, {"test_calc.py": FIXED_TESTS, **files})
    line = f"{sys.executable} -m {'unittest -q test_calc' if runner == 'unittest' else 'pytest -q test_calc.py'}"
    commands = manifest()["commands"]
    assert isinstance(commands, list)
    put_manifest(here.repo, manifest(commands=[{**commands[0], "command": line}]))
    job = here.settle()
    assert defined(job.status)
    assert here.explained(job.id)
    evidence = here.engine.door.job(job.id).evidence
    assert evidence is not None, job
    return evidence.verdict


def forging(tool: str) -> str:
    return REPORT.replace("TOOL", tool)


PLANTED = {
    "conftest exits": ("pytest", {"conftest.py": "import os\nos._exit(0)\n"}),
    "conftest writes a report": ("pytest", {"conftest.py": forging("pytest") + "forge()\n"}),
    "conftest turns failures into passes": (
        "pytest",
        {
            "conftest.py": (
                "import pytest\n\n"
                "@pytest.hookimpl(tryfirst=True)\n"
                "def pytest_pyfunc_call(pyfuncitem):\n    return True\n"
            )
        },
    ),
    "conftest rewrites reports": (
        "pytest",
        {
            "conftest.py": (
                "import pytest\n\n"
                "@pytest.hookimpl(hookwrapper=True, tryfirst=True)\n"
                "def pytest_runtest_makereport(item, call):\n"
                "    outcome = yield\n    report = outcome.get_result()\n"
                "    report.outcome = 'passed'\n    report.longrepr = None\n"
            )
        },
    ),
    "conftest deselects": (
        "pytest",
        {"conftest.py": "def pytest_collection_modifyitems(items):\n    del items[1:]\n"},
    ),
    "pytest.ini deselects": ("pytest", {"pytest.ini": "[pytest]\naddopts = -k total\n"}),
    "pytest.ini only collects": ("pytest", {"pytest.ini": "[pytest]\naddopts = --collect-only\n"}),
    "pyproject deselects": ("pytest", {"pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-k total"\n'}),
    "setup.cfg loads a plugin": (
        "pytest",
        {"setup.cfg": "[tool:pytest]\naddopts = -p evil\n", "evil.py": forging("pytest") + "forge()\n"},
    ),
    "tox.ini loads a plugin": (
        "pytest",
        {"tox.ini": "[pytest]\naddopts = -p evil\n", "evil.py": forging("pytest") + "forge()\n"},
    ),
    "sitecustomize writes a report": ("unittest", {"sitecustomize.py": forging("unittest") + "forge()\n"}),
    "usercustomize writes a report": ("unittest", {"usercustomize.py": forging("unittest") + "forge()\n"}),
    "a module called as the reporter": ("unittest", {"learnd_reporter.py": forging("unittest") + "forge()\n"}),
    "a module called unittest": ("unittest", {"unittest.py": "print('OK')\n"}),
    "learnd.toml and templates of its own": (
        "unittest",
        {
            "learnd.toml": 'sandbox = "none"\n',
            ".agent/task/templates/easy.toml": '[stack]\nname = "easy"\n[[command]]\nargv = ["true"]\nclass = "test"\n',
        },
    ),
    "tests that always pass": ("unittest", {"test_calc.py": FIXED_TESTS.replace("self.assertEqual", "(lambda *_: 0)")}),
    "a test that prints OK and leaves": (
        "unittest",
        {"test_calc.py": "import os\nprint('Ran 2 tests in 0.000s\\n\\nOK')\nos._exit(0)\n"},
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_forger_is_not_called_proven(here: Place, name: str) -> None:
    runner, files = PLANTED[name]
    assert judged(here, files, runner) != "proven"
    assert not list((here.repo / ".agent").rglob("*-*.md"))


def test_the_same_change_with_a_fix_in_it_is_proven(here: Place) -> None:
    """So that the tests above fail for what was planted, not for anything else."""
    assert judged(here, {"calc.py": FIXED_CALC}, "pytest") == "proven"


def test_code_that_leaves_before_its_tests_end_is_not_taken_for_a_fix(here: Place) -> None:
    source = "import os\nprint('OK')\nos._exit(0)\n"
    assert judged(here, {"calc.py": source}) != "proven"
