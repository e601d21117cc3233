"""Repositories that are not a plain clone: each has one defined outcome."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
from harvest_repos import CLEAN, User, listing, new_user, request_for, settings_for

from learnd.harvest.attribution import choose_base
from learnd.harvest.faults import SnapshotError
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.snapshot import take_snapshot
from learnd.harvest.store import SnapshotStore


def test_sparse_paths_that_are_absent_are_kept_from_the_index(user: User, store: SnapshotStore) -> None:
    user.write("in/x", "in\n")
    user.write("out-of-cone/y", "out\n")
    user.commit()
    whole = user.git("rev-parse", "HEAD^{tree}")
    user.git("sparse-checkout", "set", "--cone", "in")
    assert not (user.root / "out-of-cone").exists()
    assert store.take_tree().tree == whole


def test_sparse_index_folders_are_kept_as_well(user: User, store: SnapshotStore) -> None:
    user.write("in/x", "in\n")
    user.write("far/away/y", "out\n")
    user.commit()
    whole = user.git("rev-parse", "HEAD^{tree}")
    user.git("sparse-checkout", "set", "--cone", "--sparse-index", "in")
    assert store.take_tree().tree == whole


def test_a_file_in_the_place_of_a_sparse_folder_wins(user: User, store: SnapshotStore) -> None:
    user.write("in/x")
    user.write("far/y")
    user.commit()
    user.git("sparse-checkout", "set", "--cone", "in")
    user.write("far", "a file\n")
    taken = store.take_tree()
    assert set(listing(store, taken.tree)) == {"a.py", "in/x", "far"}
    assert taken.notes == ("left out: something else stands in its place: far/y",)


def test_nested_repositories_keep_their_commit_or_are_left_out(user: User, store: SnapshotStore) -> None:
    born = new_user(user.root / "nested")
    born.write("inner")
    commit = born.commit()
    unborn = new_user(user.root / "deep/unborn")
    unborn.write("inner")
    taken = store.take_tree()
    entries = {entry.path: (entry.mode, entry.object_id) for entry in store.list_files(taken.tree)}
    assert entries["nested"] == ("160000", commit)
    assert set(entries) == {"a.py", "nested"}
    assert taken.notes == (
        "a repository of its own: only its commit is kept: nested",
        "left out: a repository of its own without a commit: deep/unborn",
    )


def test_submodules_are_taken_at_their_head_and_kept_when_not_checked_out(
    user: User, store: SnapshotStore, tmp_path: Path
) -> None:
    library = new_user(tmp_path / "library")
    library.write("l")
    first = library.commit()
    user.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library.root), "sub")
    user.commit()
    inside = User(user.root / "sub")
    second = inside.commit("moved on")
    moved = {entry.path: entry.object_id for entry in store.list_files(store.take_tree().tree)}
    assert moved["sub"] == second
    user.git("submodule", "deinit", "-q", "-f", "sub")
    kept = {entry.path: entry.object_id for entry in store.list_files(store.take_tree().tree)}
    assert kept["sub"] == first


def test_a_snapshot_with_a_nested_repository_can_be_diffed_and_restored(
    user: User, store: SnapshotStore, tmp_path: Path
) -> None:
    base = store.take_tree().tree
    nested = new_user(user.root / "nested")
    nested.write("inner")
    nested.commit()
    tree = store.take_tree().tree
    assert store.apply(base, store.diff(base, tree)) == tree
    store.restore(tree, tmp_path / "dest")
    assert list((tmp_path / "dest/nested").iterdir()) == []


def test_linked_work_trees_have_their_own_head_and_index(user: User, state: Path, tmp_path: Path) -> None:
    user.git("worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    linked = User(tmp_path / "linked")
    linked.write("only-here")
    side = linked.commit()
    store = SnapshotStore(state, "repo-1", linked.root)
    assert store.resolve_head() == side
    assert set(listing(store, store.take_tree().tree)) == {"a.py", "only-here"}


def test_partial_clones_never_fetch(user: User, state: Path, tmp_path: Path) -> None:
    user.write("in/x", "in\n")
    user.write("far/y", "far\n")
    user.commit()
    user.git("config", "uploadpack.allowFilter", "true")
    git_in(tmp_path, "clone", "-q", "--filter=blob:none", "--sparse", f"file://{user.root}", "part")
    part = User(tmp_path / "part")
    part.git("sparse-checkout", "set", "--cone", "in")
    # Nobody answers there any more: a fetch would fail loudly.
    user.root.rename(tmp_path / "away")
    part.write("in/x", "changed\n")
    store = SnapshotStore(state, "repo-1", part.root)
    taken = store.take_tree()
    assert set(listing(store, taken.tree)) == {"a.py", "in/x"}
    assert taken.notes == ("left out: sparse, and its content is not in this partial clone: far/y",)
    base = choose_base(store, taken, observed=None, recorded=None, started_at=None)
    assert [change.path for change in store.numstat(base.tree, taken.tree)] == [b"in/x"]


def test_refused_when_the_base_of_a_partial_clone_was_never_fetched(user: User, state: Path, tmp_path: Path) -> None:
    user.write("a.py", "two\n")
    user.commit()
    user.git("config", "uploadpack.allowFilter", "true")
    git_in(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{user.root}", "part")
    part = User(tmp_path / "part")
    store = SnapshotStore(state, "repo-1", part.root)
    old = part.git("rev-parse", "HEAD~1")
    with pytest.raises(SnapshotError, match=r"never fetched the base's a\.py"):
        choose_base(store, store.take_tree(), observed=None, recorded=old, started_at=None)


def test_shallow_clones_are_taken(user: User, state: Path, tmp_path: Path) -> None:
    user.write("b")
    user.commit("second")
    git_in(tmp_path, "clone", "-q", "--depth=1", f"file://{user.root}", "shallow")
    shallow = User(tmp_path / "shallow")
    shallow.write("c")
    head = shallow.commit("third")
    store = SnapshotStore(state, "repo-1", shallow.root)
    assert store.messages(None, head) == ("third", "second")
    base = choose_base(store, store.take_tree(), observed=None, recorded=None, started_at=None)
    assert set(listing(store, base.tree)) == {"a.py", "b", "c"}


def test_sha256_repositories_are_taken(state: Path, tmp_path: Path) -> None:
    user = new_user(tmp_path / "sha256", "--object-format=sha256")
    user.write("a")
    head = user.commit()
    user.write("a", "changed\n")
    store = SnapshotStore(state, "repo-1", user.root)
    taken = store.take_tree()
    base = choose_base(store, taken, observed=None, recorded=None, started_at=None)
    assert (base.commit, len(taken.tree)) == (head, 64)
    assert store.apply(base.tree, store.diff(base.tree, taken.tree)) == taken.tree


def test_before_the_first_commit_the_base_is_empty(state: Path, tmp_path: Path) -> None:
    user = new_user(tmp_path / "unborn")
    user.write("a")
    store = SnapshotStore(state, "repo-1", user.root)
    record = take_snapshot(request_for(user), store, settings_for(state))
    assert (record.base_source, record.base_commit, record.files_changed) == ("empty", None, 1)


def test_line_endings_are_taken_as_on_disk_and_are_no_change(state: Path, tmp_path: Path) -> None:
    origin = new_user(tmp_path / "origin")
    origin.write("text", "one\ntwo\n")
    origin.write("other", "x\ny\n")
    origin.commit()
    git_in(tmp_path, "clone", "-q", "-c", "core.autocrlf=true", str(origin.root), "crlf")
    user = User(tmp_path / "crlf")
    assert (user.root / "text").read_bytes() == b"one\r\ntwo\r\n"
    settle(user, "text", "other")
    user.write("other", "x\r\nz\r\n")
    store = SnapshotStore(state, "repo-1", user.root)
    record = take_snapshot(request_for(user), store, settings_for(state))
    assert store.read_file(record.tree, "text") == b"one\r\ntwo\r\n"
    assert record.changed_paths == ("other",)
    assert "1 unmodified files are in the base as on disk (line endings or filters)" in record.notes


def test_lfs_content_is_taken_as_on_disk_without_running_the_filter(user: User, state: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    user.write(".gitattributes", "*.bin filter=lfs\n")
    # As git-lfs: the commit holds a pointer, the disk holds the content.
    user.git("config", "filter.lfs.clean", "sed s/^.*$/pointer/")
    user.git("config", "filter.lfs.smudge", "sed s/pointer/content/")
    user.write("big.bin", "content\n")
    user.commit()
    settle(user, "big.bin")
    user.git("config", "filter.lfs.clean", f"touch {canary}; cat")
    user.git("config", "filter.lfs.process", f"touch {canary}; cat")
    user.write("a.py", "changed\n")
    store = SnapshotStore(state, "repo-1", user.root)
    record = take_snapshot(request_for(user), store, settings_for(state))
    assert store.read_file(record.tree, "big.bin") == b"content\n"
    assert record.changed_paths == ("a.py",)
    assert not canary.exists()


def test_attributes_change_no_byte(user: User, store: SnapshotStore, tmp_path: Path) -> None:
    user.write(".gitattributes", "* text=auto eol=crlf ident export-ignore export-subst working-tree-encoding=UTF-16\n")
    user.write("a.py", "$Id$ $Format:%H$\nx\r\n")
    tree = store.take_tree().tree
    store.restore(tree, tmp_path / "dest")
    assert (tmp_path / "dest/a.py").read_bytes() == b"$Id$ $Format:%H$\nx\r\n"


def test_replaced_objects_do_not_stand_in_for_the_real_ones(user: User, store: SnapshotStore, state: Path) -> None:
    real = user.git("rev-parse", "HEAD")
    user.write("a.py", "replaced\n")
    other = user.commit("other")
    user.git("reset", "-q", "--hard", real)
    user.git("replace", real, other)
    assert user.git("show", "HEAD:a.py") == "replaced"
    assert store.tree_of(real) == store.take_tree().tree


def test_a_split_index_is_read(user: User, store: SnapshotStore) -> None:
    user.write("b")
    user.git("add", "b")
    user.git("update-index", "--split-index")
    user.write(".gitignore", "b\n")
    assert set(listing(store, store.take_tree().tree)) == {".gitignore", "a.py", "b"}


def test_conflicted_files_are_taken_as_on_disk(user: User, store: SnapshotStore) -> None:
    user.git("checkout", "-q", "-b", "side")
    user.write("a.py", "side\n")
    user.commit()
    user.git("checkout", "-q", "main")
    user.write("a.py", "main\n")
    user.commit()
    with pytest.raises(subprocess.CalledProcessError):
        user.git("merge", "side")
    taken = store.take_tree()
    assert b"<<<<<<<" in (store.read_file(taken.tree, "a.py") or b"")


def test_files_that_never_rest_are_kept_as_read_with_a_note(user: User, store: SnapshotStore) -> None:
    busy = user.write("busy.log", "start\n")
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with busy.open("ab") as file:
                file.write(b"line\n")
            time.sleep(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        taken = store.take_tree()
    finally:
        stop.set()
        writer.join()
    assert taken.notes == ("changed while it was captured: kept as last read: busy.log",)
    content = store.read_file(taken.tree, "busy.log") or b""
    assert content.startswith(b"start\nline\n")
    assert b"\0" not in content


def test_reftable_is_refused_with_the_way_out(user: User, state: Path) -> None:
    with (user.root / ".git/config").open("a") as config:
        config.write("[extensions]\n\trefStorage = reftable\n")
    with pytest.raises(NotARepository, match="git refs migrate"):
        SnapshotStore(state, "repo-1", user.root)


def test_a_pipe_for_a_head_holds_nothing_up(user: User, store: SnapshotStore) -> None:
    head = user.root / ".git/HEAD"
    head.unlink()
    os.mkfifo(head)
    assert store.resolve_head() is None


@pytest.mark.parametrize(
    "ref", ["ref: ../../../etc/passwd", "ref: refs/heads/../../../x", "--upload-pack=x", "deadbeef"]
)
def test_a_head_that_is_no_ref_is_no_commit(user: User, store: SnapshotStore, ref: str) -> None:
    (user.root / ".git/HEAD").write_text(ref + "\n")
    assert store.resolve_head() is None


def test_a_packed_head_is_found(user: User, store: SnapshotStore) -> None:
    commit = user.git("rev-parse", "HEAD")
    user.git("pack-refs", "--all", "--prune")
    assert store.resolve_head() == commit


def git_in(folder: Path, *argv: str) -> None:
    subprocess.run(["git", *argv], cwd=folder, env=CLEAN, check=True, capture_output=True)


def settle(user: User, *paths: str) -> None:
    """Let the user's index believe these files unmodified: old enough, and looked at once."""
    for path in paths:
        os.utime(user.root / path, (time.time() - 100, time.time() - 100))
    user.git("update-index", "--refresh")
