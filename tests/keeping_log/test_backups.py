"""A backup is whole or not there, is made while learnd works, and stands alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from daemon_process import Daemon, until
from keeping_place import Keep, snapshot, tracing
from support.cases import thorough
from support.repos import git, make_repo, manifest, put_manifest, write

from events.catalog import LogBackedUp, RunEnded
from events.log import EventLog
from learnd.keeping.manifest import BackupUnusable, check_backup, read_manifest
from learnd.requests import NoteBackup


def parts(folder: Path) -> set[str]:
    return {part.path for part in read_manifest(folder).parts}


def backed_up(log: Path) -> list[LogBackedUp]:
    with EventLog.open_readonly(log) as opened:
        return [record.data for record in opened.read_all() if isinstance(record.data, LogBackedUp)]


def test_a_backup_holds_the_log_the_stores_and_the_texts_and_says_so(keep: Keep, tmp_path: Path) -> None:
    store = keep.registered(make_repo(tmp_path / "repo"))
    tag = snapshot(store, 1)
    store.observe()
    (keep.state / "quarantine").mkdir()
    (keep.state / "quarantine/odd-0123456789abcdef.md").write_text("text")
    head = keep.head()

    folder = keep.backup_by_verb()
    found = check_backup(folder)
    assert (found.position, found.hash) == head
    assert [(copy.repo_id, copy.refs) for copy in found.stores] == [(store.home.name, 2)]
    home = f"repositories/{store.home.name}"
    assert parts(folder) == {
        "events.db", f"{home}/store.bundle", f"{home}/records.tar", "quarantine/odd-0123456789abcdef.md"
    }  # fmt: skip
    modes = {entry.stat().st_mode & 0o077 for entry in [folder, *folder.rglob("*")] if entry.suffix != ".bundle"}
    assert folder.stat().st_mode & 0o077 == 0, modes
    (told,) = backed_up(keep.log)
    assert (told.path, told.position, told.hash, told.size_bytes) == (str(folder), *head, found.size_bytes)
    assert json.loads(keep.learnd("status", "--json").stdout)["backup"]["path"] == str(folder)

    # It stands alone: the user's objects and learnd's store are gone.
    shutil.rmtree(tmp_path / "repo")
    shutil.rmtree(keep.state)
    clone = tmp_path / "clone.git"
    git(tmp_path, "init", "-q", "--bare", str(clone))
    git(clone, "fetch", "-q", str(folder / home / "store.bundle"), f"refs/tags/{tag}:refs/tags/{tag}")
    assert "calc.py" in git(clone, "ls-tree", "--name-only", tag)
    git(clone, "fsck", "--strict", "--no-dangling")


def test_nothing_is_written_over_and_each_backup_has_a_folder_of_its_own(keep: Keep) -> None:
    keep.faults(1)
    first = keep.backup()
    before = {file: file.read_bytes() for file in first.rglob("*") if file.is_file()}
    others = {keep.backup(), keep.backup()}
    assert len({first, *others}) == 3
    assert {file: file.read_bytes() for file in first.rglob("*") if file.is_file()} == before
    assert [event.position for event in backed_up(keep.log)] == [2, 3, 4]


def test_made_while_the_daemon_appends_it_is_one_moment_of_the_log(keep: Keep, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    keep.registered(repo)
    with Daemon(keep.state, LEARND_SWEEP_SECONDS="1") as daemon:
        daemon.ready()
        made = []
        for number in range(4):
            for run in range(40):
                put_manifest(repo, manifest(f"task-{number}", f"run-{run}", status="failed"))
            made.append(keep.backup_by_verb())
        daemon.waits_for(RunEnded, 160)
        assert daemon.end() == 0
    heads = [check_backup(folder) for folder in made]
    assert [backup.position for backup in heads] == sorted({backup.position for backup in heads})
    with EventLog.open_readonly(keep.log) as log:
        hashes = {record.position: record.hash for record in log.read_all()}
    assert all(hashes[backup.position] == backup.hash for backup in heads)
    assert [(told.position, told.path) for told in backed_up(keep.log)] == [
        (backup.position, str(folder)) for backup, folder in zip(heads, made, strict=True)
    ]


def test_the_daemon_writes_down_no_backup_of_another_log_and_opens_no_path(keep: Keep, tmp_path: Path) -> None:
    keep.faults(1)
    position, hash_ = keep.head()
    with Daemon(keep.state) as daemon:
        daemon.ready()
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        told = daemon.ask(NoteBackup(path=str(pipe), position=position, hash=hash_, size_bytes=1))
        assert told.ok, "a pipe would have held it up"
        for other in ((position, "0" * 64), (position + 999, hash_)):
            reply = daemon.ask(NoteBackup(path=str(pipe), position=other[0], hash=other[1], size_bytes=1))
            assert reply.code == "other_log"
        if os.geteuid() == 0:
            assert _as_nobody(keep, position, hash_) == "not_an_approver"
        assert daemon.end() == 0
    assert len(backed_up(keep.log)) == 1


def _as_nobody(keep: Keep, position: int, hash_: str) -> str:
    """The reply's code to a user who is no approver."""
    script = (
        "import http.client, json, os, socket, sys\n"
        "folder = os.open(sys.argv[1], os.O_PATH)\n"
        "s = socket.socket(socket.AF_UNIX); os.setgid(65534); os.setuid(65534)\n"
        "s.connect(f'/proc/self/fd/{folder}/control.sock')\n"
        "c = http.client.HTTPConnection('x'); c.sock = s\n"
        "c.request('POST', '/v1/requests', sys.argv[2], {'Learnd-Protocol': '1'})\n"
        "print(json.loads(c.getresponse().read())['code'])\n"
    )
    request = NoteBackup(path="/x", position=position, hash=hash_, size_bytes=1).model_dump_json()
    keep.state.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", script, str(keep.state), request], capture_output=True, text=True, check=False
    )
    keep.state.chmod(0o700)
    return done.stdout.strip() or done.stderr


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("full", "holds other things and no backup of learnd's. Next: name a folder of its own"),
        *thorough(
            ("file", "is a file. Next: name a folder for backups"),
            ("state/backups", "lies in learnd's own state, and is lost with it"),
            ("/proc/1/backups", "no backup was made"),
        ),
    ],
)
def test_a_place_that_will_not_do_is_refused_in_one_line(keep: Keep, target: str, words: str) -> None:
    keep.faults(1)
    (keep.root / "file").touch()
    (keep.root / "full").mkdir()
    (keep.root / "full/letter.txt").touch()
    before = keep.head()
    done = keep.learnd("backup", keep.root / target)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert words in done.stderr
    assert keep.head() == before


