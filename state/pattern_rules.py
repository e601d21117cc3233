"""The rules of a pattern: machines may stage, propose and quarantine; everything else takes a person."""

from __future__ import annotations

from functools import singledispatch

from events import catalog as e
from state import commands as c
from state.pattern import TABLE, Pattern, PatternStatus
from state.people import not_an_approver, signed
from state.refusal import Refused

P = PatternStatus
CENT = 1e-9
"""Sums of floats are compared with this slack, in dollars."""
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
    said = f"{_name(pattern)} is {pattern.status}: it cannot be {verb}"
    return Refused("wrong_status", f"{said}. Next: learnd review {pattern.id[:8]}")


def _not_for(
    person: c.Person, pattern: Pattern, event: type[e.Event], verb: str, *, reason_needed: bool
) -> Refused | None:
    """Why a person cannot decide this of a pattern: its status, who they are, that they gave no reason."""
    refused = _wrong_status(pattern, event, verb) or not_an_approver(_name(pattern), person)
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
        "change": origin.change,
    }
    if command.failed_gate:
        # A refused draft never stands in the repository, not even in staging: agents grep there.
        return (
            e.PatternQuarantined.model_validate(
                {"pattern_id": pattern.id, "gate": command.failed_gate, "detail": command.detail, **where}
            ),
        )
    staged = e.PatternStaged.model_validate(
        {"pattern_id": pattern.id, "text": origin.text, "dropped": command.dropped, **where}
    )
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
    refused = _not_for(command.person, pattern, e.PatternReleased, "released", reason_needed=True)
    if refused:
        return refused
    if not pattern.text.strip():
        return Refused("no_text", f"{_name(pattern)} has no text to release: {pattern.detail}")
    return (e.PatternReleased.model_validate({**_decided(pattern, command.person), "gate": pattern.gate}),)


@decide_pattern.register
def _(command: c.Promote, pattern: Pattern) -> Answer:
    refused = _not_for(command.person, pattern, e.PatternPromoted, "promoted", reason_needed=False)
    if refused:
        return refused
    # Without an edited text the judged one is promoted again: the person took the edit back.
    if pattern.status is P.EDITED and command.edited_text and command.text_sha256 != pattern.edited_sha256:
        return Refused(
            "changed_meanwhile",
            f"{_name(pattern)} was edited again since it was looked at. Next: learnd review {pattern.id[:8]}",
        )
    return _opposed(command, pattern) or _no_owner(command, pattern) or _consented(command, pattern)


def _opposed(command: c.Promote, pattern: Pattern) -> Refused | None:
    """Two that advise the opposite are never served side by side."""
    if not command.opposed:
        return None
    other = command.opposed[0][:8]
    return Refused(
        "conflict",
        f"{_name(pattern)} advises the opposite of pattern {other}, which stands. "
        f"Next: learnd review {pattern.id[:8]} shows both; learnd supersede {other} --by {pattern.id[:8]} replaces it",
    )


def _no_owner(command: c.Promote, pattern: Pattern) -> Refused | None:
    """Who owns none of what the pattern cites, where all of it has owners, has no say in it."""
    cited = command.cites_unowned or not command.owned
    if cited or any(command.person.user in owners for _, owners in command.owned):
        return None
    return Refused(
        "not_an_owner",
        f"{_name(pattern)} cites {_owners(command.owned)}: user {command.person.user} owns none of it. "
        "Next: an owner does it, or the operator changes patterns.owners",
    )


def _owners(owned: tuple[tuple[str, frozenset[str]], ...]) -> str:
    shown = [f"{path} (owners: {', '.join(sorted(owners))})" for path, owners in owned[:3]]
    return ", ".join(shown) + (f" and {len(owned) - 3} more paths" if len(owned) > 3 else "")


def _consented(command: c.Promote, pattern: Pattern) -> Answer:
    """The promotion, once enough people consented to this very text and each owned path has an owner's consent."""
    person = command.person
    before = {consent.user for consent in pattern.consents if consent.text_sha256 == command.text_sha256}
    missing = _missing(command, before | {person.user})
    if missing and person.user in before:
        said = f"{_name(pattern)}: {person.user} consented already. Needed: {missing}"
        return Refused("already_endorsed", f"{said}. Next: who is needed types learnd promote {pattern.id[:8]}")
    told: dict[str, object] = {
        **signed(person),
        "manifest_path": command.manifest_path,
        "text_sha256": command.text_sha256,
    }
    if missing:
        return (e.PatternEndorsed.model_validate({**told, "missing": missing}),)
    return (e.PatternPromoted.model_validate({**told, "text_body": command.edited_text}),)


def _missing(command: c.Promote, consenting: set[str]) -> str:
    """What is still needed when these people consent; empty when nothing is."""
    lacking = []
    few = command.approvals - len(consenting)
    if few > 0:
        lacking.append("another approver" if few == 1 else f"{few} more approvers")
    orphans = tuple((path, owners) for path, owners in command.owned if not owners & consenting)
    if orphans:
        lacking.append(f"an owner of {_owners(orphans)}")
    return " and ".join(lacking)


