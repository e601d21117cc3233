"""validated -> drafted: an author writes the proven change up, inside a budget reserved before the call."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from learnd.atomic import write_atomically
from learnd.clock import iso, now, parse
from learnd.crystalizer import extractive
from learnd.crystalizer.change import DiffUnreadable
from learnd.crystalizer.draft import Draft, DraftRequest
from learnd.grouping.following import members_of
from learnd.harvest.faults import SnapshotDamaged, SnapshotError
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.snapshot import learnable_diff
from learnd.ids import pattern_id
from learnd.library.patterns import EvidenceLine, FrontMatter, render, sections_of
from learnd.steps.enqueue import recorded_snapshot
from learnd.steps.known import buried_change
from learnd.steps.model_call import ACTOR, PAUSE_S, written_by_a_model
from learnd.steps.run_folder import recorded_prompt
from learnd.workplace import Workplace
from state.commands import RecordCrystalizationFailure, RecordDraft, StartCrystalization
from state.decide import Command
from state.job import Job, JobStatus
from state.pattern import PatternStatus
from state.refusal import Refused


class NothingProven(Exception):
    """The job has no evidence or scenario: the table does not allow this step then."""


def crystalize(job: Job, place: Workplace, cancel: threading.Event) -> Sequence[Command]:
    """Have the change written up by the author that the operator's settings give."""
    place.progress(job.id, "writing the pattern")
    buried = buried_change(job, place)
    if buried is not None:
        return [buried]
    try:
        request = draft_request(job, place)
    except (SnapshotDamaged, SnapshotError, NotARepository) as error:
        # The attempt is counted like any other, or the job would be tried again for ever.
        return [_nothing_to_write(job, place, error)] if _begun(job, place) else []
    if place.settings.openai_api_key is None:
        return _embedded(job, place, request)
    draft = written_by_a_model(job, place, request, cancel)
    return [] if draft is None else [_drafted(job, place, draft)]


def draft_request(job: Job, place: Workplace) -> DraftRequest:
    """What an author may know: the change that was replayed, whatever its files beside the run say by now.

    Raises NothingProven, SnapshotDamaged, SnapshotError, NotARepository.
    """
    if job.evidence is None or job.scenario is None or job.queued is None:
        raise NothingProven(f"job {job.id[:8]} is {job.status} without evidence")
    return DraftRequest(
        prompt=_told_prompt(job),
        diff=learnable_diff(recorded_snapshot(job), place.store(job.repo_id, job.repo_path)),
        scenario=job.scenario,
        evidence=job.evidence,
        earlier_prompts=tuple(map(_told_prompt, _earlier(job, place))),
    )


def _told_prompt(job: Job) -> str | None:
    # A recorder's own titles ("CLI Exec Command") name no problem: an author does better without them.
    return recorded_prompt(job) if job.queued is not None and job.queued.prompt_source != "titles" else None


def _earlier(job: Job, place: Workplace) -> list[Job]:
    """The other jobs of the group that the job leads, in the order in which their runs completed."""
    return members_of(job, place)[:-1] if job.group is not None and job.group.several else []


def _embedded(job: Job, place: Workplace, request: DraftRequest) -> Sequence[Command]:
    if not _begun(job, place):
        return []
    try:
        draft = extractive.write(request)
    except (extractive.NothingExercised, DiffUnreadable) as error:
        return [_nothing_to_write(job, place, error)]
    return [_drafted(job, place, draft)]


def _begun(job: Job, place: Workplace) -> bool:
    """Whether the embedded author may begin; it costs nothing."""
    return _started(
        place,
        StartCrystalization(
            job.id, place.boot_id, "extractive", None, 0.0, place.settings.crystalize_attempts, extractive.NAME,
            extractive.stamp(),
        ),
    )  # fmt: skip


def _started(place: Workplace, start: StartCrystalization) -> bool:
    """Whether the call is reserved and may be made; the rules may have answered with another end instead."""
    if isinstance(place.door.handle(start, ACTOR), Refused):
        return False
    return place.door.job(start.job_id).status is JobStatus.CRYSTALIZING


def _nothing_to_write(job: Job, place: Workplace, error: Exception) -> RecordCrystalizationFailure:
    retry_at = iso(parse(now()) + timedelta(seconds=PAUSE_S))
    return RecordCrystalizationFailure(
        job.id, "nothing_to_write", str(error), place.settings.crystalize_attempts, retry_at, final=True
    )


def _drafted(job: Job, place: Workplace, draft: Draft) -> RecordDraft:
    """Write the whole pattern text into learnd's own folder; nothing stands in the repository yet."""
    identity = pattern_id(job.id)
    with_it = [_manifest_of(one) for one in _earlier(job, place)]
    file = write_atomically(draft_path(place, job.id), _text(job, draft, identity, with_it), mode=0o600)
    return RecordDraft(
        job.id, identity, draft.title, draft.slug, draft.author, draft.model, draft.prompt_pack,
        draft.prompt_pack_stamp, draft.cost_usd, file, draft.redactions, draft.cited, draft.rule,
    )  # fmt: skip


def draft_path(place: Workplace, job_id: str) -> Path:
    return place.settings.state_dir / "drafts" / f"{job_id}.md"


def _manifest_of(job: Job) -> str:
    """Its path from the repository's root where it lies there."""
    root, manifest = Path(job.repo_path), Path(job.manifest_path)
    return str(manifest.relative_to(root)) if manifest.is_relative_to(root) else str(manifest)


def _text(job: Job, draft: Draft, identity: str, with_it: Sequence[str]) -> str:
    if job.evidence is None:
        raise NothingProven(f"job {job.id[:8]} is {job.status} without evidence")
    front = FrontMatter(
        id=identity,
        status=PatternStatus.CANDIDATE,
        title=draft.title,
        source_job=job.id,
        manifest_path=_manifest_of(job),
        validated_with=tuple(with_it),
        evidence=EvidenceLine.of(job.evidence),
        author=draft.author,
        model=draft.model,
        cost_usd=draft.cost_usd,
        prompt_pack=draft.prompt_pack,
        prompt_pack_stamp=draft.prompt_pack_stamp,
        snapshot_commit=recorded_snapshot(job).commit,
        created=now(),
        tags=draft.tags,
    )
    return render(sections_of(draft), front)
