"""scenario_ready -> validated: replay both sides of the change in the sandbox and judge what that shows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from learnd.atomic import write_atomically
from learnd.clock import iso, now, parse
from learnd.grouping.following import left
from learnd.harvest.faults import DiskFull, SnapshotDamaged, SnapshotError
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.places import put
from learnd.lab.attest import LogHead
from learnd.lab.launcher import SandboxUnavailable
from learnd.lab.prove import ProofRequest, ReplayCancelled, prove
from learnd.lab.trees import NoRoomForTrees
from learnd.steps.enqueue import recorded_snapshot
from learnd.steps.faults import Cancelled, MachineFault
from learnd.steps.run_folder import learning_dir, suffix
from learnd.steps.scenario import stacks, unreadable_snapshot
from learnd.steps.stall import stalled
from learnd.views.queries import Views
from learnd.workplace import Workplace
from state.commands import RecordEvidence, RecordStall, StartReplay
from state.decide import Command
from state.job import Job, JobStatus
from state.refusal import Refused

ACTOR = "learnd:lab"
FLAKY_DAYS = 90
"""So long a test that flaked is taken for one that may flake."""


class NoScenario(Exception):
    """The job has no scenario: the table does not allow this step then."""


def known_flaky(job: Job, views: Views) -> dict[str, str]:
    """Tests of the job's repository that flaked on the base of its other jobs lately, each with the latest of them."""
    since = iso(parse(now()) - timedelta(days=FLAKY_DAYS))
    return views.flaky_tests(job.repo_id, since, job.id)


def replay(job: Job, place: Workplace, cancel: threading.Event) -> Sequence[Command]:
    """Record that the replay starts, run it, and say what came of it."""
    record = recorded_snapshot(job)
    if job.scenario is None:
        raise NoScenario(f"job {job.id[:8]} is {job.status} without a scenario")
    dissolved = left(job, place)
    if dissolved:
        return dissolved
    sandbox = place.sandbox()
    started = place.door.handle(
        StartReplay(job.id, place.boot_id, sandbox.isolation, place.settings.replay_attempts), ACTOR
    )
    if isinstance(started, Refused) or place.door.job(job.id).status is not JobStatus.REPLAYING:
        return []
    folder = learning_dir(job)
    try:
        owner = Path(job.repo_path).stat()
        store = place.store(job.repo_id, job.repo_path)
        own_stacks = stacks(store, record)
    except OSError as error:
        # Work tree and tarball are gone alike: the same as a tarball that is missing alone.
        return [RecordStall(job.id, "missing", job.repo_path, error.strerror or "no such folder")]
    except (SnapshotError, NotARepository) as error:
        return [unreadable_snapshot(job, place, error)]
    request = ProofRequest(
        job_id=job.id,
        repo_path=Path(job.repo_path),
        record=record,
        scenario=job.scenario,
        learning_dir=folder,
        work_dir=place.work_dir,
        lab=place.settings.lab,
        owner_uid=owner.st_uid,
        owner_gid=owner.st_gid,
        stacks=own_stacks,
        root=store.repo,
        log_head=LogHead(*place.door.log.head()),
        suffix=suffix(job, place),
        known_flaky=known_flaky(job, place.views()),
        progress=lambda line: place.progress(job.id, line),
    )
    try:
        evidence = prove(request, store, sandbox, cancel)
        if job.group is not None and job.group.several:
            evidence = evidence.model_copy(update={"group": job.group})
        name = f"evidence{suffix(job, place)}.json"
        text = evidence.model_dump_json(indent=2) + "\n"
        try:
            file = put(store.repo, folder / name, text.encode())
        except SnapshotError:
            # The run's folder was deleted or planted with links: the evidence is kept in our own.
            file = write_atomically(place.work_dir.parent / "evidence" / f"{job.id}.json", text)
    except ReplayCancelled as error:
        raise Cancelled(str(error)) from error
    except SnapshotDamaged as error:
        return [stalled(job, place, error)]
    except SandboxUnavailable as error:
        raise MachineFault("sandbox", str(error)) from error
    except (DiskFull, NoRoomForTrees) as error:
        raise MachineFault("disk", str(error)) from error
    return [RecordEvidence(job.id, evidence, file)]
