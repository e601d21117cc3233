"""Real repositories for the tests: made with the git on PATH, as a user would, in a clean environment."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

from learnd import clock
from learnd.harvest.snapshot import SnapshotRequest
from learnd.harvest.store import SnapshotStore
from learnd.settings import Settings

JOB = "7f" * 32
CLEAN = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C",
    "GIT_AUTHOR_NAME": "u", "GIT_AUTHOR_EMAIL": "u@x", "GIT_COMMITTER_NAME": "u", "GIT_COMMITTER_EMAIL": "u@x",
}  # fmt: skip


class User:
    """A user's work tree at `root`, driven by the user's own git."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def git(self, *argv: str, at: str | None = None) -> str:
        dates = {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at} if at else {}
        done = subprocess.run(
            ["git", *argv], cwd=self.root, env={**CLEAN, **dates}, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(self, path: str | bytes, content: bytes | str = b"x\n") -> Path:
        file = self.root / os.fsdecode(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def commit(self, message: str = "work", at: str | None = None) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message, at=at)
        return self.git("rev-parse", "HEAD")


def new_user(root: Path, *options: str) -> User:
    root.mkdir(parents=True)
    user = User(root)
    user.git("init", "-q", "-b", "main", *options)
    return user


def request_for(user: User, **changes: object) -> SnapshotRequest:
    run = user.root / ".runs/task-1/cli/run-1"
    now = clock.now()
    request = SnapshotRequest(
        job_id=JOB,
        repo_id="repo-1",
        repo_path=user.root,
        manifest_path=run / "manifest.json",
        task_id="task-1",
        run_id="run-1",
        started_at=None,
        completed_at=now,
        learning_dir=run / "learning",
        base_tree=None,
        base_commit=None,
        recorded_base_commit=None,
        overlapping_runs=(),
        retention_days=30,
        now=now,
    )
    return replace(request, **changes)  # type: ignore[arg-type] # a test's shorthand


def settings_for(state: Path, **changes: object) -> Settings:
    return Settings(state_dir=state, **changes)  # type: ignore[arg-type] # a test's shorthand


def listing(store: SnapshotStore, tree: str) -> dict[str, str]:
    """Mode by path."""
    return {entry.path: entry.mode for entry in store.list_files(tree)}


def on_disk(root: Path) -> dict[bytes, tuple[str, bytes]]:
    """Every file and link below `root`: kind and content. Folders do not count."""
    found: dict[bytes, tuple[str, bytes]] = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        relative = os.fsencode(path.relative_to(root))
        if stat.S_ISLNK(mode):
            found[relative] = ("link", os.fsencode(path.readlink()))
        elif stat.S_ISREG(mode):
            found[relative] = ("executable" if mode & stat.S_IXUSR else "file", path.read_bytes())
    return found


def fingerprint(root: Path) -> str:
    """One digest over everything below `root`: names, kinds, bytes, modes and times, `.git` and its index included."""
    digest = hashlib.sha256()
    for path in (root, *sorted(root.rglob("*"))):
        seen = path.lstat()
        facts = f"{seen.st_mode} {seen.st_mtime_ns} {seen.st_ctime_ns}"
        digest.update(os.fsencode(path) + b"\0" + facts.encode() + b"\0")
        if stat.S_ISREG(seen.st_mode):
            digest.update(path.read_bytes())
        elif stat.S_ISLNK(seen.st_mode):
            digest.update(os.fsencode(path.readlink()))
    return digest.hexdigest()
