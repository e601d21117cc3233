"""What is believed of real pytest and unittest runs, each in a process of its own."""

from __future__ import annotations

import sys
import textwrap

import pytest
from support.cases import thorough

from events.values import TestCounts
from learnd.lab.outcomes import ReadOutcome

PYTEST = ("python", "-m", "pytest", "-q")
UNITTEST = ("python", "-m", "unittest")
MODULE = {"m.py": "def add(a, b):\n    return a + b\n\n\nclass C:\n    pass\n"}
MANY = textwrap.dedent(
    """
    import pytest, m
    def test_ok(): assert m.add(1, 2) == 3
    def test_wrong(): assert m.add(1, 2) == 4
    def test_raises_nothing():
        with pytest.raises(ValueError): pass
    def test_error(): raise ValueError("far")
    def test_gone(): m.gone()
    def test_gone_method(): m.C.gone()
    def test_object(): m.C().gone()
    def test_undefined(): undefined_thing
    def test_late():
        from m import later
    def test_module():
        import not_there.at_all
    def test_skip(): pytest.skip("later")
    @pytest.mark.xfail
    def test_xfail(): assert 0
    @pytest.mark.xfail(strict=True)
    def test_xpass(): pass
    @pytest.fixture
    def broken(): raise OSError("no database")
    def test_fixture(broken): pass
    @pytest.fixture
    def leaves():
        yield
        raise OSError("cannot leave")
    def test_teardown(leaves): pass
    """
)
EXPECTED = {
    "test_ok": ("passed", None, ()),
    "test_wrong": ("failed", "assertion", ()),
    "test_raises_nothing": ("failed", "assertion", ()),
    "test_error": ("failed", "error", ()),
    "test_gone": ("failed", "missing_symbol", ("gone",)),
    "test_gone_method": ("failed", "missing_symbol", ("gone",)),
    "test_object": ("failed", "error", ()),
    "test_undefined": ("failed", "missing_symbol", ("undefined_thing",)),
    "test_late": ("failed", "missing_symbol", ("later",)),
    "test_module": ("failed", "import", ("not_there",)),
    "test_skip": ("skipped", None, ()),
    "test_xfail": ("skipped", None, ()),
    "test_xpass": ("failed", "assertion", ()),
    "test_fixture": ("error", "setup", ()),
    "test_teardown": ("error", "setup", ()),
}


def told(outcome: ReadOutcome) -> dict[str, tuple[str, str | None, tuple[str, ...]]]:
    return {
        name.split("::")[-1].split(".")[-1]: (test.status, test.kind, test.symbols)
        for name, test in outcome.tests.items()
    }


@pytest.mark.parametrize(
    "workers", [(), *thorough((("-n", "2"),), (("-p", "no:cacheprovider", "-o", "addopts=-x --maxfail=99"),))]
)
def test_pytest_names_every_test_and_the_kind_of_its_failure(execute, workers: tuple[str, ...]) -> None:
    outcome = execute({**MODULE, "test_a.py": MANY}, *PYTEST, *workers, runner="pytest")
    assert told(outcome) == EXPECTED
    assert (outcome.source, outcome.ok, outcome.cause) == ("pytest", False, "assertion")
    assert outcome.counts == TestCounts(passed=1, failed=10, errors=2, skipped=2)
    assert outcome.ran == 13
    assert "test_a.py::test_wrong" in outcome.failing


def test_a_passing_run_is_ok(execute) -> None:
    outcome = execute(
        {**MODULE, "test_a.py": "import m\ndef test(): assert m.add(1, 1) == 2\n"}, *PYTEST, runner="pytest"
    )
    assert (outcome.ok, outcome.cause, outcome.passing) == (True, None, ("test_a.py::test",))


