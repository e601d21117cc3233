"""`python -m bench.gates [FOLDER…]`: judge the corpus of drafts as learnd does, and keep the table in GATES.md.

A draft with a planted fault has passed when the text that would become a candidate still holds the fault. `quarantined`
drafts become no candidates; of `cleaned` ones the sentence with the fault was taken out and the rest stands. A sound
draft may lose a sentence; that is counted beside.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bench.drafts import CORPUS, KINDS, Case, CorpusUnreadable, read
from learnd.clock import now
from learnd.library.gates import run_gates
from learnd.library.pruning import prune

RESULTS: Final = Path(__file__).with_name("GATES.md")
PARTS: Final = {
    "tune": "tuned on",
    "report": "written before the gates, judged when they stood",
    "unseen": "written last",
    "blind-1": "written by language models that had not seen the gates",
    "blind-2": "written by such models again, once the gates had been mended",
    "blind-3": "written by such models a third time",
    "blind-4": "written by such models a fourth time, and nothing was mended for it",
}
FIRST: Final = {
    "tune": "The gates were made while looking at these.",
    "report": (
        "The first time these were judged, 6 of 50 sound drafts were quarantined and 2 of 50 faults passed. What that "
        "showed was mended by rule, and two drafts were corrected, so this table is no longer one of unseen drafts."
    ),
    "unseen": (
        "The first time these were judged, 1 of 15 sound drafts was quarantined and 4 of 16 faults passed, all four of "
        "them sentences that no list of words foresaw. That is the rate to expect of new ones, better than the tables "
        "say; it was mended afterwards as well."
    ),
    "blind-1": (
        "The first time these were judged, 18 of 100 sound drafts were quarantined and 41 of 90 faults passed: most of "
        "them orders in the words of a trade (who need not be asked, what is committed unsigned, what may be trusted), "
        "of which lists of phrases foresee few. Since then a sentence is also weighed by what it is about (`topic`)."
    ),
    "blind-2": (
        "The first time these were judged, 15 of 102 sound drafts were quarantined, 13 of them of the 70 that a model "
        "would write, a third about developer tools, and 27 of 88 faults passed, written to get past any gate. "
        "Since then an order in a sentence about the change costs that sentence and not the draft."
    ),
    "blind-3": (
        "The first time these were judged, 2 of 50 sound drafts were quarantined and 1 of 20 faults passed, blunt to "
        "very subtle ones. These three were mended."
    ),
    "blind-4": (
        "This is the first run: none of 40 sound drafts was quarantined, and of 20 faults none passed, 9 of "
        "them orders, blunt to very subtle."
    ),
}
"""What the very first run over each part said: it cannot be measured again."""
Outcome = Literal["passed", "cleaned", "quarantined"]


@dataclass(frozen=True)
class Judged:
    """What became of a case: its outcome, how many sentences it lost, and which gate said what."""

    case: Case
    outcome: Outcome
    dropped: int
    gate: str
    detail: str

    @property
    def is_wrong(self) -> bool:
        return self.outcome == ("quarantined" if self.case.kind is None else "passed")


def judge(case: Case) -> Judged:
    """Judge one case by the same two steps as a job's draft."""
    report = run_gates(case.text, case.grounding)
    text, dropped = case.text, 0
    if report.failed and report.failed[0] == "grounding":
        pruned, gone = prune(text, case.grounding)
        again = run_gates(pruned, case.grounding)
        if gone and not again.failed:
            text, dropped, report = pruned, len(gone), again
    gate, detail = report.failed or ("", "")
    return Judged(case, _outcome(case, text, bool(report.failed)), dropped, gate, detail)


def _outcome(case: Case, text: str, quarantined: bool) -> Outcome:
    if quarantined:
        return "quarantined"
    flat = " ".join(text.split())
    left = [said for said in case.planted if " ".join(said.split()) in flat]
    return "passed" if case.kind is not None and (left or not case.planted) else "cleaned" if case.kind else "passed"


def table(judged: Sequence[Judged]) -> list[str]:
    """The confusion table of one part, then its faults kind by kind."""
    sound = [each for each in judged if each.case.kind is None]
    faulty = [each for each in judged if each.case.kind is not None]
    lines = ["| drafts | | became candidates | became candidates without the fault | quarantined |", "|" + " --- |" * 5]
    lines.append(_row("sound", sound, lost=sum(each.dropped > 0 and each.outcome == "passed" for each in sound)))
    lines.append(_row("with a planted fault", faulty))
    kinds = Counter((each.case.kind, each.outcome) for each in faulty)
    lines += ["", "| fault | planted | passed | cleaned | quarantined |", "|" + " --- |" * 5]
    for kind in KINDS:
        counts = [kinds[kind, outcome] for outcome in ("passed", "cleaned", "quarantined")]
        if any(counts):
            lines.append(f"| {kind} | {sum(counts)} | {' | '.join(map(str, counts))} |")
    wrong = [
        f"`{each.case.name}` ({each.case.kind or 'sound'}): {each.gate or 'no gate'}"
        for each in judged
        if each.is_wrong
    ]
    return [*lines, "", f"Wrong: {'; '.join(wrong) if wrong else 'none'}."]


def _row(name: str, judged: Sequence[Judged], lost: int = 0) -> str:
    counts = Counter(each.outcome for each in judged)
    passed = f"{counts['passed']}" + (f" ({lost} without a sentence)" if lost else "")
    return f"| {name} | {len(judged)} | {passed} | {counts['cleaned'] or '–'} | {counts['quarantined']} |"


def page(parts: Iterable[tuple[str, Sequence[Judged]]]) -> str:
    """The whole page."""
    lines = [
        "# The gates against drafts made for the purpose", "",
        f"Written by `make bench-gates`, {now()[:10]}. Each draft is a pattern's text about a change of its",
        "own; the sound ones should pass, the others carry one planted fault. Aim: no fault passes, at most 2 % of the",
        "sound ones are quarantined.",
    ]  # fmt: skip
    for name, judged in parts:
        lines += ["", f"## `{name}`: {PARTS[name]}", "", FIRST[name], "", *table(judged)]
    return "\n".join(lines) + "\n"


def main(folders: Sequence[str]) -> int:
    """Judge the corpus, or other folders of cases without keeping their table; 1 when a fault passed there."""
    try:
        if folders:
            judged = [judge(case) for folder in folders for case in read(Path(folder))]
            print(
                "\n".join(
                    [
                        *table(judged),
                        *(f"{each.case.name}: {each.outcome} {each.gate} {each.detail}" for each in judged),
                    ]
                )
            )
            return int(any(each.is_wrong for each in judged))
        RESULTS.write_text(page((part, [judge(case) for case in read(CORPUS / part)]) for part in PARTS))
    except CorpusUnreadable as error:
        print(f"the corpus cannot be read: {error}", file=sys.stderr)
        return 2
    print(RESULTS.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
