"""One outcome, one cause: what limits, set-up, reports and messages come to, with the change in mind."""

from __future__ import annotations

import pytest
from prove_project import command

from events.values import TestCounts
from learnd.lab.hunks import AddedNames
from learnd.lab.outcomes import Kind, ReadOutcome, TestResult
from learnd.lab.probe import Loaded
from learnd.lab.reading import Code, Done, combined
from learnd.lab.sandbox import SandboxResult

CODE = Code.of(
    AddedNames(frozenset({"slug"}), frozenset({"pkg.extra"})), ["src/pkg/__init__.py", "src/pkg/mod.py", "tests/t.py"]
)


def done(
    *tests: tuple[str, TestResult],
    code: int | None = 0,
    limit: str | None = None,
    signal: int | None = None,
    output: bytes = b"",
    setup: bool = False,
    cls: str = "test",
    cause: str | None = None,
) -> Done:
    results = dict(tests)
    ok = code == 0 and cause is None and all(test.status == "passed" for test in results.values())
    read = ReadOutcome("pytest", ok, cause, TestCounts(passed=len(results)), results, len(results))
    result = SandboxResult(code, signal, 1.0, output, limit, cancelled=False)  # type: ignore[arg-type]
    return Done(command("pytest", cls=cls), setup, result, read)  # type: ignore[arg-type]


def bad(name: str, kind: Kind, message: str = "", *symbols: str, status: str = "failed") -> tuple[str, TestResult]:
    return name, TestResult(status, message, kind, symbols)  # type: ignore[arg-type]


GOOD = ("t::a", TestResult("passed"))


def cause(*each: Done, loaded: Loaded = Loaded()) -> str | None:  # noqa: B008 - a frozen value
    return combined(each, loaded, 0, CODE).outcome.cause


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (bad("t::b", "assertion", "assert 1 == 2"), "assertion"),
        (bad("t::b", "error", "KeyError: 'a'"), "error"),
        (
            bad("t.py", "missing_symbol", "ImportError: cannot import name 'slug'", "slug", status="error"),
            "missing_symbol",
        ),
        (bad("t.py", "missing_symbol", "ImportError: cannot import name 'gone'", "gone", status="error"), "import"),
        (bad("t::b", "missing_symbol", "NameError: name 'typo' is not defined", "typo"), "error"),
        (bad("t.py", "missing_symbol", "NameError: name 'typo' is not defined", "typo", status="error"), "collection"),
        (bad("t.py", "import", "No module named 'pkg.extra'", "pkg.extra", status="error"), "missing_symbol"),
        (bad("t.py", "import", "No module named 'pkg.lost'", "pkg.lost", status="error"), "import"),
        (bad("t.py", "import", "No module named 'numpy'", "numpy", status="error"), "environment"),
        (bad("t.py", "collection", "SyntaxError: invalid syntax", status="error"), "collection"),
        (bad("t::b", "setup", "RuntimeError: no fixture", status="error"), "setup"),
        (bad("t::b", "setup", "AttributeError: 'C' object has no attribute 'slug'", status="error"), "missing_symbol"),
        (bad("t::b", "timeout", "Timeout >1s"), "timeout"),
    ],
)
def test_the_kind_of_a_failure_is_seen_with_the_change_in_mind(test: tuple[str, TestResult], expected: str) -> None:
    assert cause(done(GOOD, test, code=1)) == expected


def test_one_failure_that_is_no_test_reason_makes_the_whole_none() -> None:
    broken = bad("t.py", "collection", "SyntaxError", status="error")
    assert cause(done(bad("t::b", "assertion"), broken, code=1)) == "collection"


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        (done(GOOD), None),
        (done(GOOD, limit="wall", code=None), "timeout"),
        (done(GOOD, limit="output", code=None), "limit:output"),
        (done(GOOD, limit="memory", code=None), "limit:memory"),
        (done(bad("t::b", "error", "MemoryError"), code=1), "limit:memory"),
        (done(bad("t::b", "error", "OSError: [Errno 27] File too large: 'x'"), code=1), "limit:file"),
        (done(bad("t::b", "setup", "OSError: [Errno 28] No space left on device"), code=1), "limit:disk"),
        (done(bad("t::b", "assertion", "assert 'MemoryError' == 'ValueError'"), code=1), "assertion"),
        (done(code=1, output=b"RuntimeError: can't start new thread\n", cause="no_report"), "limit:processes"),
        (done(bad("t::b", "assertion"), code=1, output=b"MemoryError, said a green test\n"), "assertion"),
        (done(code=3, setup=True, cause="exit_code"), "setup"),
        (done(code=None, signal=11, cause="signal"), "signal"),
        (done(code=127, cause="exit_code"), "environment"),
        (done(code=1, cause="no_report", output=b"/x/python: No module named pytest\n"), "environment"),
        (done(code=1, cause="no_report", output=b"No module named pkg.lost\n"), "no_report"),
        (done(code=5, cause="no_tests"), "no_tests"),
        (done(code=2, cause="exit_code", cls="build"), "build"),
    ],
)
def test_what_a_command_comes_to(each: Done, expected: str | None) -> None:
    assert cause(each) == expected


def test_foreign_code_is_named_even_when_all_is_green() -> None:
    loaded = Loaded(True, frozenset(), (("src/pkg/mod.py", "/env/site-packages/pkg/mod.py"),))
    replayed = combined([done(GOOD)], loaded, 0, CODE)
    assert (replayed.outcome.ok, replayed.outcome.cause) == (False, "foreign_code")
    assert "/env/site-packages/pkg/mod.py" in replayed.outcome.detail


def test_tests_speak_before_builds_and_a_test_one_command_saw_fail_did_not_pass() -> None:
    build, one, other = done(code=1, cls="build", cause="exit_code"), done(GOOD), done(bad("t::a", "assertion"), code=1)
    replayed = combined([build, one, other], Loaded(), 7, CODE)
    assert (replayed.outcome.cause, replayed.outcome.hash_seed, replayed.passed) == ("assertion", 7, frozenset())
    assert replayed.failed == {"t::a"}


def test_secrets_in_a_message_stay_out_of_the_outcome() -> None:
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    outcome = combined([done(bad("t::b", "error", f"RuntimeError: {token}"), code=1)], Loaded(), 0, CODE).outcome
    assert token not in outcome.model_dump_json()


def test_odd_bytes_in_a_name_can_be_stored() -> None:
    outcome = combined([done(bad("t::b\udcff", "error", "x\udcfe"), code=1)], Loaded(), 0, CODE).outcome
    assert outcome.model_validate_json(outcome.model_dump_json()) == outcome