def _decided(pattern: Pattern, person: c.Person) -> dict[str, object]:
    """The fields of a decision about a pattern: who, why, and the run that it came from."""
    return {**signed(person), "manifest_path": pattern.manifest_path}


@decide_pattern.register
def _(command: c.Reject, pattern: Pattern) -> Answer:
    return _not_for(command.person, pattern, e.PatternRejected, "rejected", reason_needed=True) or (
        e.PatternRejected.model_validate(_decided(pattern, command.person)),
    )


@decide_pattern.register
def _(command: c.Expire, pattern: Pattern) -> Answer:
    if pattern.consents:
        return Refused("endorsed", f"{_name(pattern)} was reviewed: it waits for another consent, and does not expire")
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
        e.PatternWentStale(
            changed_paths=command.changed_paths, seen_in=command.seen_in, tree=command.tree, files=command.files
        ),
    )


@decide_pattern.register
def _(command: c.StartReverification, pattern: Pattern) -> Answer:
    """One at a time; what crashed too often in this state of the files is given up instead."""
    wrong = _wrong_status(pattern, e.ReverificationStarted, "verified again")
    if wrong:
        return wrong
    known = pattern.freshness
    if known.boot_id is not None:
        return Refused("at_work", f"{_name(pattern)} is being verified again")
    if command.files in known.failed:
        return Refused("known_to_fail", f"{_name(pattern)} was not verified again in this state: {known.why}")
    attempts = known.attempts if command.files == known.files else 0
    if attempts >= command.max_attempts:
        detail = f"{attempts} attempts were lost to crashes"
        return (e.ReverificationFailed(cause="crash", detail=detail, tree=command.tree, files=command.files),)
    return (
        e.ReverificationStarted(
            attempt=attempts + 1, boot_id=command.boot_id, isolation=command.isolation, tree=command.tree,
            files=command.files,
        ),
    )  # fmt: skip


@decide_pattern.register
def _(command: c.InterruptReverification, pattern: Pattern) -> Answer:
    return (
        _wrong_status(pattern, e.ReverificationInterrupted, "interrupted")
        or _not_at_work(pattern)
        or (e.ReverificationInterrupted(cause=command.cause, detail=command.detail),)
    )


@decide_pattern.register
def _(command: c.GiveReverificationUp, pattern: Pattern) -> Answer:
    return (
        _wrong_status(pattern, e.ReverificationFailed, "given up")
        or _not_at_work(pattern)
        or (
            e.ReverificationFailed(
                cause=command.cause, detail=command.detail, tree=command.tree, files=command.files,
                evidence=command.evidence,
            ),
        )
    )  # fmt: skip


def _not_at_work(pattern: Pattern) -> Refused | None:
    if pattern.freshness.boot_id is None:
        return Refused("not_at_work", f"{_name(pattern)} is not being verified again")
    return None


@decide_pattern.register
def _(command: c.Reverify, pattern: Pattern) -> Answer:
    wrong = _wrong_status(pattern, e.PatternReverified, "verified again")
    if wrong:
        return wrong
    if command.evidence.verdict != "proven":
        return Refused("not_proven", f"{_name(pattern)}: the evidence is {command.evidence.verdict} now")
    return (e.PatternReverified(evidence=command.evidence, tree=command.tree, files=command.files),)


@decide_pattern.register
def _(command: c.RecordRule, pattern: Pattern) -> Answer:
    wrong = _wrong_status(pattern, e.PatternRuleVerified, "given a rule")
    if wrong:
        return wrong
    if pattern.status is P.ACTIVE and not pattern.rule_due:
        # Of what a person promoted, only that may be added which was to come when they did.
        return Refused("not_due", f"{_name(pattern)} is active: no rule is looked for")
    if not command.matches:
        return Refused("matches_nothing", f"{_name(pattern)}: a rule that matches nothing in the base tells nothing")
    return (
        e.PatternRuleVerified(
            rule=command.rule, sha256=command.sha256, language=command.language, source=command.source,
            matches=command.matches, base_files=command.base_files, snapshot_files=command.snapshot_files,
            has_fix=command.has_fix, fix_as_tested=command.fix_as_tested, engine=command.engine,
        ),
    )  # fmt: skip


@decide_pattern.register
def _(command: c.RecordNoRule, pattern: Pattern) -> Answer:
    wrong = _wrong_status(pattern, e.PatternRuleNotFound, "said to have no rule")
    if wrong:
        return wrong
    if not pattern.rule_due:
        return Refused("not_due", f"{_name(pattern)}: no rule is looked for")
    return (e.PatternRuleNotFound(detail=command.detail),)


@decide_pattern.register
def _(command: c.Deprecate, pattern: Pattern) -> Answer:
    return _not_for(command.person, pattern, e.PatternDeprecated, "deprecated", reason_needed=True) or (
        e.PatternDeprecated.model_validate(_decided(pattern, command.person)),
    )


