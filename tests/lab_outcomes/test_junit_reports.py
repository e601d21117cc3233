"""JUnit XML: node's own runner for real, mocha, Surefire and Gradle from recorded reports, and reports that lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from events.values import OutcomeSource, ScenarioCommand
from learnd.lab.outcomes import Ended, ReadOutcome, instrument, source_of
from learnd.lab.outcomes.junit_report import read_junit

NODE = """const {test, describe, it} = require('node:test');
const assert = require('assert');
console.log('ok 1 - all passed');
test('good', () => {});
test('bad', () => assert.equal(1, 2));
describe('group', () => { it('inner', () => {}); it('throws', () => { null.x; }); });
test.skip('later', () => {});
"""
MOCHA = """<testsuite name="Mocha Tests" tests="3" failures="0" errors="1" skipped="1" time="0.01">
<testcase classname="cart" name="adds" time="0.001"/>
<testcase classname="cart" name="taxes" time="0"><failure>expected 1 to equal 2
AssertionError: expected 1 to equal 2
    at Context.&lt;anonymous&gt; (test/cart.js:5:10)</failure></testcase>
<testcase classname="cart" name="later" time="0"><skipped/></testcase>
</testsuite>"""
SUREFIRE = """<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="a.CartTest" time="0.05" tests="3" errors="1" skipped="0" failures="1">
  <properties><property name="java.version" value="17"/></properties>
  <testcase name="adds" classname="a.CartTest" time="0.01"/>
  <testcase name="taxes" classname="a.CartTest" time="0.01">
    <failure message="expected: &lt;2&gt; but was: &lt;1&gt;"
      type="org.opentest4j.AssertionFailedError"><![CDATA[at a.CartTest]]></failure>
  </testcase>
  <testcase name="rounds" classname="a.CartTest"><error type="java.lang.NoSuchMethodError">x</error></testcase>
</testsuite>"""


def read(tmp_path: Path, source: OutcomeSource, text: str, exit_code: int = 1) -> ReadOutcome:
    file = tmp_path / "junit-1.xml"
    file.write_text(text)
    return read_junit(source, [file], Ended(exit_code), "/repo")


def test_node_s_own_runner_names_its_tests(execute: Callable[..., ReadOutcome]) -> None:
    found = execute({"test/a.test.js": NODE}, "node", "--test", runner="node_test")
    assert (found.source, found.ok, found.cause) == ("node_test", False, "assertion")
    assert {name: test.status for name, test in found.tests.items()} == {
        "good": "passed", "bad": "failed", "group > inner": "passed", "group > throws": "failed", "later": "skipped",
    }  # fmt: skip
    assert found.tests["bad"].kind == "assertion"


def test_node_s_own_runner_is_reached_behind_a_script(execute: Callable[..., ReadOutcome]) -> None:
    files = {
        "package.json": '{"scripts": {"test": "node --test"}}',
        "a.test.js": "require('node:test')('x', () => {});",
    }
    found = execute(files, "npm", "test", runner="node_test")
    assert (found.source, found.ok, list(found.tests)) == ("node_test", True, ["x"])


def test_a_file_that_exits_green_before_its_tests_is_no_pass_of_them(execute: Callable[..., ReadOutcome]) -> None:
    found = execute({"a.js": "console.log('OK'); process.exit(0)"}, "node", "--test", "a.js", runner="node_test")
    assert "x" not in found.tests


def test_mocha_reports_in_its_xunit_form(tmp_path: Path) -> None:
    found = read(tmp_path, "mocha", MOCHA)
    assert (found.source, found.cause) == ("mocha", "assertion")
    assert found.passing == ("cart > adds",)
    assert found.failing == ("cart > taxes",)


def test_surefire_tells_a_failure_from_a_missing_method(tmp_path: Path) -> None:
    found = read(tmp_path, "junit", SUREFIRE)
    assert found.tests["a.CartTest.taxes"].kind == "assertion"
    assert (found.tests["a.CartTest.rounds"].status, found.tests["a.CartTest.rounds"].kind) == ("error", "import")
    assert found.counts is not None
    assert (found.counts.passed, found.counts.failed, found.counts.errors) == (1, 1, 1)


@pytest.mark.parametrize(
    ("text", "exit_code", "cause"),
    [
        ('<testsuite tests="1"><testcase name="a"/></testsuite>', 1, "exit_code"),
        ('<testsuite tests="2"><testcase name="a"/></testsuite>', 0, "report_mismatch"),
        ('<testsuite tests="1"><testcase name="a"/>', 0, "no_report"),
        ("<testsuites/>", 0, "no_tests"),
        ('<testsuite><testcase name="a"><skipped/></testcase></testsuite>', 0, "no_tests"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><testsuite><testcase name="&a;"/></testsuite>', 0, "no_report"),
        ("", 0, "no_report"),
    ],
)
def test_a_report_that_cannot_be_believed_is_no_pass(tmp_path: Path, text: str, exit_code: int, cause: str) -> None:
    found = read(tmp_path, "mocha", text, exit_code)
    assert (found.ok, found.cause) == (False, cause)


def test_no_report_is_no_pass() -> None:
    assert read_junit("junit", [], Ended(0), "/repo").cause == "no_report"


def test_reports_below_the_build_are_copied_and_the_exit_code_kept(execute: Callable[..., ReadOutcome]) -> None:
    script = "mkdir -p m/target/surefire-reports && cp r.xml m/target/surefire-reports/TEST-a.xml; exit 3"
    green = '<testsuite tests="1"><testcase name="a" classname="T"/></testsuite>'
    found = execute({"r.xml": green, "mvnw": script}, "sh", "mvnw", "test", runner="maven")
    assert (found.source, list(found.tests), found.cause) == ("junit", ["T.a"], "exit_code")


def test_who_reports() -> None:
    def of(line: str, runner: str) -> str:
        return source_of(ScenarioCommand(argv=tuple(line.split()), cls="test", runner=runner))

    assert of("npx mocha", "mocha") == "mocha"
    assert of("npx mocha --reporter dot", "mocha") == "exit_code"
    assert of("node --test --test-reporter=spec", "node_test") == "exit_code"
    assert of("./gradlew test", "gradle") == "junit"


def test_tox_hands_on_what_the_runner_inside_reports_by() -> None:
    tox = ScenarioCommand(argv=("tox", "run"), cls="test", runner="tox")
    assert "pass_env+=LEARND_REPORT_DIR,LEARND_ORDER_SEED,PYTHONPATH" in instrument(tox, "/r").env["TOX_OVERRIDE"]