def test_a_backup_in_a_backup_is_refused(keep: Keep) -> None:
    keep.faults(1)
    folder = keep.backup()
    done = keep.learnd("backup", folder)
    assert (done.returncode, f"is a backup. Next: name the folder that it is in: {keep.backups}" in done.stderr) == (
        1,
        True,
    )


def test_without_a_log_nothing_is_made(keep: Keep) -> None:
    done = keep.learnd("backup", keep.backups)
    assert (done.returncode, "no log yet" in done.stderr) == (1, True)
    assert not keep.state.exists()
    assert not keep.backups.exists()


UNSHARE = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-rm")


def may_mount() -> bool:
    asked = [*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return (
        shutil.which("unshare") is not None and subprocess.run(asked, capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not may_mount(), reason="no file system of one's own can be mounted here")
@pytest.mark.parametrize("beyond", [-40, *thorough(100, None)], ids=["for the log", "for the store", "it is read-only"])
def test_without_room_what_was_begun_is_removed_and_it_is_said(keep: Keep, tmp_path: Path, beyond: int | None) -> None:
    """`beyond` is the room in KiB that a log of this size leaves."""
    store = keep.registered(make_repo(tmp_path / "repo"))
    write(store.repo, {"noise.txt": "".join(f"{hash((number, 'x'))}" for number in range(40000))})
    snapshot(store, 1)
    before = keep.head()
    keep.backups.mkdir()
    how = "ro" if beyond is None else f"size={keep.log.stat().st_size // 1024 + beyond}k"
    script = f"mount -t tmpfs -o {how} tmpfs {keep.backups} && {sys.executable} -m learnd backup {keep.backups}; ls -A"
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", f"{script} {keep.backups} | sed s/^/left:/"],
        env=keep.env, cwd=keep.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    full = f"no room for a backup in {keep.backups}; what was begun was removed"
    assert ("Read-only file system" if how == "ro" else full) in done.stderr
    assert (len(done.stderr.splitlines()), done.stdout) == (1, "")
    assert keep.head() == before


def test_a_damaged_log_is_not_backed_up(keep: Keep) -> None:
    import sqlite3

    keep.faults(2)
    connection = sqlite3.connect(keep.log)
    connection.execute("DROP TRIGGER events_are_never_changed")
    connection.execute("UPDATE events SET actor = 'x' WHERE position = 2")
    connection.commit()
    connection.close()
    done = keep.learnd("backup", keep.backups)
    assert done.returncode == 1
    assert "no backup was made" in done.stderr
    assert "the log does not hold from position 2 on" in done.stderr
    assert list(keep.backups.iterdir()) == []


def test_a_store_that_is_damaged_is_left_out_and_named(keep: Keep, tmp_path: Path) -> None:
    good = keep.registered(make_repo(tmp_path / "good"))
    snapshot(good, 1)
    bad = keep.registered(make_repo(tmp_path / "bad", {"odd.py": "odd = 1\n"}))
    tag = snapshot(bad, 2)
    blob = git(bad.git_dir, "rev-parse", f"{tag}:odd.py").strip()
    for pack in (bad.git_dir / "objects/pack").iterdir():
        pack.unlink()
    (bad.git_dir / "objects" / blob[:2] / blob[2:]).unlink(missing_ok=True)
    done = keep.learnd("backup", keep.backups, "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["stores"] == 1
    assert [entry["what"] for entry in told["left_out"]] == [f"repositories/{bad.home.name}"]
    assert f"left out: repositories/{bad.home.name}" in done.stderr
    found = check_backup(Path(told["path"]))
    assert [copy.repo_id for copy in found.stores] == [good.home.name]
    assert len(backed_up(keep.log)) == 1


def test_any_byte_that_changed_is_found(keep: Keep, tmp_path: Path) -> None:
    snapshot(keep.registered(make_repo(tmp_path / "repo")), 1)
    folder = keep.backup()
    for name in sorted(parts(folder)):
        file = folder / name
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(BackupUnusable, match="is not what was put there"):
            check_backup(folder)
        file.unlink()
        with pytest.raises(BackupUnusable, match="is not what was put there"):
            check_backup(folder)
        file.write_bytes(content)
    check_backup(folder)
    said = json.loads((folder / "backup.json").read_text())
    (folder / "backup.json").write_text(json.dumps({**said, "hash": "0" * 64}))
    with pytest.raises(BackupUnusable, match=r"the log is not the one of backup\.json"):
        check_backup(folder)


@tracing
@pytest.mark.parametrize("at", ["rename:when=2", *thorough("fsync:when=1", "fsync:when=4", "fdatasync:when=2")])
def test_killed_on_the_way_it_leaves_no_backup_and_the_next_one_clears_up(keep: Keep, tmp_path: Path, at: str) -> None:
    snapshot(keep.registered(make_repo(tmp_path / "repo")), 1)
    before = keep.head()
    assert keep.killed(at, "backup", keep.backups)
    if keep.backups.exists():
        assert [entry for entry in keep.backups.iterdir() if not entry.name.startswith(".")] == []
    assert keep.head() == before
    folder = keep.backup()
    check_backup(folder)
    assert list(keep.backups.iterdir()) == [folder]


def test_two_backups_at_once_leave_each_other_alone(keep: Keep, tmp_path: Path) -> None:
    snapshot(keep.registered(make_repo(tmp_path / "repo")), 1)
    argv = [sys.executable, "-m", "learnd", "backup", str(keep.backups), "--json"]
    running = [
        subprocess.Popen(argv, env=keep.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    done = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], done
    folders = {json.loads(out)["path"] for out, _ in done}
    assert len(folders) == 3
    for folder in folders:
        check_backup(Path(folder))
    assert sorted(map(str, keep.backups.iterdir())) == sorted(folders)


def test_stopped_with_ctrl_c_it_removes_what_it_began(keep: Keep, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    write(repo, {f"big-{number}.txt": f"{number}\n" * 20000 for number in range(300)})
    snapshot(keep.registered(repo), 1)
    argv = [sys.executable, "-m", "learnd", "backup", str(keep.backups)]
    process = subprocess.Popen(
        argv, env=keep.env, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,  # noqa: PLW1509 - one call, no lock
    )  # fmt: skip
    until(lambda: list(keep.backups.glob(".learnd-*/repositories/*/*")), "a backup that is at its stores", 0.001)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode in {0, 130}
    assert [entry for entry in keep.backups.iterdir() if entry.name.startswith(".")] == []
