"""Who may open a log, where it may lie, and what opening never does."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from log_samples import APPROVED, SKIPPED, WHO

from events import database
from events.database import file_system_type
from events.log import EventLog, LogLock, LogMissing, LogUnusable

HERE = Path(__file__).parent
NOBODY = 65534


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_new_log_is_private(path: Path) -> None:
    old = os.umask(0)
    try:
        with EventLog.create_or_open(path) as log:
            log.append({"job-1": (0, [SKIPPED])}, **WHO)
            modes = {entry.name: entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()}
    finally:
        os.umask(old)
    assert modes == {"events.db": 0o600, "events.db-shm": 0o600, "events.db-wal": 0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_opening_a_log_again_keeps_it_and_its_modes(path: Path) -> None:
    with EventLog.create_or_open(path) as log:
        (recorded,) = log.append({"job-1": (0, [SKIPPED])}, **WHO)
    path.chmod(0o640)
    with EventLog.create_or_open(path) as log:
        assert log.read("job-1") == [recorded]
    assert path.stat().st_mode & 0o777 == 0o640
    assert names(path.parent) == ["events.db"]


def test_reading_never_makes_a_log(tmp_path: Path) -> None:
    with pytest.raises(LogMissing, match="there is no log at"):
        EventLog.open_readonly(tmp_path / "nowhere" / "events.db")
    assert names(tmp_path) == []


def test_reading_beside_a_writer_sees_what_is_committed(log: EventLog) -> None:
    with EventLog.open_readonly(log.path) as reader:
        assert list(reader.read_all()) == []
        log.append({"job-1": (0, [SKIPPED])}, **WHO)
        with log.writing() as connection:
            connection.execute("CREATE TABLE model (x INTEGER) STRICT")
            assert reader.version("job-1") == 1
        assert reader.connection.execute("SELECT count(*) FROM model").fetchone() == (0,)


def test_a_reader_cannot_write(log: EventLog) -> None:
    with EventLog.open_readonly(log.path) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.connection.execute("CREATE TABLE model (x INTEGER)")


def test_a_name_that_looks_like_a_uri_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=memory#%41 b" / "events.db"
    with EventLog.create_or_open(path) as log:
        log.append({"job-1": (0, [SKIPPED])}, **WHO)
    with EventLog.open_readonly(path) as reader:
        assert reader.version("job-1") == 1
    assert names(tmp_path) == ["a?mode=memory#%41 b"]


def make(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def both(path: Path) -> Iterator[str]:
    """What the writer's and the reader's opening say."""
    before = path.read_bytes()
    for opening in (EventLog.create_or_open, EventLog.open_readonly):
        with pytest.raises(LogUnusable) as caught:
            opening(path)
        yield str(caught.value)
    assert path.read_bytes() == before


def test_a_newer_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    EventLog.create_or_open(path).close()
    make(path, f"PRAGMA user_version={database.SCHEMA + 1}")
    for message in both(path):
        assert "written by a newer learnd (log schema 2, this one knows 1). Next: upgrade learnd" in message


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    make(path, "CREATE TABLE events (x)")
    for message in both(path):
        assert "is a database, but no learnd log" in message


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    path.write_text("not a database, however long it is " * 100)
    for message in both(path):
        assert "file is not a database" in message


def test_a_log_whose_making_was_cut_short_is_made_whole_by_the_writer_only(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    path.touch()
    with pytest.raises(LogUnusable, match="its making was cut short"):
        EventLog.open_readonly(path)
    assert path.stat().st_size == 0
    with EventLog.create_or_open(path) as log:
        assert len(log.append({"job-1": (0, [SKIPPED])}, **WHO)) == 1


def test_an_old_sqlite_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(LogUnusable, match=r"too old for the log, which needs 3\.37\.0"):
        EventLog.create_or_open(path)
    assert not path.parent.exists()


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /proc rw - proc proc rw
40 22 0:40 / /mnt/share rw,relatime shared:7 - nfs4 server:/export rw,vers=4.2
41 22 0:41 / /mnt/with\\040space rw - cifs //server/x rw
42 22 0:42 / /home/ada/remote rw master:3 propagate_from:2 - fuse.sshfs ada@host: rw
43 40 0:43 / /mnt/share/local rw - ext4 /dev/vdb rw
44 22 0:44 / /twice rw - nfs server:/x rw
45 44 0:45 / /twice rw - tmpfs tmpfs rw
46 22 0:46 / /host rw - 9p host rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/ada/state/events.db", "ext4"),
        ("/mnt/share/events.db", "nfs4"),
        ("/mnt/shared/events.db", "ext4"),
        ("/mnt/share/local/learnd/events.db", "ext4"),
        ("/mnt/with space/events.db", "cifs"),
        ("/home/ada/remote/a/b/events.db", "fuse.sshfs"),
        ("/twice/events.db", "tmpfs"),
        ("/host/events.db", "9p"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert file_system_type(Path(path), MOUNTS) == kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"])
def test_refused_on_a_network_file_system(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"{MOUNTS}99 22 0:99 / {tmp_path} rw - {kind} server:/export rw\n")
    monkeypatch.setattr(database, "MOUNTINFO", mounts)
    for opening in (EventLog.create_or_open, EventLog.open_readonly, lambda path: LogLock(path).acquire()):
        with pytest.raises(LogUnusable, match=rf"network file system \({kind}\).* Next: put learnd's state directory"):
            opening(state / "events.db")
    assert not state.exists()


def test_this_machines_own_mounts_are_read(tmp_path: Path) -> None:
    kind = file_system_type(tmp_path.resolve(), database.MOUNTINFO.read_text())
    told = subprocess.run(["stat", "-f", "-c", "%T", str(tmp_path)], capture_output=True, text=True, check=True)
    assert kind is not None
    assert kind[:3] in told.stdout or told.stdout.startswith("UNKNOWN")


STRANGER = """
import os, sys, threading
from pathlib import Path
from events.log import EventLog, LogUnusable

