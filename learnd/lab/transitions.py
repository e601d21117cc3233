"""What became of each named test, which of them flake, and which flakes do not count against the change. Pure.

A test *passes* on a side when it passed in every replay of it, and *fails* when it failed in every one; a test that was
skipped or is missing did neither. In between it is flaky.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from events.values import FlakyTest, Tests, Transitions
from learnd.lab.reading import redacted
from learnd.lab.verdict import TEST_REASONS, Replayed, always, always_failed, normal

IDS_MAX = 50


def transitions(base: Sequence[Replayed], snapshot: Sequence[Replayed]) -> Transitions | None:
    """What became of the tests from the base to the snapshot; None where either side named none."""
    if not base or not any(replay.named for replay in snapshot):
        return None
    before, after = always(base), always(snapshot)
    ever = frozenset[str]().union(*(normal(replay.passed) for replay in base))
    broken = always_failed(snapshot)
    return Transitions(
        fail_to_pass=_tests(after - ever),
        pass_to_pass=_tests(after & before),
        fail_to_fail=_tests(broken & always_failed(base)),
        pass_to_fail=_tests(broken & before),
    )


def _tests(ids: Iterable[str]) -> Tests:
    ordered = sorted(ids)
    return Tests(count=len(ordered), ids=tuple(redacted(test) for test in ordered[:IDS_MAX]))


def unsteady(side: Sequence[Replayed]) -> frozenset[str]:
    """Ids of the tests that failed in some replays of a side and passed in others."""
    passed = frozenset[str]().union(*(normal(replay.passed) for replay in side))
    failed = frozenset[str]().union(*(normal(replay.failed) for replay in side))
    return passed & failed


def flaky_tests(base: Sequence[Replayed], snapshot: Sequence[Replayed]) -> tuple[FlakyTest, ...]:
    """Every test that equal replays disagreed about, with how often it failed; at most 50 a side."""
    found = []
    for test in sorted(unsteady(snapshot))[:IDS_MAX]:
        failed, runs = _rate(snapshot, test)
        found.append(FlakyTest(test=redacted(test), side="snapshot", failed=failed, runs=runs))
    for test in sorted(unsteady(base))[:IDS_MAX]:
        failed, runs = _rate(base, test)
        found.append(FlakyTest(test=redacted(test), side="base", failed=failed, runs=runs))
    return tuple(found)


def _rate(side: Sequence[Replayed], test: str) -> tuple[int, int]:
    failed = sum(test in normal(replay.failed) for replay in side)
    return failed, failed + sum(test in normal(replay.passed) for replay in side)


def forgiven(base: Sequence[Replayed], own: Callable[[str], bool]) -> frozenset[str]:
    """Flaky tests that the change did not make so: they flake without it, and are none of its own (`own`)."""
    return frozenset(test for test in unsteady(base) if not own(test))


def without(side: Sequence[Replayed], tests: frozenset[str]) -> tuple[Replayed, ...]:
    """The replays of a side as if `tests` were not there."""
    return tuple(_without(replay, tests) for replay in side) if tests else tuple(side)


def _without(replay: Replayed, tests: frozenset[str]) -> Replayed:
    failed = frozenset(test for test in replay.failed if not normal(frozenset({test})) <= tests)
    passed = frozenset(test for test in replay.passed if not normal(frozenset({test})) <= tests)
    outcome = replay.outcome
    if not outcome.ok and not failed and replay.failed and replay.tests_alone and outcome.cause in TEST_REASONS:
        outcome = outcome.model_copy(update={"ok": True, "cause": None, "failing": (), "detail": ""})
    return replace(replay, outcome=outcome, failed=failed, passed=passed)


def owner_of(changed_tests: Collection[str]) -> Callable[[str], bool]:
    """Whether a test id belongs to a changed test file, by path or dotted name; one without a file may, so it does."""
    dotted = {str(PurePosixPath(path).with_suffix("")).replace("/", ".") for path in changed_tests}
    leaves = {name.rpartition(".")[2] for name in dotted}
    starts = (
        *(f"{name}{end}" for name in changed_tests for end in ("::", " ")),
        *(f"{name}." for name in dotted | leaves),
    )

    def own(test: str) -> bool:
        if test in changed_tests or test in dotted or test.startswith(starts):
            return True
        return "::" not in test and "." not in test.partition(" ")[0]

    return own
