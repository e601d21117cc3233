"""What the commands of one replay come to: one outcome, one cause. Pure.

The first that applies, in this order: a limit, a failed set-up, foreign code, a missing environment, tests, then other
commands. A failure of tests is a *test reason* (an assertion or error in a test, or a name that the change itself adds)
only when nothing else went wrong beside it: one module that could not be imported for any other reason makes the whole
replay an import failure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from events.values import ReplayOutcome, ScenarioCommand, TestCounts
from learnd.lab.hunks import AddedNames, missing_names
from learnd.lab.limits import refused
from learnd.lab.outcomes import ReadOutcome, TestResult
from learnd.lab.probe import Loaded
from learnd.lab.sandbox import SandboxResult
from learnd.lab.verdict import Replayed

BAD = ("failed", "error")
FAILING_MAX = 50
DETAIL_MAX = 400
TAIL_MAX = 6000
REDACTED_MAX = 64_000
"""Characters of a text that are looked at at all; nobody shows more of one."""
NOT_EXECUTABLE = (126, 127)

_NO_MODULE = re.compile(r"No module named '?([A-Za-z_][\w.]*)'?")
_ORDER = ("timeout", "environment", "import", "collection", "setup", "assertion", "error", "missing_symbol")
"""Of several failing tests the kind that comes first here is the cause: what is no test reason before what is one."""


@dataclass(frozen=True)
class Done:
    """One command of a replay: how it ended and what its runner reported."""

    command: ScenarioCommand
    setup: bool
    result: SandboxResult
    read: ReadOutcome

    @property
    def green(self) -> bool:
        """Whether it exited with 0 and its runner reported nothing bad."""
        return self.result.exit_code == 0 and self.read.ok and not self.bad

    @property
    def bad(self) -> dict[str, TestResult]:
        """Its failing tests, by id."""
        return {name: test for name, test in self.read.tests.items() if test.status in BAD}

    @property
    def output(self) -> str:
        """What it printed, as text."""
        return self.result.output.decode("utf-8", "replace")


@dataclass(frozen=True)
class Code:
    """What is known of the code on both sides: the names the change adds, and the modules that the trees hold."""

    names: AddedNames
    local: frozenset[str]

    @classmethod
    def of(cls, names: AddedNames, files: Collection[str]) -> Code:
        """Of the files of both trees: every folder and every module may be a top-level name of its own."""
        local: set[str] = set()
        for file in files:
            if file.endswith((".py", ".pyx", ".pyi", ".so")):
                path = PurePosixPath(file)
                local.update((*path.parent.parts, path.name.partition(".")[0]))
        return cls(names, frozenset(local))

    def kind(self, test: TestResult) -> str:
        """Why a failing test failed, seen with the change in mind."""
        if test.kind in ("missing_symbol", "import", "collection", "setup") and any(map(self.names.has, _named(test))):
            return "missing_symbol"
        if test.kind == "import":
            known = any(symbol.partition(".")[0] in self.local for symbol in test.symbols) or not test.symbols
            return "import" if known else "environment"
        if test.kind == "missing_symbol":
            # A name nobody adds: in a test's own body that is an error like any other, unless it was an import.
            if "ImportError" in test.message:
                return "import"
            return "error" if test.status == "failed" else "collection"
        return test.kind or "error"

    def missing(self, done: Done) -> frozenset[str]:
        """The names that the change adds and that a command's failing tests, or its output, said were not there."""
        if done.green:
            return frozenset()
        named = frozenset[str]().union(*map(_named, done.bad.values())) or missing_names(done.output[-TAIL_MAX:])
        return frozenset(filter(self.names.has, named))


def _named(test: TestResult) -> frozenset[str]:
    return frozenset(test.symbols) or missing_names(test.message)