@pytest.mark.parametrize(
    ("files", "kind", "symbols"),
    [
        ({"test_a.py": "from m import gone\n"}, "missing_symbol", ("gone",)),
        ({"test_a.py": "import numpyy\n"}, "import", ("numpyy",)),
        ({"test_a.py": "def test(: pass\n"}, "collection", ()),
        ({"conftest.py": "import numpyy\n", "test_a.py": "def test(): pass\n"}, "import", ("numpyy",)),
        *thorough(
            ({"test_a.py": "import m\nm.gone()\n"}, "missing_symbol", ("gone",)),
            ({"test_a.py": "gone()\n"}, "missing_symbol", ("gone",)),
            ({"test_a.py": "import m.sub\n"}, "import", ("m.sub",)),
            ({"test_a.py": "raise OSError('no database')\n"}, "collection", ()),
            ({"conftest.py": "from m import gone\n", "test_a.py": "def test(): pass\n"}, "missing_symbol", ("gone",)),
        ),
    ],
)
def test_what_stopped_collection_is_told(execute, files: dict[str, str], kind: str, symbols: tuple[str, ...]) -> None:
    outcome = execute({**MODULE, **files}, *PYTEST, runner="pytest")
    assert (outcome.ok, outcome.cause) == (False, kind)
    assert [test.symbols for test in outcome.tests.values()] == [symbols]


@pytest.mark.parametrize(
    ("files", "cause"),
    [
        ({}, "no_tests"),
        ({"test_a.py": "import pytest\ndef test(): pytest.skip('x')\n"}, "no_tests"),
        ({"test_a.py": "import os\ndef test():\n    print('1 passed in 0.01s')\n    os._exit(0)\n"}, "no_report"),
        ({"test_a.py": "import os, signal\ndef test(): os.kill(os.getpid(), signal.SIGKILL)\n"}, "signal"),
        ({"test_a.py": "def test(): pass\n", "conftest.py": "import atexit, os\natexit.register(os._exit, 3)\n"},
         "exit_code"),
        ({"test_a.py": "def test(): assert 0\n", "conftest.py": "import atexit, os\natexit.register(os._exit, 0)\n"},
         "assertion"),
        ({"test_a.py": "import glob, os\ndef test(): [os.unlink(f) for f in glob.glob('../report/*')]\n"}, "no_report"),
    ],
)  # fmt: skip
def test_never_ok_when_the_witnesses_disagree(execute, files: dict[str, str], cause: str) -> None:
    outcome = execute({**MODULE, **files}, *PYTEST, runner="pytest")
    assert (outcome.ok, outcome.cause) == (False, cause)


def test_a_pytest_started_by_a_test_does_not_speak_for_the_replay(execute) -> None:
    inner = "import subprocess, sys, os\nimport pytest\n\ndef test_outer(tmp_path):\n"
    inner += "    (tmp_path / 'test_in.py').write_text('def test_inner(): assert 0')\n"
    inner += "    assert 'PYTEST_ADDOPTS' not in os.environ\n"
    inner += "    assert subprocess.run([sys.executable, '-m', 'pytest', str(tmp_path)]).returncode == 1\n"
    inner += "    assert pytest.main([str(tmp_path), '-p', 'no:cacheprovider']) == 1\n"
    outcome = execute({"test_a.py": inner}, *PYTEST, runner="pytest")
    assert (outcome.ok, list(outcome.tests)) == (True, ["test_a.py::test_outer"])


def test_options_that_the_run_had_in_its_environment_stay(execute) -> None:
    text = "import os\ndef test(): assert os.environ['PYTEST_ADDOPTS'] == '-k test'\ndef other(): pass\n"
    outcome = execute({"test_a.py": text}, *PYTEST, runner="pytest", env={"PYTEST_ADDOPTS": "-k test"})
    assert (outcome.ok, outcome.ran) == (True, 1)


def test_the_project_s_own_sitecustomize_and_path_still_load(execute) -> None:
    files = {
        "lib/sitecustomize.py": "import os\nos.environ['OWN'] = '1'\n",
        "lib/helper.py": "",
        "test_a.py": "import os\ndef test():\n    import helper, sitecustomize\n    assert os.environ['OWN'] == '1'\n"
        "    assert 'lib' in sitecustomize.__file__\n",
    }
    outcome = execute(files, *PYTEST, runner="pytest", env={"PYTHONPATH": "lib"})
    assert outcome.ok, outcome.detail


@pytest.mark.parametrize("runner", ["make", *thorough("shell")])
def test_pytest_reports_from_behind_a_wrapper(execute, runner: str) -> None:
    files = {"Makefile": f"test:\n\t@{sys.executable} -m pytest -q\n", "test_a.py": "def test(): pass\n"}
    outcome = execute(files, "make", "test", runner=runner)
    assert (outcome.source, outcome.ok, outcome.passing) == ("pytest", True, ("test_a.py::test",))


