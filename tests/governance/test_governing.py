"""What people decide about patterns, with a real log and real files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from governed import APPROVERS, Governed, governed
from support.repos import git

from events import catalog as e
from learnd.library.likeness import marks_of
from learnd.library.patterns import parse
from learnd.requests import (
    DeprecatePattern,
    PromotePattern,
    RejectPattern,
    ReleasePattern,
    RestorePattern,
    SupersedePattern,
)
from learnd.settings import Owner, Patterns
from state import commands as c

OWNERS = (Owner(path="*", users=("anna",)), Owner(path="/pay/", users=("berta",)), Owner(path="/docs/"))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Governed]:
    with governed(tmp_path) as found:
        yield found


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Governed]:
    """Two must consent."""
    with governed(tmp_path, patterns=Patterns(approvals=2), approvers=tuple(sorted(APPROVERS))) as found:
        yield found


@pytest.fixture
def owning(tmp_path: Path) -> Iterator[Governed]:
    with governed(tmp_path, patterns=Patterns(owners=OWNERS)) as found:
        yield found


# --- two approvers ---


def test_of_two_consents_the_first_is_recorded_and_the_second_promotes(two: Governed) -> None:
    own = two.draft("a", "Use one query.")
    first = two.ask(PromotePattern(pattern=own, reason="read it"), "anna")
    assert first.ok
    assert "is candidate still: the consent of anna is recorded. Needed: another approver" in first.message
    assert str(two.file(own)).endswith(f"candidates/pattern-a-{own[:8]}.md")
    second = two.ask(PromotePattern(pattern=own, reason="tried it"), "berta")
    assert second.message == f"pattern {own[:8]} is active now"
    assert two.types(own)[-2:] == ["PatternEndorsed", "PatternPromoted"]
    file = two.file(own)
    assert file is not None
    assert (file.parent.name, parse(file.read_text()).front.approver) == ("active", "berta")


def test_the_same_person_twice_is_one_consent_whatever_name_they_give(two: Governed) -> None:
    own = two.draft("a", "Use one query.")
    assert two.ask(PromotePattern(pattern=own), "anna").ok
    again = two.ask(PromotePattern(pattern=own, claimed="berta"), "anna")
    assert (again.code, "anna consented already" in again.message) == ("already_endorsed", True)
    assert two.pattern(own).status == "candidate"


def test_a_consent_is_to_one_text_and_void_when_it_changes(two: Governed) -> None:
    own = two.draft("a", "Use one query.")
    assert two.ask(PromotePattern(pattern=own), "anna").ok
    file = two.file(own)
    assert file is not None
    file.write_text(file.read_text() + "\nOr two.\n")
    assert two.ask(PromotePattern(pattern=own), "berta").code == "edited"
    digest = c.Promote(own, c.Person("berta", APPROVERS), "m", "f" * 64, "another text", approvals=2)
    assert not isinstance(two.engine.door.handle(digest, "berta"), c.PatternCommand)
    assert two.pattern(own).status == "candidate", "anna consented to the other text"
    assert {consent.text_sha256[:4] for consent in two.pattern(own).consents if consent.user == "berta"} == {"ffff"}
    file.write_text(file.read_text().replace("\nOr two.\n", ""))
    assert two.ask(PromotePattern(pattern=own), "carl").ok
    assert two.pattern(own).status == "active", "anna's consent is to the text that stands again"


def test_a_new_question_needs_new_consents(two: Governed) -> None:
    own = two.draft("a", "Use one query.")
    two.ask(PromotePattern(pattern=own), "anna")
    assert two.ask(RejectPattern(pattern=own, reason="no"), "carl").ok
    assert two.ask(RestorePattern(pattern=own), "carl").ok
    assert two.ask(PromotePattern(pattern=own), "berta").ok
    assert two.pattern(own).status == "candidate"


def test_a_stranger_consents_to_nothing(two: Governed) -> None:
    own = two.draft("a", "Use one query.")
    assert two.ask(PromotePattern(pattern=own), "mallory").code == "not_an_approver"
    assert not two.pattern(own).consents


def test_superseding_by_a_candidate_waits_for_its_consents_too(two: Governed) -> None:
    old, new = two.draft("old", "Use one query."), two.draft("new", "Use a join instead.")
    for user in ("anna", "berta"):
        assert two.ask(PromotePattern(pattern=old), user).ok
    assert "Needed: another approver" in two.ask(SupersedePattern(pattern=old, by=new), "anna").message
    assert (two.pattern(old).status, two.pattern(new).status) == ("active", "candidate")
    assert two.ask(SupersedePattern(pattern=old, by=new, reason="joins"), "berta").ok
    assert (two.pattern(old).status, two.pattern(new).status) == ("deprecated", "active")


# --- owners ---


def test_only_an_owner_promotes_what_cites_their_paths(owning: Governed) -> None:
    own = owning.draft("a", "Use one query.", marks_of([("+", "return 1 + total")], ("pay/a.py",)))
    refused = owning.ask(PromotePattern(pattern=own), "anna")
    assert refused.code == "not_an_owner"
    assert "pay/a.py (owners: berta)" in refused.message
    assert owning.ask(PromotePattern(pattern=own), "berta").ok
    assert owning.pattern(own).status == "active"


def test_paths_of_two_owners_need_both(owning: Governed) -> None:
    own = owning.draft("a", "Use one query.", marks_of([("+", "return 1 + total")], ("pay/a.py", "shop.py")))
    first = owning.ask(PromotePattern(pattern=own), "berta")
    assert "Needed: an owner of shop.py (owners: anna)" in first.message
    assert owning.ask(PromotePattern(pattern=own), "carl").code == "not_an_owner"
    assert owning.ask(PromotePattern(pattern=own), "anna").ok
    assert owning.pattern(own).status == "active"


def test_what_has_no_owner_any_approver_promotes(owning: Governed) -> None:
    own = owning.draft("a", "Use one query.", marks_of([("+", "return 1 + total")], ("docs/a.md",)))
    assert owning.ask(PromotePattern(pattern=own), "carl").ok


def test_a_codeowners_file_in_the_repository_has_no_say(owning: Governed) -> None:
    for name in ("CODEOWNERS", ".github/CODEOWNERS"):
        file = owning.repo / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("* mallory carl\n/pay/ carl\n")
    own = owning.draft("a", "Use one query.", marks_of([("+", "return 1 + total")], ("pay/a.py",)))
    assert owning.ask(PromotePattern(pattern=own), "carl").code == "not_an_owner"


# --- contradictions and superseding ---


def test_of_two_that_contradict_each_other_one_is_served(house: Governed) -> None:
    one, other = house.draft("a", "Use one query."), house.draft("b", "Use many queries.")
    house.contradict(one, other)
    assert house.ask(PromotePattern(pattern=one)).ok
    refused = house.ask(PromotePattern(pattern=other))
    assert refused.code == "conflict"
    assert f"learnd supersede {one[:8]} --by {other[:8]}" in refused.message
    assert house.ask(SupersedePattern(pattern=one, by=other, reason="measured")).ok
    assert (house.pattern(one).status, house.pattern(other).status) == ("deprecated", "active")
    file = house.file(one)
    assert file is not None
    front = parse(file.read_text()).front
    assert (front.status, front.approver, front.reason) == (
        "deprecated",
        "anna",
        f"superseded by {other[:8]}: measured",
    )


def test_a_stale_one_counts_for_it_may_come_back_by_itself(house: Governed) -> None:
    one, other = house.draft("a", "Use one query."), house.draft("b", "Use many queries.")
    house.contradict(one, other)
    assert house.ask(PromotePattern(pattern=one)).ok
    house.engine.door.handle(c.MarkStale(one, ("a.py",)), "test")
    assert house.ask(PromotePattern(pattern=other)).code == "conflict"


def test_what_was_superseded_is_not_served_beside_its_successor(house: Governed) -> None:
    old, new = house.draft("a", "Use one query."), house.draft("b", "Use a join instead.")
    assert house.ask(PromotePattern(pattern=old)).ok
    assert house.ask(SupersedePattern(pattern=old, by=new)).ok
    assert house.ask(RestorePattern(pattern=old)).ok
    assert house.ask(PromotePattern(pattern=old)).code == "conflict"
    assert house.ask(SupersedePattern(pattern=new, by=old)).ok
    assert (house.pattern(old).status, house.pattern(new).status) == ("active", "deprecated")


def test_what_is_not_served_takes_nobodys_place(house: Governed) -> None:
    old, new = house.draft("a", "Use one query."), house.draft("b", "Use a join instead.")
    assert house.ask(PromotePattern(pattern=old)).ok
    assert house.ask(RejectPattern(pattern=new, reason="no")).ok
    assert house.ask(SupersedePattern(pattern=old, by=new)).code == "not_served"
    assert house.ask(SupersedePattern(pattern=old, by=old)).code == "itself"
    assert house.ask(SupersedePattern(pattern=new, by=old)).code == "wrong_status"


# --- edits, releases, and what stands in file and log ---


def test_an_edit_is_recorded_with_whom_git_names_and_leaves_active(house: Governed) -> None:
    own = house.draft("a", "Use one query.")
    assert house.ask(PromotePattern(pattern=own)).ok
    file = house.file(own)
    assert file is not None
    file.write_text(file.read_text() + "\nAlways.\n")
    git(house.repo, "add", "-A")
    git(house.repo, "-c", "user.name=Anna\x1b Example", "commit", "-q", "-m", "an edit", "--author", "Berta E <b@x>")
    house.engine.publisher.notice_edits()
    (edit,) = [r.data for r in house.engine.log.read(f"pattern-{own}") if isinstance(r.data, e.PatternEdited)]
    head = git(house.repo, "rev-parse", "HEAD")[:12]
    assert edit.by == f"Berta E, in {head}"
    moved = house.file(own)
    assert moved is not None
    assert (moved.parent.name, "Always." in moved.read_text()) == ("candidates", True)
    assert house.pattern(own).status == "edited"
    before = house.engine.log.head()
    house.engine.publisher.notice_edits()
    house.engine.publisher.notice_edits()
    assert house.engine.log.head() == before


def test_an_edit_that_nobody_committed_has_no_name(house: Governed) -> None:
    own = house.draft("a", "Use one query.")
    assert house.ask(PromotePattern(pattern=own)).ok
    file = house.file(own)
    assert file is not None
    file.write_text(file.read_text() + "\nAlways.\n")
    house.engine.publisher.notice_edits()
    (edit,) = [r.data for r in house.engine.log.read(f"pattern-{own}") if isinstance(r.data, e.PatternEdited)]
    assert edit.by is None
    assert house.ask(PromotePattern(pattern=own)).code == "edited"
    assert house.ask(PromotePattern(pattern=own, as_judged=True)).ok
    served = house.file(own)
    assert served is not None
    assert (served.parent.name, "Always." in served.read_text()) == ("active", False)
    kept = [path for path in house.engine.place.quarantine_dir.iterdir() if "Always." in path.read_text()]
    assert len(kept) == 1, "the edit is kept, out of agents' reach"


@pytest.mark.parametrize(
    ("request_", "event"),
    [
        (RejectPattern(pattern="", reason="no"), "PatternRejected"),
        (DeprecatePattern(pattern="", reason="old"), "PatternDeprecated"),
    ],
)
def test_every_decision_names_approver_reason_and_manifest_in_the_log(
    house: Governed, request_: RejectPattern | DeprecatePattern, event: str
) -> None:
    own = house.draft("a", "Use one query.")
    if event == "PatternDeprecated":
        assert house.ask(PromotePattern(pattern=own, reason="yes")).ok
    assert house.ask(request_.model_copy(update={"pattern": own}), "berta").ok
    assert house.ask(RestorePattern(pattern=own, reason="after all"), "carl").ok
    said = [r.data for r in house.engine.log.read(f"pattern-{own}") if r.type in (event, "PatternRestored")]
    manifest = str(house.repo / ".runs/a/manifest.json")
    assert [getattr(one, "manifest_path", None) for one in said] == [manifest, manifest]
    assert [getattr(one, "approver", None) for one in said] == ["berta", "carl"]
    file = house.file(own)
    assert file is not None
    front = parse(file.read_text()).front
    assert (front.status, front.approver, front.reason) == ("candidate", None, "restored by carl: after all")


def test_releasing_overrules_one_gate_and_asks_the_others(house: Governed) -> None:
    own = house.draft("a", "Use one query.", failed_gate="redaction")
    assert house.ask(ReleasePattern(pattern=own)).code == "needs_reason"
    done = house.ask(ReleasePattern(pattern=own, reason="no secret"))
    # Its snapshot lies nowhere, so nothing can be grounded any more.
    assert done.ok
    assert "is quarantined still: the gate grounding stops it too" in done.message
    assert house.types(own) == ["PatternQuarantined", "PatternReleased", "PatternQuarantined"]
    assert house.pattern(own).overruled == ("redaction",)
    assert house.file(own) is None
