"""A restorer writes what git would, however often and from whichever tree it comes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from harvest_repos import User

from learnd.harvest.faults import GitFailed, SnapshotError
from learnd.harvest.restoring import Restorer
from learnd.harvest.store import SnapshotStore


def on_disk(folder: Path) -> dict[bytes, tuple[object, ...]]:
    """Every path below `folder`, with its kind, permissions and content."""
    found: dict[bytes, tuple[object, ...]] = {}
    root = os.fsencode(folder)
    for inner, folders, files in os.walk(root):
        for name in (*folders, *files):
            place = os.path.join(inner, name)  # noqa: PTH118 - bytes
            mode = os.lstat(place).st_mode
            path = os.path.relpath(place, root)
            if stat.S_ISLNK(mode):
                found[path] = ("link", os.readlink(place))  # noqa: PTH115 - bytes
            elif stat.S_ISDIR(mode):
                found[path] = ("folder", stat.S_IMODE(mode))
            else:
                found[path] = ("file", stat.S_IMODE(mode), Path(os.fsdecode(place)).read_bytes())
    return found


def trees_of(user: User, store: SnapshotStore) -> list[str]:
    """Trees that differ in every way in which two can."""
    user.write("deep/er/x.py", "one\n")
    user.write("same.py", "same\n")
    user.write("big.bin", "b" * 300_000)
    user.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    user.write("odd\udcff -\n name", "odd\n")
    (user.root / "link").symlink_to("deep/er")
    trees = [store.take_tree().tree]
    (user.root / "run.sh").chmod(0o644)
    (user.root / "link").unlink()
    user.write("link/now_a_folder.py", "x\n")
    user.write("deep/er/x.py", "")
    trees.append(store.take_tree().tree)
    (user.root / "deep/er/x.py").unlink()
    (user.root / "deep/er").rmdir()
    (user.root / "deep/er").symlink_to("/etc")
    user.write("copy.py", "same\n")
    trees.append(store.take_tree().tree)
    return [*trees, store.empty_tree, trees[0], trees[2], trees[1]]


@pytest.mark.parametrize("room", [1 << 20, 100, 0])
def test_every_tree_is_as_git_writes_it(user: User, store: SnapshotStore, tmp_path: Path, room: int) -> None:
    restorer = Restorer(store, room=room)
    for number, tree in enumerate(trees_of(user, store)):
        store.restore(tree, tmp_path / f"git-{number}")
        restorer.restore(tree, tmp_path / f"ours-{number}")
        assert on_disk(tmp_path / f"ours-{number}") == on_disk(tmp_path / f"git-{number}")


def test_permissions_do_not_hang_on_the_umask(user: User, store: SnapshotStore, tmp_path: Path) -> None:
    user.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    user.write("folder/x.py", "x\n")
    tree = store.take_tree().tree
    store.restore(tree, tmp_path / "git")
    code = (
        "import os, sys; from pathlib import Path; os.umask(0o077)\n"
        "from learnd.harvest.restoring import Restorer; from learnd.harvest.store import SnapshotStore\n"
        "store = SnapshotStore(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))\n"
        "Restorer(store).restore(sys.argv[4], Path(sys.argv[5]))"
    )
    state = store.home.parents[1]
    place = str(tmp_path / "ours")
    subprocess.run([sys.executable, "-c", code, str(state), store.home.name, str(user.root), tree, place], check=True)
    assert on_disk(tmp_path / "ours") == on_disk(tmp_path / "git")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_all_of_it_belongs_to_whom_it_is_given(user: User, store: SnapshotStore, tmp_path: Path) -> None:
    tree = trees_of(user, store)[0]
    Restorer(store, (12345, 23456)).restore(tree, tmp_path / "given")
    owners = {
        (place.lstat().st_uid, place.lstat().st_gid) for place in [tmp_path / "given", *(tmp_path / "given").rglob("*")]
    }
    assert owners == {(12345, 23456)}


def test_a_used_folder_is_refused(store: SnapshotStore, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used/mine").write_text("mine\n")
    with pytest.raises(SnapshotError, match="not empty"):
        Restorer(store).restore(store.take_tree().tree, tmp_path / "used")
    assert [path.name for path in (tmp_path / "used").iterdir()] == ["mine"]


def test_an_object_that_is_gone_is_said_and_not_taken_for_an_empty_file(
    user: User, store: SnapshotStore, tmp_path: Path
) -> None:
    user.write("only_here.py", "nowhere else\n")
    tree = store.take_tree().tree
    entry = next(entry for entry in store.list_files(tree) if entry.path == "only_here.py")
    (store.git_dir / "objects" / entry.object_id[:2] / entry.object_id[2:]).unlink()
    with pytest.raises(GitFailed, match=entry.object_id):
        Restorer(store).restore(tree, tmp_path / "dest")
