"""A pattern's life: staged, judged by machines, judged by a person, served, outlived.

Only `active` patterns are served to agents. Two words carry the truth: `verdict` says for ever whether
the change was proven, and `edited` says that the text is no longer the one that was judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from events import catalog as e
from events.values import ChangeMarks
from state import freshness
from state.freshness import FRESH, Freshness
from state.machine import Row, compile_table


class PatternStatus(StrEnum):
    NEW = "new"
    STAGED = "staged"
    QUARANTINED = "quarantined"
    CANDIDATE = "candidate"
    ACTIVE = "active"
    EDITED = "edited"
    STALE = "stale"
    REJECTED = "rejected"
    EXPIRED = "expired"
    DEPRECATED = "deprecated"


P = PatternStatus

KNOWN = tuple(status for status in P if status is not P.NEW)

PATTERN_ROWS = (
    Row((P.NEW,), e.PatternStaged, P.STAGED),
    Row((P.NEW, P.STAGED, P.CANDIDATE), e.PatternQuarantined, P.QUARANTINED, "a gate refused it"),
    Row((P.QUARANTINED,), e.PatternReleased, P.STAGED, "approver"),
    Row((P.STAGED,), e.PatternProposed, P.CANDIDATE, "every gate passed"),
    Row((P.CANDIDATE, P.EDITED), e.PatternPromoted, P.ACTIVE, "approver, manifest path"),
    Row((P.STAGED, P.CANDIDATE, P.QUARANTINED), e.PatternRejected, P.REJECTED, "approver, reason"),
    Row((P.CANDIDATE,), e.PatternExpired, P.EXPIRED),
    Row((P.ACTIVE, P.EDITED), e.PatternEdited, P.EDITED, "digest differs"),
    Row((P.ACTIVE,), e.PatternWentStale, P.STALE, "cited files changed"),
    Row((P.STALE,), e.PatternReverified, P.ACTIVE, "evidence holds"),
    Row((P.ACTIVE, P.EDITED, P.STALE), e.PatternDeprecated, P.DEPRECATED, "approver, reason"),
    Row((P.ACTIVE, P.EDITED, P.STALE), e.PatternSuperseded, P.DEPRECATED, "by another"),
    Row((P.DEPRECATED, P.REJECTED, P.EXPIRED), e.PatternRestored, P.CANDIDATE, "approver"),
    # Facts.
    Row((P.CANDIDATE, P.EDITED), e.PatternEndorsed, None, "approver; more consents needed"),
    Row(KNOWN, e.ConflictFound, None, "once for each other pattern"),
    Row((P.CANDIDATE, P.EDITED), e.ReviewReminded, None, "once a period"),
    Row((P.CANDIDATE,), e.PatternReviewStarted, None, "worst case reserved"),
    Row(KNOWN, e.PatternReviewed, None, "a recommendation, no decision"),
    Row(KNOWN, e.EvidenceAdded, None),
    Row(KNOWN, e.EvidenceWithdrawn, None),
    Row((P.ACTIVE, P.DEPRECATED), e.ReintroductionDetected, None),
    Row((P.STAGED, P.CANDIDATE, P.ACTIVE), e.PatternRuleVerified, None, "matches the base, not the snapshot"),
    Row((P.CANDIDATE, P.ACTIVE), e.PatternRuleNotFound, None, "a person brought it back"),
    Row((P.STALE,), e.ReverificationStarted, None, "attempts left"),
    Row((P.STALE,), e.ReverificationInterrupted, None),
    Row((P.STALE,), e.ReverificationFailed, None, "until the cited files change again"),
)

# No status is terminal: even a rejected pattern may be restored by a person.
TABLE = compile_table("pattern", PATTERN_ROWS, initial=P.NEW, terminal=(), events=e.PATTERN_EVENTS)


@dataclass(frozen=True, slots=True)
class Consent:
    """A person's consent to the promotion of the text with this digest; to no other."""

    user: str
    claimed: str | None
    text_sha256: str


