"""A process that takes jobs all the way through the door, and says of each append that it was acknowledged.

Jobs go on from where the log says they are, as the daemon's do, and the read models are part of each append. What is
printed is kept by the test, outside of this process: `open`, then `stands <event ids>` with the size of the write-ahead
log, `failed`, or `unknown` and the end (exit code 3), as the daemon ends when nobody can say whether an append stands.
The head is anchored after each job.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from support.histories import JOB, ORIGIN, PATTERN, TO_DRAFTED, finished, judged

from events.log import AppendFailed, AppendOutcomeUnknown, LogLock, LogUnusable
from learnd.door import Door, Handled
from learnd.keeping.anchor import drop_anchor
from learnd.keeping.opening import open_kept
from state.decide import Command

STEPS: tuple[tuple[Command, ...], ...] = (*((command,) for command in TO_DRAFTED), (judged, finished))
UNKNOWN = 3
REFUSED = 4


def step(number: int, taken: int) -> Sequence[Command]:
    """The commands that a job is due after `taken` of them."""
    job, pattern = f"{number:064x}", f"{number + 0x1000:064x}"
    named = []
    for command in STEPS[taken]:
        own = {"job_id": job} if getattr(command, "job_id", None) == JOB else {}
        own |= {"pattern_id": pattern} if getattr(command, "pattern_id", None) == PATTERN else {}
        own |= {"origin": replace(ORIGIN, job_id=job)} if hasattr(command, "origin") else {}
        named.append(replace(command, **own))
    return named


def work(door: Door, jobs: int) -> None:
    """All of `jobs` jobs to their ends. Raises AppendOutcomeUnknown."""
    for number in range(jobs):
        while (taken := done(door, number)) < len(STEPS):
            try:
                handled = door.handle_together(step(number, taken), "test")
            except AppendOutcomeUnknown:
                raise
            except AppendFailed as error:
                print("failed", error, flush=True)
                continue
            assert isinstance(handled, Handled), handled
            print("stands", *(record.id for record in handled.recorded), flush=True)
            wal = door.log.path.with_name(f"{door.log.path.name}-wal")
            # After a commit whose outcome had to be settled there is none until the next append: all is in the file.
            print("wal", wal.stat().st_size if wal.exists() else 0, flush=True)
        drop_anchor(door.log)


def done(door: Door, number: int) -> int:
    """How many steps the log holds of a job: each appends one event to its stream."""
    return door.log.version(f"job-{number:064x}")


def main(path: Path, jobs: int) -> int:
    with LogLock(path):
        try:
            log = open_kept(path)
        except LogUnusable as error:
            print("refused", error, flush=True)
            return REFUSED
        print("open", flush=True)
        try:
            work(Door(log), jobs)
        except AppendOutcomeUnknown as error:
            print("unknown", error, flush=True)
            return UNKNOWN
        log.verify()
        log.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
