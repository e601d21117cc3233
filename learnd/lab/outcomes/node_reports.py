"""What jest and vitest wrote with their own JSON reporters (vitest keeps jest's format).

Checked against recorded reports of jest 30.5 and vitest 4.1; jest has written this shape since 23.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from learnd.lab.outcomes.order import told_seed
from learnd.lab.outcomes.results import (
    TESTS_MAX,
    Ended,
    Kind,
    ReadOutcome,
    ReportUnreadable,
    TestResult,
    conclude,
    count,
    read_bounded,
    unique,
    without_report,
)

NodeTool = Literal["jest", "vitest"]
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_NO_MODULE = re.compile(
    r"(?:Cannot find (?:module|package)|Failed to resolve import|Could not locate module|Failed to load url)"
    r" ['\"]?([^'\"\s]+)"
)
_NO_EXPORT = re.compile(
    r"does not provide an export named '?([\w$]+)'?|has no exported member (?:named )?'([\w$]+)'"
    r"|Cannot find name '([\w$]+)'|^ReferenceError: ([\w$]+) is not defined"
    r"|\(0 ?, ?[\w$.]+\.([\w$]+)\) is not a (?:function|constructor)"
    r"|__vite_ssr_import_\d+__\.([\w$]+) is not a (?:function|constructor)",
    re.MULTILINE,
)
_ASSERTS = re.compile(r"^\w*Assertion\w*\b|^(?:Error: )?expect\(|^\w*Error: expect\(|ERR_ASSERTION")
_TIMED_OUT = re.compile(r"Exceeded timeout of|Test timed out in|Hook timed out in")


def read_node(tool: NodeTool, report: Path, ended: Ended, root: str) -> ReadOutcome:
    """The outcome of a jest or vitest run. `root` is where the tree stood: test ids are relative to it."""
    try:
        data = read_bounded(report)
    except ReportUnreadable as error:
        return without_report(tool, ended, str(error))
    if data is None:
        return without_report(tool, ended, f"{tool} wrote no report")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return without_report(tool, ended, f"the report of {tool} is no JSON: the run was cut short")
    if not isinstance(document, dict) or not isinstance(document.get("testResults"), list):
        return without_report(tool, ended, f"the report of {tool} has no testResults")
    tests: dict[str, TestResult] = {}
    retried: set[str] = set()
    for suite in document["testResults"]:
        if isinstance(suite, dict):
            for name, result, times in _suite(suite, root):
                if len(tests) < TESTS_MAX:
                    named = unique(name, tests)
                    tests[named] = result
                    retried.update({named} if times > 1 and result.status == "passed" else ())
    outcome = conclude(tool, tests, ended, mismatch=_mismatch(document, tests))
    return replace(outcome, order_seed=told_seed(tool, ended.text), retried=frozenset(retried))


def _mismatch(document: dict[str, object], tests: dict[str, TestResult]) -> str | None:
    """What the report's own sums say against its list of tests."""
    counts = count(tests.values())
    if isinstance(told := document.get("numPassedTests"), int) and told != counts.passed:
        return f"the report counts {told} passed tests and names {counts.passed}"
    if document.get("success") is False and counts.passed and not counts.failed + counts.errors:
        return "the report says that the run failed and names no failure"
    return None


def _suite(suite: dict[str, object], root: str) -> Iterator[tuple[str, TestResult, int]]:
    """The tests of a file: name, result, and how often each was run (which jest alone tells)."""
    file = _relative(suite.get("name"), root)
    assertions = suite.get("assertionResults")
    failed = False
    for entry in assertions if isinstance(assertions, list) else []:
        if isinstance(entry, dict):
            result = _test(entry)
            failed = failed or result.status in ("failed", "error")
            times = entry.get("invocations")
            name = f"{file} > {entry.get('fullName') or entry.get('title')}"
            yield name, result, times if isinstance(times, int) else 1
    if suite.get("status") == "failed" and not failed:  # nothing in it ran, or a hook of the whole file failed
        message = _clean(suite.get("message"))
        kind, symbols = _suite_kind(message, bool(assertions))
        yield file, TestResult("error", message[:400], kind, symbols), 1


def _relative(name: object, root: str) -> str:
    path = name if isinstance(name, str) else "(no file)"
    inside = path.startswith(root.rstrip("/") + "/")
    return posixpath.relpath(path, root) if inside else path


def _test(entry: dict[str, object]) -> TestResult:
    status = entry.get("status")
    if status == "passed":
        return TestResult("passed")
    if status != "failed":
        return TestResult("skipped")  # pending, skipped, todo, disabled
    messages = entry.get("failureMessages")
    first = _clean(messages[0]) if isinstance(messages, list) and messages else ""
    kind, symbols = kind_of(first)
    return TestResult(
        "error" if kind in ("setup", "import") else "failed", first.split("\n    at ")[0][:400], kind, symbols
    )


def kind_of(message: str) -> tuple[Kind, tuple[str, ...]]:
    if _TIMED_OUT.search(message):
        return "timeout", ()
    if _ASSERTS.search(message):
        return "assertion", ()
    if found := _NO_EXPORT.search(message):
        return "missing_symbol", (next(filter(None, found.groups())),)
    if found := _NO_MODULE.search(message):
        return "import", (found.group(1),)
    if "at _callCircusHook" in message:
        return "setup", ()
    return "error", ()


def _suite_kind(message: str, collected: bool) -> tuple[Kind, tuple[str, ...]]:
    names = tuple(dict.fromkeys(next(filter(None, groups)) for groups in _NO_EXPORT.findall(message)))
    if names and not (len(set(re.findall(r"error TS(\d+)", message)) - {"2305", "2304", "2724"})):
        return "missing_symbol", names
    if found := _NO_MODULE.search(message):
        return "import", (found.group(1),)
    return ("setup" if collected else "collection"), ()


def _clean(value: object) -> str:
    return _ANSI.sub("", value[:20_000]).strip() if isinstance(value, str) else ""
