"""Does a job's evidence still stand? What is stored is held against the log; what it showed can be shown again.

`check` executes nothing: digests, trees, attestations, and their binding to the log. `compare` holds fresh evidence
against the recorded: the same verdict, the same tests turned, the same hunks exercised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from events.values import Evidence, FileRef, HunkEvidence, SnapshotRecord
from learnd.harvest import places
from learnd.harvest.faults import SnapshotDamaged, SnapshotError
from learnd.harvest.snapshot import verify_snapshot
from learnd.harvest.store import SnapshotStore
from learnd.lab.attest import Statement
from state.job import Job


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: `problem` is empty where it holds."""

    what: str
    problem: str = ""


def check(job: Job, store: SnapshotStore, hash_at: Callable[[int], str | None]) -> Iterator[Check]:
    """All that is stored of a job's evidence. `hash_at`: the log's hash at a position, None where it has none."""
    record, evidence = job.snapshot, job.evidence
    if record is not None:
        yield Check("snapshot: tarball, tree, base and diff", _snapshot_problem(job, record, store))
    if record is None or evidence is None:
        return
    if evidence.minimal is not None:
        yield _file("smallest change", evidence.minimal.file)
    for ref in evidence.attestations:
        yield check_attestation(ref, record, evidence, hash_at)


def _snapshot_problem(job: Job, record: SnapshotRecord, store: SnapshotStore) -> str:
    if job.snapshot_pruned:
        return f"pruned by retention ({record.retention_days} days); the log alone says what it was"
    try:
        verify_snapshot(record, store)
    except SnapshotDamaged as error:
        return f"{error.cause}: expected {error.expected}, found {error.found}"
    except SnapshotError as error:
        return str(error)
    return ""


def _file(what: str, ref: FileRef) -> Check:
    found = places.digest(Path(ref.path))
    if found == ref.sha256:
        return Check(what)
    if found is None:
        return Check(what, f"{ref.path} is gone")
    return Check(what, f"{ref.path}: digest is {found[:12]}, recorded was {ref.sha256[:12]}")


def check_attestation(
    ref: FileRef, record: SnapshotRecord, evidence: Evidence, hash_at: Callable[[int], str | None]
) -> Check:
    """Whether an attestation is the recorded one and says what the log says."""
    name = f"attestation {ref.path.rpartition('/')[2]}"
    stored = _file(name, ref)
    if stored.problem:
        return stored
    content = places.recorded(ref)
    try:
        said = Statement.model_validate_json(content or b"")
    except ValidationError as error:
        return Check(name, f"{ref.path} is no statement: {error.errors()[0]['msg']}")
    return Check(name, _contradiction(said, record, evidence, hash_at))


def _contradiction(
    said: Statement, record: SnapshotRecord, evidence: Evidence, hash_at: Callable[[int], str | None]
) -> str:
    """What in a statement is not as the log has it; empty where nothing is."""
    digest = said.subject[0].digest or {}
    if "gitCommit" in digest and (digest["gitCommit"], digest.get("gitTree")) != (record.commit, record.tree):
        return f"is about commit {digest['gitCommit'][:12]}, the snapshot is {record.commit[:12]}"
    parts = {part.name: part for part in said.predicate.configuration}
    verdict = ((parts["replays"].annotations if "replays" in parts else None) or {}).get("verdict")
    if verdict != evidence.verdict:
        return f"says {verdict}, the log {evidence.verdict}"
    log = parts.get("log")
    position = (log.annotations or {}).get("position", "") if log else ""
    anchored = (log.digest or {}).get("sha256") if log else None
    if not position.isdigit() or hash_at(int(position)) != anchored:
        return f"is bound to another log: at position {position or '?'} it has another hash"
    return ""


def compare(then: Evidence, now: Evidence) -> tuple[str, ...]:
    """What fresh evidence does not show any more, in sentences; none where the recorded evidence still holds."""
    lost: list[str] = []
    if then.verdict != now.verdict:
        why = f" ({now.cause}: {now.detail})" if now.cause else ""
        lost.append(f"was {then.verdict}, is {now.verdict}{why}")
    if then.transitions is not None and now.transitions is not None:
        gone = sorted(set(then.transitions.fail_to_pass.ids) - set(now.transitions.fail_to_pass.ids))
        lost.extend(f"turned then, not now: {test}" for test in gone)
    exercised = {_place(hunk) for hunk in now.hunks if hunk.verdict == "exercised"}
    missing = [hunk for hunk in then.hunks if hunk.verdict == "exercised" and _place(hunk) not in exercised]
    lost.extend(f"exercised then, not now: {hunk.file}:{hunk.lines[0]}-{hunk.lines[1]}" for hunk in missing)
    return tuple(lost)


def _place(hunk: HunkEvidence) -> tuple[str, tuple[int, int]]:
    return hunk.file, hunk.lines
