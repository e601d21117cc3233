"""A snapshot that cannot be taken: attempts with pauses, then a person; and the pause that a person ends."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from daemon.daemon_process import until
from failures_place import House
from support.repos import fix, manifest, put_manifest

from events.catalog import JobExpedited, SnapshotAttemptFailed, SnapshotFailed
from learnd.harvest.snapshot import snapshot_id
from learnd.ids import job_id


def planted(house: House, repo: Path, content: dict[str, object]) -> tuple[str, Path]:
    """Something of somebody else's where learnd's tag for this run has to go, before the run completes."""
    (row,) = [row for row in house.repositories() if row.path == str(repo)]
    job = job_id(row.id, str(content["task_id"]), str(content["run_id"]), str(content["completed_at"]))
    tag = house.state / "repositories" / row.id / "store.git/refs/tags" / f"learning-snapshot-{snapshot_id(job)}"
    tag.mkdir(parents=True)
    (tag / "planted").write_text("not a reference\n")
    return job, tag


def removed(tag: Path) -> None:
    (tag / "planted").unlink()
    tag.rmdir()


def test_a_refused_tag_blocks_the_job_after_three_attempts_and_again_until_it_is_mended(asking_house: House) -> None:
    house = asking_house
    repo = house.repo("refused")
    fix(repo)
    content = manifest()
    job, tag = planted(house, repo, content)
    put_manifest(repo, content)
    until(lambda: "SnapshotFailed" in house.types(job), "a job that gives up")
    row = house.reaches(job, "snapshot_failed")
    assert row.cause == "tag_refused"
    assert "refs/tags" in row.detail
    first = next(r.data for r in house.records(job) if isinstance(r.data, SnapshotAttemptFailed))
    assert first.retry_at > row.opened_at, "it came back by itself, after a pause"
    assert (house.last(job, SnapshotFailed).step, house.types(job).count("SnapshotAttemptFailed")) == ("capture", 2)
    told = house.until_told(job, "snapshot_failed")
    assert str(told["validation"]["reason"]).startswith("tag_refused")

    house.does_next(job)  # nothing was mended: it comes back, with all its attempts
    house.reaches(job, "snapshot_failed")
    until(lambda: house.types(job).count("SnapshotFailed") == 2, "the second time")
    assert house.types(job).count("SnapshotAttemptFailed") == 4
    removed(tag)
    house.does_next(job)
    house.reaches(job, "awaiting_approval")
    assert house.types(job).count("SnapshotTaken") == 1
    assert tag.is_file()


def test_a_pause_between_attempts_is_told_and_ended_by_now(tmp_path: Path) -> None:
    house = House(tmp_path, LEARND_TRIGGER="approved", LEARND_SNAPSHOT_BACKOFF_SECONDS="300")
    with house.at_work():
        repo = house.repo("waits")
        fix(repo)
        content = manifest()
        job, tag = planted(house, repo, content)
        put_manifest(repo, content)
        until(lambda: "SnapshotAttemptFailed" in house.types(job), "a failed attempt")
        until(lambda: house.job(job).retry_at is not None, "a pause")
        removed(tag)
        told = house.learnd("why", job[:8])
        assert "waits until" in told.out
        assert house.next(job) == f"learnd approve {job[:8]} --now"
        assert json.loads(house.learnd("show", job[:8], "--json").out)["job"]["waits_until"]
        plain = house.learnd("approve", job[:8])
        assert plain.code == 1
        assert f"Next: learnd approve {job[:8]} --now" in plain.err
        done = house.does_next(job)
        assert "and goes first" in done.out
        house.reaches(job, "awaiting_approval")
        assert house.last(job, JobExpedited).approver == "root"
        assert not house.job(job).urgent, "what waits for a person goes before nobody"
    assert house.last(job, SnapshotAttemptFailed).attempt == 1


def deleted(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def test_a_run_whose_folder_is_gone_while_its_job_is_blocked_can_still_be_decided(asking_house: House) -> None:
    house = asking_house
    repo = house.repo("gone")
    fix(repo)
    content = manifest()
    job, tag = planted(house, repo, content)
    path = put_manifest(repo, content)
    until(lambda: "SnapshotFailed" in house.types(job), "a job that gives up")
    path.unlink()
    until(lambda: deleted(repo / ".runs/fix-mean"), "a folder that nothing is written to any more")
    removed(tag)
    house.does_next(job)
    house.reaches(job, "awaiting_approval")
    house.does_next(job)
    row = house.reaches(job, "snapshot_failed")
    assert row.cause == "run_gone"
    assert str(path) in house.learnd("why", job[:8]).out
    assert house.learnd("dismiss", job[:8], "--reason", "deleted").code == 0


def test_a_repository_that_is_deleted_while_its_job_is_blocked_is_said_so_and_lets_the_job_be_dismissed(
    asking_house: House,
) -> None:
    house = asking_house
    repo = house.repo("moved")
    fix(repo)
    job = house.run(repo)
    house.reaches(job, "awaiting_approval")
    away = repo.rename(repo.with_name("moved-away"))
    house.does_next(job)
    row = house.reaches(job, "snapshot_failed")
    assert str(repo) in f"{row.cause} {row.detail}"
    away.rename(repo)
    house.does_next(job)
    house.reaches(job, "queued", "scenario_ready", "replaying", "awaiting_approval", "snapshotted", "learned")
    assert house.types(job).count("SnapshotTaken") == 2, "the same snapshot, found again"
    assert house.learnd("dismiss", job[:8], "--reason", "seen enough").code == 0
