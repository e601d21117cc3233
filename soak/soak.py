"""`make soak`: bursts of runs, one in ten broken, into a daemon that is killed again and again.

In the end every run must be in a status that is right for its kind, memory and open files must have levelled off,
nothing may be left over, and the log must verify. Prints what it saw; exits 1 when anything of that does not hold.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/daemon"), str(ROOT / "soak")]

from daemon_process import Daemon, left_behind, registered, until  # noqa: E402 - found by the line above
from measure import Life, level_off, sample  # noqa: E402 - as above
from runs import NO_JOB, Repository, Run, committed, kinds, spoil  # noqa: E402 - as above

from events.log import EventLog  # noqa: E402 - as above
from learnd.views.queries import JobRow, Views  # noqa: E402 - as above
from learnd.views.store import read_connection  # noqa: E402 - as above
from state.job import WORKING  # noqa: E402 - as above

TICK_S = 0.25
SAMPLE_S = 1.0
BURST = (5, 30)
TAIL_MIN = 120.0
"""How long what arrived may take to come to rest after the last arrival, in minutes, before the soak gives up."""


class SoakBroken(Exception):
    """The soak cannot go on; the message says why."""


@dataclass
class Soak:
    """Everything that the loop looks at. Times are seconds of the monotonic clock."""

    folder: Path
    count: int
    minutes: float
    kill_s: float
    chance: random.Random
    repositories: list[Repository] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    unspoiled: list[Run] = field(default_factory=list)
    kills: int = 0

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def prepare(self) -> None:
        mark = uuid.uuid4().hex[:12]
        (self.folder / "tmp").mkdir()
        for number in range(5):
            self.repositories.append(Repository.make(self.folder / f"repo-{number}", f"soak{mark}"))
        registered(self.state, *(repository.path for repository in self.repositories))
        self.heads = [committed(repository) for repository in self.repositories]

    def daemon(self) -> Daemon:
        daemon = Daemon(self.state, LEARND_WORKERS="2", TMPDIR=str(self.folder / "tmp"))
        self.lives.append(Life(time.monotonic()))
        return daemon

    # --- arriving ---

    def bursts(self) -> list[tuple[float, list[str]]]:
        """When how many of which kinds arrive, in seconds from the start."""
        waiting = kinds(self.count, self.chance)
        groups = []
        while waiting:
            size = self.chance.randint(*BURST)
            groups.append(waiting[:size])
            waiting = waiting[size:]
        return [(self.minutes * 60 * number / len(groups), group) for number, group in enumerate(groups)]

    def arrive(self, group: list[str]) -> None:
        """A burst over all repositories; a tree whose runs are all captured is changed before."""
        jobs = self.jobs()
        for repository in self.repositories:
            if all(captured(run, jobs) for run in repository.runs):
                (repository.path / ".git/index.lock").unlink(missing_ok=True)
                repository.change()
        for kind in group:
            self.unspoiled.append(self.chance.choice(self.repositories).arrives(kind))

    def jobs(self) -> dict[str, list[JobRow]]:
        """All jobs by their manifests' paths."""
        found: dict[str, list[JobRow]] = defaultdict(list)
        with EventLog.open_readonly(self.state / "events.db") as log:
            for row in Views(read_connection(log)).jobs():
                found[row.manifest_path].append(row)
        return found

    # --- running ---

    def run(self) -> None:
        began = time.monotonic()
        bursts = self.bursts()
        daemon = self.daemon()
        kill_at, sample_at, said_at = began + self.kill_s, 0.0, began
        try:
            while bursts or self.unfinished():
                moment = time.monotonic()
                arriving = bool(bursts)
                while bursts and moment - began >= bursts[0][0]:
                    self.arrive(bursts.pop(0)[1])
                self.unspoiled = [run for run in self.unspoiled if not spoil(run)]
                if daemon.process.poll() is not None:
                    raise SoakBroken(f"the daemon ended by itself: {daemon.said()[-3000:]}")
                if arriving and moment >= kill_at:
                    daemon.kill()
                    self.kills += 1
                    daemon, kill_at = self.daemon(), moment + self.kill_s
                if moment >= sample_at:
                    sample_at = moment + SAMPLE_S
                    self.lives[-1].samples.append(sample(daemon.pid))
                if moment >= said_at:
                    said_at = moment + 60
                    self.say(began)
                if moment - began > (self.minutes + TAIL_MIN) * 60:
                    raise SoakBroken(f"{TAIL_MIN:.0f} minutes after the last arrival: {self.unfinished()[:5]}")
                time.sleep(TICK_S)
            if daemon.end() != 0:
                raise SoakBroken(f"the daemon did not drain: {daemon.said()[-3000:]}")
        finally:
            daemon.__exit__()
        self.took_s = time.monotonic() - began

    def unfinished(self) -> list[str]:
        """Manifests of runs that are owed something: no job yet, or one that is still worked on."""
        jobs = self.jobs()
        return [
            str(run.manifest)
            for repository in self.repositories
            for run in repository.runs
            if (not jobs.get(str(run.manifest)) and NO_JOB not in run.ends)
            or any(row.status in WORKING for row in jobs.get(str(run.manifest), ()))
        ]

    def say(self, began: float) -> None:
        arrived = sum(len(repository.runs) for repository in self.repositories)
        statuses = Counter(row.status for rows in self.jobs().values() for row in rows)
        minutes = (time.monotonic() - began) / 60
        last = self.lives[-1].samples[-1] if self.lives[-1].samples else None
        print(f"{minutes:5.1f} min: {arrived} arrived, {self.kills} kills, {dict(statuses)}, {last}", flush=True)

    # --- what must hold ---

    def wrong_statuses(self) -> list[str]:
        """Runs that did not end as their kind must."""
        jobs = self.jobs()
        wrong = []
        self.ends: Counter[tuple[str, str]] = Counter()
        for repository in self.repositories:
            for run in repository.runs:
                found = [end_of(row) for row in jobs.pop(str(run.manifest), [])] or [NO_JOB]
                self.ends[run.kind, ", ".join(found)] += 1
                if len(found) != 1 or found[0] not in run.ends:
                    wrong.append(f"{run.kind}: {found}, not {sorted(run.ends)} ({run.manifest})")
        return wrong + [f"a job of no run: {path}" for path in jobs]

    def left_over(self) -> list[str]:
        """Processes, folders and files that nobody needs any more."""
        marker = os.fsencode(self.folder)
        marks = [repository.mark.encode() for repository in self.repositories]
        until(lambda: not running(marker, *marks), "the end of every process")
        parts = [str(path) for path in self.folder.rglob("*.part")]
        locks = [str(path) for repo in self.repositories for path in (repo.path / ".runs").rglob("*.lock")]
        temporary = [str(path) for path in (self.folder / "tmp").iterdir()]
        stores = self.state.glob("repositories/*/*-*")
        working = [str(path) for path in stores if path.name.startswith(("capture-", "index-", "tarball-"))]
        moved = [
            str(repository.path)
            for repository, head in zip(self.repositories, self.heads, strict=True)
            if committed(repository) != head
        ]
        return [*left_behind(self.state), *parts, *locks, *temporary, *working, *moved]

    def verifies(self) -> list[str]:
        argv = [sys.executable, "-P", "-m", "learnd", "verify"]
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LEARND_STATE_DIR": str(self.state)}
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
        print(f"learnd verify: {done.stdout.strip()}")
        return [] if done.returncode == 0 else [f"learnd verify: {done.stdout}{done.stderr}"]


