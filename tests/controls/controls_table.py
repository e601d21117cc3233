"""Changes that fix nothing, each by name: what it holds, and what may be said of it. None may be called proven."""

from __future__ import annotations

import shutil
from pathlib import Path

from control_place import NODE, PYTEST, Control
from planted_code import (
    ASKED,
    ASKING,
    ASSERTS,
    CACHED,
    CUTS,
    DELETES,
    DESELECTS,
    EASY,
    ENDS_WELL,
    EVEN,
    EXITS,
    FIXED,
    FORGE_PYTEST,
    FORGE_UNITTEST,
    LEAVES,
    NODE_ASKS,
    NODE_LEAVES,
    NODE_MEAN,
    NODE_PATCHES,
    NODE_SCRIPT,
    ORDERED,
    PASSES_ALL,
    PATCHES,
    RETRIES,
    REWRITES,
    RUNS_NOTHING,
    SKIPS,
    SKIPS_LATER,
    SOMETIMES,
    SQUARE,
    STATEFUL,
    UNDONE,
    WHITENS,
    byte_code,
    in_a_test,
    in_the_source,
    planted,
)  # fmt: skip
from support.repos import CALC, FIXED_CALC, FIXED_TESTS

from learnd.engine import Engine

NOT_ASKED = ("inconclusive:no_tests", "pass_only:base_passes", "pass_only:test_only")
"""The test that asks is not run, or says yes on both sides: what chooses the tests stands on both."""
UNREPORTED = ("inconclusive:no_tests", "inconclusive:snapshot_no_report")
MUTE = (*UNREPORTED, "flaky:snapshot_disagrees", "inconclusive:snapshot_collection")
"""The report ends where the test wants; in another order the test that asks is run first, and fails."""
FAILS = ("failed:snapshot_fails",)
FOREIGN = ("inconclusive:foreign_code",)
UNLOADED = ("inconclusive:base_no_report", "inconclusive:base_setup")
PATCHED = ("inconclusive:runner_patched",)


def swap_the_tarball(engine: Engine) -> None:
    """Put another whole tarball in the place of the one that was taken."""
    (job,) = engine.views().jobs()
    snapshot = engine.door.job(job.id).snapshot
    assert snapshot is not None
    path = Path(snapshot.tarball.path)
    other = shutil.make_archive(str(path.with_suffix(".other")), "gztar", path.parent)
    Path(other).replace(path)


