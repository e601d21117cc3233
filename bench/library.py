"""Whether a draft says what one of a thousand patterns says, and rapidfuzz alone over the same texts.

learnd reads what patterns are compared by from its read models and compares it: changes and symbols first, words only
where those agree. Once with patterns about different code, as libraries are; once with all of them about the same
symbols, so that every text has to be compared.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from bench.measuring import Line, in_turns, median, scaled, shown
from events.values import ChangeMarks, FileRef
from learnd.door import Door
from learnd.keeping.opening import open_kept
from learnd.library.likeness import Likeness, marks_of, most_alike, normal
from learnd.views.likeness_fold import known
from learnd.views.store import read_connection
from state.commands import JudgeDraft, Origin
from state.pattern import PatternStatus

PATTERNS = 1000
ROUNDS = 15
AIM_S = 0.05
WORDS = 350
WHY = "most of it is reading what a thousand patterns are compared by; about 25 ms of CPU on a quiet machine"


def measure(folder: Path, scale: float) -> list[Line]:
    count = scaled(PATTERNS, scale, 20)
    return [_row(folder / name, count, same) for name, same in (("different", False), ("same", True))]


def _row(folder: Path, count: int, same_symbols: bool) -> Line:
    from rapidfuzz import fuzz, process  # noqa: PLC0415 - measured, not imported

    log = open_kept(folder / "events.db")
    try:
        door = Door(log)
        for number in range(count):
            door.handle(_draft(number, same_symbols), "bench")
        # The draft repeats one of them in slightly other words; its change is another, so that words decide.
        text, change = _text(count // 2, same_symbols).replace("because", "since"), _change(count // 2, same_symbols)
        new = Likeness.of(text, change)
        statuses = (PatternStatus.CANDIDATE,)
        texts = {_id(number): normal(_text(number, same_symbols)) for number in range(count)}
        said = normal(text)
        found = most_alike(new, known(read_connection(log), "repo", statuses))
        if found is None or found.pattern_id != _id(count // 2):
            raise AssertionError(f"the repetition was not found: {found}")
        taken = in_turns(
            {
                "learnd": lambda: most_alike(Likeness.of(text, change), known(read_connection(log), "repo", statuses)),
                "peer": lambda: process.extract(said, texts, scorer=fuzz.ratio, limit=1),
            },
            ROUNDS,
            1,
        )
    finally:
        log.close()
    ours, peer = median(taken["learnd"]), median(taken["peer"])
    what = "the same symbols in all" if same_symbols else "symbols of their own"
    return Line(
        f"duplicate among {count} patterns, {what}", shown(ours), f"rapidfuzz.process.extract: {shown(peer)}",
        f"{ours / peer:.2f} × the time", f"≤ {AIM_S * 1e3:.0f} ms", ours <= AIM_S, str(ROUNDS), WHY,
    )  # fmt: skip


def _id(number: int) -> str:
    return hashlib.sha256(f"pattern {number}".encode()).hexdigest()


def _text(number: int, same_symbols: bool) -> str:
    """About three kilobytes of prose of its own, with code spans."""
    words = random.Random(number)  # noqa: S311 - nothing secret
    common = ("orders", "because", "query", "page", "user", "cache", "file", "slow", "reads")
    prose = " ".join(f"{words.choice(common)} w{words.randrange(4000)}" for _ in range(WORDS))
    about = 0 if same_symbols else number
    code = ", ".join(f"`module_{about}.function_{about}_{name}`" for name in range(12))
    return f"# Pattern {number}\n\n## Problem\n\n{prose}\n\n## Solution\n\nSee {code}.\n\n## Rationale\n\nIt holds.\n"


def _change(number: int, same_symbols: bool) -> ChangeMarks:
    """Its lines; none where all texts shall be compared, for changes that differ would settle it."""
    lines = [("+", f"call_{number}_{line}(value)") for line in range(12)]
    return ChangeMarks() if same_symbols else marks_of(lines, (f"module_{number}.py",))


def _draft(number: int, same_symbols: bool) -> JudgeDraft:
    own = _id(number)
    text = _text(number, same_symbols)
    file = FileRef(path=f"/drafts/{number}.md", sha256=own)
    origin = Origin(
        "repo", "/repo", own, "/repo/.runs/t/cli/r/manifest.json", f"Pattern {number}", f"pattern-{number}", "proven",
        file, text, _change(number, same_symbols),
    )  # fmt: skip
    return JudgeDraft(own, origin, ("format",))
