"""What `cargo test` wrote on its standard output: libtest's text, one section for each test program.

Checked against cargo 1.95 (recorded). libtest has no stable report file, so this is the one report that shares its
stream with the tests. Hence names count only where a section adds up to the letter (as many lines as announced and as
summed up, none twice); where it does not, only numbers are kept and no test is named, and an unnamed test proves
nothing. A section without its sum was cut short (`process::exit`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from events.values import TestCounts
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

_RUNNING = re.compile(r"^running (\d+) tests?$")
_TEST = re.compile(r"^test (\S.*?)(?: - should panic)? \.\.\. (ok|FAILED|ignored)(?:,.*| <.*>)?$")
_SUM = re.compile(r"^test result: (ok|FAILED)\. (\d+) passed; (\d+) failed; (\d+) ignored;")
_STDOUT = re.compile(r"^---- (\S.*?) stdout ----$")
_ERROR = re.compile(r"^error(?:\[(E\d+)\])?: (.*)$", re.MULTILINE)
_MISSING = {
    "E0432": re.compile(r"unresolved imports? (.+)"),
    "E0433": re.compile(r"`(\w+)`[^`]*$"),
    "E0425": re.compile(r"cannot find [\w, ]+ `(\w+)`"),
    "E0599": re.compile(r"named `(\w+)` found"),
    "E0412": re.compile(r"cannot find type `(\w+)`"),
    "E0405": re.compile(r"cannot find trait `(\w+)`"),
    "E0423": re.compile(r"`(\w+)`"),
    "E0560": re.compile(r"has no field named `(\w+)`"),
    "E0609": re.compile(r"no field `(\w+)`"),
}
_NOISE = ("could not compile", "aborting due to")


@dataclass
class _Section:
    """One test program's part of the output."""

    announced: int
    tests: list[tuple[str, str]] = field(default_factory=list)
    total: tuple[str, int, int, int] | None = None
    printed: dict[str, list[str]] = field(default_factory=dict)

    @property
    def adds_up(self) -> bool:
        """Whether the lines are exactly those that were announced and summed up."""
        if self.total is None:
            return False
        hows = [how for _, how in self.tests]
        told = (hows.count("ok"), hows.count("FAILED"), hows.count("ignored"))
        names = {name for name, _ in self.tests}
        return told == self.total[1:] and len(names) == len(hows) == self.announced


def read_cargo(report: Path, ended: Ended) -> ReadOutcome:
    """The outcome of one `cargo test`, from its standard output (a file) and, where nothing compiled, its messages."""
    try:
        data = read_bounded(report)
    except ReportUnreadable as error:
        return without_report("cargo", ended, str(error))
    sections = _sections((data or b"").decode("utf-8", "replace"))
    if not sections:
        told = _compiler(ended.text) if ended.exit_code else None
        return without_report("cargo", ended, "no test program ran", told)
    total = TestCounts(
        passed=sum(section.total[1] for section in sections if section.total),
        failed=sum(section.total[2] for section in sections if section.total),
        skipped=sum(section.total[3] for section in sections if section.total),
    )
    cut = None if all(section.total for section in sections) else "a test program ended before its sum"
    if not all(section.adds_up for section in sections):
        return conclude("cargo", {}, ended, counts=total, damaged=cut)
    tests: dict[str, TestResult] = {}
    for section in sections:
        for name, how in section.tests[:TESTS_MAX]:
            tests[unique(name, tests)] = _result(how, section.printed.get(name, []))
    if ended.exit_code and not total.failed and (told := _compiler(ended.text)):
        tests["(a target that did not compile)"] = told
        return conclude("cargo", tests, ended)
    return conclude("cargo", tests, ended, counts=count(tests.values()), damaged=cut)


def _sections(text: str) -> list[_Section]:
    sections: list[_Section] = []
    about: str | None = None
    for line in text.split("\n"):
        if found := _RUNNING.match(line):
            sections.append(_Section(int(found.group(1))))
            about = None
        elif not sections or sections[-1].total is not None:
            continue
        elif found := _SUM.match(line):
            passed, failed, ignored = (int(found.group(number)) for number in (2, 3, 4))
            sections[-1].total = (found.group(1), passed, failed, ignored)
        elif found := _STDOUT.match(line):
            about = found.group(1)
        elif about is not None:
            if len(lines := sections[-1].printed.setdefault(about, [])) < 20:
                lines.append(line)
        elif found := _TEST.match(line):
            sections[-1].tests.append((found.group(1), found.group(2)))
    return sections


def _result(how: str, printed: list[str]) -> TestResult:
    if how == "ok":
        return TestResult("passed")
    if how == "ignored":
        return TestResult("skipped")
    text = " ".join(line.strip() for line in printed if line.strip())
    asserted = "assertion" in text or "did not panic as expected" in text or "Error: " in text
    kind: Kind = "assertion" if asserted else "error"
    return TestResult("failed", text[:400], kind)


def _compiler(text: str) -> TestResult | None:
    """The compiler's errors: names it does not know, or anything else that stopped it."""
    errors = [(code, message) for code, message in _ERROR.findall(text) if not message.startswith(_NOISE)]
    if not errors:
        return None
    names: list[str] = []
    for code, message in errors:
        found = _MISSING[code].search(message) if code in _MISSING else None
        if found is None:
            return TestResult("error", message[:400], "collection")
        names += [part.rsplit("::", 1)[-1] for part in re.findall(r"[\w:]+", " ".join(filter(None, found.groups())))]
    return TestResult("error", errors[0][1][:400], "missing_symbol", tuple(dict.fromkeys(names)))
