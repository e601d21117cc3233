"""drafted -> learned: the gates judge the draft, and the pattern's own stream takes over.

The job's end and the pattern's beginning are one append: there is never one without the other. Files
follow the event, and are brought to what the log says by the publisher. Drafts are held against what the library has
one at a time: of two that say the same, the second finds the first.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Sequence
from pathlib import Path

import structlog

from events.values import DroppedSentence, FileRef
from learnd.atomic import file_ref
from learnd.crystalizer.change import DiffUnreadable
from learnd.crystalizer.grounding import Grounding
from learnd.harvest.faults import SnapshotDamaged, SnapshotError
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.snapshot import learnable_diff
from learnd.library.gates import GateReport, run_gates
from learnd.library.pruning import prune
from learnd.rules.learned import rule_of
from learnd.steps.crystalize import NothingProven
from learnd.steps.enqueue import recorded_snapshot
from learnd.steps.known import already_known, change_marks, conflicts, tombstone_says
from learnd.workplace import Workplace
from state.commands import FinishJob, JudgeDraft, Origin, SkipJob
from state.decide import Command
from state.job import Job
from state.refusal import Refused

ACTOR = "learnd:library"
_UNREADABLE = (DiffUnreadable, SnapshotDamaged, SnapshotError, NotARepository)

log = structlog.get_logger("learnd.library")


def stage_pattern(job: Job, place: Workplace, cancel: threading.Event) -> Sequence[Command]:
    """Judge the draft, hold it against what the library has, and record what comes of it."""
    with place.library:
        outcome = place.door.handle_together(_staged(job, place), ACTOR)
    if isinstance(outcome, Refused):
        log.info("outdated draft dropped", job=job.id[:8], code=outcome.code, reason=outcome.reason)
    return []


def _staged(job: Job, place: Workplace) -> Sequence[Command]:
    """A new pattern, evidence on a known one, or no more than a rejected one's tombstone."""
    draft = job.draft
    if draft is None:
        raise NothingProven(f"job {job.id[:8]} is {job.status} without a draft")
    tombstone = place.views().tombstone(job.repo_id, recorded_snapshot(job).diff.sha256)
    if tombstone is not None:
        return [SkipJob(job.id, "tombstone", tombstone_says(place, tombstone, "from the very same change"))]
    text, damage = _draft_text(draft.draft)
    dropped: tuple[DroppedSentence, ...] = ()
    report = GateReport(passed=(), failed=("draft", damage)) if damage else judge(job, place, text)
    if report.failed and report.failed[0] == "grounding":
        text, report, dropped = _without_too_much(job, place, text, report)
    failed_gate, detail = report.failed or (None, "")
    change = change_marks(job, place)
    instead = already_known(job, place, text, change, failed_gate) if text else None
    if instead is not None:
        return instead
    origin = Origin(
        repo_id=job.repo_id,
        repo_path=job.repo_path,
        job_id=job.id,
        manifest_path=job.manifest_path,
        title=draft.title,
        slug=draft.slug,
        verdict="proven" if job.evidence and job.evidence.verdict == "proven" else "unproven",
        text=draft.draft,
        body=text,
        change=change,
    )
    return [
        JudgeDraft(draft.pattern_id, origin, report.passed, failed_gate, detail, dropped),
        *([] if failed_gate else rule_of(job, place, draft.pattern_id)),
        *([] if failed_gate else conflicts(place, job.repo_id, draft.pattern_id, text, change)),
        FinishJob(job.id, draft.pattern_id, "quarantined" if failed_gate else "new"),
    ]


def _without_too_much(
    job: Job, place: Workplace, text: str, report: GateReport
) -> tuple[str, GateReport, tuple[DroppedSentence, ...]]:
    """The draft without the sentences that claim too much, where every gate holds for what is left of it."""
    try:
        grounding = grounding_of(job, place)
    except _UNREADABLE:
        return text, report, ()
    pruned, dropped = prune(text, grounding)
    again = run_gates(pruned, grounding) if dropped else report
    return (text, report, ()) if again.failed else (pruned, again, dropped)


def grounding_of(job: Job, place: Workplace) -> Grounding:
    """What this job's evidence exercised.

    Raises NothingProven, DiffUnreadable, SnapshotDamaged, SnapshotError, NotARepository.
    """
    if job.evidence is None or job.scenario is None:
        raise NothingProven(f"job {job.id[:8]} is {job.status} without evidence")
    diff = learnable_diff(recorded_snapshot(job), place.store(job.repo_id, job.repo_path))
    return Grounding.of(job.evidence, diff, job.scenario)


def judge(job: Job, place: Workplace, text: str, overruled: Container[str] = ()) -> GateReport:
    """Hold a pattern's text against what this job's evidence exercised; a person `overruled` some gates for it.

    Raises NothingProven.
    """
    try:
        grounding = grounding_of(job, place)
    except _UNREADABLE as error:
        return GateReport(passed=(), failed=("grounding", str(error)))
    return run_gates(text, grounding, overruled)


def _draft_text(draft: FileRef) -> tuple[str, str]:
    """The draft's text, and what is wrong with it: a draft that is not the one recorded is not judged."""
    path = Path(draft.path)
    try:
        found = file_ref(path)
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        return "", f"the draft cannot be read: {error}"
    if found.sha256 != draft.sha256:
        return "", f"the draft's digest is {found.sha256[:12]}, recorded was {draft.sha256[:12]}"
    return text, ""
