"""A repository that somebody prepared against learnd, the folder beside it that must not change, and the engine."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.repos import fix, make_repo, manifest, put_manifest

from learnd.engine import Engine
from learnd.intake import Seen
from learnd.repositories import register
from learnd.settings import Lab, Settings
from learnd.verbs.why import why
from learnd.views.queries import JobRow
from state.job import AT_REST, BLOCKED, JobStatus

FAST = Lab(cheap_seconds=0, replays_min=3, hunk_seconds=30)
RUN = ".runs/fix-mean/cli/run-1"

Listing = dict[str, tuple[int, str]]


@dataclass
class Place:
    """`outside` is the attacker's aim: somebody's folder with somebody's files."""

    folder: Path
    repo: Path
    outside: Path
    engine: Engine

    def sweep(self) -> list[Seen]:
        tree = register(self.engine.door, self.engine.views(), self.repo, "anna")
        return list(self.engine.sweep(tree))

    def work(self) -> None:
        """Work as the daemon does until nothing can be done. What the daemon would die of is raised."""
        while (job_id := self.engine.scheduler.take(0)) is not None:
            self.engine.work(job_id)
        self.engine.publisher.late()

    def settle(self) -> JobRow:
        self.sweep()
        self.work()
        return self.job()

    def when(self, line: str, act: Callable[[], None]) -> None:
        """Do `act` once, as an attacker would, when the progress of a job first says `line`."""
        waiting = [act]

        def heard(_job: str, said: str) -> None:
            if said.startswith(line) and waiting:
                waiting.pop()()

        self.engine.place.progress = heard

    def job(self) -> JobRow:
        return self.engine.views().jobs()[-1]

    def types(self) -> list[str]:
        return [record.type for record in self.engine.log.read(f"job-{self.job().id}")]

    def explained(self, what: str) -> bool:
        """Whether `learnd why` has an answer. It prints; that it does not raise is half of the point."""
        return why(self.folder / "state/events.db", what, as_json=True) == 0


@contextmanager
def place(folder: Path, **settings: object) -> Iterator[Place]:
    """A registered repository with a fix and a completed run in it, and nothing hostile yet."""
    outside = folder / "outside"
    outside.mkdir()
    (outside / "precious.txt").write_text("precious\n")
    (outside / "manifest.json").write_text("{}\n")
    (outside / "run-1.tar.gz").write_text("precious too\n")
    repo = make_repo(folder / "repo")
    chosen: dict[str, object] = {"lab": FAST, "snapshot_backoff_seconds": 0.0, **settings}
    with Engine.opened(Settings(state_dir=folder / "state", **chosen)) as engine:  # type: ignore[arg-type] # checked
        register(engine.door, engine.views(), repo, "anna")
        yield Place(folder, repo, outside, engine)


def changed_run(found: Place, **changes: object) -> Path:
    """The sample's fix, and the manifest of the run that made it."""
    fix(found.repo)
    return put_manifest(found.repo, manifest(**changes))


def listing(root: Path, *, but: Callable[[str], bool] = lambda _: False) -> Listing:
    """Every entry below `root`: kind and mode, and what is in it. Links are not followed."""
    found: Listing = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder) / name
            shown = str(path.relative_to(root))
            if but(shown):
                continue
            mode = path.lstat().st_mode
            content = ""
            if stat.S_ISLNK(mode):
                content = str(path.readlink())
            elif stat.S_ISREG(mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            found[shown] = (mode, content)
    return found


def defined(status: str) -> bool:
    """Whether a job's status is one in which learnd is done with it: at rest or blocked, never in the middle."""
    return JobStatus(status) in (*AT_REST, *BLOCKED)
