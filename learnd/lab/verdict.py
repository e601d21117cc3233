"""What the replays of both sides mean. Pure: no I/O; the rules a sceptic would ask about, in the order they apply.

The two sides differ in nothing but the change's source: *base* is the base tree with the change's test files laid over
it, *snapshot* is the tree as the run left it. `proven` says: every base replay failed for a test reason, every snapshot
replay passed with at least one test run, and at least one named test went from not passing to passing. Whatever cannot
be known for certain is not `proven`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from events.values import HunkEvidence, HunkVerdict, OutcomeSource, ReplayOutcome, Verdict

TEST_REASONS = frozenset({"assertion", "error", "missing_symbol"})
"""Why a base may fail: an assertion or error in a test, or a symbol which the change itself adds."""

MACHINE_CAUSES = frozenset({"timeout", "environment", "foreign_code", "signal"})
"""Causes that say something about the machine or the environment, never about the change; so do `limit:<name>` and
`service:<name>`."""

IMPORT_CAUSES = frozenset({"import", "collection", "setup", "no_tests", "build"})
"""Causes that keep tests from running at all: reverting one hunk has torn the code apart."""

_ADDRESS = re.compile(r"0x[0-9a-f]{4,}")


@dataclass(frozen=True)
class Replayed:
    """One replay as the verdict sees it: the outcome, and the ids of tests by what became of them.

    `passed` and `failed` are empty where only an exit code speaks. `missing` are the names the change adds that a
    failing replay said were not there. `loaded` are the changed modules that were loaded from the restored tree.
    `tests_alone`: where it is not green, failing tests are all that is wrong with it. `retried` of those that passed
    failed first and were run again; `patched` is what of the runner itself was replaced.
    """

    outcome: ReplayOutcome
    passed: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    loaded: frozenset[str] = frozenset()
    probed: bool = False
    tests_alone: bool = True
    retried: frozenset[str] = frozenset()
    patched: frozenset[str] = frozenset()

    @property
    def named(self) -> bool:
        """Whether the runner named its tests."""
        return self.outcome.source not in UNNAMED and bool(self.passed or self.failed)

    @property
    def unusable(self) -> bool:
        """Whether this replay ended for a reason that says nothing about the change."""
        cause = self.outcome.cause or ""
        return not self.outcome.ok and (cause in MACHINE_CAUSES or cause.startswith(("limit:", "service:")))


UNNAMED: frozenset[OutcomeSource] = frozenset({"exit_code"})


@dataclass(frozen=True)
class Judgement:
    """A verdict with its cause (None for `proven` alone) and, for `proven`, the tests that turned."""

    verdict: Verdict
    cause: str | None = None
    detail: str = ""
    turned: frozenset[str] = frozenset()


def judge(
    base: Sequence[Replayed], snapshot: Sequence[Replayed], *, source_changed: bool, test_commands: bool, minimum: int
) -> Judgement:
    """The verdict of both sides, before hunks are tried.

    `source_changed`: base with the change's tests still differs from the snapshot. `test_commands`: the scenario has a
    command of class test. `minimum`: replays a side that a verdict other than `inconclusive` rests on.
    """
    return (
        _machine(snapshot, "the snapshot")
        or _patched(base, snapshot)
        or _regression(base, snapshot, minimum)
        or _snapshot_side(snapshot)
        or _machine(base, "the base")
        or _enough(snapshot, "the snapshot", minimum)
        or _without_proof(source_changed, test_commands)
        or _base_side(base)
        or _enough(base, "the base", minimum)
        or _both(base, snapshot)
    )


def _machine(side: Sequence[Replayed], name: str) -> Judgement | None:
    for replay in side:
        if replay.unusable:
            return Judgement("inconclusive", replay.outcome.cause, f"{name}: {replay.outcome.detail}".strip(": "))
    return None


def _enough(side: Sequence[Replayed], name: str, minimum: int) -> Judgement | None:
    if len(side) >= minimum:
        return None
    return Judgement("inconclusive", "too_few_replays", f"{len(side)} of {minimum} replays of {name}")


def _patched(base: Sequence[Replayed], snapshot: Sequence[Replayed]) -> Judgement | None:
    """The change replaces parts of the test runner: what passes then is what the change calls passing."""
    before = frozenset[str]().union(*(replay.patched for replay in base))
    names = sorted(frozenset[str]().union(*(replay.patched for replay in snapshot)) - before)
    if not base or not names:
        return None
    return Judgement("inconclusive", "runner_patched", f"with the change these are replaced: {', '.join(names[:5])}")


def _retried(side: Sequence[Replayed]) -> Judgement | None:
    """A test that failed and was run again until it passed disagrees with itself."""
    names = sorted(frozenset[str]().union(*(normal(replay.retried) for replay in side)))
    if not names:
        return None
    return Judgement("flaky", "retried", f"failed, and passed when it was run again: {', '.join(names[:5])}")


def _regression(base: Sequence[Replayed], snapshot: Sequence[Replayed], minimum: int) -> Judgement | None:
    """A test that passes without the change, every time, and fails with it, every time: the change breaks it."""
    if min(len(base), len(snapshot)) < minimum:
        return None
    broken = sorted(always(base) & always_failed(snapshot))
    if not broken:
        return None
    return Judgement("failed", "regression", f"passes without the change, fails with it: {', '.join(broken[:5])}")


def _snapshot_side(snapshot: Sequence[Replayed]) -> Judgement | None:
    if any(replay.outcome.cause == "no_tests" for replay in snapshot):
        return Judgement("inconclusive", "no_tests", "the snapshot ran no test")
    green = [replay for replay in snapshot if replay.outcome.ok]
    if len({_result(replay) for replay in snapshot}) > 1 and len(green) < len(snapshot):
        return Judgement("flaky", "snapshot_disagrees", _disagreement(snapshot))
    if not green and snapshot:
        outcome = snapshot[0].outcome
        if outcome.cause in TEST_REASONS or outcome.cause in ("exit_code", "build", "lint"):
            what = ", ".join(outcome.failing[:5]) or outcome.detail
            return Judgement("failed", "snapshot_fails", f"the snapshot fails though the run succeeded: {what}")
        return Judgement("inconclusive", f"snapshot_{outcome.cause}", outcome.detail)
    if any(_ran_nothing(replay) for replay in snapshot):
        return Judgement("inconclusive", "no_tests", "every test of the snapshot was skipped")
    return _retried(snapshot)


def _without_proof(source_changed: bool, test_commands: bool) -> Judgement | None:
    if not source_changed:
        return Judgement("pass_only", "test_only", "the change touches nothing but tests: there is no base to fail")
    if not test_commands:
        return Judgement("pass_only", "no_test_command", "the scenario builds or lints, it runs no test")
    return None


def _base_side(base: Sequence[Replayed]) -> Judgement | None:
    if len({_result(replay) for replay in base}) > 1:
        return Judgement("flaky", "base_disagrees", _disagreement(base))
    if any(replay.outcome.ok for replay in base):
        return Judgement("pass_only", "base_passes", "the same tests pass without the change")
    for replay in base:
        if replay.outcome.cause == "exit_code":
            return Judgement("pass_only", "exit_code_only", "no runner named the tests; an exit code proves no test")
        if replay.outcome.cause not in TEST_REASONS:
            return Judgement("inconclusive", f"base_{replay.outcome.cause}", replay.outcome.detail)
    return _retried(base)


def _both(base: Sequence[Replayed], snapshot: Sequence[Replayed]) -> Judgement:
    if not all(replay.named for replay in snapshot):
        return Judgement("pass_only", "exit_code_only", "no runner named the tests; an exit code proves no test")
    turned = Expected.of(base, snapshot).turned
    if not turned:
        return Judgement("inconclusive", "base_other_tests", "no test that fails on the base is one that passes after")
    return Judgement("proven", turned=turned)


def with_hunks(judgement: Judgement, hunks: Sequence[HunkEvidence], *, probed: bool, loaded: bool) -> Judgement:
    """The final verdict of a `proven` judgement once single hunks were tried.

    With at least one exercised hunk it stands. With none it stands where some are inseparable or were not reached: the
    change was shown as a whole, and only as a whole may it be claimed. Where every hunk reverts with the tests still
    green, or there is none, nothing could be claimed: `pass_only`.
    """
    if judgement.verdict != "proven":
        return judgement
    verdicts = {hunk.verdict for hunk in hunks}
    if "exercised" in verdicts:
        return judgement
    if verdicts & {"inseparable", "unknown"}:
        return Judgement("proven", None, "shown as a whole only: no hunk was shown alone", judgement.turned)
    if probed and not loaded:
        return Judgement("pass_only", "change_not_loaded", "no changed module was loaded, and no hunk matters alone")
    return Judgement("pass_only", "no_exercised_hunk", "every source hunk can be reverted with the tests still green")


@dataclass(frozen=True)
class Expected:
    """What a replay without a hunk is held against: `passed` in every snapshot replay, `turned` of them against the
    base, and the added names whose absence made the base fail."""

    passed: frozenset[str]
    turned: frozenset[str]
    missed: frozenset[str]

    @classmethod
    def of(cls, base: Sequence[Replayed], snapshot: Sequence[Replayed]) -> Expected:
        passed = always(snapshot)
        turned = passed.difference(*(normal(replay.passed) for replay in base))
        return cls(passed, turned, frozenset[str]().union(*(replay.missing for replay in base)))


def hunk_verdict(reverted: Replayed, expected: Expected, defines: frozenset[str]) -> tuple[HunkVerdict, frozenset[str]]:
    """What one replay without a hunk, which defines the names `defines`, says of it, and the tests that turned.

    A test that is gone is not green. A hunk whose revert breaks an import is `inseparable`, unless what is then missing
    is what the hunk itself adds and what the tests missed on the base: then the tests that turned there are its own.
    """
    if reverted.unusable:
        return "unknown", frozenset()
    cause = reverted.outcome.cause
    turned = expected.passed - normal(reverted.passed)
    if cause == "missing_symbol":
        turned &= expected.turned if reverted.missing & expected.missed & defines else frozenset()
        return ("exercised", turned) if turned else ("inseparable", frozenset())
    if cause is not None and cause not in TEST_REASONS:
        return ("inseparable" if cause in IMPORT_CAUSES else "unknown"), frozenset()
    if turned:
        return "exercised", turned
    return ("unknown" if cause else "unexercised"), frozenset()


def always(side: Sequence[Replayed]) -> frozenset[str]:
    """Ids of the tests that passed in every replay of a side; none for no replay."""
    if not side:
        return frozenset()
    return frozenset.intersection(*(normal(replay.passed) for replay in side))


def normal(ids: frozenset[str]) -> frozenset[str]:
    """Test ids with memory addresses taken out: they differ from replay to replay and name nothing."""
    return frozenset(_ADDRESS.sub("0x", test) for test in ids)


def flake_upper_bound(base: int, snapshot: int) -> float | None:
    """The 95 % upper bound of the flake rate that n equal replays leave open, n of the smaller side; None for none."""
    n = min(base, snapshot)
    return 1 - 0.05 ** (1 / n) if n else None


def _result(replay: Replayed) -> tuple[bool, frozenset[str]]:
    return (replay.outcome.ok, normal(replay.failed))


def _ran_nothing(replay: Replayed) -> bool:
    counts = replay.outcome.counts
    return counts is not None and counts.passed + counts.failed + counts.errors == 0


def _disagreement(side: Sequence[Replayed]) -> str:
    failing = sorted(frozenset[str]().union(*(normal(replay.failed) for replay in side)) - always_failed(side))
    red = sum(1 for replay in side if not replay.outcome.ok)
    named = f": {', '.join(failing[:5])}" if failing else ""
    return f"{red} of {len(side)} equal replays failed{named}"


def always_failed(side: Sequence[Replayed]) -> frozenset[str]:
    """Ids of the tests that failed in every replay of a side; none for no replay."""
    if not side:
        return frozenset()
    return frozenset.intersection(*(normal(replay.failed) for replay in side))
