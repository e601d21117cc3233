"""What one execution of a command came to: every test by name, and whether the whole counts as passed.

`ok` needs three witnesses that agree: the process ended with 0, the report is whole, and it names no failure and at
least one test that ran. A disagreement is never `ok`; what the code under test prints is no witness at all.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from events.values import OutcomeSource, TestCounts

Status = Literal["passed", "failed", "error", "skipped"]
Kind = Literal["assertion", "error", "missing_symbol", "import", "collection", "setup", "timeout"]
"""Why a test did not pass, the most telling first: an assertion; an exception in the test's own body; a name that the
module under test does not have; a module that cannot be found; anything else that stopped collection (syntax, a
compiler's error); a fixture or hook; the runner's own time limit."""

KINDS: tuple[Kind, ...] = ("assertion", "error", "missing_symbol", "import", "collection", "setup", "timeout")
REPORT_MAX = 20 * 1024 * 1024
REPORT_FILES_MAX = 200
TESTS_MAX = 200_000


@dataclass(frozen=True)
class TestResult:
    """How one test ended. `symbols` are the names said to be missing (`missing_symbol`), or the module (`import`)."""

    __test__ = False  # pytest would otherwise try to collect this class

    status: Status
    message: str = ""
    kind: Kind | None = None
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadOutcome:
    """One execution as it is to be believed.

    `cause` is None exactly when `ok`: a Kind, or `signal`, `exit_code` (the report is green, the process is not),
    `no_report` (missing, cut short, too large), `report_mismatch` (it contradicts itself), `no_tests`.
    `tests` is empty where nobody named the tests; `ran` counts those not skipped, None where nobody counted.
    `order_seed` is set where the runner said that it shuffled its tests by it. `retried` are tests that failed and were
    run again until they passed; `patched` names what of the runner was replaced while it ran.
    """

    source: OutcomeSource
    ok: bool
    cause: str | None
    counts: TestCounts | None = None
    tests: Mapping[str, TestResult] = field(default_factory=dict)
    ran: int | None = None
    detail: str = ""
    order_seed: int | None = None
    retried: frozenset[str] = frozenset()
    patched: frozenset[str] = frozenset()

    @property
    def failing(self) -> tuple[str, ...]:
        """Ids of the tests that failed or could not run, in the order reported."""
        return tuple(name for name, test in self.tests.items() if test.status in ("failed", "error"))

    @property
    def passing(self) -> tuple[str, ...]:
        return tuple(name for name, test in self.tests.items() if test.status == "passed")


@dataclass(frozen=True)
class Ended:
    """How the process ended: `exit_code` or, when a signal killed it, `signal`; `output` is what it printed."""

    exit_code: int | None
    signal: int | None = None
    output: bytes = b""

    @property
    def text(self) -> str:
        """The output's end, where runners sum up (256 KB at most)."""
        return self.output[-(256 * 1024) :].decode("utf-8", "replace")


def conclude(
    source: OutcomeSource,
    tests: Mapping[str, TestResult],
    ended: Ended,
    *,
    counts: TestCounts | None = None,
    damaged: str | None = None,
    mismatch: str | None = None,
) -> ReadOutcome:
    """Weigh the report against how the process ended.

    `damaged` says why the report is not whole, `mismatch` what in it contradicts itself; `counts` where the runner told
    numbers but no trustworthy names.
    """
    counts = counts or count(tests.values())
    ran = counts.passed + counts.failed + counts.errors
    cause, detail = _cause(tests, ended, counts, damaged, mismatch)
    return ReadOutcome(source, cause is None, cause, counts, dict(tests), ran, detail)


def _cause(
    tests: Mapping[str, TestResult], ended: Ended, counts: TestCounts, damaged: str | None, mismatch: str | None
) -> tuple[str | None, str]:
    if ended.signal is not None:
        return "signal", f"the process was ended by signal {ended.signal}"
    if mismatch is not None:
        return "report_mismatch", mismatch
    failing = [(name, test) for name, test in tests.items() if test.status in ("failed", "error")]
    if damaged is not None and not failing:
        return "no_report", damaged
    if failing:
        name, test = min(failing, key=lambda one: KINDS.index(one[1].kind or "error"))
        return test.kind or "error", f"{name}: {test.message}"
    if counts.failed + counts.errors > 0:
        return "assertion", "the runner counts failures"
    if counts.passed == 0:
        return "no_tests", "no test ran" if not counts.skipped else "every test was skipped"
    if ended.exit_code != 0:
        return "exit_code", f"every test passed, yet the process ended with {ended.exit_code}"
    return None, ""


def by_exit_code(ended: Ended) -> ReadOutcome:
    """The outcome of a command nobody reports on: its exit code alone."""
    if ended.signal is not None:
        return ReadOutcome("exit_code", False, "signal", detail=f"the process was ended by signal {ended.signal}")
    if ended.exit_code == 0:
        return ReadOutcome("exit_code", True, None)
    return ReadOutcome("exit_code", False, "exit_code", detail=f"exit code {ended.exit_code}")


def without_report(source: OutcomeSource, ended: Ended, why: str, told: TestResult | None = None) -> ReadOutcome:
    """The runner should have reported and did not. `told` is what its output says stopped it; it can only fail."""
    tests = {"(before any test)": told} if told is not None else {}
    return conclude(source, tests, ended, damaged=f"{why}; exit code {ended.exit_code}")


def count(tests: Iterable[TestResult]) -> TestCounts:
    statuses = [test.status for test in tests]
    return TestCounts(
        passed=statuses.count("passed"),
        failed=statuses.count("failed"),
        errors=statuses.count("error"),
        skipped=statuses.count("skipped"),
    )


class ReportUnreadable(Exception):
    """A report that cannot be taken as one: too large, a link, not a file; the message says which."""


def read_bounded(path: Path) -> bytes | None:
    """A report's bytes; None where there is none. The code under test could write there: links are not followed.

    Raises ReportUnreadable.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReportUnreadable(f"{path.name} cannot be opened: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ReportUnreadable(f"{path.name} is not a file")
        with os.fdopen(os.dup(handle), "rb") as file:
            data = file.read(REPORT_MAX + 1)
    finally:
        os.close(handle)
    if len(data) > REPORT_MAX:
        raise ReportUnreadable(f"{path.name} is larger than {REPORT_MAX // 1024 // 1024} MB")
    return data


def unique(name: str, taken: Mapping[str, object]) -> str:
    """`name`, or with a number where two tests share it: none may hide the other."""
    if name not in taken:
        return name
    number = 2
    while f"{name} #{number}" in taken:
        number += 1
    return f"{name} #{number}"
