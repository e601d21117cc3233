"""What pytest and unittest reported through our reporter: NDJSON, a line for each phase of each test, and an end.

A report without its end was cut short (`os._exit`, a crash, a deleted file) and proves nothing. Several reports stand
side by side where one command starts the runner several times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from learnd.lab.outcomes.results import (
    KINDS,
    REPORT_FILES_MAX,
    TESTS_MAX,
    Ended,
    Kind,
    ReadOutcome,
    ReportUnreadable,
    Status,
    TestResult,
    conclude,
    read_bounded,
    without_report,
)

Tool = Literal["pytest", "unittest"]
PATCHED_MAX = 20
_RAISED = re.compile(r"^E?[ \t]*(?:[\w.]+\.)?(\w*(?:Error|Exception))\b:? ?(.*)$", re.MULTILINE)
_NO_NAME = re.compile(r"cannot import name '?(\w+)'?")
_NO_MODULE = re.compile(r"No module named '?([\w.]+)'?")
_NO_ATTRIBUTE = re.compile(r"(?:module|type object) '[\w.]+' has no attribute '(\w+)'")
_NO_PLUGIN = re.compile(r"^Error importing plugin ")
_UNDEFINED = re.compile(r"name '(\w+)' is not defined")


@dataclass
class _Session:
    """One report while it is read."""

    tests: dict[str, TestResult] = field(default_factory=dict)
    started: bool = False
    ended: bool = False
    order_seed: int | None = None
    retried: set[str] = field(default_factory=set)
    patched: set[str] = field(default_factory=set)


def reports(report_dir: Path) -> dict[Tool, list[Path]]:
    """The reports in a folder, by who wrote them."""
    found: dict[Tool, list[Path]] = {}
    tools: tuple[Tool, ...] = ("pytest", "unittest")
    for tool in tools:
        files = sorted(report_dir.glob(f"{tool}-*.ndjson"))
        if files:
            found[tool] = files
    return found


def read_python(report_dir: Path, expected: Tool | None, ended: Ended) -> ReadOutcome | None:
    """The outcome of a Python test run; None where nothing was expected and nothing reported."""
    found = reports(report_dir)
    tool = expected if expected in found else next(iter(found), expected)
    if tool is None:
        return None
    if not found:
        told = _told_by_output(ended.text) if ended.exit_code else None
        return without_report(tool, ended, f"{tool} wrote no report", told)
    tests: dict[str, TestResult] = {}
    damaged: str | None = None
    order_seed: int | None = None
    retried, patched = frozenset[str](), frozenset[str]()
    files = [file for paths in found.values() for file in paths]
    if len(files) > REPORT_FILES_MAX:
        damaged = f"{len(files)} reports of one command"
    for file in files[:REPORT_FILES_MAX]:
        try:
            session = _read(read_bounded(file) or b"")
        except ReportUnreadable as error:
            damaged = str(error)
            continue
        if not session.ended:
            damaged = f"the report of {tool} has no end: the run was cut short"
        tests = _merged(tests, session.tests)
        order_seed = session.order_seed if order_seed is None else order_seed
        retried |= session.retried
        patched |= session.patched
    outcome = conclude(tool, tests, ended, damaged=damaged)
    return replace(outcome, order_seed=order_seed, retried=retried, patched=patched)


def _read(data: bytes) -> _Session:
    session = _Session()
    for entry in _entries(data):
        match entry.get("t"):
            case "start":
                session.started = True
            case "end":
                session.ended = session.started
            case "order" if isinstance(entry.get("seed"), int):
                session.order_seed = int(str(entry["seed"]))
            case "patched" if isinstance(names := entry.get("names"), list):
                session.patched.update(str(name) for name in names[:PATCHED_MAX])
            case "test" if len(session.tests) < TESTS_MAX:
                _take(session, entry)
    return session


def _entries(data: bytes) -> Iterator[dict[str, object]]:
    for line in data.split(b"\n"):
        if line.strip():
            try:
                entry = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(entry, dict):
                yield entry


def _take(session: _Session, entry: dict[str, object]) -> None:
    name, phase, outcome = entry.get("id"), entry.get("phase"), entry.get("outcome")
    if not isinstance(name, str) or not isinstance(phase, str):
        return
    result = _result(entry, phase, outcome)
    if result is None:
        return
    if result.status == "passed" and entry.get("retried"):
        session.retried.add(name)
    before = session.tests.get(name)
    if before is None or _RANK[result.status] >= _RANK[before.status]:
        session.tests[name] = result


_RANK: dict[Status, int] = {"passed": 0, "skipped": 1, "failed": 2, "error": 2}
"""A test's phases add up to the worst of them; a later failure replaces an earlier one (a run again)."""


def _result(entry: dict[str, object], phase: str, outcome: object) -> TestResult | None:
    if outcome == "skipped":
        return TestResult("skipped")
    if outcome == "passed":
        return TestResult("passed") if phase == "call" else None
    if outcome != "failed":
        return None  # `rerun` and other words of plugins: the last run of the test follows, and says that it is one
    kind, symbol, message = entry.get("kind"), entry.get("symbol"), entry.get("message")
    known: Kind = next((one for one in KINDS if one == kind), "error")
    return TestResult(
        "failed" if phase == "call" else "error",
        message if isinstance(message, str) else "",
        known,
        (symbol,) if isinstance(symbol, str) else (),
    )


def _merged(one: dict[str, TestResult], other: dict[str, TestResult]) -> dict[str, TestResult]:
    """Both sessions; a test that ran in two keeps the worse result, as it has one name."""
    merged = dict(one)
    for name, result in other.items():
        if name not in merged or _RANK[result.status] > _RANK[merged[name].status]:
            merged[name] = result
    return merged


def _told_by_output(text: str) -> TestResult | None:
    """What stopped a run before its first test (an import in conftest.py), from what it printed."""
    raised = _RAISED.findall(text)
    if not raised:
        return None
    name, message = raised[-1]
    if _NO_PLUGIN.search(message):
        # Settings that load a plugin: what is missing there says nothing about the code under test.
        return TestResult("error", "the runner's settings load a plugin that is not there", "setup")
    kind, symbols = _kind_of_text(name, message)
    return TestResult("error", f"{name}: {message}"[:400], kind, symbols)


def _kind_of_text(name: str, message: str) -> tuple[Kind, tuple[str, ...]]:
    if name in ("ImportError", "ModuleNotFoundError"):
        if found := _NO_NAME.search(message):
            return "missing_symbol", (found.group(1),)
        module = _NO_MODULE.search(message)
        return "import", (module.group(1),) if module else ()
    pattern = {"AttributeError": _NO_ATTRIBUTE, "NameError": _UNDEFINED}.get(name)
    if pattern and (found := pattern.search(message)):
        return "missing_symbol", (found.group(1),)
    return "collection", ()
