"""What the library has already of what a job found out: a tombstone, the same lesson, or the opposite advice.

- What was rejected is not learned again, in the same words or in others: the job ends `skipped (tombstone)`.
- The same lesson becomes evidence on the pattern that teaches it, and no second file. Its text is kept in the event.
- A draft that a gate refuses is evidence of nothing; the same one refused again by the same gate makes no second
  quarantined text.
- Opposite advice becomes a candidate like any other, and each of the two says which other it contradicts.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from events.values import ChangeMarks
from learnd.crystalizer.change import DiffUnreadable, exercised_change
from learnd.harvest.faults import SnapshotDamaged, SnapshotError
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.snapshot import learnable_diff
from learnd.library.likeness import Alike, Known, Likeness, marks_of, mirrored_kind, most_alike, opposing
from learnd.steps.enqueue import recorded_snapshot
from learnd.views.likeness_fold import known
from learnd.views.store import read_connection
from learnd.workplace import Workplace
from state.commands import AddEvidence, FinishJob, RecordConflict, SkipJob
from state.decide import Command
from state.job import Job
from state.pattern import PatternStatus

STANDING = (
    PatternStatus.STAGED, PatternStatus.CANDIDATE, PatternStatus.ACTIVE, PatternStatus.EDITED, PatternStatus.STALE,
)  # fmt: skip
"""Patterns that are served, or may come to be without being restored first."""
CONFLICTS_MAX = 5


def change_marks(job: Job, place: Workplace) -> ChangeMarks | None:
    """What the exercised change did; None where the diff cannot be read any more."""
    if job.evidence is None or job.scenario is None:
        return None
    try:
        diff = learnable_diff(recorded_snapshot(job), place.store(job.repo_id, job.repo_path))
        change = exercised_change(diff, job.evidence, job.scenario)
    except (DiffUnreadable, SnapshotDamaged, SnapshotError, NotARepository):
        return None
    lines = [(line[0], line[1:]) for quote in change.quotes for line in quote.lines if line[:1] in ("+", "-")]
    return marks_of(lines, change.paths)


def buried_change(job: Job, place: Workplace) -> SkipJob | None:
    """Why nothing is to be written about this job's change: a person rejected nearly the same one."""
    rejected = _known(place, job.repo_id, PatternStatus.REJECTED)
    marks = change_marks(job, place) if rejected else None
    if marks is None:
        return None
    found = most_alike(Likeness.of("", marks), rejected)
    return _tombstone(job, place, found) if found else None


def already_known(
    job: Job, place: Workplace, text: str, change: ChangeMarks | None, failed_gate: str | None
) -> Sequence[Command] | None:
    """What to do with a draft instead of making a pattern of it; None where it says something new."""
    new = Likeness.of(text, change, job.draft.rule if job.draft else None)
    buried = most_alike(new, _known(place, job.repo_id, PatternStatus.REJECTED))
    if buried is not None:
        return [_tombstone(job, place, buried)]
    if failed_gate is not None:
        found = most_alike(new, _known(place, job.repo_id, PatternStatus.QUARANTINED))
        return _evidence(job, found, text) if found and _gate_of(place, found) == failed_gate else None
    # One that stands comes first: evidence on a deprecated pattern is for who restores it.
    found = most_alike(new, _known(place, job.repo_id, *STANDING)) or most_alike(
        new, _known(place, job.repo_id, PatternStatus.DEPRECATED)
    )
    return _evidence(job, found, text) if found else None


def conflicts(
    place: Workplace,
    repo_id: str,
    pattern_id: str,
    text: str,
    change: ChangeMarks | None,
    but: Container[str] = (),
) -> list[RecordConflict]:
    """The contradictions of a pattern to those that stand, said on both sides; `but` are known already."""
    others = [known for known in _known(place, repo_id, *STANDING) if known[0] != pattern_id and known[0] not in but]
    found = opposing(Likeness.of(text, change), others)[:CONFLICTS_MAX]
    told = []
    for other in found:
        told.append(RecordConflict(pattern_id, other.pattern_id, other.kind, other.detail))
        told.append(RecordConflict(other.pattern_id, pattern_id, mirrored_kind(other.kind), other.detail))
    return told


def _known(place: Workplace, repo_id: str, *statuses: PatternStatus) -> list[Known]:
    return known(read_connection(place.door.log), repo_id, statuses)


def _gate_of(place: Workplace, found: Alike) -> str | None:
    return place.door.pattern(found.pattern_id).gate


def _evidence(job: Job, found: Alike, text: str) -> list[Command]:
    verdict = job.evidence.verdict if job.evidence else "unproven"
    return [
        AddEvidence(found.pattern_id, job.id, verdict, found.because, found.similarity, text),
        FinishJob(job.id, found.pattern_id, "evidence_added"),
    ]


def _tombstone(job: Job, place: Workplace, found: Alike) -> SkipJob:
    return SkipJob(job.id, "tombstone", tombstone_says(place, found.pattern_id, found.because))


def tombstone_says(place: Workplace, pattern_id: str, because: str) -> str:
    """That a person rejected this, who and why, and what to type to have it back."""
    pattern = place.door.pattern(pattern_id)
    reason = f": {' '.join(pattern.reason.split())}" if pattern.reason else ""
    return (
        f"pattern {pattern_id[:8]} ({pattern.title}), {because}, was rejected by {pattern.approver}{reason}. "
        f"Next: learnd restore {pattern_id[:8]}, if it is wanted after all"
    )
