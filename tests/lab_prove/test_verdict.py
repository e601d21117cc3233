"""The verdict table: given the replays of both sides, which verdict, and why."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.values import HunkEvidence, HunkVerdict, OutcomeSource, ReplayOutcome, TestCounts
from learnd.lab.verdict import (
    TEST_REASONS,
    Expected,
    Judgement,
    Replayed,
    flake_upper_bound,
    hunk_verdict,
    judge,
    with_hunks,
)

FIX = "tests/t.py::test_fix"
OLD = "tests/t.py::test_old"


def green(*passed: str, seed: int = 0, source: OutcomeSource = "pytest", skipped: int = 0) -> Replayed:
    counts = None if source == "exit_code" else TestCounts(passed=len(passed), skipped=skipped)
    outcome = ReplayOutcome(ok=True, exit_code=0, seconds=1, hash_seed=seed, source=source, counts=counts)
    return Replayed(outcome, passed=frozenset(passed))


def red(
    *failed: str, cause: str = "assertion", passed: tuple[str, ...] = (OLD,), source: OutcomeSource = "pytest"
) -> Replayed:
    counts = None if source == "exit_code" else TestCounts(passed=len(passed), failed=len(failed))
    outcome = ReplayOutcome(
        ok=False, cause=cause, exit_code=1, seconds=1, hash_seed=0, source=source, counts=counts, failing=failed
    )
    return Replayed(outcome, passed=frozenset(passed), failed=frozenset(failed))


def verdict(
    base: list[Replayed], snapshot: list[Replayed], *, source_changed: bool = True, test_commands: bool = True
) -> tuple[str, str | None]:
    judged = judge(base, snapshot, source_changed=source_changed, test_commands=test_commands, minimum=3)
    return judged.verdict, judged.cause


GREEN = [green(FIX, OLD)] * 3
RED = [red(FIX)] * 3


def test_proven_when_every_base_fails_for_a_test_reason_and_every_snapshot_passes() -> None:
    judged = judge(RED, GREEN, source_changed=True, test_commands=True, minimum=3)
    assert judged == Judgement("proven", turned=frozenset({FIX}))


@pytest.mark.parametrize("cause", sorted(TEST_REASONS))
def test_every_test_reason_proves(cause: str) -> None:
    assert verdict([red(FIX, cause=cause)] * 3, GREEN) == ("proven", None)


@pytest.mark.parametrize("cause", ["collection", "import", "setup", "no_tests", "build"])
def test_inconclusive_when_the_base_fails_for_no_test_reason(cause: str) -> None:
    assert verdict([red(FIX, cause=cause)] * 3, GREEN) == ("inconclusive", f"base_{cause}")


def test_inconclusive_when_one_base_replay_of_three_fails_in_collection() -> None:
    assert verdict([red(FIX), red(FIX, cause="collection"), red(FIX)], GREEN) == ("inconclusive", "base_collection")


@pytest.mark.parametrize("cause", ["timeout", "limit:output", "environment", "foreign_code", "signal"])
def test_inconclusive_when_the_machine_ended_a_replay(cause: str) -> None:
    assert verdict([red(FIX, cause=cause)], GREEN) == ("inconclusive", cause)
    assert verdict(RED, [green(FIX), red(FIX, cause=cause)]) == ("inconclusive", cause)


def test_failed_when_the_snapshot_fails_whatever_the_base_does() -> None:
    assert verdict([red(FIX, cause="timeout")], RED) == ("failed", "snapshot_fails")


def test_inconclusive_when_the_snapshot_cannot_be_collected() -> None:
    assert verdict(RED, [red(FIX, cause="collection")] * 3) == ("inconclusive", "snapshot_collection")


def test_flaky_when_equal_snapshots_disagree() -> None:
    assert verdict(RED, [green(FIX, OLD), red(FIX), green(FIX, OLD)]) == ("flaky", "snapshot_disagrees")


def test_flaky_when_equal_bases_disagree() -> None:
    assert verdict([red(FIX), green(FIX, OLD), red(FIX)], GREEN) == ("flaky", "base_disagrees")


def test_flaky_when_equal_bases_fail_differently() -> None:
    assert verdict([red(FIX), red(FIX, OLD), red(FIX)], GREEN) == ("flaky", "base_disagrees")


def test_test_ids_that_carry_addresses_do_not_disagree() -> None:
    base = [red(f"{FIX}[<object at 0x7f00{n}a0>]") for n in range(3)]
    snapshot = [green(f"{FIX}[<object at 0x7f11{n}a0>]") for n in range(3)]
    assert verdict(base, snapshot) == ("proven", None)


def test_pass_only_when_the_base_passes_as_well() -> None:
    assert verdict(GREEN, GREEN) == ("pass_only", "base_passes")


def test_pass_only_when_only_tests_changed() -> None:
    assert verdict([], GREEN, source_changed=False) == ("pass_only", "test_only")


def test_pass_only_when_nothing_is_tested() -> None:
    assert verdict([], [green(source="exit_code")] * 3, test_commands=False) == ("pass_only", "no_test_command")


def test_pass_only_when_only_exit_codes_speak() -> None:
    base = [red(cause="exit_code", source="exit_code", passed=())] * 3
    assert verdict(base, [green(source="exit_code")] * 3) == ("pass_only", "exit_code_only")


def test_inconclusive_when_the_snapshot_ran_no_test() -> None:
    assert verdict(RED, [red(cause="no_tests", passed=())]) == ("inconclusive", "no_tests")
    assert verdict(RED, [green(skipped=4)] * 3) == ("inconclusive", "no_tests")


def test_inconclusive_when_what_failed_is_not_what_passes() -> None:
    assert verdict([red("tests/t.py::gone")] * 3, [green(OLD)] * 3) == ("inconclusive", "base_other_tests")


def test_what_ended_the_base_early_is_named_before_the_replays_that_were_not_made() -> None:
    assert verdict([red(FIX, cause="environment")], GREEN[:1]) == ("inconclusive", "environment")


def test_inconclusive_with_too_few_replays() -> None:
    assert verdict(RED[:2], GREEN) == ("inconclusive", "too_few_replays")
    assert verdict(RED, GREEN[:2]) == ("inconclusive", "too_few_replays")


@pytest.mark.parametrize(
    ("verdicts", "probed", "loaded", "expected"),
    [
        (("exercised", "unexercised"), True, True, ("proven", None)),
        (("exercised",), True, False, ("proven", None)),
        (("inseparable", "unexercised"), True, True, ("proven", None)),
        (("unknown", "unexercised"), True, True, ("proven", None)),
        (("unexercised",), True, True, ("pass_only", "no_exercised_hunk")),
        (("unexercised",), True, False, ("pass_only", "change_not_loaded")),
        (("unexercised",), False, False, ("pass_only", "no_exercised_hunk")),
        ((), True, True, ("pass_only", "no_exercised_hunk")),
    ],
)
def test_hunks_decide_what_may_be_claimed(
    verdicts: tuple[HunkVerdict, ...], probed: bool, loaded: bool, expected: tuple[str, str | None]
) -> None:
    hunks = [HunkEvidence(file="m.py", lines=(1, 1), verdict=verdict) for verdict in verdicts]
    judged = with_hunks(Judgement("proven"), hunks, probed=probed, loaded=loaded)
    assert (judged.verdict, judged.cause) == expected


def test_hunks_never_lift_a_verdict() -> None:
    hunks = [HunkEvidence(file="m.py", lines=(1, 1), verdict="exercised")]
    judged = Judgement("pass_only", "base_passes")
    assert with_hunks(judged, hunks, probed=True, loaded=True) == judged


@pytest.mark.parametrize(("n", "bound"), [(3, 0.6316), (10, 0.2589), (50, 0.0582)])
def test_the_flake_bound_is_of_the_smaller_side(n: int, bound: float) -> None:
    assert flake_upper_bound(n, 99) == pytest.approx(bound, abs=1e-4)
    assert flake_upper_bound(99, n) == pytest.approx(bound, abs=1e-4)
    assert flake_upper_bound(0, n) is None


def without(cause: str | None, passed: tuple[str, ...], *failed: str, missing: tuple[str, ...] = ()) -> Replayed:
    replay = green(*passed) if cause is None else red(*failed, cause=cause, passed=passed)
    return Replayed(replay.outcome, replay.passed, replay.failed, frozenset(missing))


EXPECTED = Expected(passed=frozenset({FIX, OLD}), turned=frozenset({FIX}), missed=frozenset({"slug"}))


@pytest.mark.parametrize(
    ("reverted", "verdict", "turned"),
    [
        (without(None, (FIX, OLD)), "unexercised", set()),
        (without("assertion", (OLD,), FIX), "exercised", {FIX}),
        (without("error", (FIX,), OLD), "exercised", {OLD}),
        (without(None, (OLD,)), "exercised", {FIX}),  # a test that is gone is not green
        (without("missing_symbol", (), "tests/t.py", missing=("slug",)), "exercised", {FIX}),
        (without("missing_symbol", (), "tests/t.py", missing=("other",)), "inseparable", set()),
        (without("import", (), "tests/t.py"), "inseparable", set()),
        (without("collection", (), "tests/t.py"), "inseparable", set()),
        (without("setup", (), FIX), "inseparable", set()),
        (without("timeout", ()), "unknown", set()),
        (without("limit:disk", ()), "unknown", set()),
        (without("foreign_code", (OLD,), FIX), "unknown", set()),
        (without("no_report", ()), "unknown", set()),
        (without("assertion", (FIX, OLD), "tests/t.py::another"), "unknown", set()),
    ],
)
def test_what_reverting_a_hunk_says_of_it(reverted: Replayed, verdict: str, turned: set[str]) -> None:
    assert hunk_verdict(reverted, EXPECTED, frozenset({"slug", "other"})) == (verdict, turned)


def test_a_missing_name_that_the_hunk_does_not_define_makes_it_inseparable() -> None:
    reverted = without("missing_symbol", (), "tests/t.py", missing=("slug",))
    assert hunk_verdict(reverted, EXPECTED, frozenset()) == ("inseparable", frozenset())


IDS = st.frozensets(st.sampled_from(["a", "b", "c"]), max_size=3)
CAUSES = st.sampled_from(
    ["assertion", "error", "missing_symbol", "collection", "setup", "timeout", "limit:wall", "exit_code", "no_tests"]
)


@st.composite
def replays(draw: st.DrawFn) -> Replayed:
    source: OutcomeSource = draw(st.sampled_from(["pytest", "exit_code"]))
    ok = draw(st.booleans())
    passed = draw(IDS) if source == "pytest" else frozenset()
    failed = draw(IDS) - passed if source == "pytest" and not ok else frozenset()
    counts = TestCounts(passed=len(passed), failed=len(failed)) if source == "pytest" else None
    outcome = ReplayOutcome(
        ok=ok, cause=None if ok else draw(CAUSES), seconds=0, hash_seed=0, source=source, counts=counts
    )
    return Replayed(outcome, passed, failed)


@settings(max_examples=600)
@given(
    base=st.lists(replays(), max_size=5),
    snapshot=st.lists(replays(), max_size=5),
    source_changed=st.booleans(),
    test_commands=st.booleans(),
)
def test_never_proven_without_proof(
    base: list[Replayed], snapshot: list[Replayed], source_changed: bool, test_commands: bool
) -> None:
    judged = judge(base, snapshot, source_changed=source_changed, test_commands=test_commands, minimum=3)
    assert (judged.cause is None) == (judged.verdict == "proven")
    if judged.verdict != "proven":
        return
    assert source_changed
    assert test_commands
    assert min(len(base), len(snapshot)) >= 3
    assert all(not replay.outcome.ok and replay.outcome.cause in TEST_REASONS for replay in base)
    assert all(replay.outcome.ok and replay.passed for replay in snapshot)
    assert judged.turned
    assert not any(judged.turned & replay.passed for replay in base)
    assert all(judged.turned <= replay.passed for replay in snapshot)


@settings(max_examples=200)
@given(equal=replays(), n=st.integers(3, 5), snapshot=replays())
def test_the_proof_is_reachable_by_generated_sides(equal: Replayed, n: int, snapshot: Replayed) -> None:
    """Equal sides of the right kind are proven: the property above is not vacuous."""
    judged = judge([equal] * n, [snapshot] * n, source_changed=True, test_commands=True, minimum=3)
    provable = (
        not equal.outcome.ok
        and equal.outcome.cause in TEST_REASONS
        and snapshot.outcome.ok
        and bool(snapshot.passed - equal.passed)
    )
    assert (judged.verdict == "proven") == provable
