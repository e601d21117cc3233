"""The rules of a pattern, by given / when / then."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.histories import (
    ANNA,
    BROUGHT_BACK,
    JOB,
    ORIGIN,
    PATTERN,
    PATTERN_WAY_TO,
    RUN,
    SHA,
    deprecate,
    evidence,
    given,
    promote,
    refused_by_gate,
    rule,
)

from state import commands as c
from state.decide import Decided, decide
from state.pattern import Pattern, PatternStatus
from state.refusal import Refused

P = PatternStatus
STRANGER = c.Person("mallory", frozenset({"anna"}), reason="because")
SILENT = replace(ANNA, reason=" ")


def pattern_in(status: PatternStatus) -> Pattern:
    pattern = given(PATTERN_WAY_TO[status], Pattern(PATTERN))
    assert isinstance(pattern, Pattern)
    return pattern


def code(command: c.PatternCommand, pattern: Pattern) -> str:
    answer = decide(command, pattern)
    assert isinstance(answer, Refused), answer
    return answer.code


def test_a_draft_that_passes_every_gate_becomes_a_candidate_at_once() -> None:
    answer = decide(c.JudgeDraft(PATTERN, ORIGIN, ("format", "size")), Pattern(PATTERN))
    assert isinstance(answer, Decided)
    assert [event.type for event in answer.events] == ["PatternStaged", "PatternProposed"]


def test_a_draft_that_a_gate_refuses_never_stands_in_staging() -> None:
    answer = decide(refused_by_gate, Pattern(PATTERN))
    assert isinstance(answer, Decided)
    assert [event.type for event in answer.events] == ["PatternQuarantined"]
    assert isinstance(answer.entity, Pattern)
    assert (answer.entity.text, answer.entity.gate) == (ORIGIN.body, "grounding")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (c.Release(PATTERN, STRANGER), P.QUARANTINED),
        (c.Promote(PATTERN, STRANGER, RUN.manifest_path, SHA), P.CANDIDATE),
        (c.Reject(PATTERN, STRANGER), P.CANDIDATE),
        (c.Deprecate(PATTERN, STRANGER), P.ACTIVE),
        (c.Supersede(PATTERN, STRANGER, "e" * 64), P.ACTIVE),
        (c.Restore(PATTERN, STRANGER), P.REJECTED),
    ],
)
def test_refused_when_the_user_is_no_approver(command: c.PatternCommand, status: PatternStatus) -> None:
    assert code(command, pattern_in(status)) == "not_an_approver"


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (c.Release(PATTERN, SILENT), P.QUARANTINED),
        (c.Reject(PATTERN, SILENT), P.CANDIDATE),
        (c.Deprecate(PATTERN, SILENT), P.ACTIVE),
    ],
)
def test_refused_without_a_reason(command: c.PatternCommand, status: PatternStatus) -> None:
    assert code(command, pattern_in(status)) == "needs_reason"


def test_an_edited_text_is_promoted_only_as_it_was_seen() -> None:
    seen_before = c.Promote(PATTERN, ANNA, RUN.manifest_path, "0" * 64, edited_text="mine")
    assert code(seen_before, pattern_in(P.EDITED)) == "changed_meanwhile"


def test_promoting_an_edited_text_makes_it_the_text() -> None:
    promoted = given((c.Promote(PATTERN, ANNA, RUN.manifest_path, SHA, edited_text="mine"),), pattern_in(P.EDITED))
    assert isinstance(promoted, Pattern)
    assert (promoted.status, promoted.text) == (P.ACTIVE, "mine")


def test_an_unknown_pattern_is_named_as_such() -> None:
    assert code(c.Reject(PATTERN, ANNA), Pattern(PATTERN)) == "unknown"


def test_a_pattern_cannot_supersede_itself() -> None:
    assert code(c.Supersede(PATTERN, ANNA, PATTERN), pattern_in(P.ACTIVE)) == "itself"


def test_a_stale_pattern_comes_back_only_proven() -> None:
    assert code(c.Reverify(PATTERN, evidence("flaky", "disagreement")), pattern_in(P.STALE)) == "not_proven"


def test_evidence_of_one_job_counts_once() -> None:
    assert code(c.AddEvidence(PATTERN, JOB, "proven"), pattern_in(P.ACTIVE)) == "already_added"


def test_a_restored_pattern_waits_for_a_person_again() -> None:
    restored = given((c.Restore(PATTERN, ANNA),), pattern_in(P.DEPRECATED))
    assert restored.status is P.CANDIDATE


def test_a_pattern_that_a_person_brought_back_without_a_rule_gets_one_look_even_when_promoted_meanwhile() -> None:
    released = given(BROUGHT_BACK, Pattern(PATTERN))
    for brought_back in (released, given((promote,), released)):
        assert isinstance(brought_back, Pattern)
        none = given((c.RecordNoRule(PATTERN, "none"),), brought_back)
        assert isinstance(none, Pattern)
        assert code(c.RecordNoRule(PATTERN, "none"), none) == "not_due"
        found = given((rule,), brought_back)
        assert isinstance(found, Pattern)
        assert (found.rule is not None, found.rule_due, found.status) == (True, False, brought_back.status)
    restored = given((c.Reject(PATTERN, ANNA), c.Restore(PATTERN, ANNA)), given(BROUGHT_BACK, Pattern(PATTERN)))
    assert isinstance(restored, Pattern)
    assert restored.rule_due


def test_a_pattern_that_has_a_rule_or_was_promoted_without_one_gets_no_other() -> None:
    assert code(rule, pattern_in(P.ACTIVE)) == "not_due"
    promoted = given((rule, promote), pattern_in(P.CANDIDATE))
    assert isinstance(promoted, Pattern)
    assert code(rule, promoted) == "not_due"
    restored = given((deprecate, c.Restore(PATTERN, ANNA)), promoted)
    assert isinstance(restored, Pattern)
    assert not restored.rule_due
