"""Which runs make one change together: any history of edits, by the runs and by others."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from learnd.grouping.chain import Chain, Content, RunChange, before_all, chains, misfit

FILES = ("a", "b", "c")


@dataclass(frozen=True)
class Edit:
    """Somebody writes a value of their own into files: a run (by number), or somebody else (none)."""

    run: bool
    files: tuple[str, ...]


EDITS = st.lists(
    st.builds(Edit, st.booleans(), st.lists(st.sampled_from(FILES), min_size=1, max_size=2, unique=True).map(tuple)),
    min_size=1,
    max_size=7,
)


def lived(edits: list[Edit]) -> tuple[list[RunChange], dict[str, str]]:
    """The runs of a history in which each writer's values are new; and who wrote each value."""
    tree: dict[str, Content] = dict.fromkeys(FILES, ("100644", "base"))
    runs, wrote = [], {"base": ""}
    for number, edit in enumerate(edits):
        before = dict(tree)
        who = f"run{number}" if edit.run else f"other{number}"
        for name in edit.files:
            tree[name] = ("100644", f"{who}-{name}")
            wrote[f"{who}-{name}"] = who
        if edit.run:
            runs.append(RunChange(who, before, dict(tree), observed=True))
    return runs, wrote


def always(first: str, job: str) -> bool:
    return True


def unknown(commit: str, ancestor: str) -> bool | None:
    return None


@settings(max_examples=300, deadline=None)
@given(EDITS)
def test_what_a_group_changed_is_its_members_work_and_nobody_elses(edits: list[Edit]) -> None:
    runs, wrote = lived(edits)
    for chain in chains(runs, always, unknown):
        members = {run.job for run in chain.runs}
        last = chain.runs[-1].after
        base = {**last, **{path: content for path, content in before_all(chain.runs).items() if content}}
        for name in FILES:
            if base[name] != last[name]:
                assert wrote[last[name][1]] in members, "it claims no value that others wrote"
                assert wrote[base[name][1]] not in members, "it begins before all of its members' work"
        touched = frozenset[str]().union(*(run.touched for run in chain.runs))
        assert {name for name in FILES if base[name] != last[name]} == touched, "it leaves nothing of theirs out"


@settings(max_examples=300, deadline=None)
@given(EDITS)
def test_every_run_is_in_one_chain_and_runs_that_nobody_disturbed_are_in_the_same(edits: list[Edit]) -> None:
    runs, _ = lived(edits)
    found = chains(runs, always, unknown)
    assert [run.job for chain in found for run in chain.runs] == [run.job for run in runs]
    if all(edit.run for edit in edits):
        assert len(found) <= 1


@settings(max_examples=200, deadline=None)
@given(EDITS, st.integers(0, 6))
def test_what_was_closed_before_does_not_change_what_is_left(edits: list[Edit], number: int) -> None:
    """Whoever closes a chain first: the others come out as they would have."""
    runs, _ = lived(edits)
    found = chains(runs, always, unknown)
    if not found:
        return
    gone = found[number % len(found)]
    left = chains([run for run in runs if run not in gone.runs], always, unknown)
    expected = [chain.runs for chain in found if chain is not gone]
    split = {run.job: n for n, chain in enumerate(left) for run in chain.runs}
    for chain in expected:
        assert len({split[run.job] for run in chain}) == 1, "a chain is never taken apart by another's end"


A = RunChange("one", {"x": ("1", "0")}, {"x": ("1", "1")}, observed=True, commit="c0" * 20)
B = RunChange("two", {"x": ("1", "1")}, {"x": ("1", "2")}, observed=True, commit="c1" * 20)


def test_a_base_that_nobody_observed_may_be_what_an_earlier_run_began_with() -> None:
    from_head = replace(B, before={"x": ("1", "0")}, observed=False)
    assert misfit([A], from_head, unknown) is None
    assert misfit([A], replace(from_head, observed=True), unknown) == "x was changed between job one and it, by neither"
    assert before_all([A, from_head]) == {"x": ("1", "0")}


def test_a_commit_off_the_line_keeps_runs_apart_and_one_that_nobody_knows_does_not() -> None:
    told = misfit([A], B, lambda commit, ancestor: False)
    assert told == f"commit {'c0' * 6}, at which job one began, is no ancestor of where it began"
    assert misfit([A], B, unknown) is None


def test_files_that_appear_and_go_are_changes_like_others() -> None:
    made = RunChange("one", {}, {"new": ("1", "1")}, observed=True)
    gone = RunChange("two", {"new": ("1", "1")}, {}, observed=True)
    assert chains([made, gone], always, unknown) == [Chain((made, gone))]
    assert before_all([made, gone]) == {"new": None}
    kept = RunChange("two", {}, {"other": ("1", "1")}, observed=True)
    assert misfit([made], kept, unknown) == "what job one left in new is not in its snapshot"


def test_a_run_after_the_window_begins_a_group_of_its_own() -> None:
    (one, two) = chains([A, B], lambda first, job: False, unknown)
    assert [one.runs, two.runs] == [(A,), (B,)]
    assert one.apart == two.apart == (), "they are apart by time alone, which nobody needs to be told"
