"""The table of all pairs: one row each, whatever came of it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from bench.evidence.learned import HUNKS, Learned
from bench.evidence.pairs import Pair
from bench.measuring import shown

HEAD = (
    "pair", "layout · runner", "verdict", "F→P", "P→P", "F→F", "P→F", *HUNKS, "smallest", "replays", "time",
    "by hand", "not the tests' own", "what it says",
)  # fmt: skip
SAID_MAX = 200
ABOUT = """# Evidence from real fixes

Written by `make bench-evidence` (`PAIRS=parse,h11`: some pairs anew). Each row is a release of a package and the next:
the older committed, the newer in the work tree, the tests that it changed run as the run's command, the whole worked on
by `learnd once` with its defaults. `F→P` and so on count tests by what became of them from base to snapshot; then the
hunks by their verdict, and how many of them the smallest proven change keeps. `time` is from the first replay to the
verdict, hunks and smallest change included; `by hand` is the same command, once, in the plain work tree. *Not the
tests' own* is the time outside of the commands, and what a replay's command takes beyond its time by hand (sandbox,
cold caches, reporter), of the whole. Archives come from PyPI and npm: neither Go modules nor Rust crates could be had.
"""


def told(pair: Pair, learned: Learned) -> str:
    """A pair's row."""
    evidence, turned, hunks = learned.evidence, learned.evidence.transitions, learned.hunks()
    counts = (turned.fail_to_pass, turned.pass_to_pass, turned.fail_to_fail, turned.pass_to_fail) if turned else ()
    minimal = evidence.minimal
    share = learned.foreign_share
    cells = (
        pair.title,
        f"{pair.layout} · {pair.runner}",
        f"**{evidence.verdict}**" if evidence.verdict == "proven" else f"{evidence.verdict}: {evidence.cause}",
        *([str(tests.count) for tests in counts] or ["–"] * 4),
        *([str(hunks[verdict]) for verdict in HUNKS] if hunks else ["–"] * len(HUNKS)),
        f"{len(minimal.hunks)} of {hunks.total()}{'' if minimal.complete else ', not to the end'}" if minimal else "–",
        str(learned.replays),
        shown(learned.seconds),
        shown(learned.by_hand),
        "–" if share is None else f"{share:.0%}",
        evidence.detail,
    )
    return _row(cells)


def told_of_none(pair: Pair, error: Exception) -> str:
    """The row of a pair that came to no verdict."""
    blank = ["–"] * (len(HEAD) - 4)
    return _row((pair.title, f"{pair.layout} · {pair.runner}", "none", *blank, str(error)))


def _row(cells: Sequence[str]) -> str:
    *plain, said = cells
    flat = " ".join(said.split()).replace("|", "\\|")
    short = flat if len(flat) <= SAID_MAX else f"{flat[:SAID_MAX].rsplit(' ', 1)[0]} …"
    return f"| {' | '.join((*plain, short))} |"


def kept_in(text: str) -> dict[str, str]:
    """The rows of a page that `page` made, by their pairs' titles."""
    rows = (
        line for line in text.splitlines() if line.startswith("| ") and not line.startswith((f"| {HEAD[0]} |", "| ---"))
    )
    return {row.split(" | ")[0].removeprefix("| "): row for row in rows}


def page(rows: Sequence[str], not_run: Sequence[str] = ()) -> str:
    """The whole page. `not_run` are the titles of pairs that have no row yet."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    proven = sum("| **proven** |" in row for row in rows)
    return "\n".join((
        ABOUT,
        f"{os.cpu_count()} × {cpu.partition(': ')[2].strip()} · Linux {platform.release()} · "
        f"Python {platform.python_version()} · {proven} of {len(rows)} proven",
        "",
        f"| {' | '.join(HEAD)} |",
        f"|{' --- |' * len(HEAD)}",
        *rows,
        "",
        *([f"Not run here yet: {', '.join(not_run)}.", ""] if not_run else []),
    ))  # fmt: skip