def captured(run: Run, jobs: dict[str, list[JobRow]]) -> bool:
    rows = jobs.get(str(run.manifest), [])
    if not rows:
        return NO_JOB in run.ends
    return all(row.status not in ("observed", "opened") for row in rows)


def end_of(row: JobRow) -> str:
    return f"{row.status}: {row.evidence}" if row.status == "validation_failed" else row.status


def running(*markers: bytes) -> list[str]:
    """Processes of the machine that one of `markers` is in, in their command line or their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue  # it ended meanwhile, or is another user's
        if any(marker in told for marker in markers):
            found.append(told.decode(errors="replace"))
    return found


def main() -> int:
    asked = arguments()
    folder = Path(tempfile.mkdtemp(prefix="learnd-soak-"))
    soak = Soak(folder, asked.runs, asked.minutes, asked.kill_seconds, random.Random(asked.seed))  # noqa: S311 - no secret
    print(f"{asked.runs} runs over {asked.minutes:g} minutes, a kill every {asked.kill_seconds:g} s, in {folder}")
    soak.prepare()
    soak.run()
    wrong = [*soak.wrong_statuses(), *soak.left_over(), *soak.verifies(), *level_off(soak.lives)]
    for (kind, end), count in sorted(soak.ends.items()):
        print(f"{count:6} × {kind}: {end}")
    worked = sum(count for (_, end), count in soak.ends.items() if end not in (NO_JOB, "recorded"))
    print(f"{soak.kills} kills, {worked} jobs in {soak.took_s / 60:.1f} min: {worked * 60 / soak.took_s:.1f} a minute")
    for line in wrong:
        print(f"WRONG: {line}")
    print("all as it should be" if not wrong else f"{len(wrong)} wrong; look into {folder}")
    if not wrong:
        subprocess.run(["rm", "-rf", str(folder)], check=True)
    return 1 if wrong else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--minutes", type=float, default=30, help="the time over which they arrive")
    parser.add_argument("--kill-seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