def combined(done: Sequence[Done], loaded: Loaded, seed: int, code: Code, own_words: Collection[str] = ()) -> Replayed:
    """What the commands of one replay come to (at least one). A test that any command saw fail did not pass.

    `own_words` name a limit that is not learnd's: see `said_limit`.
    """
    reads = [each.read for each in done if not each.setup]
    failed = frozenset(name for read in reads for name, test in read.tests.items() if test.status in BAD)
    passed = frozenset(name for read in reads for name, test in read.tests.items() if test.status == "passed") - failed
    cause, detail = _cause(done, loaded, code, own_words)
    deciding = next((each for each in done if each.command.cls == "test" and not each.setup), done[-1])
    outcome = ReplayOutcome(
        ok=cause is None,
        cause=cause,
        exit_code=next((each.result.exit_code for each in done if each.result.exit_code), done[-1].result.exit_code),
        signal=next((each.result.signal for each in done if each.result.signal), None),
        seconds=round(sum(each.result.seconds for each in done), 3),
        hash_seed=seed,
        order_seed=next((read.order_seed for read in reads if read.order_seed is not None), None),
        source=deciding.read.source,
        counts=_counted([read.counts for read in reads if read.counts is not None]),
        failing=tuple(redacted(name) for name in sorted(failed)[:FAILING_MAX]),
        detail=redacted(detail),
    )
    missing = frozenset(name for each in done for name in code.missing(each))
    return Replayed(
        outcome,
        passed,
        failed,
        missing,
        loaded.ours,
        probed=loaded.started,
        retried=frozenset[str]().union(*(read.retried for read in reads)) - failed,
        patched=frozenset[str]().union(*(read.patched for read in reads)),
        tests_alone=all(each.green or (each.bad and not each.setup and not each.result.limit) for each in done),
    )


def never_begun(seed: int) -> Replayed:
    """A replay of which no command was begun; why stands in `without_service`."""
    return Replayed(ReplayOutcome(ok=False, seconds=0.0, hash_seed=seed, source="exit_code"), tests_alone=False)


def without_service(replayed: Replayed, name: str, why: str) -> Replayed:
    """The same replay, whose service `name` was not there from beginning to end, whatever its tests said."""
    said = {"ok": False, "cause": f"service:{name}", "detail": redacted(f"service {name}: {why}")}
    return replace(replayed, outcome=replayed.outcome.model_copy(update=said), tests_alone=False)


def said_limit(done: Sequence[Done], own_words: Collection[str]) -> str | None:
    """The words by which alone the first command that is not green named a limit; None where none counts.

    A test may say so of a disk that it made up: whoever runs it has to find out whose limit it was.
    """
    if any(each.result.limit for each in done):
        return None
    first = next((each for each in (*_of_class(done, test=True), *_of_class(done, test=False)) if not each.green), None)
    found = _refusal(first, own_words) if first is not None else None
    return found[1] if found else None


def _refusal(done: Done, own_words: Collection[str]) -> tuple[str, str] | None:
    """The limit that a command says it ran into, and its words."""
    for said in _failures(done):
        limit = refused(said)
        if limit and (words := _matching(said, limit)) not in own_words:
            return limit, words
    return None


def _cause(done: Sequence[Done], loaded: Loaded, code: Code, own_words: Collection[str]) -> tuple[str | None, str]:
    """Cause and detail of a replay; (None, "") when it is green."""
    for each in done:
        if each.result.limit:
            name = "timeout" if each.result.limit == "wall" else f"limit:{each.result.limit}"
            return name, f"{shlex.join(each.command.argv)} was ended by its limit ({each.result.limit})"
    for each in done:
        if each.setup and not each.green:
            return "setup", f"set-up failed: {shlex.join(each.command.argv)}: {_last_line(each)}"
    if loaded.foreign:
        path, found = loaded.foreign[0]
        return "foreign_code", f"{path} was not loaded from the restored tree but from {found}"
    for each in (*_of_class(done, test=True), *_of_class(done, test=False)):
        if not each.green:
            return _cause_of(each, code, own_words)
    return None, ""


def _of_class(done: Sequence[Done], *, test: bool) -> Iterator[Done]:
    return (each for each in done if not each.setup and (each.command.cls == "test") == test)


