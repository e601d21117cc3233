"""Runners that shuffle by flags of their own: asked only where their version has them, believed where they say so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from events.values import ScenarioCommand
from learnd.lab.outcomes import instrument
from learnd.lab.outcomes.go_report import read_go
from learnd.lab.outcomes.junit_report import read_junit
from learnd.lab.outcomes.node_reports import read_node
from learnd.lab.outcomes.order import shufflers, told_seed
from learnd.lab.outcomes.results import Ended


def command(line: str, runner: str) -> ScenarioCommand:
    return ScenarioCommand(argv=tuple(line.split()), cls="test", runner=runner)


def installed(folder: Path, **versions: str) -> Path:
    for name, version in versions.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "package.json").write_text(json.dumps({"name": name, "version": version}))
    return folder


@pytest.mark.parametrize(
    ("versions", "able"),
    [
        ({"jest": "29.4.3", "vitest": "0.34.6"}, set()),
        ({"jest": "29.5.0", "vitest": "1.0.0"}, {"jest", "vitest"}),
        ({"jest": "30.5.2", "vitest": "4.1.12"}, {"jest", "vitest"}),
        ({"jest": "next"}, set()),
        ({}, set()),
    ],
)
def test_only_versions_that_know_the_flag_are_asked(tmp_path: Path, versions: dict[str, str], able: set[str]) -> None:
    assert shufflers([installed(tmp_path / "node_modules", **versions)], "/nonexistent") == able


@pytest.mark.parametrize(
    ("version", "able"), [("go1.16.15", set()), ("go1.19.8", {"go"}), ("go1.26.0\ntime x", {"go"})]
)
def test_the_go_that_is_first_on_the_path_is_asked_what_it_is(tmp_path: Path, version: str, able: set[str]) -> None:
    (tmp_path / "go/bin").mkdir(parents=True)
    (tmp_path / "go/bin/go").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "go/bin/go").chmod(0o755)
    (tmp_path / "go/VERSION").write_text(version)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/go").symlink_to(tmp_path / "go/bin/go")
    assert shufflers([], str(tmp_path / "bin")) == able


@pytest.mark.parametrize(
    ("line", "runner", "added"),
    [
        ("npx --no-install jest", "jest", ["--randomize", "--seed=3"]),
        ("npm test", "jest", ["--randomize", "--seed=3"]),
        ("npx vitest run", "vitest", ["--sequence.shuffle", "--sequence.seed=3"]),
        ("go test ./...", "go", ["-shuffle=3"]),
        ("go test -shuffle=on ./...", "go", []),
        ("npx jest --seed=7", "jest", []),
        ("cargo test", "cargo", []),
        ("node --test", "node_test", []),
    ],
)
def test_the_order_is_asked_for_by_the_runners_own_flags(line: str, runner: str, added: list[str]) -> None:
    able = {"jest", "vitest", "go"}
    before = instrument(command(line, runner), "/r").argv
    after = instrument(command(line, runner), "/r", order_seed=3, shufflers=able).argv
    assert [word for word in after if word not in before] == added
    assert instrument(command(line, runner), "/r", order_seed=3).argv == before
    assert instrument(command(line, runner), "/r", shufflers=able).argv == before


def test_a_seed_counts_where_the_runner_said_it(tmp_path: Path) -> None:
    assert told_seed("jest", "PASS t/a.test.js\n\nSeed:        3\nTest Suites: 1 passed, 1 total\n") == 3
    assert told_seed("vitest", '\x1b[90m      Running tests with seed "3"\x1b[39m\n') == 3
    assert told_seed("jest", "a test prints: Seed: 3\n") is None
    report = tmp_path / "go.ndjson"
    events = [
        {"Action": "output", "Package": "m", "Output": "-test.shuffle 3\n"},
        {"Action": "run", "Package": "m", "Test": "TestA"},
        {"Action": "pass", "Package": "m", "Test": "TestA"},
        {"Action": "pass", "Package": "m"},
    ]
    report.write_text("".join(json.dumps(event) + "\n" for event in events))
    read = read_go(report, Ended(0))
    assert (read.ok, read.order_seed) == (True, 3)


def test_a_test_that_jest_or_surefire_ran_again_is_told(tmp_path: Path) -> None:
    entry = {"fullName": "again", "status": "passed", "invocations": 2}
    once = {"fullName": "once", "status": "passed", "invocations": 1}
    document = {"testResults": [{"name": "/t/a.test.js", "status": "passed", "assertionResults": [entry, once]}]}
    (tmp_path / "node.json").write_text(json.dumps(document))
    read = read_node("jest", tmp_path / "node.json", Ended(0, output=b"Seed:        5\n"), "/t")
    assert (read.ok, read.retried, read.order_seed) == (True, {"a.test.js > again"}, 5)
    (tmp_path / "TEST-a.xml").write_text(
        '<testsuite tests="1"><testcase name="a" classname="A"><flakyFailure type="x"/></testcase></testsuite>'
    )
    assert read_junit("junit", [tmp_path / "TEST-a.xml"], Ended(0), "/t").retried == {"A.a"}
