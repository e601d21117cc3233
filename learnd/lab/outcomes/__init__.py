"""Who says what passed: the runner's own report, asked for without touching the tree and weighed against the exit code.

    instrument(command, …)   before the replay: what to run so that the runner reports
    read_outcome(command, …) after it: every test by name and the kind of its failure, or why nothing can be said

What the code under test prints is never taken for a pass. A process in the sandbox could still write the report file
itself; such a report has to agree with the exit code, and the base has to fail by the same rules.
"""

from __future__ import annotations

import os
from pathlib import Path

from events.values import ScenarioCommand
from learnd.lab.outcomes.cargo_report import read_cargo
from learnd.lab.outcomes.go_report import read_go
from learnd.lab.outcomes.instrument import (
    CARGO_REPORT,
    GO_REPORT,
    JUNIT_REPORT,
    NODE_REPORT,
    REPORTER_AT,
    Instrumented,
    instrument,
    reporter_dir,
    source_of,
)
from learnd.lab.outcomes.junit_report import read_junit
from learnd.lab.outcomes.node_reports import read_node
from learnd.lab.outcomes.python_reports import read_python
from learnd.lab.outcomes.results import Ended, Kind, ReadOutcome, Status, TestResult, by_exit_code

__all__ = [
    "REPORTER_AT",
    "Ended",
    "Instrumented",
    "Kind",
    "ReadOutcome",
    "Status",
    "TestResult",
    "instrument",
    "read_outcome",
    "reporter_dir",
    "source_of",
]


def read_outcome(command: ScenarioCommand, report_dir: Path, ended: Ended, *, root: str) -> ReadOutcome:
    """The outcome of one execution of `command` as instrumented. Never raises on what a run left behind.

    `report_dir` is the host's side of the folder it reported into; `root` is where the tree stood inside.
    """
    match source_of(command):
        case "pytest":
            return read_python(report_dir, "pytest", ended) or by_exit_code(ended)
        case "unittest":
            return read_python(report_dir, "unittest", ended) or by_exit_code(ended)
        case "jest":
            return read_node("jest", report_dir / NODE_REPORT, ended, root)
        case "vitest":
            return read_node("vitest", report_dir / NODE_REPORT, ended, root)
        case "mocha" | "node_test" as source:
            report = report_dir / JUNIT_REPORT
            return read_junit(source, [report] if os.path.lexists(report) else [], ended, root)
        case "junit":
            return read_junit("junit", sorted(report_dir.glob("junit-*.xml")), ended, root)
        case "go":
            return read_go(report_dir / GO_REPORT, ended)
        case "cargo":
            return read_cargo(report_dir / CARGO_REPORT, ended)
    if command.cls == "test":  # make, tox, npm: a Python runner behind them may have reported
        return read_python(report_dir, None, ended) or by_exit_code(ended)
    return by_exit_code(ended)