@decide_pattern.register
def _(command: c.Supersede, pattern: Pattern) -> Answer:
    refused = _not_for(command.person, pattern, e.PatternSuperseded, "superseded", reason_needed=False)
    if refused:
        return refused
    if command.by == pattern.id:
        return Refused("itself", f"{_name(pattern)} cannot supersede itself. Next: --by another pattern")
    if command.by_status is not P.ACTIVE:
        return Refused(
            "not_served",
            f"pattern {command.by[:8]} is {command.by_status}: only one that is served takes another's place. "
            f"Next: learnd review {command.by[:8]}",
        )
    return (e.PatternSuperseded.model_validate({**_decided(pattern, command.person), "by": command.by}),)


@decide_pattern.register
def _(command: c.Restore, pattern: Pattern) -> Answer:
    return _not_for(command.person, pattern, e.PatternRestored, "restored", reason_needed=False) or (
        e.PatternRestored.model_validate(_decided(pattern, command.person)),
    )


@decide_pattern.register
def _(command: c.AddEvidence, pattern: Pattern) -> Answer:
    wrong = _wrong_status(pattern, e.EvidenceAdded, "given evidence")
    if wrong:
        return wrong
    if command.job_id in pattern.evidence_jobs:
        return Refused("already_added", f"{_name(pattern)} has the evidence of job {command.job_id[:8]} already")
    return (
        e.EvidenceAdded(
            job_id=command.job_id,
            verdict=command.verdict,
            because=command.because,
            similarity=command.similarity,
            draft_body=command.text,
        ),
    )


@decide_pattern.register
def _(command: c.RecordConflict, pattern: Pattern) -> Answer:
    wrong = _wrong_status(pattern, e.ConflictFound, "held against another")
    if wrong:
        return wrong
    if command.other == pattern.id or command.other in pattern.conflicts:
        return Refused("already_known", f"{_name(pattern)}: the conflict with {command.other[:8]} is known")
    return (e.ConflictFound(other=command.other, kind=command.kind, detail=command.detail),)


@decide_pattern.register
def _(command: c.RemindReview, pattern: Pattern) -> Answer:
    wrong = _wrong_status(pattern, e.ReviewReminded, "reminded of")
    if wrong:
        return wrong
    if command.days < pattern.reminded_days + command.period_days:
        return Refused("not_due", f"{_name(pattern)}: approvers were reminded of it {pattern.reminded_days} days in")
    return (e.ReviewReminded(days=command.days),)


@decide_pattern.register
def _(command: c.StartReview, pattern: Pattern) -> Answer:
    wrong = _wrong_status(pattern, e.PatternReviewStarted, "reviewed by a model")
    if wrong:
        return wrong
    review = pattern.review
    if review is not None and review.boot_id is not None:
        return Refused("under_review", f"{_name(pattern)} is being reviewed by a model already")
    attempts = review.attempts if review is not None and review.text_sha256 == command.text_sha256 else 0
    if attempts and (review is None or review.over or attempts >= command.max_attempts):
        return Refused("reviewed", f"{_name(pattern)}: a model was asked about this text, and is not asked again")
    left = command.available_usd - pattern.reviews_usd
    if command.worst_case_usd > left + CENT:
        return Refused(
            "over_budget",
            f"{_name(pattern)}: a review may cost ${command.worst_case_usd:.4f}, ${max(left, 0):.4f} of its job's "
            "budget are left",
        )
    return (
        e.PatternReviewStarted(
            call=pattern.review_calls + 1,
            attempt=attempts + 1,
            boot_id=command.boot_id,
            model=command.model,
            reserved_usd=command.worst_case_usd,
            text_sha256=command.text_sha256,
            prompt_pack=command.prompt_pack,
            prompt_pack_stamp=command.prompt_pack_stamp,
            ledger=command.ledger,
        ),
    )


@decide_pattern.register
def _(command: c.SettleReview, pattern: Pattern) -> Answer:
    wrong = _wrong_status(pattern, e.PatternReviewed, "reviewed by a model")
    if wrong:
        return wrong
    review = pattern.review
    if review is None or review.boot_id is None:
        return Refused("no_review", f"{_name(pattern)}: no model was asked about it")
    # A provider that counts more than it was asked for is not believed: the reservation is what may be spent.
    assumed = command.cost_usd is None or command.cost_usd > review.reserved_usd + CENT
    return (
        e.PatternReviewed(
            attempt=review.attempts,
            model=review.model,
            text_sha256=review.text_sha256,
            recommendation=command.recommendation,
            reasons=command.reasons,
            failure=command.failure,
            retried=command.retried,
            cost_usd=review.reserved_usd if assumed or command.cost_usd is None else command.cost_usd,
            usage=command.usage,
            assumed=assumed,
        ),
    )


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
    wrong = _wrong_status(pattern, e.ReintroductionDetected, "reintroduced")
    if wrong:
        return wrong
    if command.job_id in pattern.reintroduced:
        return Refused("already_recorded", f"{_name(pattern)}: that job {command.job_id[:8]} brought it back is known")
    return (
        e.ReintroductionDetected(job_id=command.job_id, path=command.path, detail=command.detail, lines=command.lines),
    )
