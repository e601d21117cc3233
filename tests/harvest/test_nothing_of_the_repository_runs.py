"""An agent may write the repository's configuration. Nothing it plants there runs in a snapshot's life."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from harvest_repos import User, fingerprint, new_user, request_for, settings_for

from learnd.harvest.repository import identify
from learnd.harvest.retention import StoredSnapshots
from learnd.harvest.snapshot import git_reports, take_snapshot, verify_snapshot
from learnd.harvest.store import SnapshotStore

CONFIG = """
[core]
    fsmonitor = {run} fsmonitor
    hooksPath = {hooks}
    sshCommand = {run} ssh
    pager = {run} pager
    editor = {run} editor
    alternateRefsCommand = {run} alternate-refs
    attributesFile = {attributes}
[filter "evil"]
    clean = {run} clean
    smudge = {run} smudge
    process = {run} process
    required = true
[diff "evil"]
    command = {run} diff-command
    textconv = {run} textconv
[diff]
    external = {run} external-diff
[merge "evil"]
    driver = {run} merge
[gpg]
    program = {run} gpg
[commit]
    gpgSign = true
[log]
    showSignature = true
[tag]
    gpgSign = true
[tar "tar"]
    command = {run} tar
[tar "tar.gz"]
    command = {run} targz
[uploadpack]
    packObjectsHook = {run} pack-objects
[alias]
    rev-parse = !{run} alias
[credential]
    helper = !{run} credential
"""
HOOKS = (
    "post-index-change", "reference-transaction", "pre-commit", "post-commit", "post-checkout", "fsmonitor-watchman",
    "pre-auto-gc", "pre-receive", "update", "post-receive", "query-watchman",
)  # fmt: skip


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """A folder that stays empty unless something planted runs: each plant leaves a file named after itself."""
    folder = tmp_path / "ran"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def plant(user: User, ran: Path) -> None:
    run = ran.parent / "run"
    run.write_text(f"#!/bin/sh\ntouch {ran}/$(basename $0)-$1\n[ $# -gt 1 ] || cat\n")
    run.chmod(0o755)
    hooks = ran.parent / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in HOOKS:
        for folder in (hooks, user.root / ".git/hooks"):
            folder.mkdir(exist_ok=True)
            (folder / name).write_text(f"#!/bin/sh\ntouch {ran}/hook-{name}\n")
            (folder / name).chmod(0o755)
    attributes = ran.parent / "attributes"
    attributes.write_text("* filter=evil diff=evil merge=evil\n")
    with (user.root / ".git/config").open("a") as config:
        config.write(CONFIG.format(run=run, hooks=hooks, attributes=attributes))
    (user.root / ".git/info/attributes").write_text("* filter=evil diff=evil\n")


def test_no_filter_hook_monitor_or_driver_runs_and_the_bytes_are_raw(
    user: User, state: Path, tmp_path: Path, ran: Path
) -> None:
    user.write(".gitattributes", "[attr]sly filter=evil diff=evil\n* sly text eol=crlf\n*.py filter=evil ident\n")
    user.write("b.py", "$Id$\r\nraw\n")
    user.commit()
    plant(user, ran)
    user.write("b.py", "$Id$\r\nraw, changed\n")
    before = fingerprint(user.root / ".git")
    store = SnapshotStore(state, "repo-1", user.root)
    observed = store.observe()
    record = take_snapshot(request_for(user), store, settings_for(state))
    verify_snapshot(record, store)
    store.restore(record.tree, tmp_path / "dest")
    git_reports(store, request_for(user).learning_dir)
    store.messages(None, store.resolve_head() or "")
    identify(user.root)
    assert store.tree_of(store.resolve_head() or "") is not None
    assert observed.tree == record.tree
    assert (tmp_path / "dest/b.py").read_bytes() == b"$Id$\r\nraw, changed\n"
    stored = StoredSnapshots(store.home, [store.repo])
    stored.remove(record, ())
    stored.clean()
    assert list(ran.iterdir()) == []
    assert fingerprint(user.root / ".git") == before


def test_the_plants_of_this_test_do_run_under_the_users_own_git(user: User, ran: Path) -> None:
    """Else the test above would pass whatever learnd did."""
    user.write(".gitattributes", "*.py filter=evil\n")
    user.commit()
    plant(user, ran)
    user.write("a.py", "changed\n")
    with pytest.raises(subprocess.CalledProcessError):
        user.git("add", "-A")
    user.git("config", "--remove-section", "filter.evil")
    user.git("add", "-A")
    names = {file.name for file in ran.iterdir()}
    assert "run-process" in names
    assert "run-fsmonitor" in names
    assert "hook-post-index-change" in names


def test_nothing_of_a_nested_repository_runs(user: User, state: Path, ran: Path) -> None:
    """`git add` and `git status` start a git inside submodules, which reads their configuration."""
    nested = new_user(user.root / "nested")
    nested.write("x.py")
    nested.commit()
    user.commit()
    plant(nested, ran)
    nested.write("x.py", "changed\n")
    store = SnapshotStore(state, "repo-1", user.root)
    take_snapshot(request_for(user), store, settings_for(state))
    assert list(ran.iterdir()) == []
    user.git("status")
    assert "run-fsmonitor" in {file.name for file in ran.iterdir()}


def test_nothing_of_the_environment_or_the_users_own_configuration_counts(
    user: User, state: Path, tmp_path: Path, ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(user, ran)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(CONFIG.format(run=tmp_path / "run", hooks=tmp_path / "hooks", attributes="x"))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(user.root / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "no-index"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "no-objects"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(tmp_path / "run"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(tmp_path / "run"))
    user.write("b.py")
    store = SnapshotStore(state, "repo-1", user.root)
    record = take_snapshot(request_for(user), store, settings_for(state))
    assert record.changed_paths == ("b.py",)
    assert list(ran.iterdir()) == []
    assert not (tmp_path / "no-objects").exists()


def test_a_configuration_planted_in_learnds_own_repository_is_replaced(user: User, state: Path, ran: Path) -> None:
    store = SnapshotStore(state, "repo-1", user.root)
    (store.git_dir / "config").write_text(f"[core]\n\tfsmonitor = touch {ran}/x\n")
    (store.git_dir / "info/attributes").write_text("* filter=evil\n")
    SnapshotStore(state, "repo-1", user.root).take_tree()
    assert list(ran.iterdir()) == []
    assert "fsmonitor = false" in (store.git_dir / "config").read_text()
