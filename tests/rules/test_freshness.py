"""When is a pattern stale, and which state of its files is to be verified? Pure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.histories import PATTERN, PATTERN_WAY_TO, evidence
from support.histories import given as after

from events import catalog as e
from events.values import FileVersion
from state import commands as c
from state.decide import Decided, decide
from state.freshness import FRESH, Files, Freshness, Seen, Stale, VerifyAgain, evolve, next_step
from state.pattern import Pattern, PatternStatus
from state.refusal import Refused

P = PatternStatus


def files(*objects: str) -> Files:
    return tuple(FileVersion(path=f"{number}.py", object_id=name) for number, name in enumerate(objects))


def seen(*objects: str) -> Seen:
    return Seen(f"tree {objects}", "".join(objects), files(*objects))


OWN = frozenset((*files("base", "b"), *files("snap", "s")))
STATES = st.lists(st.sampled_from(["base", "snap", "x", "y", "z"]), min_size=1, max_size=1).map(lambda one: seen(*one))


def test_a_state_that_the_change_knows_is_fresh_in_any_mixture() -> None:
    for state in (seen("base", "b"), seen("snap", "s"), seen("snap", "b")):
        assert next_step(FRESH, OWN, [state], stale=False) is None
    step = next_step(FRESH, OWN, [seen("snap", "s"), seen("snap", "other")], stale=False)
    assert step == Stale(seen("snap", "other"), ("1.py",))


def test_a_pattern_comes_back_by_the_state_that_made_it_stale_or_by_one_that_is_known() -> None:
    stale = Freshness(tree="x", files=files("x", "s"))
    assert next_step(stale, OWN, [seen("x", "s")], stale=True) == VerifyAgain(seen("x", "s"))
    assert next_step(stale, OWN, [seen("snap", "s")], stale=True) == VerifyAgain(seen("snap", "s"))
    failed = evolve(stale, e.ReverificationFailed(cause="not_proven", detail="", tree="x", files=files("x", "s")))
    assert next_step(failed, OWN, [seen("x", "s")], stale=True) is None
    assert next_step(failed, OWN, [seen("x", "s"), seen("y", "s")], stale=True) is None, "one contradicts it"
    assert next_step(failed, OWN, [seen("y", "s")], stale=True) == VerifyAgain(seen("y", "s"))


@given(st.lists(STATES, min_size=1, max_size=3), st.sets(st.sampled_from(["base", "snap", "x", "y", "z"])))
def test_whatever_stands_there_the_pattern_comes_to_rest_and_is_active_only_where_all_states_were_shown(
    looked_at: list[Seen], proven: set[str]
) -> None:
    """`proven` are the states in which replays would show the evidence again."""
    own = frozenset((*files("base"), *files("snap")))
    known, stale = FRESH, False
    for _ in range(30):
        step = next_step(known, own, looked_at, stale=stale)
        if step is None:
            break
        state = step.seen
        if isinstance(step, Stale):
            known, stale = (
                evolve(known, e.PatternWentStale(changed_paths=step.paths, tree="t", files=state.files)),
                True,
            )
        elif {file.object_id for file in state.files} <= proven:
            known = evolve(known, e.PatternReverified(evidence=evidence(), tree="t", files=state.files))
            stale = False
        else:
            failed = e.ReverificationFailed(cause="not_proven", detail="", tree="t", files=state.files)
            known = evolve(known, failed)
    else:
        raise AssertionError("it never rests")
    new = {file.object_id for state in looked_at for file in state.files} - {"base", "snap"}
    assert stale == (not new <= proven)


def start(boot: str, *objects: str) -> c.StartReverification:
    return c.StartReverification(PATTERN, boot, "bubblewrap", "t", files(*objects), 2)


def test_crashes_cost_attempts_of_one_state_and_the_last_gives_it_up() -> None:
    stale = after((*PATTERN_WAY_TO[P.ACTIVE], c.MarkStale(PATTERN, ("0.py",), "x", "t", files("x"))), Pattern(PATTERN))
    crash, drain = (c.InterruptReverification(PATTERN, cause) for cause in ("crash", "drain"))  # type: ignore[arg-type]
    tired = after((start("1", "x"), drain, start("1", "x"), crash, start("2", "x"), crash), stale)
    given_up = decide(start("3", "x"), tired)
    assert isinstance(given_up, Decided)
    assert [event.type for event in given_up.events] == ["ReverificationFailed"]
    assert isinstance(decide(start("3", "x"), given_up.entity), Refused), "not again in this state"
    fresh = decide(start("3", "y"), given_up.entity)
    assert isinstance(fresh, Decided), "another state is another question"
    again = decide(start("3", "y"), fresh.entity)
    assert isinstance(again, Refused)
    assert again.code == "at_work"


def test_what_was_found_out_for_a_pattern_that_a_person_took_out_of_service_is_dropped() -> None:
    begun = after((*PATTERN_WAY_TO[P.STALE], start("1", "x")), Pattern(PATTERN))
    gone = after((PATTERN_WAY_TO[P.DEPRECATED][-1],), begun)
    for late in (c.Reverify(PATTERN, evidence()), c.GiveReverificationUp(PATTERN, "x", "x", "t", files("x"))):
        assert isinstance(decide(late, gone), Refused)
