"""How much room learnd takes: what `du` would say, by what it is for, and never slow."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from cli_place import CliPlace
from kept_store import KeptStore

from events.database import open_reader
from learnd.engine import Engine
from learnd.keeping.retention import Round
from learnd.keeping.sizes import MOST, Room, measure
from learnd.settings import Settings
from learnd.views.queries import Views
from state.job import JobStatus


def room_of(state: Path, most: int | None = None) -> Room:
    with closing(open_reader(state / "events.db")) as connection:
        return measure(state, Views(connection), most)


def du(*paths: Path) -> int:
    done = subprocess.run(["du", "-sB1", "-c", *paths], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1].split()[0])


def test_each_part_is_as_large_as_du_says(place: CliPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    state = place.state
    with Engine.opened(Settings(state_dir=state)) as engine:
        kept = KeptStore(engine, place.root / "repo", monkeypatch)
        jobs = [kept.job(JobStatus.SKIPPED), kept.job(JobStatus.QUEUED)]
        beside = ("events.v1-at-3.db", "set-aside/x/y")
        for name in ("work/x/tree/file", "quarantine/a.md", "drafts/a.md", "evidence/b.json", *beside):
            (state / name).parent.mkdir(parents=True, exist_ok=True)
            (state / name).write_bytes(os.urandom(9000))
        os.link(state / "drafts/a.md", state / "drafts/the-same.md")
        room = room_of(state)
        assert room.log == du(*(file for file in state.glob("events.db*") if file.suffix != ".lock"))
        assert room.work == du(state / "work")
        assert room.quarantine == du(state / "quarantine")
        assert room.texts == du(state / "drafts", state / "evidence")
        assert room.backups == du(state / "events.v1-at-3.db", state / "set-aside")
        (repository,) = room.repositories
        assert (repository.id, repository.path) == (kept.tree.repo_id, str(kept.repo))
        assert repository.store == du(kept.home)
        tarballs = [file for job in jobs if job.snapshot and job.snapshot.storage_copy
                    for file in (job.snapshot.tarball.path, job.snapshot.storage_copy.path)]  # fmt: skip
        assert repository.tarballs == du(*map(Path, tarballs))
        assert room.complete
        folders = sum(folder.stat().st_blocks * 512 for folder in (state, state / "repositories"))
        assert room.total - repository.tarballs == du(state) - folders
        Round(engine.place).prune()
        after = room_of(state)
    assert after.pruned == 1
    assert after.freed > 0
    assert after.snapshots < room.snapshots


def test_looking_stops_after_a_while_and_says_so(place: CliPlace) -> None:
    place.registered("shop")
    for number in range(300):
        (place.state / "work" / str(number)).mkdir(parents=True)
    assert room_of(place.state, 1000).complete
    few = room_of(place.state, 100)
    assert not few.complete
    assert few.work < room_of(place.state).work
    for number in range(MOST + 1):
        (place.state / "work/0" / str(number)).touch()
    assert "at least" in place.learnd("status").out
    assert place.learnd("status", "--json").json["room"]["complete"] is False


def test_status_and_doctor_say_what_takes_the_room(place: CliPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    with Engine.opened(Settings(state_dir=place.state)) as engine:
        KeptStore(engine, place.root / "repo", monkeypatch).job(JobStatus.SKIPPED)
    shown = place.learnd("status").out
    assert "takes " in shown
    assert f"{place.root / 'repo'}: store" in shown
    disk = next(check for check in place.learnd("doctor", "--json").json if check["name"] == "disk")
    assert "taken by learnd" in disk["found"]


def test_a_disk_with_little_room_is_told_of_with_what_takes_it(
    place: CliPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from learnd.locate import find
    from learnd.verbs import room as lines

    with Engine.opened(Settings(state_dir=place.state)) as engine:
        KeptStore(engine, place.root / "repo", monkeypatch).job(JobStatus.SKIPPED)
    monkeypatch.setattr(lines, "FREE_WARN", 1 << 60)
    with closing(open_reader(place.log)) as connection:
        check = lines.disk_check(find(place.log), Views(connection))
    assert check.state == "warn"
    assert str(place.root / "repo") in check.found
    assert "learnd forget" in check.mend
