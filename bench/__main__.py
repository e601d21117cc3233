"""`python -m bench [ROW…]`: measure, print one table, keep it in RESULTS.md.

Each row is a module of this folder with `measure(folder, scale) -> list[Line]`. A run of some rows replaces only their
lines of the kept table.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from bench.measuring import Line, shown, timed
from learnd.clock import now
from learnd.verbs import diagnostics

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).with_name("RESULTS.md")
ROWS = (
    "append", "verify", "rebuild", "detect", "start", "snapshot", "job", "lab", "startup", "memory", "check", "serving",
    "library",
)  # fmt: skip
HEAD = ("row", "what", "learnd", "peer", "ratio", "aim", "met", "n", "measured")
LIBRARIES = ("pydantic", "typer", "watchdog", "eventsourcing")
MET = {True: "yes", False: "**no**", None: ""}
MISSED = "Missed: "

Measure = Callable[[Path, float], list[Line]]


def measure_of(row: str) -> Measure:
    """How a row is measured: into a fresh folder, at `scale` of its full size."""
    found: Measure = import_module(f"bench.{row}").measure
    return found


def main(asked: Sequence[str]) -> int:
    unknown = [row for row in asked if row not in ROWS]
    if unknown:
        print(f"no row {', '.join(unknown)}. Next: any of {', '.join(ROWS)}", file=sys.stderr)
        return 2
    diagnostics.configure(quiet=True)
    kept = kept_in(RESULTS.read_text() if RESULTS.is_file() else "")
    for row in asked or ROWS:
        lines: list[Line] = []
        # Beside the checkout's own files: a temporary folder may be memory, where nothing is durable.
        with tempfile.TemporaryDirectory(dir=ROOT, prefix=".bench-") as folder:
            measure, place = measure_of(row), Path(folder)
            seconds = timed(lambda: lines.extend(measure(place, 1.0)))  # noqa: B023 - called at once
        kept[row] = told(row, lines)
        print(f"{row}: {shown(seconds)}", file=sys.stderr)
        RESULTS.write_text(page(kept))
    print(page(kept))
    return 0


def told(row: str, lines: Sequence[Line]) -> list[str]:
    """A row's lines of the table, then one for each reason why an aim is missed."""
    day = now()[:10]
    cells = [(row, o.what, o.learnd, o.peer, o.ratio, o.aim, MET[o.met], o.n, day) for o in lines]
    missed = dict.fromkeys(o.why for o in lines if o.met is False)
    return [*(f"| {' | '.join(each)} |" for each in cells), *(f"{MISSED}`{row}`: {why}." for why in missed)]


def kept_in(text: str) -> dict[str, list[str]]:
    """What `told` said of each row, from a page that `page` made."""
    kept: dict[str, list[str]] = {}
    for line in text.splitlines():
        for row in ROWS:
            if line.startswith((f"| {row} | ", f"{MISSED}`{row}`")):
                kept.setdefault(row, []).append(line)
    return kept


def page(kept: dict[str, list[str]]) -> str:
    """The whole page: where it was measured, the table, what is missed and why."""
    lines = [line for row in ROWS for line in kept.get(row, ())]
    table = [line for line in lines if line.startswith("|")]
    missed = [line for line in lines if line.startswith(MISSED)]
    head = [f"| {' | '.join(HEAD)} |", f"|{' --- |' * len(HEAD)}"]
    return "\n".join((*_heading(), "", *head, *table, "", *(f"{line}\n" for line in missed)))


def _heading() -> list[str]:
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return [
        "# Measured ratios",
        "",
        "Written by `make bench`; `make bench ROWS=append,verify` measures some rows anew. Each is measured in turns",
        "with its peer in the same run; medians. Only the ratios say something about another machine.",
        "",
        f"{os.cpu_count()} × {cpu.partition(': ')[2].strip()} · Linux {platform.release()} · "
        f"Python {platform.python_version()} · SQLite {sqlite3.sqlite_version} · git {git} · {libraries}",
    ]


if __name__ == "__main__":
    sys.exit(main([row for word in sys.argv[1:] for row in word.split(",") if row]))
