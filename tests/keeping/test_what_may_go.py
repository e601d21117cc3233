"""What retention keeps and what it deletes, over real stores: every status of a job and of a pattern."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_process import events
from kept_store import BIG, KeptStore, days_ago, gone, whole

from events.catalog import SnapshotPruned
from learnd.engine import Engine
from learnd.keeping.retention import Round
from learnd.settings import Settings
from state import commands as c
from state.job import Job, JobStatus
from state.pattern import PatternStatus

S, P = JobStatus, PatternStatus
NOT_AT_REST = (
    S.SNAPSHOTTED, S.AWAITING_APPROVAL, S.QUEUED, S.NEEDS_MANUAL_SCENARIO, S.SCENARIO_READY, S.REPLAYING,
    S.STALLED_SNAPSHOT, S.VALIDATION_FAILED, S.VALIDATED, S.CRYSTALIZING, S.OVER_BUDGET, S.CRYSTALIZATION_FAILED,
    S.DRAFTED,
)  # fmt: skip
PROTECTING = (P.STAGED, P.QUARANTINED, P.CANDIDATE, P.ACTIVE, P.EDITED, P.STALE)
"""As the design has them, in words of its own."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine.opened(Settings(state_dir=tmp_path / "state")) as engine:
        yield engine


@pytest.fixture
def kept(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeptStore:
    return KeptStore(engine, tmp_path / "repo", monkeypatch)


def test_every_protected_snapshot_restores_to_the_letter_and_every_other_is_gone(
    kept: KeptStore, tmp_path: Path
) -> None:
    protected = [kept.job(status) for status in NOT_AT_REST]
    protected += [kept.job(S.LEARNED, pattern) for pattern in PROTECTING]
    doomed = [kept.job(status) for status in (S.SKIPPED, S.DISMISSED, S.SUPERSEDED)]
    doomed += [kept.job(S.LEARNED, pattern) for pattern in (P.REJECTED, P.EXPIRED, P.DEPRECATED)]
    kept.days = 1
    young = [kept.job(S.SKIPPED), kept.job(S.LEARNED, P.REJECTED)]
    kept.age(60)
    before = kept.objects()
    freed = Round(kept.engine.place).prune()
    assert all(whole(job, kept.store, tmp_path / "restored") for job in [*protected, *young])
    assert all(gone(job, kept.store) for job in doomed)
    assert kept.tags() == {job.snapshot.tag for job in [*protected, *young] if job.snapshot}
    # Of each there was an object and two tarballs; git packs what is left, which frees a little more.
    assert before - kept.objects() > BIG * len(doomed)
    assert BIG * 3 * len(doomed) < freed < BIG * 4 * len(doomed)
    told = [record.data for record in kept.engine.log.read_all() if isinstance(record.data, SnapshotPruned)]
    assert [event.tag for event in told] == [job.snapshot.tag for job in doomed if job.snapshot]
    assert sum(event.freed_bytes for event in told) == freed
    assert Round(kept.engine.place).prune() == 0
    kept.engine.log.verify()


def test_a_rejected_pattern_gives_its_snapshot_up_as_long_after_its_end_as_the_setting_says(kept: KeptStore) -> None:
    job = kept.job(S.LEARNED, P.CANDIDATE)
    kept.days = 20
    kept.do(c.Reject(str(job.pattern_id), c.Person("anna", frozenset({"anna"}), reason="no")))
    Round(kept.engine.place).prune()
    assert not gone(job, kept.store)
    kept.engine.place.settings = kept.engine.settings.model_copy(update={"retention_days": 19})
    Round(kept.engine.place).prune()
    assert gone(job, kept.store)


@pytest.mark.parametrize(("days", "goes"), [(61, False), (59, True)])
def test_todays_setting_rules_and_not_the_one_that_was_recorded(kept: KeptStore, days: int, goes: bool) -> None:
    job = kept.job(S.SKIPPED)
    assert job.snapshot is not None
    assert job.snapshot.retention_days == 30
    kept.engine.place.settings = kept.engine.settings.model_copy(update={"retention_days": days})
    Round(kept.engine.place).prune()
    assert gone(job, kept.store) is goes


def test_of_two_jobs_with_one_tree_neither_loses_what_the_other_needs(
    kept: KeptStore, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two clones, one folder for copies, one run's name: trees and copies are the same bytes at the same path."""
    engine.place.settings = engine.settings = engine.settings.model_copy(update={"snapshot_dir": tmp_path / "copies"})
    first = kept.job(S.SKIPPED, run="run", own=b"the same")
    same_tree = kept.job(S.QUEUED, run="other-run", own=b"the same")
    other = KeptStore(engine, tmp_path / "clone", monkeypatch)
    shared = other.job(S.QUEUED, run="run", own=b"the same")
    assert first.snapshot
    assert shared.snapshot
    assert same_tree.snapshot
    assert first.snapshot.storage_copy == shared.snapshot.storage_copy
    assert first.snapshot.tree == same_tree.snapshot.tree
    kept.age()
    Round(engine.place).prune()
    assert engine.door.job(first.id).snapshot_pruned
    assert kept.store.tagged(first.snapshot.tag) is None
    assert whole(same_tree, kept.store, tmp_path / "restored")
    assert whole(shared, other.store, tmp_path / "restored")
    assert shared.snapshot.storage_copy
    assert Path(shared.snapshot.storage_copy.path).exists()
    other.do(c.Dismiss(shared.id, c.Person("anna", frozenset({"anna"}))))
    Round(engine.place).prune()
    assert gone(shared, other.store)


def test_a_repository_whose_folder_is_gone_is_pruned(kept: KeptStore) -> None:
    job = kept.job(S.SKIPPED)
    kept.age()
    before = kept.objects()
    shutil.rmtree(kept.repo)
    assert Round(kept.engine.place).prune() >= BIG
    assert before - kept.objects() > BIG
    assert kept.tags() == set()
    assert kept.engine.door.job(job.id).snapshot_pruned


def test_a_capture_that_its_job_never_heard_of_goes_when_it_is_old(kept: KeptStore) -> None:
    job = kept.job(S.QUEUED)
    unheard = kept.job(S.SKIPPED)
    record = kept.take("5e" * 32, "run-x")
    ref = c.RunRef(
        kept.tree.repo_id, str(kept.repo), str(kept.repo / ".runs/task/cli/run-x/manifest.json"), "task", "x"
    )
    kept.do(c.OpenJob("5e" * 32, ref, "cli-v1", None, days_ago(60), days_ago(61), "completed", 0.5))
    kept.do(c.Dismiss("5e" * 32, c.Person("anna", frozenset({"anna"}))))
    Round(kept.engine.place).prune()
    assert kept.store.tagged(record.tag) is not None, "its own file's age is all there is"
    kept.age()
    Round(kept.engine.place).prune()
    assert kept.store.tagged(record.tag) is None
    assert not Path(record.tarball.path).exists()
    assert gone(unheard, kept.store)
    assert not gone(job, kept.store)


def test_the_base_of_a_run_that_never_ended_goes_and_that_of_a_job_without_a_snapshot_stays(kept: KeptStore) -> None:
    def observed(run: str) -> tuple[str, str]:
        (kept.repo / "seen.txt").write_text(run)
        tree = kept.store.observe().tree
        ref = c.RunRef(kept.tree.repo_id, str(kept.repo), str(kept.repo / f".runs/task/cli/{run}/m"), "task", run)
        job_id = (run[0] * 64).translate(str.maketrans("onr", "0ab"))
        kept.do(c.ObserveRun(job_id, ref, None, tree, None))
        return job_id, tree

    _, never_ended = observed("never")
    job_id, opened = observed("opened")
    ref = c.RunRef(kept.tree.repo_id, str(kept.repo), str(kept.repo / ".runs/task/cli/opened/m"), "task", "opened")
    kept.do(c.OpenJob(job_id, ref, "cli-v1", None, days_ago(60), days_ago(61), "completed", 0.5))
    kept.days = 3
    _, recent = observed("recent")
    kept.age(60)
    Round(kept.engine.place).prune()
    assert not kept.store.has(never_ended)
    assert kept.store.intact(opened) is None
    assert kept.store.intact(recent) is None


def test_files_that_the_log_only_points_to_go_with_their_job(kept: KeptStore) -> None:
    over, needed = kept.job(S.SKIPPED), kept.job(S.LEARNED, P.ACTIVE)
    state = kept.engine.settings.state_dir
    files = [
        state / folder / name.format(job)
        for job in (over.id, needed.id, "77" * 32)
        for folder, name in (("drafts", "{}.md"), ("evidence", "{}.json"), ("scenarios", "{:.16}-scenario.json"))
    ]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text("what the log says as well")
    Round(kept.engine.place).prune()
    assert [file for file in files if not file.exists()] == files[:3]
    for file in files[6:]:
        os.utime(file, (1, 1))
    Round(kept.engine.place).prune()
    assert [file for file in files if file.exists()] == files[3:6], "an unknown job's go by their own age"


def test_trees_of_replays_that_ended_long_ago_go(kept: KeptStore) -> None:
    replaying = kept.job(S.REPLAYING)
    work = kept.engine.place.work_dir
    for name, age_days in (("ab" * 32, 2), (replaying.id, 2), ("cd" * 32, 0.5)):
        (work / name / "replay-x/tree").mkdir(parents=True)
        then = time.time() - age_days * 86_400
        os.utime(work / name, (then, then))
    Round(kept.engine.place).prune()
    assert sorted(entry.name for entry in work.iterdir()) == sorted([replaying.id, "cd" * 32])


# --- clocks -----------------------------------------------------------------------------------------


def test_a_clock_that_was_far_back_ages_nothing(kept: KeptStore) -> None:
    """A machine that starts in 1970, works, and is told the time later."""
    kept.days = 3
    kept.job(S.QUEUED)
    kept.days = 20_000
    job = kept.job(S.SKIPPED)
    kept.days = 0
    Round(kept.engine.place).prune()
    assert not gone(job, kept.store)


def test_a_job_from_the_future_goes_as_if_it_came_just_before_the_next(kept: KeptStore) -> None:
    kept.days = -9000
    future, last = kept.job(S.SKIPPED), None
    kept.days = 40
    kept.job(S.QUEUED)
    kept.days = -9000
    last = kept.job(S.SKIPPED)
    Round(kept.engine.place).prune()
    assert gone(future, kept.store)
    assert not gone(last, kept.store), "nothing says that it is not of today"


# --- crashes ----------------------------------------------------------------------------------------


def test_killed_at_whatever_deletion_the_next_round_finishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real `learnd once`, killed at its n-th unlink: further each time, for what is done is not done again."""
    if shutil.which("strace") is None:
        pytest.skip("strace is missing")
    state = tmp_path / "state"
    with Engine.opened(Settings(state_dir=state, tag_in_repository=True)) as engine:
        kept = KeptStore(engine, tmp_path / "repo", monkeypatch)
        doomed, stays = [kept.job(S.SKIPPED) for _ in range(3)], kept.job(S.LEARNED, P.ACTIVE)
        kept.age()
    for point in range(4, 60, 2):
        inject = f"inject=unlink,unlinkat:signal=KILL:when={point}"
        killed = _once(state, "strace", "-f", "-qq", "-o", "/dev/null", "-e", inject) == -signal.SIGKILL
        recorded, left = len(events(state, SnapshotPruned)), len(list((kept.home / "records").iterdir()))
        if killed and recorded + left > 4:
            break  # between the event and the end of the removal
    else:
        pytest.fail("no kill came in the middle of a removal")
    assert _once(state) == 0
    with Engine.opened(Settings(state_dir=state)) as engine:
        kept.engine = engine
        assert all(gone(engine.door.job(job.id), kept.store) for job in doomed)
        assert whole(stays, kept.store, tmp_path / "restored")
        assert kept.objects() < 2.5 * BIG
        assert [path.name for path in (kept.home / "records").iterdir()] == [f"{_tag(stays)}.json"]
        pruned = [record for record in engine.log.read_all() if record.type == "SnapshotPruned"]
        assert sorted(record.stream for record in pruned) == sorted(job.stream for job in doomed)
        engine.log.verify()
    users = subprocess.run(["git", "-C", kept.repo, "tag"], capture_output=True, text=True, check=True).stdout.split()
    assert users == [_tag(stays)]


def _tag(job: Job) -> str:
    assert job.snapshot is not None
    return job.snapshot.tag


def _once(state: Path, *prefix: str) -> int:
    environ = {"PATH": os.environ["PATH"], "HOME": str(state.parent), "LEARND_STATE_DIR": str(state)}
    argv = [*prefix, sys.executable, "-P", "-m", "learnd", "once"]
    return subprocess.run(argv, env=environ, capture_output=True, check=False).returncode