CONTROLS: dict[str, Control] = {
    # --- nothing was changed that a test could notice
    "a comment": Control(
        {"calc.py": CALC.replace("values):\n", "values):  # numbers\n", 1), "test_calc.py": EVEN},
        ("pass_only:base_passes",),
    ),
    "tests alone": Control(ASKED, ("pass_only:test_only",), base={"calc.py": FIXED_CALC}),
    "everything was taken back": Control({"calc.py": CALC}, ("skipped:empty_diff",)),
    "a later hunk takes the first back": Control({"calc.py": UNDONE, "test_calc.py": EVEN}, ("pass_only:base_passes",)),
    "a later hunk takes the fix back": Control({"calc.py": UNDONE, **ASKED}, FAILS),
    "no test is run": Control(FIXED, ("inconclusive:no_tests",), f"{PYTEST} -k nothing_is_called_so"),
    # --- the tests say more than they saw
    "a test prints OK and leaves (unittest)": Control(in_a_test(LEAVES), MUTE),
    "a test prints OK and leaves (pytest)": Control(in_a_test(LEAVES), MUTE, PYTEST),
    "a module of tests prints OK and exits": Control({"test_calc.py": EXITS, "calc.py": FIXED_CALC}, UNREPORTED),
    "a test prints OK and leaves (node)": Control(
        {"test/mean.test.js": NODE_LEAVES, "mean.js": "exports.mean = () => 1;\n"},
        ("inconclusive:no_tests", "pass_only:base_passes"),
        NODE,
        base={"mean.js": NODE_MEAN},
        needs="node",
    ),
    "a test deletes its own report": Control(in_a_test(DELETES), MUTE),
    "a test cuts its own report short": Control(in_a_test(CUTS), MUTE),
    "a test writes another report": Control(in_a_test(f"{FORGE_UNITTEST}\nforge()"), (*NOT_ASKED, *FAILS, *MUTE)),
    "tests that compare nothing": Control(
        {"test_calc.py": FIXED_TESTS.replace("self.assertEqual", "(lambda *_: 0)"), "calc.py": f"{CALC}\n\nX = 1\n"},
        FAILS,
    ),
    "the code leaves before its tests end": Control({"calc.py": LEAVES, **ASKED}, UNREPORTED),
    "the code skips the test that asks": Control(in_the_source(SKIPS), ("inconclusive:base_other_tests",)),
    "the code ends the process well": Control(in_the_source(ENDS_WELL), FAILS),
    # --- what decides whether a test passed is replaced
    "the code replaces unittest's assertion": Control(in_the_source(PATCHES), PATCHED),
    "the code replaces unittest's assertion, under pytest": Control(in_the_source(PATCHES), PATCHED, PYTEST),
    "the code replaces the body of an assertion": Control(in_the_source(REWRITES), PATCHED),
    "the code has pytest run no test": Control(in_the_source(RUNS_NOTHING), PATCHED, PYTEST),
    "conftest turns failures into passes": Control(planted("conftest.py", PASSES_ALL), NOT_ASKED, PYTEST),
    "conftest rewrites reports": Control(planted("conftest.py", WHITENS), NOT_ASKED, PYTEST),
    "conftest writes a report": Control(
        planted("conftest.py", f"{FORGE_PYTEST}forge()\n"), (*NOT_ASKED, *UNREPORTED), PYTEST
    ),
    "conftest exits": Control(planted("conftest.py", LEAVES), UNREPORTED, PYTEST),
    "sitecustomize writes a report": Control(planted("sitecustomize.py", f"{FORGE_UNITTEST}forge()\n"), FOREIGN),
    "usercustomize writes a report": Control(planted("usercustomize.py", f"{FORGE_UNITTEST}forge()\n"), FAILS),
    "a module called as the reporter": Control(planted("learnd_reporter.py", f"{FORGE_UNITTEST}forge()\n"), FOREIGN),
    "a module called unittest": Control(planted("unittest.py", "print('OK')\n"), UNREPORTED),
    # --- what chooses the tests is changed
    "conftest deselects": Control(planted("conftest.py", DESELECTS), NOT_ASKED, PYTEST),
    "conftest skips everything once the change is there": Control(
        {**planted("conftest.py", SKIPS_LATER), "calc.py": f"{CALC}\n\nCHANGED = True\n"},
        ("inconclusive:no_tests",),
        PYTEST,
    ),
    "pytest.ini deselects by -k": Control(planted("pytest.ini", "[pytest]\naddopts = -k total\n"), NOT_ASKED, PYTEST),
    "pytest.ini deselects by -m": Control(
        planted("pytest.ini", "[pytest]\naddopts = -m slow\nmarkers = slow\n"), NOT_ASKED, PYTEST
    ),
    "pytest.ini deselects by name": Control(
        planted("pytest.ini", f"[pytest]\naddopts = --deselect {ASKING}\n"), NOT_ASKED, PYTEST
    ),
    "pytest.ini only collects": Control(
        planted("pytest.ini", "[pytest]\naddopts = --collect-only\n"), NOT_ASKED, PYTEST
    ),
    "pytest.ini turns the reporter off": Control(
        planted("pytest.ini", "[pytest]\naddopts = -p no:learnd_pytest_reporter\n"), FAILS, PYTEST
    ),
    "pyproject deselects": Control(
        planted("pyproject.toml", '[tool.pytest.ini_options]\naddopts = "-k total"\n'), NOT_ASKED, PYTEST
    ),
    "setup.cfg loads a plugin": Control(
        planted("setup.cfg", "[tool:pytest]\naddopts = -p evil\n") | {"evil.py": f"{FORGE_PYTEST}forge()\n"},
        UNLOADED,
        PYTEST,
    ),
    "tox.ini loads a plugin": Control(
        planted("tox.ini", "[pytest]\naddopts = -p evil\n") | {"evil.py": f"{FORGE_PYTEST}forge()\n"}, UNLOADED, PYTEST
    ),
    "the Makefile leaves assertions out": Control(
        {"Makefile": "test:\n\tPYTHONOPTIMIZE=1 python3 -m unittest -q test_calc\n", "test_calc.py": ASSERTS},
        ("pass_only:test_only",),
        "make test",
        base={"Makefile": "test:\n\tpython3 -m unittest -q test_calc\n"},
        needs="make",
    ),
    "package.json maps the module to another": Control(
        {"package.json": NODE_SCRIPT.replace("--test", "--require ./fixed.js --test"), "test/mean.test.js": NODE_ASKS},
        ("pass_only:test_only",),
        "npm test",
        base={"mean.js": NODE_MEAN, "package.json": NODE_SCRIPT, "fixed.js": NODE_PATCHES},
        needs="node",
    ),
    "learnd.toml and templates of its own": Control(
        {**ASKED, "learnd.toml": 'sandbox = "none"\n', ".agent/task/templates/easy.toml": EASY},
        FAILS,
    ),
    # --- chance, and what is left behind
    "a test passes once something is left behind": Control({**in_a_test(STATEFUL), "calc.py": FIXED_CALC}, FAILS),
    "a plug-in runs failing tests again": Control(
        {"conftest.py": RETRIES, "test_calc.py": SOMETIMES, "calc.py": FIXED_CALC}, ("flaky:retried",), PYTEST
    ),
    "a test leans on the order of the others": Control(
        {"test_calc.py": ORDERED, "calc.py": FIXED_CALC}, ("flaky:order_dependence", "flaky:snapshot_disagrees")
    ),
    "byte code that says otherwise": Control(
        {CACHED: byte_code(FIXED_CALC), "calc.py": f"{CALC}\n\n\nX = 1\n", **ASKED},
        ("pass_only:base_passes",),
    ),
    # --- the base fails, and not for what is missing; the change breaks more than it mends
    "the base fails by an import alone": Control(
        {"calc.py": CALC}, ("inconclusive:base_import",), base={"calc.py": f"raise ImportError('no backend')\n{CALC}"}
    ),
    "a fix that breaks another test": Control(
        {"calc.py": FIXED_CALC.replace("value * value\n", "value + value\n", 1), "test_calc.py": FIXED_TESTS + SQUARE},
        ("failed:regression",),
    ),
    "the snapshot's tarball was swapped": Control(FIXED, ("stalled_snapshot:digest",), meanwhile=swap_the_tarball),
}

RARE = frozenset(
    {
        "a later hunk takes the fix back",
        "the code replaces unittest's assertion, under pytest",
        "conftest turns failures into passes",
        "conftest deselects",
        "conftest exits",
        "usercustomize writes a report",
        "pytest.ini deselects by -m",
        "pytest.ini deselects by name",
        "pytest.ini turns the reporter off",
        "pyproject deselects",
        "tox.ini loads a plugin",
    }
)
"""Tried by `make controls` alone: each has a neighbour that `make test` tries."""
