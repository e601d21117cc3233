"""What was stored is not what was taken: the job stalls, shows its files, and is made whole, never captured anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon.daemon_process import block
from failures_place import House
from support.cases import thorough
from support.repos import write

from events.catalog import SnapshotStalled, SnapshotTaken, TarballRebuilt
from events.values import SnapshotRecord
from learnd.harvest.places import digest

pytestmark = pytest.mark.sandbox


def tampered(path: str) -> None:
    file = Path(path)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def store_of(house: House, job: str) -> Path:
    return house.state / "repositories" / house.job(job).repo_id / "store.git"


def every_object(store: Path) -> list[Path]:
    return [path for path in (store / "objects").rglob("*") if path.is_file() and "info" not in path.parts]


def tarball_tampered_with(house: House, job: str, record: SnapshotRecord) -> None:
    tampered(record.tarball.path)


def tarball_deleted(house: House, job: str, record: SnapshotRecord) -> None:
    Path(record.tarball.path).unlink()


def diff_tampered_with(house: House, job: str, record: SnapshotRecord) -> None:
    tampered(record.diff.path)


def tag_deleted(house: House, job: str, record: SnapshotRecord) -> None:
    (store_of(house, job) / "refs/tags" / record.tag).unlink()


@pytest.mark.parametrize(
    ("harm", "cause"),
    [
        (tarball_tampered_with, "digest"), (tag_deleted, "missing"),
        *thorough((tarball_deleted, "missing"), (diff_tampered_with, "diff")),
    ],
)  # fmt: skip
def test_what_an_intact_tree_can_mend_is_mended_by_the_command_that_why_prints(
    asking_house: House, harm: Callable[[House, str, SnapshotRecord], None], cause: str
) -> None:
    house = asking_house
    job = house.fixed(harm.__name__)
    house.reaches(job, "awaiting_approval")
    record = house.last(job, SnapshotTaken).snapshot
    harm(house, job, record)
    house.does_next(job)
    row = house.reaches(job, "stalled_snapshot")
    assert (row.cause, house.last(job, SnapshotStalled).cause) == (cause, cause)
    told = house.learnd("why", job[:8])
    status, log = house.learning(job) / "git-status.txt", house.learning(job) / "git-log.txt"
    assert str(status) in told.out
    assert "calc.py" in status.read_text()
    assert "base" in log.read_text()

    done = house.does_next(job)
    assert "is queued now" in done.out
    assert house.last(job, TarballRebuilt).tarball == record.tarball
    assert (digest(Path(record.tarball.path)), digest(Path(record.diff.path))) == (
        record.tarball.sha256,
        record.diff.sha256,
    )
    house.reaches(job, "replaying", "validated", "crystalizing", "drafted", "learned")
    assert house.types(job).count("SnapshotTaken") == 1, "never captured again"
    assert house.learnd("dismiss", job[:8], "--reason", "seen enough").code == 0
    assert house.job(job).status in ("dismissed", "learned")


def test_the_manifest_names_the_reports_in_both_places_that_its_schema_has(asking_house: House) -> None:
    house = asking_house
    job = house.fixed("named")
    house.reaches(job, "awaiting_approval")
    tarball_deleted(house, job, house.last(job, SnapshotTaken).snapshot)
    house.does_next(job)
    house.reaches(job, "stalled_snapshot")
    learning = ".runs/fix-mean/cli/run-1/learning"
    told = house.until_told(job, "stalled_snapshot")
    for part in (told["snapshot"], told["validation"]):
        assert part["status"] == "stalled_snapshot"
        assert part["git_status_path"] == f"{learning}/git-status.txt"
        assert part["git_log_path"] == f"{learning}/git-log.txt"
        assert "no such file" in str(part["last_error"] if part is told["snapshot"] else part["reason"])
    house.does_next(job)
    house.reaches(job, "replaying", "validated", "drafted", "learned")
    moved = block(Path(house.job(job).manifest_path))
    (*_, approval) = moved["approvals"]
    assert (approval["state"], approval["actor"]) == ("stalled_snapshot", "root")  # type: ignore[index]
    house.learnd("dismiss", job[:8], "--reason", "seen enough")


def test_a_tree_that_is_not_intact_is_never_passed_off_as_the_snapshot(asking_house: House) -> None:
    house = asking_house
    job = house.fixed("broken")
    house.reaches(job, "awaiting_approval")
    record = house.last(job, SnapshotTaken).snapshot
    for path in every_object(store_of(house, job)):
        path.chmod(0o644)
        tampered(str(path))
    Path(record.tarball.path).unlink()
    house.does_next(job)
    row = house.reaches(job, "stalled_snapshot")
    assert row.cause in ("missing", "checkout")
    write(Path(row.repo_path), {"calc.py": "changed since\n"})
    before = house.types(job)
    refused = house.learnd("approve", job[:8], "--reason", "try")
    assert refused.code == 1
    assert "cannot be made again from an intact tree" in refused.err
    assert f"Next: learnd dismiss {job[:8]}" in refused.err
    assert record.commit[:12] in refused.err
    assert record.tarball.sha256[:12] in refused.err
    assert house.types(job) == before
    assert not Path(record.tarball.path).exists()
    assert house.learnd("dismiss", job[:8], "--reason", "snapshot lost").code == 0


def test_a_stored_object_that_rots_while_a_person_is_waited_for_stalls_the_job_before_anything_is_executed(
    asking_house: House,
) -> None:
    house = asking_house
    job = house.fixed("rotten")
    house.reaches(job, "awaiting_approval")
    store = store_of(house, job)
    kept = shutil.copytree(store / "objects", house.root / "objects-before")
    for path in every_object(store):
        path.chmod(0o644)
        tampered(str(path))
    house.does_next(job)
    house.reaches(job, "stalled_snapshot")
    assert house.last(job, SnapshotStalled).cause == "checkout"
    assert "ReplayStarted" not in house.types(job)
    assert house.learnd("approve", job[:8]).code == 1, "nothing is intact"

    shutil.rmtree(store / "objects")
    kept.rename(store / "objects")  # as from a backup
    house.does_next(job)
    house.reaches(job, "replaying", "validated", "drafted", "learned")
    house.learnd("dismiss", job[:8], "--reason", "seen enough")


@pytest.mark.thorough
def test_a_job_that_stalls_twice_is_mended_twice_also_without_a_daemon(tmp_path: Path) -> None:
    house = House(tmp_path, LEARND_TRIGGER="approved")
    with house.at_work():
        job = house.fixed("twice")
        house.reaches(job, "awaiting_approval")
    repo, aside = tmp_path / "twice", tmp_path / "aside"
    record = house.last(job, SnapshotTaken).snapshot
    for times in (1, 2):
        house.does_next(job)  # nobody works: the job is where the approval put it
        tarball_deleted(house, job, record)
        assert house.learnd("once").code == 1
        assert house.job(job).status == "stalled_snapshot"
        assert house.types(job).count("SnapshotStalled") == times
    repo.rename(aside)
    refused = house.learnd("approve", job[:8])
    assert refused.code == 1
    assert f"{repo} is not there" in refused.err
    assert "put the repository back" in refused.err
    aside.rename(repo)
    house.does_next(job)
    assert house.learnd("once").code == 0
    assert house.job(job).status == "learned"
    assert house.types(job).count("TarballRebuilt") == 2
