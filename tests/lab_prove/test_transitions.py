"""What became of each test, which flake, and which flakes count: given both sides' replays."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.values import ReplayOutcome, TestCounts
from learnd.lab.transitions import flaky_tests, forgiven, owner_of, transitions, without
from learnd.lab.verdict import Replayed, judge

FIX, OLD, OTHER, RACE = "tests/t.py::fix", "tests/t.py::old", "tests/u.py::other", "tests/u.py::race"
OWN = owner_of(("tests/t.py",))
NAMES = [FIX, OLD, OTHER, RACE]


def replay(passed: set[str], failed: set[str], *, alone: bool = True) -> Replayed:
    outcome = ReplayOutcome(
        ok=not failed,
        cause="assertion" if failed else None,
        exit_code=1 if failed else 0,
        seconds=1,
        hash_seed=0,
        source="pytest",
        counts=TestCounts(passed=len(passed), failed=len(failed)),
    )
    return Replayed(outcome, frozenset(passed), frozenset(failed), tests_alone=alone)


def test_every_kind_of_transition_is_told_apart() -> None:
    base = [replay({OLD, RACE}, {FIX, OTHER})] * 3
    snapshot = [replay({OLD, FIX}, {RACE, OTHER})] * 3
    found = transitions(base, snapshot)
    assert found is not None
    assert found.fail_to_pass.ids == (FIX,)
    assert found.pass_to_pass.ids == (OLD,)
    assert found.fail_to_fail.ids == (OTHER,)
    assert found.pass_to_fail.ids == (RACE,)


def test_a_test_that_is_missing_on_the_base_goes_from_not_passing_to_passing() -> None:
    found = transitions([replay({OLD}, {OTHER})] * 3, [replay({OLD, FIX}, set())] * 3)
    assert found is not None
    assert found.fail_to_pass.ids == (FIX,)


def test_a_test_that_is_skipped_with_the_change_passes_nowhere() -> None:
    found = transitions([replay({OLD, OTHER}, {FIX})] * 3, [replay({OLD, FIX}, set())] * 3)
    assert found is not None
    assert (found.pass_to_pass.count, found.pass_to_fail.count) == (1, 0)


def test_where_nobody_names_tests_nothing_is_said_of_them() -> None:
    nameless = replay(set(), set())
    assert transitions([nameless] * 3, [nameless] * 3) is None


def test_the_rate_of_a_flaky_test_is_counted_on_its_side() -> None:
    snapshot = [replay({FIX, RACE}, set()), replay({FIX}, {RACE}), replay({FIX}, {RACE})]
    (flaky,) = flaky_tests([replay({RACE}, {FIX})] * 3, snapshot)
    assert (flaky.test, flaky.side, flaky.failed, flaky.runs) == (RACE, "snapshot", 2, 3)


def test_a_test_that_flakes_without_the_change_and_is_none_of_its_own_does_not_sink_the_proof() -> None:
    base = [replay({OLD, RACE}, {FIX}), replay({OLD}, {FIX, RACE}), replay({OLD, RACE}, {FIX})]
    snapshot = [replay({OLD, FIX, RACE}, set()), replay({OLD, FIX}, {RACE}), replay({OLD, FIX, RACE}, set())]
    known = forgiven(base, snapshot, OWN)
    assert known == {RACE}
    judged = judge(without(base, known), without(snapshot, known), source_changed=True, test_commands=True, minimum=3)
    assert (judged.verdict, judged.turned) == ("proven", {FIX})


def test_a_flake_that_only_shows_with_the_change_sinks_it() -> None:
    base = [replay({OLD, RACE}, {FIX})] * 3
    snapshot = [replay({OLD, FIX, RACE}, set()), replay({OLD, FIX}, {RACE}), replay({OLD, FIX, RACE}, set())]
    assert forgiven(base, snapshot, OWN) == frozenset()
    assert judge(base, snapshot, source_changed=True, test_commands=True, minimum=3).verdict == "flaky"


def test_a_flaky_test_of_the_change_is_never_forgiven() -> None:
    base = [replay({OLD}, {FIX}), replay(set(), {FIX, OLD}), replay({OLD}, {FIX})]
    assert forgiven(base, base, OWN, {OLD: "an earlier job"}) == frozenset()


def test_a_flake_that_earlier_jobs_saw_on_their_base_sinks_no_proof_and_says_where_it_is_known_from() -> None:
    base = [replay({OLD, RACE}, {FIX})] * 3
    snapshot = [replay({OLD, FIX, RACE}, set()), replay({OLD, FIX}, {RACE}), replay({OLD, FIX, RACE}, set())]
    known = forgiven(base, snapshot, OWN, {RACE: "e" * 64})
    judged = judge(without(base, known), without(snapshot, known), source_changed=True, test_commands=True, minimum=3)
    assert (judged.verdict, known) == ("proven", {RACE})
    (flaky,) = flaky_tests(base, snapshot, {RACE: "e" * 64})
    assert (flaky.test, flaky.side, flaky.known_from) == (RACE, "snapshot", "e" * 64)


def test_a_known_flaky_test_that_fails_every_time_is_broken_by_the_change() -> None:
    base, snapshot = [replay({OLD, RACE}, {FIX})] * 3, [replay({OLD, FIX}, {RACE})] * 3
    known = forgiven(base, snapshot, OWN, {RACE: "e" * 64})
    judged = judge(without(base, known), without(snapshot, known), source_changed=True, test_commands=True, minimum=3)
    assert (judged.verdict, judged.cause) == ("failed", "regression")


def test_a_test_that_passed_only_when_it_was_run_again_is_flaky_whatever_the_replays_agree_on() -> None:
    again = dataclasses.replace(replay({OLD, FIX, RACE}, set()), retried=frozenset({RACE}))
    judged = judge([replay({OLD, RACE}, {FIX})] * 3, [again] * 3, source_changed=True, test_commands=True, minimum=3)
    assert (judged.verdict, judged.cause) == ("flaky", "retried")
    (flaky,) = flaky_tests([], [again] * 3)
    assert (flaky.failed, flaky.runs) == (3, 6)
    assert judge(
        [replay({OLD, RACE}, {FIX})] * 3, without([again] * 3, frozenset({RACE})),
        source_changed=True, test_commands=True, minimum=3,
    ).verdict == "proven"  # fmt: skip


def test_a_runner_that_the_change_replaces_parts_of_proves_nothing_unless_it_always_was() -> None:
    base, snapshot = [replay({OLD}, {FIX})] * 3, [replay({OLD, FIX}, set())] * 3
    patched = [dataclasses.replace(each, patched=frozenset({"unittest.case.TestCase.fail"})) for each in snapshot]
    judged = judge(base, patched, source_changed=True, test_commands=True, minimum=3)
    assert (judged.verdict, judged.cause) == ("inconclusive", "runner_patched")
    before = [dataclasses.replace(each, patched=patched[0].patched) for each in base]
    assert judge(before, patched, source_changed=True, test_commands=True, minimum=3).verdict == "proven"


def test_a_failed_set_up_beside_a_flaky_test_stays_a_failure() -> None:
    (kept,) = without([replay({FIX}, {RACE}, alone=False)], frozenset({RACE}))
    assert not kept.outcome.ok


@pytest.mark.parametrize("test", ["tests/t.py::T::a", "tests.t.T.a", "t.T.a", "tests/t.py", "TestAnything"])
def test_ids_of_a_changed_file_or_of_no_file_are_the_changes_own(test: str) -> None:
    assert OWN(test)


@pytest.mark.parametrize("test", ["tests/u.py::a", "tests.u.T.a", "tests/t.pyx::a"])
def test_ids_of_other_files_are_not(test: str) -> None:
    assert not OWN(test)


def test_a_test_that_the_change_breaks_every_time_is_a_regression() -> None:
    judged = judge(
        [replay({OLD, OTHER}, {FIX})] * 3, [replay({OLD, FIX}, {OTHER})] * 3,
        source_changed=True, test_commands=True, minimum=3,
    )  # fmt: skip
    assert (judged.verdict, judged.cause) == ("failed", "regression")
    assert OTHER in judged.detail


SIDES = st.lists(st.sets(st.sampled_from(NAMES)), min_size=3, max_size=5)


@settings(max_examples=300, deadline=None)
@given(SIDES, SIDES)
def test_no_test_is_of_two_kinds_and_a_proof_has_one_that_turned(
    base: list[set[str]], snapshot: list[set[str]]
) -> None:
    before = [replay(set(NAMES) - failed, failed) for failed in base]
    after = [replay(set(NAMES) - failed, failed) for failed in snapshot]
    found = transitions(before, after)
    assert found is not None
    kinds = [found.fail_to_pass, found.pass_to_pass, found.fail_to_fail, found.pass_to_fail]
    named = [test for kind in kinds for test in kind.ids]
    assert len(named) == len(set(named))
    known = forgiven(before, after, OWN)
    judged = judge(without(before, known), without(after, known), source_changed=True, test_commands=True, minimum=3)
    if judged.verdict == "proven":
        assert found.fail_to_pass.count
        assert not found.pass_to_fail.count
        assert {flaky.test for flaky in flaky_tests(before, after)} <= known
