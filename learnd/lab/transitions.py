"""What became of each named test, which of them flake, and which flakes do not count against the change. Pure.

A test *passes* on a side when it passed in every replay of it, and *fails* when it failed in every one; a test that was
skipped or is missing did neither. In between it is flaky.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Literal

from events.values import FlakyTest, Tests, Transitions
from learnd.lab.disagreement import follows, of_test
from learnd.lab.reading import redacted
from learnd.lab.verdict import TEST_REASONS, Replayed, always, always_failed, normal

IDS_MAX = 50
NONE_KNOWN: Mapping[str, str] = MappingProxyType({})


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
    """Ids of the tests that failed in some replays of a side and passed in others, or when they were run again."""
    passed = frozenset[str]().union(*(normal(replay.passed) for replay in side))
    failed = frozenset[str]().union(*(normal(replay.failed) for replay in side))
    return (passed & failed).union(*(normal(replay.retried) for replay in side))


def flaky_tests(
    base: Sequence[Replayed], snapshot: Sequence[Replayed], known: Mapping[str, str] = NONE_KNOWN
) -> tuple[FlakyTest, ...]:
    """Every test that equal replays disagreed about, with how often it failed; at most 50 a side.

    `known` are the tests that flaked on the base of earlier jobs, each with the job.
    """
    sides: tuple[tuple[Literal["base", "snapshot"], Sequence[Replayed]], ...] = (("snapshot", snapshot), ("base", base))
    return tuple(_flaky(name, side, test, known) for name, side in sides for test in sorted(unsteady(side))[:IDS_MAX])


def _flaky(
    name: Literal["base", "snapshot"], side: Sequence[Replayed], test: str, known: Mapping[str, str]
) -> FlakyTest:
    failed, runs = _rate(side, test)
    told = redacted(test)
    return FlakyTest(
        test=told, side=name, failed=failed, runs=runs, follows=follows(side, of_test(test)), known_from=known.get(told)
    )


def _rate(side: Sequence[Replayed], test: str) -> tuple[int, int]:
    failed = sum(test in normal(replay.failed) or test in normal(replay.retried) for replay in side)
    return failed, failed + sum(test in normal(replay.passed) for replay in side)


def forgiven(
    base: Sequence[Replayed],
    snapshot: Sequence[Replayed],
    own: Callable[[str], bool],
    known: Mapping[str, str] = NONE_KNOWN,
) -> frozenset[str]:
    """Flaky tests that the change did not make so: they flake without it, here or in earlier jobs (`known`), and are
    none of its own (`own`). One that fails every time is no flake, whatever is known of it.
    """
    before = frozenset(test for test in unsteady(snapshot) if redacted(test) in known)
    return frozenset(test for test in unsteady(base) | before if not own(test))


def without(side: Sequence[Replayed], tests: frozenset[str]) -> tuple[Replayed, ...]:
    """The replays of a side as if `tests` were not there."""
    return tuple(_without(replay, tests) for replay in side) if tests else tuple(side)


def _without(replay: Replayed, tests: frozenset[str]) -> Replayed:
    failed = frozenset(test for test in replay.failed if not normal(frozenset({test})) <= tests)
    passed = frozenset(test for test in replay.passed if not normal(frozenset({test})) <= tests)
    outcome = replay.outcome
    if not outcome.ok and not failed and replay.failed and replay.tests_alone and outcome.cause in TEST_REASONS:
        outcome = outcome.model_copy(update={"ok": True, "cause": None, "failing": (), "detail": ""})
    retried = frozenset(test for test in replay.retried if not normal(frozenset({test})) <= tests)
    return replace(replay, outcome=outcome, failed=failed, passed=passed, retried=retried)


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
