"""Whatever people and machines do in whatever order: served is what was promoted, no text is lost, tombstones hold."""

from __future__ import annotations

import tempfile
from pathlib import Path

from governed import APPROVERS, Governed, governed
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.histories import evidence

from events import catalog as e
from learnd.library.files import FOLDER_OF
from learnd.requests import (
    DeprecatePattern,
    PromotePattern,
    RejectPattern,
    ReleasePattern,
    RestorePattern,
    SupersedePattern,
)
from learnd.settings import Patterns
from learnd.steps.known import already_known
from state import commands as c
from state.pattern import PatternStatus

USERS = ("anna", "berta", "mallory")
SEEDS = ("a", "b", "c")
SERVED_BY = (e.PatternPromoted, e.PatternReverified)

steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["promote", "promote", "promote", "as-judged", "reject", "deprecate", "restore", "supersede", "release",
             "edit", "plant", "expire", "stale", "reverify"]
        ),
        st.sampled_from(SEEDS), st.sampled_from(SEEDS), st.sampled_from(USERS),
    ),
    max_size=14,
)  # fmt: skip


def do(house: Governed, what: str, own: str, other: str, user: str, edits: list[str]) -> None:
    match what:
        case "promote":
            house.ask(PromotePattern(pattern=own), user)
        case "as-judged":
            house.ask(PromotePattern(pattern=own, as_judged=True), user)
        case "reject":
            house.ask(RejectPattern(pattern=own, reason="no"), user)
        case "deprecate":
            house.ask(DeprecatePattern(pattern=own, reason="old"), user)
        case "restore":
            house.ask(RestorePattern(pattern=own), user)
        case "supersede":
            house.ask(SupersedePattern(pattern=own, by=other, reason="better"), user)
        case "release":
            house.ask(ReleasePattern(pattern=own, reason="fine"), user)
        case "edit" | "plant":
            file = house.file(own)
            if file is not None:
                edits.append(f"An edit, the {len(edits)}th.")
                text = f"{file.read_text()}\n{edits[-1]}\n"
                # An agent may put the text where agents look, whatever the pattern's status.
                file = file if what == "edit" else file.parents[1] / "active" / file.name
                file.parent.mkdir(exist_ok=True)
                file.write_text(text)
        case "expire":
            house.engine.door.handle(c.Expire(own, 90), "test")
        case "stale":
            house.engine.door.handle(c.MarkStale(own, ("a.py",)), "test")
        case "reverify":
            house.engine.door.handle(c.Reverify(own, evidence()), "test")
    house.publish()


def hold(house: Governed, own: str, approvals: int) -> None:
    """What must be so of one pattern, whatever was done."""
    pattern = house.pattern(own)
    file = house.file(own)  # at most one
    home = FOLDER_OF.get(pattern.status)
    assert (file.parent.name if file else None) == home
    served = list((house.repo / ".agent/patterns/active").glob(f"*-{own[:8]}.md"))
    assert bool(served) == (pattern.status is PatternStatus.ACTIVE)
    events = [record.data for record in house.engine.log.read(f"pattern-{own}")]
    if pattern.status is PatternStatus.ACTIVE:
        last = [event for event in events if isinstance(event, SERVED_BY)]
        assert last, "served without a promotion"
    for at, event in enumerate(events):
        if isinstance(event, e.PatternPromoted):
            consents = {event.approver}
            for before in reversed(events[:at]):
                if not isinstance(before, e.PatternEndorsed | e.ConflictFound):
                    break
                if isinstance(before, e.PatternEndorsed) and before.text_sha256 == event.text_sha256:
                    consents.add(before.approver)
            assert len(consents) >= approvals
            assert consents <= APPROVERS
    if pattern.status is PatternStatus.REJECTED:
        again = already_known(
            house.engine.door.job(pattern.job_id), house.engine.place, pattern.text, pattern.change, None
        )
        assert again is not None
        assert isinstance(again[0], c.SkipJob)
        assert "was rejected by" in again[0].detail


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps, st.sampled_from([1, 2]))
@example([("promote", "a", "a", "anna"), ("promote", "b", "b", "anna"), ("supersede", "a", "b", "berta")], 1)
@example(
    [
        ("promote", "a", "a", "anna"),
        ("stale", "a", "a", "anna"),
        ("promote", "b", "b", "anna"),
        ("reverify", "a", "a", "anna"),
    ],
    1,
)
@example(
    [
        ("promote", "a", "a", "anna"),
        ("promote", "a", "a", "anna"),
        ("promote", "a", "a", "berta"),
        ("edit", "a", "a", "anna"),
        ("plant", "a", "a", "anna"),
        ("as-judged", "a", "a", "anna"),
    ],
    2,
)
@example(
    [
        ("promote", "a", "a", "anna"),
        ("supersede", "a", "b", "anna"),
        ("restore", "a", "a", "anna"),
        ("promote", "a", "a", "anna"),
        ("reject", "a", "a", "berta"),
    ],
    1,
)
def test_any_order_of_decisions_edits_and_machines_keeps_what_must_hold(
    done: list[tuple[str, str, str, str]], approvals: int
) -> None:
    with tempfile.TemporaryDirectory() as root:
        rules = Patterns(approvals=approvals)
        with governed(Path(root), patterns=rules, approvers=tuple(sorted(APPROVERS))) as house:
            ids = {
                "a": house.draft("a", "Use one query for the page."),
                "b": house.draft("b", "Use many queries for a page of orders."),
                "c": house.draft("c", "Close every file that was opened.", failed_gate="hidden"),
            }
            house.contradict(ids["a"], ids["b"])
            texts = {own: house.pattern(own).text for own in ids.values()}
            edits: list[str] = []
            for what, seed, other, user in done:
                do(house, what, ids[seed], ids[other], user, edits)
                statuses = [house.pattern(ids[name]).status for name in ("a", "b")]
                assert statuses != [PatternStatus.ACTIVE] * 2, "both of two that contradict each other are served"
            for own in ids.values():
                hold(house, own, approvals)
                assert house.pattern(own).text == texts[own]
            kept = [path for path in Path(root).rglob("*.md") if path.is_file()]
            everything = "".join(path.read_text(errors="replace") for path in kept)
            assert all(edit in everything for edit in edits), "an edit was lost"
            position = house.engine.log.head()
            house.publish()
            house.engine.publisher.everything()
            assert house.engine.log.head() == position, "files and log agree: nothing is left to be done"
