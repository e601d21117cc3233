"""validated -> drafted: an author writes the proven change up, inside a budget reserved before the call."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.atomic import write_atomically
from learnd.clock import iso, now, parse
from learnd.crystalizer import extractive
from learnd.crystalizer.change import DiffUnreadable
from learnd.crystalizer.draft import Draft, DraftRequest
from learnd.crystalizer.failures import CallFailed
from learnd.harvest.faults import SnapshotDamaged, SnapshotError
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.snapshot import recorded_diff
from learnd.ids import pattern_id
from learnd.library.patterns import EvidenceLine, FrontMatter, render, sections_of
from learnd.steps.enqueue import recorded_snapshot
from learnd.steps.faults import MachineFault
from learnd.steps.known import buried_change
from learnd.steps.run_folder import recorded_prompt
from learnd.workplace import Workplace
from state.commands import RecordCrystalizationFailure, RecordDraft, SettleModelCall, StartCrystalization
from state.decide import Command
from state.job import Job, JobStatus
from state.pattern import PatternStatus
from state.refusal import Refused

if TYPE_CHECKING:
    from learnd.crystalizer.openai_author import Reservation
    from learnd.crystalizer.pack import Pack

ACTOR = "learnd:crystalizer"
PAUSE_S = 5.0


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
        return [_failed(job, place, "nothing_to_write", str(error), final=True)] if _begun(job, place) else []
    if place.settings.openai_api_key is None:
        return _embedded(job, place, request)
    return _model(job, place, request)


def draft_request(job: Job, place: Workplace) -> DraftRequest:
    """What an author may know: the change that was replayed, whatever its files beside the run say by now.

    Raises NothingProven, SnapshotDamaged, SnapshotError, NotARepository.
    """
    if job.evidence is None or job.scenario is None or job.queued is None:
        raise NothingProven(f"job {job.id[:8]} is {job.status} without evidence")
    # A recorder's own titles ("CLI Exec Command") name no problem: an author does better without them.
    prompt = recorded_prompt(job) if job.queued.prompt_source != "titles" else None
    return DraftRequest(
        prompt=prompt,
        diff=recorded_diff(recorded_snapshot(job), place.store(job.repo_id, job.repo_path)),
        scenario=job.scenario,
        evidence=job.evidence,
    )


def _embedded(job: Job, place: Workplace, request: DraftRequest) -> Sequence[Command]:
    if not _begun(job, place):
        return []
    try:
        draft = extractive.write(request)
    except (extractive.NothingExercised, DiffUnreadable) as error:
        return [_failed(job, place, "nothing_to_write", str(error), final=True)]
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


def _model(job: Job, place: Workplace, request: DraftRequest) -> Sequence[Command]:
    from learnd.crystalizer.briefing import NothingToBrief  # noqa: PLC0415 - only where a model is called
    from learnd.crystalizer.budget import UnknownPrice  # noqa: PLC0415
    from learnd.crystalizer.openai_author import estimate  # noqa: PLC0415
    from learnd.crystalizer.pack import PackInvalid, find_pack  # noqa: PLC0415

    settings = place.settings
    try:
        pack = find_pack(settings.prompt_pack)
        reservation = estimate(request, pack, settings)
    except (UnknownPrice, PackInvalid) as error:
        # The operator's settings are wrong for every job alike.
        raise MachineFault("model", str(error)) from error
    except (NothingToBrief, DiffUnreadable) as error:
        start = StartCrystalization(
            job.id, place.boot_id, "openai", settings.model, 0.0, settings.crystalize_attempts,
            pack.name, pack.stamp,
        )  # fmt: skip
        return [_failed(job, place, "nothing_to_write", str(error), final=True)] if _started(place, start) else []
    start = StartCrystalization(
        job.id, place.boot_id, "openai", reservation.model, reservation.usd, settings.crystalize_attempts,
        pack.name, pack.stamp,
    )  # fmt: skip
    if not _started(place, start):
        return []
    return _called(job, place, reservation, pack)


def _called(job: Job, place: Workplace, reservation: Reservation, pack: Pack) -> Sequence[Command]:
    from learnd.crystalizer.openai_author import call  # noqa: PLC0415 - as above

    try:
        draft = call(reservation, pack, place.settings)
    except CallFailed as error:
        _settle(job, place, SettleModelCall(job.id, reservation.model, error.cost_usd, error.usage))
        if error.fault is not None:
            raise MachineFault(error.fault, str(error), error.retry_after_s) from error
        return [_failed(job, place, error.cause, str(error), worst=reservation.usd, final=error.final)]
    cost = None if draft.cost_assumed else draft.cost_usd
    _settle(job, place, SettleModelCall(job.id, reservation.model, cost, draft.usage))
    return [_drafted(job, place, draft)]


def _settle(job: Job, place: Workplace, settled: SettleModelCall) -> None:
    """Record what was paid before anything else: it stays true whatever became of the job meanwhile."""
    place.door.handle(settled, ACTOR)


def _started(place: Workplace, start: StartCrystalization) -> bool:
    """Whether the call is reserved and may be made; the rules may have answered with another end instead."""
    if isinstance(place.door.handle(start, ACTOR), Refused):
        return False
    return place.door.job(start.job_id).status is JobStatus.CRYSTALIZING


def _failed(
    job: Job, place: Workplace, cause: str, detail: str, *, worst: float = 0.0, final: bool = False
) -> RecordCrystalizationFailure:
    return RecordCrystalizationFailure(
        job.id, cause, detail, place.settings.crystalize_attempts,
        iso(parse(now()) + timedelta(seconds=PAUSE_S)), next_worst_case_usd=worst, final=final,
    )  # fmt: skip


def _drafted(job: Job, place: Workplace, draft: Draft) -> RecordDraft:
    """Write the whole pattern text into learnd's own folder; nothing stands in the repository yet."""
    identity = pattern_id(job.id)
    file = write_atomically(draft_path(place, job.id), _text(job, draft, identity), mode=0o600)
    return RecordDraft(
        job.id, identity, draft.title, draft.slug, draft.author, draft.model, draft.prompt_pack,
        draft.prompt_pack_stamp, draft.cost_usd, file, draft.redactions, draft.cited, draft.rule,
    )  # fmt: skip


def draft_path(place: Workplace, job_id: str) -> Path:
    return place.settings.state_dir / "drafts" / f"{job_id}.md"


def _text(job: Job, draft: Draft, identity: str) -> str:
    if job.evidence is None:
        raise NothingProven(f"job {job.id[:8]} is {job.status} without evidence")
    root = Path(job.repo_path)
    manifest = Path(job.manifest_path)
    front = FrontMatter(
        id=identity,
        status=PatternStatus.CANDIDATE,
        title=draft.title,
        source_job=job.id,
        manifest_path=str(manifest.relative_to(root)) if manifest.is_relative_to(root) else str(manifest),
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
