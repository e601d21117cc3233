"""A whole job, from the rename of its manifest to its pattern: what learnd adds to the commands that it replays.

The peer is the very command of the run, started on the repository as it is, without any isolation: as often as the
job's evidence counts replays (both sides, and one for each hunk) it would have taken that long anyway.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from bench.daemon import Daemon, registered, until
from bench.measuring import Line, in_turns, median, scaled, shown
from bench.sample import COMMAND, finish_run, make_repo, mend, settled
from events.catalog import ChangeValidated
from events.log import EventLog

JOBS = 5
OVERHEAD_S, EACH_S = 1.0, 0.15
FEW = {"LEARND_LAB__CHEAP_SECONDS": "0"}
"""For a trial: no more replays than a verdict needs."""
WHY = "see the times between a job's events with `learnd show`"


def measure(folder: Path, scale: float) -> list[Line]:
    over: list[float] = []
    aims: list[float] = []
    whole: list[float] = []
    commands: list[float] = []
    replays = 0
    for number in range(scaled(JOBS, scale, 1)):
        repo = make_repo(folder / f"job/{number}")
        state = folder / f"job/state-{number}"
        registered(state, repo)
        mend(repo)
        with Daemon(state, **({} if scale >= 1 else FEW)) as daemon:
            daemon.ready()
            own = median(in_turns({"": lambda repo=repo: _command(repo)}, 5, 1)[""])  # type: ignore[misc]
            begun = time.monotonic()
            run = finish_run(repo, number)
            status = until(lambda state=state, run=run: settled(state, run), "the job's end", 0.005)  # type: ignore[misc]
            seconds = time.monotonic() - begun
        replays = _replays(state)
        if status != "learned":
            raise RuntimeError(f"the job came out as {status}")
        whole.append(seconds)
        commands.append(own * replays)
        over.append(seconds - own * replays)
        aims.append(OVERHEAD_S + EACH_S * replays)
    return [
        Line(
            f"a whole job of {replays} replays, beyond its commands",
            shown(median(over)),
            f"its commands: {shown(median(commands))}",
            f"{median(whole) / median(commands):.1f} × the time",
            f"≤ {median(aims):.1f} s (1 s + 0.15 s a replay)",
            median(over) <= median(aims),
            f"{len(over)}",
            WHY,
        )
    ]


def _command(repo: Path) -> None:
    subprocess.run(COMMAND.split(), cwd=repo, capture_output=True, check=True)


def _replays(state: Path) -> int:
    log = EventLog.open_readonly(state / "events.db")
    try:
        found = [record.data.evidence for record in log.read_all() if isinstance(record.data, ChangeValidated)]
    finally:
        log.close()
    return sum(len(evidence.base) + len(evidence.snapshot) + len(evidence.hunks) for evidence in found)
