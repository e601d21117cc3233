"""What belongs in a snapshot, and what a capture leaves alone."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from harvest_repos import User, fingerprint, listing, new_user, on_disk

from learnd.harvest.faults import SnapshotError, SnapshotUnreadable
from learnd.harvest.livetree import signature
from learnd.harvest.statcache import StatCache
from learnd.harvest.store import SnapshotStore


def test_tracked_and_untracked_files_are_taken_and_ignored_ones_are_not(user: User, store: SnapshotStore) -> None:
    user.write(".gitignore", "*.log\nbuild/\n")
    user.write("new.py")
    user.write("x.log")
    user.write("build/y")
    user.write("deep/.gitignore", "secret\n")
    user.write("deep/secret")
    user.write("deep/kept")
    paths = set(listing(store, store.take_tree().tree))
    assert paths == {".gitignore", "a.py", "new.py", "deep/.gitignore", "deep/kept"}


def test_info_exclude_of_the_repository_counts_and_a_global_ignore_file_does_not(
    user: User, store: SnapshotStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user.root / ".git/info/exclude").write_text("excluded\n")
    config = tmp_path / "home/.config/git"
    config.mkdir(parents=True)
    (config / "ignore").write_text("globally\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home/.config"))
    user.write("excluded")
    user.write("globally")
    assert set(listing(store, store.take_tree().tree)) == {"a.py", "globally"}


def test_tracked_but_ignored_files_are_kept(user: User, store: SnapshotStore) -> None:
    user.write("kept.log", "old\n")
    user.git("add", "-f", "kept.log")
    user.write(".gitignore", "*.log\n")
    user.write("kept.log", "new\n")
    tree = store.take_tree().tree
    assert store.read_file(tree, "kept.log") == b"new\n"


def test_untracked_output_of_runs_is_left_out_and_tracked_files_in_it_are_kept(
    user: User, store: SnapshotStore
) -> None:
    for folder in (".runs", "out", "learning-snapshots"):
        user.write(f"{folder}/tracked", "t\n")
    user.commit()
    for folder in (".runs", "out", "learning-snapshots"):
        user.write(f"{folder}/untracked")
    user.write("src/out/kept")
    user.write(".gitignore", "!/out/\n")
    assert set(listing(store, store.take_tree().tree)) == {
        ".gitignore", ".runs/tracked", "a.py", "learning-snapshots/tracked", "out/tracked", "src/out/kept",
    }  # fmt: skip


def test_deleted_tracked_files_are_gone_and_a_folder_in_their_place_is_taken(user: User, store: SnapshotStore) -> None:
    user.write("gone.py")
    user.write("turned")
    user.write("folder/inner")
    user.commit()
    (user.root / "gone.py").unlink()
    (user.root / "turned").unlink()
    user.write("turned/into/folder")
    (user.root / "folder/inner").unlink()
    (user.root / "folder").rmdir()
    user.write("folder", "a file now\n")
    assert set(listing(store, store.take_tree().tree)) == {"a.py", "turned/into/folder", "folder"}


def test_links_executable_bits_and_odd_names_are_kept(user: User, store: SnapshotStore, tmp_path: Path) -> None:
    user.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    (user.root / "link").symlink_to("a.py")
    (user.root / "dangling").symlink_to("/nowhere/at all\nreally")
    (user.root / "to_folder").symlink_to("..")
    for name in (
        b"-rf",
        b"--output=x",
        b"new\nline",
        b"latin-\xe9",
        b"sp ace\t",
        b'quo"te\\',
        b":(top)x",
        b"*.py",
        b"d/-x",
    ):
        user.write(name, b"content of " + name)
    expected = {path: was for path, was in on_disk(user.root).items() if not path.startswith(b".git/")}
    taken = store.take_tree()
    store.restore(taken.tree, tmp_path / "restored")
    assert on_disk(tmp_path / "restored") == expected
    assert taken.notes == ()


@pytest.mark.parametrize("bit", ["--assume-unchanged", "--skip-worktree"])
def test_edits_hidden_from_the_users_git_are_taken(user: User, store: SnapshotStore, bit: str) -> None:
    user.git("update-index", bit, "a.py")
    user.write("a.py", "one = 2\n")
    assert user.git("status", "--porcelain") == ""
    assert store.read_file(store.take_tree().tree, "a.py") == b"one = 2\n"


def test_an_edit_of_the_same_size_and_time_is_taken(user: User, store: SnapshotStore) -> None:
    file = user.root / "a.py"
    for round_ in range(3):
        before = file.stat()
        file.write_bytes(b"one = %d\n" % (round_ + 5))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert store.read_file(store.take_tree().tree, "a.py") == b"one = %d\n" % (round_ + 5)


def test_a_stat_is_believed_later_only_if_the_file_was_at_rest_when_it_was_read(tmp_path: Path) -> None:
    seen = (0o100644, 5, 1_000_000_000, 9_000_000_000, 7, 8)
    for path, read_at in ((b"at\trest\n", 11_000_000_001), (b"young", 10_999_999_999)):
        cache = StatCache(tmp_path / path.hex())
        cache.load()
        cache.put(path, seen, "ab" * 20, read_at)
        cache.save()
        later = StatCache(tmp_path / path.hex())
        later.load()
        assert later.get(path, seen) == ("ab" * 20 if path != b"young" else None)
        for field in range(6):
            other = tuple(value + (number == field) for number, value in enumerate(seen))
            assert later.get(path, other) is None  # type: ignore[arg-type]


def test_a_cache_that_names_lost_objects_costs_a_full_read_and_no_more(user: User, store: SnapshotStore) -> None:
    first = store.take_tree()
    seen = signature((user.root / "a.py").lstat())
    cache = StatCache(store.home / "stat-cache")
    cache.load()
    cache.put(b"a.py", seen, "ab" * 20, max(seen[2], seen[3]) + 3_000_000_000)
    cache.save()
    assert store.take_tree() == first


def test_pipes_and_sockets_are_left_out_with_a_note(user: User, store: SnapshotStore) -> None:
    os.mkfifo(user.root / "pipe")
    user.write(".gitignore", "quiet*\n")
    os.mkfifo(user.root / "quiet-pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(user.root)
        try:
            listener.bind("sock")
        finally:
            os.chdir(here)
    taken = store.take_tree()
    assert set(listing(store, taken.tree)) == {".gitignore", "a.py"}
    assert taken.notes == ("left out: a pipe, socket or device: pipe, sock",)


def test_a_tracked_file_turned_into_a_pipe_is_left_out(user: User, store: SnapshotStore) -> None:
    (user.root / "a.py").unlink()
    os.mkfifo(user.root / "a.py")
    assert listing(store, store.take_tree().tree) == {}


@pytest.mark.parametrize("name", [".gitignore", "sub/.gitattributes"])
def test_refused_when_a_pipe_stands_where_git_would_read(user: User, store: SnapshotStore, name: str) -> None:
    user.write("sub/x")
    os.mkfifo(user.root / name)
    with pytest.raises(SnapshotError, match="is a pipe") as refused:
        store.take_tree()
    assert refused.value.cause == "special_file"


def test_names_that_git_cannot_hold_are_left_out_with_a_note(user: User, store: SnapshotStore) -> None:
    user.write(".GIT/config")
    (user.root / ".gitmodules").symlink_to("a.py")
    taken = store.take_tree()
    assert set(listing(store, taken.tree)) == {"a.py"}
    assert taken.notes == ("left out: a name that git cannot hold: .GIT/config, .gitmodules",)


def test_names_that_only_other_systems_refuse_are_taken(user: User, store: SnapshotStore) -> None:
    user.write("git~1")
    user.write("a\\b")
    user.write("con ")
    assert {"git~1", "a\\b", "con "} <= set(listing(store, store.take_tree().tree))


def test_refused_by_name_when_a_file_cannot_be_read(open_folder: Path) -> None:
    user = new_user(open_folder / "repo")
    user.write("sub/secret").chmod(0)
    with as_nobody(), pytest.raises(SnapshotUnreadable) as refused:
        SnapshotStore(open_folder / "state", "repo-1", user.root).take_tree()
    assert refused.value.path == "sub/secret"


def test_refused_by_name_when_a_folder_cannot_be_listed_unless_it_is_ignored(open_folder: Path) -> None:
    user = new_user(open_folder / "repo")
    user.write("closed/x")
    (user.root / "closed").chmod(0)
    with as_nobody(), pytest.raises(SnapshotUnreadable) as refused:
        SnapshotStore(open_folder / "state", "repo-1", user.root).take_tree()
    assert refused.value.path == "closed"
    user.write(".gitignore", "closed/\n")
    with as_nobody():
        store = SnapshotStore(open_folder / "state", "repo-1", user.root)
        assert set(listing(store, store.take_tree().tree)) == {".gitignore"}


def test_a_repository_of_another_owner_is_taken(open_folder: Path) -> None:
    user = new_user(open_folder / "repo")
    user.write("theirs")
    head = user.commit()
    with as_nobody():
        store = SnapshotStore(open_folder / "state", "repo-1", user.root)
        assert listing(store, store.take_tree().tree) == {"theirs": "100644"}
        assert store.messages(None, head) == ("work",)


def test_files_over_100_mb_are_taken_whole(user: User, store: SnapshotStore) -> None:
    with (user.root / "big.bin").open("wb") as file:
        file.write(os.urandom(1 << 20))
        file.truncate(101 << 20)
    tree = store.take_tree().tree
    assert {entry.path: entry.size for entry in store.list_files(tree)}["big.bin"] == 101 << 20


def test_a_folder_turned_into_a_link_leads_nowhere(user: User, store: SnapshotStore, tmp_path: Path) -> None:
    user.write("sub/file", "mine\n")
    user.commit()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("not the repository's\n")
    (user.root / "sub/file").unlink()
    (user.root / "sub").rmdir()
    (user.root / "sub").symlink_to(outside)
    tree = store.take_tree().tree
    assert listing(store, tree) == {"a.py": "100644", "sub": "120000"}


def test_the_same_tree_gives_the_same_id_from_another_store(user: User, store: SnapshotStore, tmp_path: Path) -> None:
    user.write("b/c", "x\n")
    other = SnapshotStore(tmp_path / "elsewhere", "repo-2", user.root)
    assert store.take_tree() == other.take_tree()


def test_the_tree_is_the_one_git_itself_would_write(user: User, store: SnapshotStore) -> None:
    user.write("b/c", "x\n")
    user.write("b/d.sh", "x\n").chmod(0o755)
    taken = store.take_tree()
    user.git("add", "-A")
    assert taken.tree == user.git("write-tree")


def test_nothing_of_the_users_is_touched(user: User, store: SnapshotStore) -> None:
    user.write("stashed", "x\n")
    user.git("add", "-A")
    user.git("stash")
    user.write("staged", "x\n")
    user.git("add", "staged")
    user.write("a.py", "dirty\n")
    user.write("untracked")
    before = fingerprint(user.root)
    taken = store.take_tree()
    store.hold(taken.tree)
    head = store.resolve_head()
    assert head is not None
    store.settle_base(store.tree_of(head) or "", taken)
    assert fingerprint(user.root) == before


def test_captures_at_the_same_time_do_not_disturb_each_other(user: User, state: Path) -> None:
    for number in range(150):
        user.write(f"many/{number}", f"{number}\n")
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: SnapshotStore(state, "repo-1", user.root).observe(), range(8)))
    assert len(set(map(str, taken))) == 1


def test_learnds_own_state_inside_the_repository_is_left_out(user: User) -> None:
    store = SnapshotStore(user.root / "state", "repo-1", user.root)
    user.write("statement", "kept\n")
    assert set(listing(store, store.take_tree().tree)) == {"a.py", "statement"}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach; pytest's own are closed."""
    folder = Path(tempfile.mkdtemp(prefix="learnd-open-"))
    folder.chmod(0o777)
    yield folder
    for inside in folder.rglob("*"):
        if not inside.is_symlink():
            inside.chmod(0o700)
    shutil.rmtree(folder)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to read everything, for this process's file system calls and what it starts."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
