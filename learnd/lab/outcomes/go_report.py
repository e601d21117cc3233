"""What `go test -json` wrote: one event a line, for each test and each package.

Checked against go 1.19 (recorded). What a test prints reaches this stream wrapped in `output` events, except that old
versions take a printed `--- PASS: TestX` for a verdict: a test counts only when it was also seen to start, a failed
test is not made good by a later `pass`, and the exit code has the last word.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from learnd.lab.outcomes.order import told_seed
from learnd.lab.outcomes.results import (
    TESTS_MAX,
    Ended,
    Kind,
    ReadOutcome,
    ReportUnreadable,
    TestResult,
    conclude,
    read_bounded,
    without_report,
)

_BUILD_FAILED = re.compile(r"^FAIL\s+(\S+) \[(build|setup) failed\]", re.MULTILINE)
_COMPILER = re.compile(r"^[\w./-]+\.go:\d+:\d+: (.+)$", re.MULTILINE)
_UNDEFINED = re.compile(
    r"^(?:undefined: (?:\w+\.)?(\w+)|\S+ undefined \(type .* has no field or method (\w+).*"
    r"|unknown field '?(\w+)'? in .*|\w+\.(\w+) undefined.*|undeclared name: (\w+).*)$"
)
_NO_PACKAGE = re.compile(
    r"(?:no required module provides package|cannot find (?:package|module)) \"?([^\s\";:]+)|package (\S+) is not in "
)


class _Stream:
    """Folds the events: tests that started, how they ended, what they printed."""

    def __init__(self) -> None:
        self.started: set[str] = set()
        self.ended: dict[str, str] = {}
        self.printed: dict[str, list[str]] = {}
        self.packages: dict[str, str] = {}
        self.with_tests: set[str] = set()
        self.build: list[str] = []

    def take(self, event: dict[str, object]) -> None:
        action, package, test = event.get("Action"), event.get("Package"), event.get("Test")
        text = event.get("Output")
        if action == "build-output" and isinstance(text, str):
            self.build.append(text)
        if not isinstance(package, str) or not isinstance(action, str):
            return
        if not isinstance(test, str):
            if action in ("pass", "fail", "skip"):
                self.packages[package] = action
            elif isinstance(text, str):
                self.printed.setdefault(package, []).append(text)
            return
        name = f"{package}.{test}"
        if action == "run" and len(self.started) < TESTS_MAX:
            self.started.add(name)
            self.with_tests.add(package)
        elif action == "output" and isinstance(text, str):
            self.printed.setdefault(name, []).append(text)
        elif action in ("pass", "fail", "skip") and self.ended.get(name) != "fail":
            self.ended[name] = action


def read_go(report: Path, ended: Ended) -> ReadOutcome:
    """The outcome of one `go test -json`."""
    try:
        data = read_bounded(report)
    except ReportUnreadable as error:
        return without_report("go", ended, str(error))
    if data is None:
        return without_report("go", ended, "go test wrote no report")
    stream = _Stream()
    plain: list[str] = []
    for line in data.decode("utf-8", "replace").split("\n"):
        try:
            event = json.loads(line) if line.startswith("{") else None
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict):
            stream.take(event)
        else:
            plain.append(line)
    tests = {name: _result(name, stream) for name in sorted(stream.started)}
    tests.update(_packages(stream, "\n".join(plain), ended.text))
    told = "".join(line for package in stream.packages for line in stream.printed.get(package, ()))
    return replace(conclude("go", tests, ended, damaged=_cut_short(stream)), order_seed=told_seed("go", told))


def _cut_short(stream: _Stream) -> str | None:
    open_ended = sorted(stream.with_tests - set(stream.packages))
    return f"package {open_ended[0]} has no end in the report" if open_ended else None


def _result(name: str, stream: _Stream) -> TestResult:
    how = stream.ended.get(name)
    if how == "pass":
        return TestResult("passed")
    if how == "skip":
        return TestResult("skipped")
    text = "".join(stream.printed.get(name, ()))
    message = " ".join(
        line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("===", "---"))
    )
    kind: Kind = "assertion"
    if "panic: test timed out" in text:
        kind = "timeout"
    elif "panic:" in text or how is None:
        kind = "error"
    return TestResult("failed", message[:400], kind)


def _packages(stream: _Stream, plain: str, output: str) -> dict[str, TestResult]:
    """Packages that failed without a test to blame: they did not compile, or died in an init or TestMain."""
    failed = {package for package, action in stream.packages.items() if action == "fail"} - stream.with_tests
    text = "".join(stream.build) + output
    results = {package: _package(text + "".join(stream.printed.get(package, ()))) for package in failed}
    for package, _ in _BUILD_FAILED.findall(plain):
        results[package] = _package(text)
    return results


def _package(text: str) -> TestResult:
    errors = [error for error in _COMPILER.findall(text) if error != "too many errors"]
    missing = [found for found in map(_UNDEFINED.match, errors) if found]
    if errors and len(missing) == len(errors):
        names = tuple(dict.fromkeys(next(filter(None, found.groups()), "") for found in missing))
        return TestResult("error", errors[0][:400], "missing_symbol", names)
    if found := _NO_PACKAGE.search(text):
        return TestResult("error", found.group(0)[:400], "import", (found.group(1) or found.group(2),))
    if errors:
        return TestResult("error", errors[0][:400], "collection")
    return TestResult("error", text.strip()[-400:], "collection" if "[build failed]" in text else "setup")