path = Path(sys.argv[1])
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    with EventLog.open_readonly(path) as log:
        print(log.version("job-1"), log.verify().count, flush=True)
        stop = threading.Event()
        for event in log.follow(0, stop=stop, poll_s=0.02):
            print(event.type, flush=True)
            if event.type == "RunApproved":
                stop.set()
except LogUnusable as error:
    print(error)
"""


@pytest.fixture
def foreign() -> Iterator[Path]:
    """A log in a folder that a stranger may read and not write; pytest's own folders let no stranger in."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.db"
        with EventLog.create_or_open(path) as log:
            log.append({"job-1": (0, [SKIPPED])}, **WHO)
        path.chmod(0o644)
        path.parent.chmod(0o555)
        yield path
        path.parent.chmod(0o755)


def stranger(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STRANGER, str(path)], cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_folder_that_cannot_be_written_can_be_read_and_followed_into_a_writers_time(foreign: Path) -> None:
    with stranger(foreign) as reader:
        assert reader.stdout is not None
        assert [reader.stdout.readline(), reader.stdout.readline()] == ["1 1\n", "JobSkipped\n"]
        assert names(foreign.parent) == ["events.db"]
        foreign.parent.chmod(0o755)
        with EventLog.create_or_open(foreign) as log:
            log.append({"job-1": (1, [APPROVED])}, **WHO)
            assert reader.stdout.readline() == "RunApproved\n"
            assert reader.wait() == 0


def test_a_write_ahead_log_that_cannot_be_used_is_not_passed_over(foreign: Path) -> None:
    foreign.parent.chmod(0o755)
    with EventLog.create_or_open(foreign) as log:
        log.append({"job-1": (1, [APPROVED])}, **WHO)
        foreign.with_name("events.db-shm").chmod(0o600)
        foreign.with_name("events.db-wal").chmod(0o600)
        foreign.parent.chmod(0o555)
        with stranger(foreign) as reader:
            output, _ = reader.communicate()
    assert "cannot be read without events.db-wal" in output
    assert "Next: run as the user of learnd's daemon" in output


def test_a_log_that_may_not_be_read_says_whose_it_is(foreign: Path) -> None:
    foreign.chmod(0o600 if os.geteuid() == 0 else 0o000)
    with stranger(foreign) as reader:
        output, _ = reader.communicate()
    foreign.chmod(0o600)
    assert "may not be read by this user" in output
