"""`verify JOB` and `replay JOB`: is what a job rests on still what was recorded, and does it still show the same?

Neither changes anything: no event, no file of the run. They need what the daemon keeps, so they are for its user.
"""

from __future__ import annotations

import tempfile
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.ids import short
from learnd.verbs.asking import settings_for
from learnd.verbs.reading import Reading, reading
from learnd.verbs.terminal import Stop, print_json, say

if TYPE_CHECKING:
    from events.values import Evidence
    from learnd.harvest.store import SnapshotStore
    from learnd.lab.recheck import Check
    from state.job import Job


def verify(log: Path | None, job: str, *, as_json: bool) -> int:
    """Check what is stored of a job's evidence, off-line; 1 when something is not what was recorded.

    JSON: `{job, ok, checks: [{what, problem}]}`.
    """
    from learnd.lab.recheck import Check, check

    with reading(log) as book:
        found = _job(book, job)
        store = _store(book, found)
        checks = [_log_holds(book), *check(found, store, lambda position: _hash_at(book, position))]
    if len(checks) == 1:
        checks.append(Check("snapshot", "there is none yet"))
    ok = not any(each.problem for each in checks)
    if as_json:
        print_json({"job": found.id, "ok": ok, "checks": [asdict(each) for each in checks]})
    else:
        for each in checks:
            say(f"{'FAILS' if each.problem else 'holds'}  {each.what}{f': {each.problem}' if each.problem else ''}")
        say(f"job {short(found.id)}: what it rests on {'holds' if ok else 'does not hold'}")
    return 0 if ok else 1


def replay(log: Path | None, job: str, *, as_json: bool) -> int:
    """Replay a job's evidence from its snapshot; 1 when it does not show the same any more.

    JSON: `{job, holds, lost: [sentence], recorded, evidence}`, the last two evidence.
    """
    from learnd.lab.recheck import compare

    with reading(log) as book:
        found = _job(book, job)
        if found.snapshot is None or found.scenario is None or found.evidence is None:
            raise Stop(f"job {short(found.id)} is {found.status}: it has no evidence yet. Next: learnd why {job}")
        if found.snapshot_pruned:
            raise Stop(f"job {short(found.id)}: retention pruned its snapshot, there is nothing to replay")
        fresh = _proven_again(book, found, _store(book, found), quiet=as_json)
    lost = compare(found.evidence, fresh)
    if as_json:
        told = {"recorded": found.evidence.model_dump(mode="json"), "evidence": fresh.model_dump(mode="json")}
        print_json({"job": found.id, "holds": not lost, "lost": list(lost), **told})
        return 1 if lost else 0
    for sentence in lost:
        say(f"LOST  {sentence}")
    end = "not as it was recorded" if lost else "the evidence still holds"
    say(f"job {short(found.id)}: {fresh.verdict}, {end}")
    return 1 if lost else 0


def _job(book: Reading, job: str) -> Job:
    from state.job import fold

    row = book.views.job(job)
    return fold(row.id, (record.data for record in book.log.read(f"job-{row.id}")))


def _store(book: Reading, job: Job) -> SnapshotStore:
    from learnd.harvest.gitfolder import NotARepository
    from learnd.harvest.store import SnapshotStore

    try:
        return SnapshotStore(book.place.state_dir, job.repo_id, Path(job.repo_path))
    except (NotARepository, OSError) as error:
        raise Stop(f"the snapshots of job {short(job.id)} cannot be read: {error}") from error


def _log_holds(book: Reading) -> Check:
    from events.log import LogDamaged
    from learnd.lab.recheck import Check

    try:
        book.log.verify()
    except LogDamaged as error:
        return Check("log", str(error))
    return Check("log")


def _hash_at(book: Reading, position: int) -> str | None:
    rows = book.rows("SELECT hash FROM events WHERE position = ?", (position,))
    return str(rows[0][0]) if rows else None


def _proven_again(book: Reading, job: Job, store: SnapshotStore, *, quiet: bool) -> Evidence:
    """The evidence of the same scenario on the same snapshot, made now. Raises Stop."""
    from learnd.harvest.faults import DiskFull, SnapshotDamaged
    from learnd.lab.attest import LogHead
    from learnd.lab.launcher import SandboxUnavailable
    from learnd.lab.prove import ProofRequest, ReplayCancelled, prove
    from learnd.lab.sandbox import Sandbox
    from learnd.lab.trees import NoRoomForTrees
    from learnd.steps.replay import known_flaky
    from learnd.steps.scenario import stacks

    settings = settings_for(book.place)
    assert job.snapshot is not None  # noqa: S101 - the caller looked
    assert job.scenario is not None  # noqa: S101 - the caller looked
    with tempfile.TemporaryDirectory(prefix="learnd-replay-") as folder:
        owner = Path(job.repo_path).stat()
        request = ProofRequest(
            job_id=job.id,
            repo_path=Path(job.repo_path),
            record=job.snapshot,
            scenario=job.scenario,
            learning_dir=Path(folder, "learning"),
            work_dir=Path(folder, "work"),
            lab=settings.lab,
            owner_uid=owner.st_uid,
            owner_gid=owner.st_gid,
            root=Path(folder),
            log_head=LogHead(*book.log.head()),
            stacks=stacks(store, job.snapshot),
            known_flaky=known_flaky(job, book.views),
            progress=lambda _line: None if quiet else say(_line),
        )
        Path(folder).chmod(0o711)  # replays of a root learnd run as the repository's owner
        try:
            with suppress(KeyboardInterrupt):
                return prove(request, store, Sandbox.choose(settings), threading.Event())
        except SnapshotDamaged as error:
            way = f"Next: learnd verify {short(job.id)}"
            raise Stop(f"the snapshot does not hold ({error.cause}): {error}. {way}") from error
        except (SandboxUnavailable, DiskFull, NoRoomForTrees) as error:
            raise Stop(f"nothing was replayed: {error}") from error
        except ReplayCancelled:
            pass
    raise Stop("interrupted")
