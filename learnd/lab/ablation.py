"""Which hunks matter: each source unit is reverted alone, and the tests say what it was good for.

A unit that cannot be taken out alone (its patch does not revert, or nothing can be imported without it) is
`inseparable`. It is tried once more with its file's other units, then with the units that name what it defines: that
says which tests it has a part in, never that it matters alone. What was not reached in time is `unknown`, never
guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from events.values import HunkEvidence, HunkVerdict
from learnd.lab.hunks import Unit, added_names, defined
from learnd.lab.reading import printable, redacted
from learnd.lab.trials import TimeUp, Trials
from learnd.lab.verdict import hunk_verdict

TURNED_MAX = 50
TOGETHER_MAX = 50
_WORD = re.compile(r"[A-Za-z_$][\w$]*")

Judged = tuple[HunkVerdict, frozenset[str]]


def ablate(trials: Trials, workers: int, progress: Callable[[str], None]) -> tuple[HunkEvidence, ...]:
    """The verdict of every unit, in order. Raises ReplayCancelled."""
    progress(f"reverting {len(trials.units)} hunks, each alone")
    alone = [frozenset({number}) for number in range(len(trials.units))]
    trials.side_by_side(alone, workers)
    return tuple(_ablated(trials, number) for number in range(len(trials.units)))


def _ablated(trials: Trials, number: int) -> HunkEvidence:
    unit = trials.units[number]
    try:
        verdict, turned = _judged(trials, frozenset({number}))
    except TimeUp:
        verdict, turned = "unknown", frozenset()
    together = frozenset[int]()
    if verdict == "inseparable":
        together, turned = _with_others(trials, number)
    trials.laboratory.log.write(f"--- {printable(unit.name)}: {verdict}")
    others = sorted(together - {number})[:TOGETHER_MAX]
    return HunkEvidence(
        file=printable(unit.file),
        lines=unit.lines,
        header=redacted(unit.header),
        verdict=verdict,
        turned=tuple(redacted(test) for test in sorted(turned)[:TURNED_MAX]),
        together=tuple(printable(trials.units[other].name) for other in others),
    )


def _judged(trials: Trials, units: frozenset[int]) -> Judged:
    replayed = trials.without(units)
    if replayed is None:
        return "inseparable", frozenset()
    chosen = [trials.units[number] for number in sorted(units)]
    names = defined(line for unit in chosen for line in unit.added) | added_names(chosen).modules
    return hunk_verdict(replayed, trials.expected, names)


def _with_others(trials: Trials, number: int) -> tuple[frozenset[int], frozenset[str]]:
    """The first company in which the unit can be taken out, and what turned then; nothing where there is none."""
    for company in _companies(trials.units, number):
        try:
            verdict, turned = _judged(trials, company)
        except TimeUp:
            break
        if verdict in ("exercised", "unexercised"):
            return company, turned
    return frozenset(), frozenset()


def _companies(units: tuple[Unit, ...], number: int) -> Iterator[frozenset[int]]:
    unit = units[number]
    file = frozenset(other for other, candidate in enumerate(units) if candidate.file == unit.file)
    names = defined(unit.added) | {name.rpartition(".")[2] for name in added_names([unit]).modules}
    naming = frozenset(other for other, candidate in enumerate(units) if names & _words(candidate)) | {number}
    yield from dict.fromkeys(company for company in (file, naming, file | naming) if len(company) > 1)


def _words(unit: Unit) -> frozenset[str]:
    return frozenset(word for line in unit.added for word in _WORD.findall(line))
