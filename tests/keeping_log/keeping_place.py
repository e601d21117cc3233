"""Given: a log with events and anchors, its stores, and the real verbs in processes that can be killed anywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import warm

from events.copies import head_of
from events.database import open_reader
from events.log import EventLog
from learnd.clock import now
from learnd.door import Door
from learnd.engine import Engine
from learnd.harvest.store import SnapshotStore
from learnd.keeping.backup import make_backup
from learnd.repositories import register
from learnd.requests import NoteBackup
from learnd.settings import Settings
from state import commands as c

PATIENCE_S = 120


def may_trace() -> bool:
    """Whether strace is here and may trace, so that system calls can be made to fail or to kill."""
    if shutil.which("strace") is None:
        return False
    asked = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=none", "true"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


tracing = pytest.mark.skipif(not may_trace(), reason="strace is missing or may not trace here")


class Keep:
    """A state folder, and `learnd` on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "state"
        self.log = self.state / "events.db"
        self.backups = root / "backups"
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(root / "home"), "XDG_CONFIG_HOME": str(root / "config"),
            "LEARND_STATE_DIR": str(self.state), "TZ": "UTC", "PYTHONSAFEPATH": "1",
        }  # fmt: skip

    def learnd(self, *argv: str | Path, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run a verb to its end, whatever that is."""
        if not prefix:
            return warm.run(argv, env=self.env, cwd=self.root, timeout=PATIENCE_S)
        command = [*prefix, sys.executable, "-m", "learnd", *map(str, argv)]
        return subprocess.run(
            command, env=self.env, cwd=self.root, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip

    def killed(self, at: str, *argv: str | Path) -> bool:
        """Run a verb that is killed by the kernel `at` (`call:when=N`); False when it ended before that."""
        call, _, when = at.partition(":")
        inject = f"inject={call}:signal=SIGKILL:{when}"
        done = self.learnd(*argv, prefix=("strace", "-f", "-qq", "-o", "/dev/null", "-e", inject))
        return done.returncode in {-9, 137}

    def backup(self) -> Path:
        """A backup that the log was told of, as the verb makes it, without its process."""
        made = make_backup(self.log, self.backups)
        told = NoteBackup(path=str(made.folder), **made.manifest.model_dump(include={"position", "hash"}), size_bytes=1)
        with Engine.opened(Settings(state_dir=self.state)) as engine:
            assert engine.desk.answer(told.model_dump_json(), os.geteuid()).ok
        return made.folder

    def backup_by_verb(self) -> Path:
        """A backup, made by the verb in a process of its own, whether or not a daemon runs."""
        done = self.learnd("backup", self.backups, "--json")
        assert done.returncode == 0, done.stderr
        return Path(json.loads(done.stdout)["path"])

    def restore(self, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
        return self.learnd("restore-backup", folder, "--yes", *more)

    def registered(self, repo: Path) -> SnapshotStore:
        """The repository, registered, and its store with one tagged snapshot of the tree as it is."""
        with Engine.opened(Settings(state_dir=self.state)) as engine:
            tree = register(engine.door, engine.views(), repo, "anna")
        return SnapshotStore(self.state, tree.repo_id, repo)

    def faults(self, count: int = 1) -> None:
        """Two events for each of `count`: the machine's disk was full, and was not any more."""
        with Engine.opened(Settings(state_dir=self.state)) as engine:
            for _ in range(count):
                two_events(engine.log)

    def types(self) -> list[str]:
        with EventLog.open_readonly(self.log) as log:
            log.verify()
            return [record.type for record in log.read_all()]

    def head(self, log: Path | None = None) -> tuple[int, str]:
        connection = open_reader(log or self.log)
        try:
            return head_of(connection)
        finally:
            connection.close()

    def former(self) -> Iterator[Path]:
        """The logs that restores have set aside."""
        return (self.state / "set-aside").glob("*/events.db")


def two_events(log: EventLog) -> None:
    Door(log).handle(c.RaiseFault("disk", "full"), "anna")
    Door(log).handle(c.ClearFault("disk"), "anna")


def snapshot(store: SnapshotStore, number: int) -> str:
    """Tag the tree as it is; the tag's name."""
    with store.locked():
        taken = store.take_tree()
        commit = store.commit(taken.tree, parent_tree_commit=None, message="m\n", at=now())
        name = f"learning-snapshot-00000000-0000-0000-0000-{number:012}"
        store.tag(name, commit)
        store.save_record(name.removeprefix("learning-snapshot-"), b"{}")
    return name
