"""Where the work is done: what every step of a job needs, made once and shared by the workers.

A snapshot store belongs to a repository and a work tree; the sandbox to the machine; both are made when
first asked for, so that reading verbs never pay for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.door import Door
from learnd.settings import Settings
from learnd.views.queries import Views
from learnd.views.store import read_connection

if TYPE_CHECKING:
    from learnd.harvest.store import SnapshotStore
    from learnd.lab.sandbox import Sandbox


@dataclass
class Workplace:
    """`boot_id` tells this run of learnd from every other; `progress` hears a line a human may see."""

    settings: Settings
    door: Door
    boot_id: str
    progress: Callable[[str, str], None] = lambda _job, _line: None
    library: threading.Lock = field(default_factory=threading.Lock)
    """Held while a draft is compared with the patterns there are, or a decision on one with those that are served."""
    _stores: dict[tuple[str, str], SnapshotStore] = field(default_factory=dict)
    _sandbox: Sandbox | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def views(self) -> Views:
        """The read models, on this thread's own connection."""
        return Views(read_connection(self.door.log))

    def store(self, repo_id: str, repo_path: str) -> SnapshotStore:
        """learnd's own git repository for the user's repository, looking at the work tree `repo_path`."""
        from learnd.harvest.store import SnapshotStore  # noqa: PLC0415 - gitpython is slow to import

        with self._lock:
            key = (repo_id, repo_path)
            if key not in self._stores:
                self._stores[key] = SnapshotStore(self.settings.state_dir, repo_id, Path(repo_path))
            return self._stores[key]

    def sandbox(self) -> Sandbox:
        """The sandbox that the operator's settings ask for."""
        from learnd.lab.sandbox import Sandbox  # noqa: PLC0415 - only replays need it

        with self._lock:
            if self._sandbox is None:
                self._sandbox = Sandbox.choose(self.settings)
            return self._sandbox

    @property
    def work_dir(self) -> Path:
        """Where learnd keeps what it is working on: drafts, trees that do not fit in memory."""
        return self.settings.state_dir / "work"

    @property
    def quarantine_dir(self) -> Path:
        return self.settings.state_dir / "quarantine"
