"""Starting a verb: `learnd --help` and `learnd jobs`, a process each, beside an interpreter that does nothing.

`jobs` lists a log of a few hundred jobs. The installed command is started, as a person would.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.measuring import Line, in_turns, median, scaled, shown
from bench.million import make_log
from learnd.views.store import rebuild

ROUNDS = 40
EVENTS = 5000
AIM = 7.0
WHY = "typer, click and rich are imported for the command line, and SQLite for the log"


def measure(folder: Path, scale: float) -> list[Line]:
    with make_log(folder / "state/events.db", scaled(EVENTS, scale, 50)) as log:
        rebuild(log)
    rounds = scaled(ROUNDS, scale, 2)
    learnd = str(Path(sys.executable).with_name("learnd"))
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LEARND_STATE_DIR": str(folder / "state"),
    }

    def run(*argv: str) -> None:
        _run(argv, environ)

    works = {
        "nothing": lambda: run(sys.executable, "-c", "pass"),
        "learnd --help": lambda: run(learnd, "--help"),
        "learnd jobs": lambda: run(learnd, "jobs"),
    }
    taken = {name: median(seconds) for name, seconds in in_turns(works, rounds, 2).items()}
    return [
        Line(
            f"start-up: {name}",
            shown(taken[name]),
            f"python -c pass: {shown(taken['nothing'])}",
            f"{taken[name] / taken['nothing']:.1f} × the time",
            f"≤ {AIM:.0f} ×",
            taken[name] <= AIM * taken["nothing"],
            f"{rounds} each",
            WHY,
        )
        for name in ("learnd --help", "learnd jobs")
    ]


def _run(argv: Sequence[str], environ: dict[str, str]) -> None:
    subprocess.run(argv, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
