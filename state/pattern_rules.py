"""The rules of a pattern: machines may stage, propose and quarantine; everything else takes a person."""

from __future__ import annotations

from functools import singledispatch

from events import catalog as e
from state import commands as c
from state.pattern import TABLE, Pattern, PatternStatus
from state.people import not_an_approver, signed
from state.refusal import Refused

P = PatternStatus
Answer = tuple[e.Event, ...] | Refused


@singledispatch
def decide_pattern(command: c.PatternCommand, pattern: Pattern) -> Answer:
    raise TypeError(f"no rule for {type(command).__name__}")


def _name(pattern: Pattern) -> str:
    return f"pattern {pattern.id[:8]}"


def _wrong_status(pattern: Pattern, event: type[e.Event], verb: str) -> Refused | None:
    if TABLE.allows(pattern.status, event):
        return None
    if pattern.status is P.NEW:
        return Refused("unknown", f"there is no pattern {pattern.id[:8]}. Next: learnd review --all")
    return Refused("wrong_status", f"{_name(pattern)} is {pattern.status}: it cannot be {verb}")


def _not_allowed(pattern: Pattern, person: c.Person, *, reason_needed: bool) -> Refused | None:
    refused = not_an_approver(_name(pattern), person)
    if refused is not None:
        return refused
    if reason_needed and not person.reason.strip():
        return Refused("needs_reason", f"{_name(pattern)}: this needs a reason. Next: say it with --reason")
    return None


@decide_pattern.register
def _(command: c.JudgeDraft, pattern: Pattern) -> Answer:
    wrong = _wrong_status(pattern, e.PatternStaged, "staged")
    if wrong:
        return wrong
    origin = command.origin
    where = {
        "repo_id": origin.repo_id,
        "repo_path": origin.repo_path,
        "job_id": origin.job_id,
        "manifest_path": origin.manifest_path,
        "title": origin.title,
        "slug": origin.slug,
        "verdict": origin.verdict,
        "text_body": origin.body,
    }
    if command.failed_gate:
        # A refused draft never stands in the repository, not even in staging: agents grep there.
        return (
            e.PatternQuarantined.model_validate(
                {"pattern_id": pattern.id, "gate": command.failed_gate, "detail": command.detail, **where}
            ),
        )
    staged = e.PatternStaged.model_validate({"pattern_id": pattern.id, "text": origin.text, **where})
    return (staged, e.PatternProposed(gates=command.gates))


@decide_pattern.register
def _(command: c.JudgeAgain, pattern: Pattern) -> Answer:
    if command.failed_gate:
        return _wrong_status(pattern, e.PatternQuarantined, "quarantined") or (
            e.PatternQuarantined(pattern_id=pattern.id, gate=command.failed_gate, detail=command.detail),
        )
    return _wrong_status(pattern, e.PatternProposed, "proposed") or (e.PatternProposed(gates=command.gates),)


@decide_pattern.register
def _(command: c.Release, pattern: Pattern) -> Answer:
    return (
        _wrong_status(pattern, e.PatternReleased, "released")
        or _not_allowed(pattern, command.person, reason_needed=True)
        or (e.PatternReleased.model_validate(signed(command.person)),)
    )


@decide_pattern.register
def _(command: c.Promote, pattern: Pattern) -> Answer:
    refused = _wrong_status(pattern, e.PatternPromoted, "promoted") or _not_allowed(
        pattern, command.person, reason_needed=False
    )
    if refused:
        return refused
    # Without an edited text the judged one is promoted again: the person took the edit back.
    if pattern.status is P.EDITED and command.edited_text and command.text_sha256 != pattern.edited_sha256:
        return Refused(
            "changed_meanwhile",
            f"{_name(pattern)} was edited again since it was looked at. Next: learnd review {pattern.id[:8]}",
        )
    return (
        e.PatternPromoted(
            approver=command.person.user,
            claimed=command.person.claimed,
            reason=command.person.reason,
            manifest_path=command.manifest_path,
            text_sha256=command.text_sha256,
            text_body=command.edited_text,
        ),
    )