@dataclass(frozen=True, slots=True)
class Review:
    """What models were asked about the text with this digest. Money is US dollars.

    `reserved_usd` and `boot_id` are of the call that has not reported yet; `over` says that none is to follow.
    """

    text_sha256: str
    attempts: int = 0
    call: int = 0
    boot_id: str | None = None
    model: str = ""
    reserved_usd: float = 0.0
    ledger: str | None = None
    over: bool = False
    told: e.PatternReviewed | None = None


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern as the log tells it. `text` is the whole Markdown that was judged last."""

    id: str
    version: int = 0
    status: PatternStatus = P.NEW
    repo_id: str = ""
    repo_path: str = ""
    job_id: str = ""
    manifest_path: str = ""
    title: str = ""
    slug: str = ""
    verdict: str = "unproven"
    text: str = ""
    gate: str | None = None
    detail: str = ""
    approver: str | None = None
    claimed: str | None = None
    reason: str = ""
    evidence_jobs: tuple[str, ...] = ()
    edited_sha256: str | None = None
    change: ChangeMarks | None = None
    consents: tuple[Consent, ...] = ()
    overruled: tuple[str, ...] = ()
    """Gates that a person overruled for this text."""
    conflicts: tuple[str, ...] = ()
    """Patterns that advise the opposite."""
    superseded_by: str | None = None
    reminded_days: int = 0
    """After how many days of waiting approvers were reminded last."""
    review: Review | None = None
    review_calls: int = 0
    reviews_usd: float = 0.0
    """What reviews by models cost so far, whatever they were about."""

    rule: e.PatternRuleVerified | None = None
    rule_due: bool = False
    """A person brought it back without a rule, and none was looked for since."""
    reintroduced: tuple[str, ...] = ()
    """Jobs whose change brought back what it warns of."""
    freshness: Freshness = FRESH

    @property
    def stream(self) -> str:
        return f"pattern-{self.id}"

    @property
    def awaits_rule(self) -> bool:
        """Whether its rule may be looked for now, and should be."""
        return self.rule_due and self.status in (P.CANDIDATE, P.ACTIVE)


def evolve(pattern: Pattern, event: e.Event) -> Pattern:
    """`pattern` after `event`. Raises UnexpectedEvent where the table has no row."""
    status = PatternStatus(TABLE.follow(f"pattern {pattern.id[:8]}", pattern.status, event))
    after = replace(_remember(pattern, event), status=status, version=pattern.version + 1)
    # A new status is a new question: nobody has answered it, nor been reminded of it.
    return after if status == pattern.status else replace(after, consents=(), reminded_days=0)


def fold(pattern_id: str, events: Iterable[e.Event]) -> Pattern:
    """The pattern that `events`, whole and in order, make."""
    pattern = Pattern(pattern_id)
    for event in events:
        pattern = evolve(pattern, event)
    return pattern


def _remember(pattern: Pattern, event: e.Event) -> Pattern:  # noqa: PLR0912 - one case an event, nothing nested
    match event:
        case e.PatternStaged():
            return replace(
                pattern,
                repo_id=event.repo_id, repo_path=event.repo_path, job_id=event.job_id,
                manifest_path=event.manifest_path, title=event.title, slug=event.slug,
                verdict=event.verdict, text=event.text_body, evidence_jobs=(event.job_id,), change=event.change,
            )  # fmt: skip
        case e.PatternQuarantined():
            kept = pattern if pattern.repo_id else _origin(pattern, event)
            return replace(kept, gate=event.gate, detail=event.detail)
        case e.PatternReleased():
            overruled = (*pattern.overruled, event.gate) if event.gate else pattern.overruled
            released = _approved(pattern, event)
            return replace(released, gate=None, detail="", overruled=overruled, rule_due=pattern.rule is None)
        case e.PatternRestored():
            return replace(_approved(pattern, event), rule_due=pattern.rule is None)
        case e.PatternPromoted():
            return replace(
                _approved(pattern, event), text=event.text_body or pattern.text, edited_sha256=None, superseded_by=None
            )
        case e.PatternEndorsed():
            consent = Consent(event.approver, event.claimed, event.text_sha256)
            return replace(pattern, consents=(*pattern.consents, consent))
        case e.PatternSuperseded():
            return replace(_approved(pattern, event), superseded_by=event.by)
        case e.Approval():
            return _approved(pattern, event)
        case e.PatternEdited():
            return replace(pattern, edited_sha256=event.found_sha256, detail=event.by or "", consents=())
        case e.PatternRuleVerified():
            return replace(pattern, rule=event, rule_due=False)
        case e.PatternRuleNotFound():
            return replace(pattern, rule_due=False)
        case e.ReintroductionDetected():
            return replace(pattern, reintroduced=(*pattern.reintroduced, event.job_id))
        case e.PatternWentStale():
            detail = ", ".join(event.changed_paths)
            return replace(pattern, detail=detail, freshness=freshness.evolve(pattern.freshness, event))
        case (
            e.ReverificationStarted() | e.ReverificationInterrupted() | e.ReverificationFailed() | e.PatternReverified()
        ):
            return replace(pattern, freshness=freshness.evolve(pattern.freshness, event))
        case e.EvidenceAdded():
            return replace(pattern, evidence_jobs=(*pattern.evidence_jobs, event.job_id))
        case e.ConflictFound():
            return replace(pattern, conflicts=(*pattern.conflicts, event.other))
        case e.ReviewReminded():
            return replace(pattern, reminded_days=event.days)
        case e.PatternReviewStarted():
            known = _review_of(pattern, event.text_sha256)
            asked = replace(
                known, attempts=event.attempt, call=event.call, boot_id=event.boot_id, model=event.model,
                reserved_usd=event.reserved_usd, ledger=event.ledger, over=False,
            )  # fmt: skip
            return replace(pattern, review=asked, review_calls=event.call)
        case e.PatternReviewed():
            known = _review_of(pattern, event.text_sha256)
            over = event.recommendation is not None or not event.retried
            answered = replace(known, boot_id=None, reserved_usd=0.0, ledger=None, over=over, told=event)
            return replace(pattern, review=answered, reviews_usd=pattern.reviews_usd + event.cost_usd)
        case e.EvidenceWithdrawn():
            return replace(pattern, evidence_jobs=tuple(j for j in pattern.evidence_jobs if j != event.job_id))
    return pattern


def _origin(pattern: Pattern, event: e.PatternQuarantined) -> Pattern:
    return replace(
        pattern,
        repo_id=event.repo_id or "", repo_path=event.repo_path or "", job_id=event.job_id or "",
        manifest_path=event.manifest_path or "", title=event.title or "", slug=event.slug or "",
        verdict=event.verdict or "unproven", text=event.text_body or "",
        evidence_jobs=(event.job_id,) if event.job_id else (), change=event.change,
    )  # fmt: skip


def _review_of(pattern: Pattern, text_sha256: str) -> Review:
    known = pattern.review
    return known if known is not None and known.text_sha256 == text_sha256 else Review(text_sha256)


def _approved(pattern: Pattern, event: e.Approval) -> Pattern:
    return replace(pattern, approver=event.approver, claimed=event.claimed, reason=event.reason)