def test_both_runners_behind_one_command_are_added_up(execute) -> None:
    python = sys.executable
    files = {
        "Makefile": f"test:\n\t@{python} -m pytest -q test_a.py; {python} -m unittest -q test_b\n",
        "test_a.py": "def test(): assert 0\n",
        "test_b.py": "import unittest\nclass T(unittest.TestCase):\n    def test(self): pass\n",
    }
    outcome = execute(files, "make", "test", runner="make")
    assert (outcome.ok, outcome.cause, outcome.ran) == (False, "assertion", 2)


def test_a_command_without_a_report_is_judged_by_its_exit_code(execute) -> None:
    outcome = execute({"Makefile": "test:\n\t@echo OK, 5 passed; exit 3\n"}, "make", "test", runner="make")
    assert (outcome.source, outcome.ok, outcome.cause, outcome.tests) == ("exit_code", False, "exit_code", {})


def test_printing_ok_is_no_report(execute) -> None:
    outcome = execute({"pytest.py": "print('5 passed')\n"}, "python", "-m", "pytest", runner="pytest")
    assert (outcome.ok, outcome.cause) == (False, "no_report")


def test_an_isolated_python_is_judged_by_its_exit_code(execute) -> None:
    files = {"test_a.py": "import unittest\nclass T(unittest.TestCase):\n    def test(self): pass\n"}
    outcome = execute(files, "python", "-I", "-B", "-m", "unittest", "discover", ".", runner="unittest")
    assert (outcome.source, outcome.ok) == ("exit_code", True)


UNIT = textwrap.dedent(
    """
    import unittest, m
    class T(unittest.TestCase):
        def test_ok(self): self.assertEqual(m.add(1, 2), 3)
        def test_wrong(self): self.assertEqual(m.add(1, 2), 4)
        def test_error(self): raise ValueError("far")
        def test_gone(self): m.gone()
        @unittest.skip("later")
        def test_skip(self): pass
        @unittest.expectedFailure
        def test_expected(self): self.fail()
        @unittest.expectedFailure
        def test_unexpected(self): pass
        def test_own_result(self):
            class Inner(unittest.TestCase):
                def runTest(self): self.fail()
            unittest.TextTestRunner(stream=open("/dev/null", "w")).run(Inner())
    class Fixture(unittest.TestCase):
        def setUp(self): raise OSError("no database")
        def test_set_up(self): pass
    class ClassFixture(unittest.TestCase):
        @classmethod
        def setUpClass(cls): raise OSError("no database")
        def test_never(self): pass
    """
)


def test_unittest_names_every_test_and_the_kind_of_its_failure(execute) -> None:
    outcome = execute({**MODULE, "test_a.py": UNIT, "test_b.py": "from m import gone\n"}, *UNITTEST, runner="unittest")
    assert told(outcome) == {
        "test_ok": ("passed", None, ()),
        "test_wrong": ("failed", "assertion", ()),
        "test_error": ("failed", "error", ()),
        "test_gone": ("failed", "missing_symbol", ("gone",)),
        "test_skip": ("skipped", None, ()),
        "test_expected": ("skipped", None, ()),
        "test_unexpected": ("failed", "assertion", ()),
        "test_own_result": ("passed", None, ()),
        "test_set_up": ("error", "setup", ()),
        "ClassFixture)": ("error", "setup", ()),
        "test_b": ("error", "missing_symbol", ("gone",)),
    }
    assert (outcome.source, outcome.ok, outcome.cause) == ("unittest", False, "assertion")


def test_one_failing_subtest_fails_and_is_named(execute) -> None:
    text = "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        for i in range(3):\n"
    text += "            with self.subTest(i=i): self.assertNotEqual(i, 1)\n"
    outcome = execute({"test_a.py": text}, *UNITTEST, runner="unittest")
    assert (outcome.ok, outcome.failing) == (False, ("test_a.T.test (i=1)",))


@pytest.mark.parametrize(
    ("body", "ok", "cause"),
    [("pass", True, None), ("import os; os._exit(0)", False, "no_report"), ("self.skipTest('x')", False, "no_tests")],
)
def test_unittest_run_as_a_script(execute, body: str, ok: bool, cause: str | None) -> None:
    text = f"import unittest\nclass T(unittest.TestCase):\n    def test(self): {body}\nunittest.main()\n"
    outcome = execute({"test_a.py": text}, "python", "test_a.py", runner="unittest")
    assert (outcome.source, outcome.ok, outcome.cause) == ("unittest", ok, cause)
