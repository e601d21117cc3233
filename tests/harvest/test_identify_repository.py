"""Which repository this is, by what stays the same when it moves."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from harvest_repos import CLEAN, User, new_user

from learnd.harvest.repository import NotARepository, identify


def test_a_repository_is_known_by_its_git_folder_and_root_commit(user: User) -> None:
    root = user.git("rev-parse", "HEAD")
    user.write("b")
    user.commit("second")
    identity = identify(user.root)
    assert identity.common_dir == user.root / ".git"
    assert identity.work_tree == user.root
    assert identity.root_commit == root
    assert identity.inode == (user.root / ".git").stat().st_ino


def test_a_merged_foreign_history_does_not_change_the_root(user: User, tmp_path: Path) -> None:
    root = user.git("rev-parse", "HEAD")
    other = new_user(tmp_path / "other")
    other.write("z")
    other.commit("another root")
    user.git("fetch", "-q", str(other.root), "main")
    user.git("merge", "-q", "--allow-unrelated-histories", "-m", "merged", "FETCH_HEAD")
    assert identify(user.root).root_commit == root


def test_it_survives_a_move(user: User, tmp_path: Path) -> None:
    before = identify(user.root)
    user.root.rename(tmp_path / "moved")
    after = identify(tmp_path / "moved")
    assert (after.device, after.inode, after.root_commit) == (before.device, before.inode, before.root_commit)


def test_linked_work_trees_share_it(user: User, tmp_path: Path) -> None:
    user.git("worktree", "add", "-q", str(tmp_path / "linked"))
    main, linked = identify(user.root), identify(tmp_path / "linked")
    assert linked.work_tree == tmp_path / "linked"
    assert (linked.common_dir, linked.inode) == (main.common_dir, main.inode)


def test_a_folder_inside_leads_to_the_work_trees_root(user: User) -> None:
    user.write("deep/er/x")
    assert identify(user.root / "deep/er").work_tree == user.root


def test_no_commit_and_shallow_clones_have_no_root(user: User, tmp_path: Path) -> None:
    assert identify(new_user(tmp_path / "unborn").root).root_commit is None
    user.write("b")
    user.commit("second")
    clone = ["git", "clone", "-q", "--depth=1", f"file://{user.root}", str(tmp_path / "shallow")]
    subprocess.run(clone, env=CLEAN, check=True)
    assert identify(tmp_path / "shallow").root_commit is None


def test_refused_when_a_root_daemon_would_be_led_into_another_users_repository(user: User, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can read what others may not")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / ".git").write_text(f"gitdir: {user.root / '.git'}\n")
    os.chown(theirs, 65534, 65534)
    with pytest.raises(NotARepository, match=r"belongs to uid 65534, its git folder .* to uid 0"):
        identify(theirs)


def test_refused_with_what_to_do_when_there_is_no_work_tree(user: User, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(NotARepository, match="Next: git init"):
        identify(tmp_path / "plain")
    with pytest.raises(NotARepository, match="is not a folder"):
        identify(tmp_path / "missing")
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "bare.git")], env=CLEAN, check=True)
    with pytest.raises(NotARepository, match="bare repository"):
        identify(tmp_path / "bare.git")
    with pytest.raises(NotARepository, match="inside of a git folder"):
        identify(user.root / ".git")