@decide_pattern.register
def _(command: c.Reject, pattern: Pattern) -> Answer:
    return (
        _wrong_status(pattern, e.PatternRejected, "rejected")
        or _not_allowed(pattern, command.person, reason_needed=True)
        or (e.PatternRejected.model_validate(signed(command.person)),)
    )


@decide_pattern.register
def _(command: c.Expire, pattern: Pattern) -> Answer:
    return _wrong_status(pattern, e.PatternExpired, "expired") or (e.PatternExpired(days=command.days),)


@decide_pattern.register
def _(command: c.RecordEdit, pattern: Pattern) -> Answer:
    if pattern.edited_sha256 == command.found_sha256:
        return Refused("already_recorded", f"{_name(pattern)}: this edit is recorded already")
    return _wrong_status(pattern, e.PatternEdited, "edited") or (
        e.PatternEdited(found_sha256=command.found_sha256, expected_sha256=command.expected_sha256, by=command.by),
    )


@decide_pattern.register
def _(command: c.MarkStale, pattern: Pattern) -> Answer:
    return _wrong_status(pattern, e.PatternWentStale, "stale") or (
        e.PatternWentStale(changed_paths=command.changed_paths),
    )


@decide_pattern.register
def _(command: c.Reverify, pattern: Pattern) -> Answer:
    wrong = _wrong_status(pattern, e.PatternReverified, "verified again")
    if wrong:
        return wrong
    if command.evidence.verdict != "proven":
        return Refused("not_proven", f"{_name(pattern)}: the evidence is {command.evidence.verdict} now")
    return (e.PatternReverified(evidence=command.evidence),)


@decide_pattern.register
def _(command: c.Deprecate, pattern: Pattern) -> Answer:
    return (
        _wrong_status(pattern, e.PatternDeprecated, "deprecated")
        or _not_allowed(pattern, command.person, reason_needed=True)
        or (e.PatternDeprecated.model_validate(signed(command.person)),)
    )


@decide_pattern.register
def _(command: c.Supersede, pattern: Pattern) -> Answer:
    refused = _wrong_status(pattern, e.PatternSuperseded, "superseded") or _not_allowed(
        pattern, command.person, reason_needed=False
    )
    if refused:
        return refused
    if command.by == pattern.id:
        return Refused("itself", f"{_name(pattern)} cannot supersede itself")
    return (e.PatternSuperseded.model_validate({**signed(command.person), "by": command.by}),)


@decide_pattern.register
def _(command: c.Restore, pattern: Pattern) -> Answer:
    return (
        _wrong_status(pattern, e.PatternRestored, "restored")
        or _not_allowed(pattern, command.person, reason_needed=False)
        or (e.PatternRestored.model_validate(signed(command.person)),)
    )


@decide_pattern.register
def _(command: c.AddEvidence, pattern: Pattern) -> Answer:
    wrong = _wrong_status(pattern, e.EvidenceAdded, "given evidence")
    if wrong:
        return wrong
    if command.job_id in pattern.evidence_jobs:
        return Refused("already_added", f"{_name(pattern)} has the evidence of job {command.job_id[:8]} already")
    return (e.EvidenceAdded(job_id=command.job_id, verdict=command.verdict),)


@decide_pattern.register
def _(command: c.WithdrawEvidence, pattern: Pattern) -> Answer:
    wrong = _wrong_status(pattern, e.EvidenceWithdrawn, "deprived of evidence")
    if wrong:
        return wrong
    if command.job_id not in pattern.evidence_jobs:
        return Refused("no_such_evidence", f"{_name(pattern)} has no evidence of job {command.job_id[:8]}")
    return (e.EvidenceWithdrawn(job_id=command.job_id, reason=command.reason),)


@decide_pattern.register
def _(command: c.RecordReintroduction, pattern: Pattern) -> Answer:
    return _wrong_status(pattern, e.ReintroductionDetected, "reintroduced") or (
        e.ReintroductionDetected(job_id=command.job_id, path=command.path, detail=command.detail),
    )
