"""Given: a writer whose system calls fail or kill it, a journal of what it acknowledged, and what must hold after.

The journal is the test's own. What it holds is in the log for ever; each job's stream is the beginning of what a job
does, no step twice; the chain holds; the read models are what a fold makes of the log.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fault_writer import REFUSED, STEPS, UNKNOWN

from events.log import EventLog, LogUnusable
from learnd.keeping.anchor import anchors_file, read_anchors
from learnd.keeping.opening import open_kept
from learnd.views.queries import Views
from learnd.views.store import open_for_writing, read_connection, rebuild

ROOT = Path(__file__).resolve().parents[2]
WRITER = Path(__file__).with_name("fault_writer.py")
JOBS = 3
JOB_TYPES = [
    "JobOpened", "SnapshotTaken", "JobQueued", "ScenarioSynthesized", "ReplayStarted", "ChangeValidated",
    "CrystalizationStarted", "ModelCallSettled", "PatternDrafted", "JobLearned",
]  # fmt: skip
PATTERN_TYPES = ["PatternStaged", "PatternProposed"]


def may_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(["strace", "-f", "-qq", "-e", "trace=none", "true"], capture_output=True, check=False)
    return tried.returncode == 0


@dataclass(frozen=True)
class Fault:
    """What befalls the system call `call`, from its `first` to its `last` time (None: for good)."""

    call: str
    what: str
    first: int
    last: int | None = 0
    """0: that one time only."""

    def __str__(self) -> str:
        until = "" if self.last == 0 else "+" if self.last is None else f"..{self.last}"
        return f"{self.call}:{self.what}:when={self.first}{until}"

    @property
    def prefix(self) -> list[str]:
        return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={self.call}", "-e", f"inject={self}"]


SAID = ("open", "stands", "wal", "failed", "unknown", "refused")
"""What the writer says itself; the rest is learnd's log of its own work."""
KILL = "signal=SIGKILL"


class Writing:
    """Writers on one log, one after the other, and the journal of what they acknowledged."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.db"
        self.journal: list[str] = []
        self.acknowledged_bytes = 0
        """How long the write-ahead log was when it held all that was acknowledged, and nothing more."""

    def run(self, fault: Fault | None = None, prefix: Sequence[str] = ()) -> tuple[int, list[str]]:
        """One writer to its end: exit code and lines. What it acknowledged is written down."""
        argv = [*(fault.prefix if fault else prefix), sys.executable, "-P", str(WRITER), str(self.path), str(JOBS)]
        # A fault must not strike while byte code is written: whatever runs from this checkout would load the torn file.
        environ = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
        whole = [line for line in done.stdout.splitlines(keepends=True) if line.endswith("\n")]
        lines = [line for line in whole if line.split(maxsplit=1)[0] in SAID]
        for line in lines:
            if line.startswith("stands"):
                self.journal += line.split()[1:]
            elif line.startswith("wal"):
                self.acknowledged_bytes = int(line.split()[1])
        ended = done.returncode if done.returncode >= 0 else -signal.SIGKILL
        code = -signal.SIGKILL if ended in (128 + signal.SIGKILL, -signal.SIGKILL) else ended
        assert code in (0, UNKNOWN, REFUSED, -signal.SIGKILL), f"{fault}: {done.returncode} {done.stderr[-2000:]}"
        return code, lines

    def strikes(self, fault: Fault) -> list[str]:
        """A writer under `fault`, then whether everything holds, then one that ends the work. The first one's lines."""
        code, lines = self.run(fault)
        if code != REFUSED:
            self.holds()
        again, _ = self.run()
        assert again == 0
        self.holds(whole=True)
        return lines

    def holds(self, *, whole: bool = False) -> None:
        """Nothing acknowledged is lost, nothing is there twice, nothing is half there."""
        with open_for_writing(self.path) as log:
            recorded = list(log.read_all())
            known = [record.id for record in recorded]
            journalled = set(self.journal)
            assert [name for name in known if name in journalled] == self.journal, "an acknowledged event is lost"
            for number in range(JOBS):
                job_holds(log, number, whole=whole)
            assert log.verify().count == len(recorded)
            views = Views(read_connection(log))
            before = (views.jobs(), views.patterns())
            rebuild(log)
            views = Views(read_connection(log))
            assert (views.jobs(), views.patterns()) == before, "read models are not what a fold makes of the log"


def job_holds(log: EventLog, number: int, *, whole: bool) -> None:
    """A job's stream is the beginning of what a job does, and its pattern's is there exactly when the job has ended."""
    steps = [record.type for record in log.read(f"job-{number:064x}")]
    assert steps == JOB_TYPES[: len(steps)], "a step is there twice, or missing"
    ended = len(steps) == len(STEPS)
    pattern = [record.type for record in log.read(f"pattern-{number + 0x1000:064x}")]
    assert pattern == (PATTERN_TYPES if ended else []), "half of an append"
    assert ended or not whole


@dataclass(frozen=True)
class Torn:
    """A log whose writer was killed between writing an append and acknowledging it: everything in its side file."""

    folder: Path
    journal: tuple[str, ...]
    known: tuple[str, ...]
    """Ids of all events that a reader of the undamaged files finds."""
    acknowledged_bytes: int
    anchored: int

    @classmethod
    def make(cls, folder: Path) -> Torn:
        writing = Writing(folder / "written")
        writing.path.parent.mkdir()
        code, _ = writing.run(Fault("fdatasync", KILL, 36))
        assert code == -signal.SIGKILL
        kept = folder / "kept"
        kept.mkdir()
        for file in writing.path.parent.iterdir():
            if not file.name.endswith(("-shm", ".lock")):
                shutil.copy(file, kept)
        with EventLog.open_readonly(writing.path) as log:
            known = tuple(record.id for record in log.read_all())
        anchored = max(anchor.position for anchor in read_anchors(anchors_file(kept / "events.db")))
        assert 0 < anchored < len(writing.journal)
        assert (kept / "events.db-wal").stat().st_size > writing.acknowledged_bytes
        return cls(kept, tuple(writing.journal), known, writing.acknowledged_bytes, anchored)

    def tear(self, folder: Path, seed: int) -> str:
        """Cut or garble the side file of a copy somewhere, and open it. `noticed`, or how much of the log was there."""
        shutil.copytree(self.folder, folder)
        chance = random.Random(seed)  # noqa: S311 - no secret
        wal = folder / "events.db-wal"
        content = bytearray(wal.read_bytes())
        # Every other one in what was never acknowledged.
        at = chance.randrange(self.acknowledged_bytes if seed % 2 else 0, len(content))
        if chance.random() < 0.5:
            del content[at:]
        else:
            end = min(len(content), at + chance.randint(1, 200))
            content[at:end] = bytes(byte ^ chance.randint(1, 255) for byte in content[at:end])
        wal.write_bytes(content)
        try:
            log = open_kept(folder / "events.db")
        except LogUnusable as error:
            if at >= self.acknowledged_bytes:
                raise AssertionError("nothing that was acknowledged was touched") from error
            return "noticed"
        with log:
            found = tuple(record.id for record in log.read_all())
            assert found == self.known[: len(found)], "not the beginning of what was written"
            assert len(found) >= self.anchored, "the loss of anchored events was not noticed"
            assert at < self.acknowledged_bytes or found[: len(self.journal)] == self.journal
            for number in range(JOBS):
                job_holds(log, number, whole=False)
            log.verify()
        return "all that was acknowledged" if len(found) >= len(self.journal) else "a beginning"