def _cause_of(done: Done, code: Code, own_words: Collection[str]) -> tuple[str, str]:
    """Why one command is not green."""
    if found := _refusal(done, own_words):
        limit, words = found
        return f"limit:{limit}", f"{shlex.join(done.command.argv)} ran into its limit ({limit}): {words}"
    if done.bad:
        kinds = {name: code.kind(test) for name, test in done.bad.items()}
        cause = min(kinds.values(), key=lambda kind: _ORDER.index(kind) if kind in _ORDER else -1)
        first = min(name for name, kind in kinds.items() if kind == cause)
        return cause, f"{first}: {done.bad[first].message}"
    if done.result.signal is not None:
        return "signal", f"{shlex.join(done.command.argv)} was killed by signal {done.result.signal}"
    if done.result.exit_code in NOT_EXECUTABLE:
        return "environment", _last_line(done)
    module = _NO_MODULE.search(done.output[-TAIL_MAX:])
    if module and not done.read.tests and module.group(1).partition(".")[0] not in code.local:
        return "environment", module.group(0)
    if done.command.cls == "test" and code.missing(done):
        return "missing_symbol", f"missing: {', '.join(sorted(code.missing(done)))}"
    if done.command.cls != "test":
        return done.command.cls, _last_line(done)
    return done.read.cause or "exit_code", _last_line(done)


def _failures(done: Done) -> list[str]:
    """What may tell of a limit: errors of failing tests, not what an assertion compared; else the end of the output."""
    if done.bad:
        return [test.message for test in done.bad.values() if test.kind != "assertion"]
    return [done.output[-TAIL_MAX:]]


def _matching(said: str, limit: str) -> str:
    return next((line.strip() for line in said.splitlines() if refused(line) == limit), "")


def _last_line(done: Done) -> str:
    lines = [line.strip() for line in done.output.splitlines() if line.strip()]
    ended = f"exit code {done.result.exit_code}"
    return f"{ended}: {lines[-1]}" if lines else ended


def _counted(counts: Iterable[TestCounts]) -> TestCounts | None:
    every = list(counts)
    if not every:
        return None
    return TestCounts(
        passed=sum(count.passed for count in every),
        failed=sum(count.failed for count in every),
        errors=sum(count.errors for count in every),
        skipped=sum(count.skipped for count in every),
    )


def redacted(text: str, most: int = DETAIL_MAX) -> str:
    """Free text of a run as it may stand in an event: at most `most` characters, no secret, storable."""
    from learnd.crystalizer.redact import redact_line  # noqa: PLC0415 - its detectors are slow to import

    # Cut first, half a secret would be left that nobody recognises.
    return printable(redact_line(text[:REDACTED_MAX])[:most])


def printable(text: str) -> str:
    """`text` without lone surrogates, which stand for odd bytes in names and which JSON cannot hold."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


# --- for people ---------------------------------------------------------------------------------------


def paragraph(done: Done) -> str:
    """One command in the log: what ran, how it ended, the end of what it printed."""
    words = shlex.join(done.command.argv)
    where = "" if done.command.cwd == "." else f" (in {done.command.cwd})"
    ended = f"exit code {done.result.exit_code}" if done.result.signal is None else f"signal {done.result.signal}"
    limit = f", ended by the limit {done.result.limit}" if done.result.limit else ""
    said = done.output[-TAIL_MAX:].rstrip()
    left_out = ""
    if len(done.output) > TAIL_MAX:  # from the next whole line: half a secret is not recognised as one
        left_out, said = "[…]\n", said.partition("\n")[2]
    return f"$ {words}{where}\n{left_out}{said}\n[{ended}, {done.result.seconds:.2f} s{limit}; {done.read.source}]"


def summary(outcome: ReplayOutcome) -> str:
    """One replay in a line."""
    if outcome.ok:
        counts = outcome.counts
        return f"passed ({counts.passed} tests)" if counts else "passed"
    return f"{outcome.cause}: {outcome.detail}"
