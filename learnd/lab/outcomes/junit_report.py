"""JUnit XML, the form in which many runners report: node --test, mocha, Maven's Surefire and Failsafe, Gradle.

    <testsuites> / <testsuite name> / <testcase name classname> with <failure>, <error>, <skipped> or nothing in it

Node's and mocha's reporters write where they are told. Maven and Gradle write into the tree, from where the reports are
copied once the command has ended: a test could have forged one, so it counts only beside the exit code. Checked
against Node 20 itself, and against samples in the documented form of mocha's `xunit` and of Surefire.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from events.values import OutcomeSource
from learnd.lab.outcomes.node_reports import kind_of
from learnd.lab.outcomes.results import (
    REPORT_FILES_MAX,
    TESTS_MAX,
    Ended,
    Kind,
    ReadOutcome,
    ReportUnreadable,
    TestResult,
    conclude,
    read_bounded,
    unique,
    without_report,
)

_DEPTH_MAX = 50
_RETRIED = frozenset(("flakyFailure", "flakyError"))
"""What Surefire says of a test that failed and passed when it was run again."""
_ASSERTS = re.compile(r"^\s*\[?\w*AssertionError\b", re.MULTILINE)
_JAVA_ASSERTS = re.compile(r"Assertion|ComparisonFailure|opentest4j|MultipleFailures")
_JAVA_MISSING = re.compile(r"NoSuchMethodError|NoSuchFieldError|NoClassDefFoundError|ClassNotFoundException")


def read_junit(source: OutcomeSource, files: Sequence[Path], ended: Ended, root: str) -> ReadOutcome:
    """The outcome of a run that reported into `files`. `root` is where the tree stood: paths are relative to it."""
    if not files:
        return without_report(source, ended, f"{source} wrote no report")
    tests: dict[str, TestResult] = {}
    damaged = f"{len(files)} reports of one command" if len(files) > REPORT_FILES_MAX else None
    mismatch: str | None = None
    retried: set[str] = set()
    for file in files[:REPORT_FILES_MAX]:
        try:
            document = _parsed(read_bounded(file) or b"")
        except ReportUnreadable as error:
            damaged = str(error)
            continue
        for case, name, result in _cases(document, source, root, (), 0):
            if len(tests) < TESTS_MAX:
                named = unique(name, tests)
                tests[named] = result
                retried.update({named} if any(child.tag in _RETRIED for child in case) else ())
        mismatch = mismatch or _mismatch(document)
    return replace(conclude(source, tests, ended, damaged=damaged, mismatch=mismatch), retried=frozenset(retried))


def _parsed(data: bytes) -> ElementTree.Element:
    """The document's root. One with a DTD is refused: its entities could grow without bound."""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ReportUnreadable("the report declares entities, which no runner does")
    try:
        return ElementTree.fromstring(data)  # noqa: S314 - no entities, and bounded by `read_bounded`
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise ReportUnreadable(f"the report is no XML: the run was cut short ({error})") from error


def _cases(
    element: ElementTree.Element, source: OutcomeSource, root: str, suites: tuple[str, ...], depth: int
) -> Iterator[tuple[ElementTree.Element, str, TestResult]]:
    for child in element:
        if child.tag == "testcase":
            yield child, _name(child, source, root, suites), _result(child, source, root)
        elif child.tag in ("testsuite", "testsuites") and depth < _DEPTH_MAX:
            yield from _cases(child, source, root, (*suites, child.get("name", "")), depth + 1)


def _name(case: ElementTree.Element, source: OutcomeSource, root: str, suites: tuple[str, ...]) -> str:
    own = case.get("name") or "(no name)"
    owner = case.get("classname") or ""
    if source == "node_test":  # its class is always `test`; where a file failed as a whole, that is the name
        return " > ".join((*suites, own.removeprefix(f"{root.rstrip('/')}/")))
    return f"{owner} > {own}" if source == "mocha" else ".".join(filter(None, (owner, own)))


def _result(case: ElementTree.Element, source: OutcomeSource, root: str) -> TestResult:
    bad = next((child for child in case if child.tag in ("failure", "error")), None)
    if bad is None:
        skipped = any(child.tag == "skipped" for child in case)
        return TestResult("skipped" if skipped else "passed")
    text = f"{bad.get('message') or ''}\n{bad.text or ''}".strip()[:20_000]
    message = (bad.get("message") or text).split("\n")[0][:400]
    if source in ("mocha", "node_test"):
        if (case.get("name") or "").startswith(f"{root.rstrip('/')}/"):
            return TestResult("error", message, "collection")
        kind, symbols = ("assertion", ()) if _ASSERTS.search(text) else kind_of(text)
        return TestResult("error" if kind in ("setup", "import") else "failed", message, kind, symbols)
    return TestResult("failed" if bad.tag == "failure" else "error", message, _java_kind(bad, text))


def _java_kind(bad: ElementTree.Element, text: str) -> Kind:
    raised = bad.get("type") or text.split("\n", maxsplit=1)[0]
    if _JAVA_ASSERTS.search(raised):
        return "assertion"
    return "import" if _JAVA_MISSING.search(raised) else "error"


def _mismatch(document: ElementTree.Element) -> str | None:
    """What a suite's own sums say against its list of tests."""
    for suite in document.iter("testsuite"):
        told = suite.get("tests", "")
        named = len(list(suite.iter("testcase")))
        if told.isdigit() and int(told) != named:
            return f"the report counts {told} tests and names {named}"
    return None
