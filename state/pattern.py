"""A pattern's life: staged, judged by machines, judged by a person, served, outlived.

Only `active` patterns are served to agents. Two words carry the truth: `verdict` says for ever whether
the change was proven, and `edited` says that the text is no longer the one that was judged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from events import catalog as e
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
    Row(KNOWN, e.EvidenceAdded, None),
    Row(KNOWN, e.EvidenceWithdrawn, None),
    Row((P.ACTIVE, P.DEPRECATED), e.ReintroductionDetected, None),
)

# No status is terminal: even a rejected pattern may be restored by a person.
TABLE = compile_table("pattern", PATTERN_ROWS, initial=P.NEW, terminal=(), events=e.PATTERN_EVENTS)


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
    released: bool = False
    evidence_jobs: tuple[str, ...] = ()
    edited_sha256: str | None = None

    @property
    def stream(self) -> str:
        return f"pattern-{self.id}"


def evolve(pattern: Pattern, event: e.Event) -> Pattern:
    """`pattern` after `event`. Raises UnexpectedEvent where the table has no row."""
    status = PatternStatus(TABLE.follow(f"pattern {pattern.id[:8]}", pattern.status, event))
    return replace(_remember(pattern, event), status=status, version=pattern.version + 1)


def fold(pattern_id: str, events: Iterable[e.Event]) -> Pattern:
    """The pattern that `events`, whole and in order, make."""
    pattern = Pattern(pattern_id)
    for event in events:
        pattern = evolve(pattern, event)
    return pattern


def _remember(pattern: Pattern, event: e.Event) -> Pattern:
    match event:
        case e.PatternStaged():
            return replace(
                pattern,
                repo_id=event.repo_id, repo_path=event.repo_path, job_id=event.job_id,
                manifest_path=event.manifest_path, title=event.title, slug=event.slug,
                verdict=event.verdict, text=event.text_body, evidence_jobs=(event.job_id,),
            )  # fmt: skip
        case e.PatternQuarantined():
            kept = pattern if pattern.repo_id else _origin(pattern, event)
            return replace(kept, gate=event.gate, detail=event.detail)
        case e.PatternReleased():
            return replace(_approved(pattern, event), gate=None, detail="", released=True)
        case e.PatternPromoted():
            return replace(_approved(pattern, event), text=event.text_body or pattern.text, edited_sha256=None)
        case e.Approval():
            return _approved(pattern, event)
        case e.PatternEdited():
            return replace(pattern, edited_sha256=event.found_sha256, detail=event.by or "")
        case e.PatternWentStale():
            return replace(pattern, detail=", ".join(event.changed_paths))
        case e.EvidenceAdded():
            return replace(pattern, evidence_jobs=(*pattern.evidence_jobs, event.job_id))
        case e.EvidenceWithdrawn():
            return replace(pattern, evidence_jobs=tuple(j for j in pattern.evidence_jobs if j != event.job_id))
    return pattern


def _origin(pattern: Pattern, event: e.PatternQuarantined) -> Pattern:
    return replace(
        pattern,
        repo_id=event.repo_id or "", repo_path=event.repo_path or "", job_id=event.job_id or "",
        manifest_path=event.manifest_path or "", title=event.title or "", slug=event.slug or "",
        verdict=event.verdict or "unproven", text=event.text_body or "",
        evidence_jobs=(event.job_id,) if event.job_id else (),
    )  # fmt: skip


def _approved(pattern: Pattern, event: e.Approval) -> Pattern:
    return replace(pattern, approver=event.approver, claimed=event.claimed, reason=event.reason)
