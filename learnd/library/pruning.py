"""Take out of a draft the sentences that claim more than was exercised, and say which.

Only sentences of prose go, and only for claims that are merely too much: a name, a path, a version that no replay
touched, praise, a language that cannot be judged. A text that cites what was changed and not exercised keeps its claim
and is judged with it, and so does one whose title, tags or code say too much: there is no whole text without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from events.values import DroppedSentence
from learnd.library.danger import doubtful
from learnd.library.patterns import PatternUnreadable, parse, render
from learnd.library.prose import blocks, sentences, unmarked, without
from learnd.library.sections import HEADINGS, Sections

if TYPE_CHECKING:
    from learnd.crystalizer.grounding import Claim, Grounding

KEPT_KINDS: Final = frozenset({"hunk", "lines"})
"""Citing what was not exercised is no slip of one sentence: the text was written about another change."""
_SAID_MAX: Final = 300


def prune(text: str, grounding: Grounding) -> tuple[str, tuple[DroppedSentence, ...]]:
    """`text` without what it claims too much, and what was taken out. A text that is no pattern stays as it is."""
    try:
        pattern = parse(text)
    except PatternUnreadable:
        return text, ()
    dropped: list[DroppedSentence] = []
    sections: dict[str, str] = {}
    for name, heading in HEADINGS.items():
        kept, gone = _pruned(getattr(pattern.sections, name), grounding)
        sections[name] = kept
        dropped.extend(DroppedSentence(section=heading, text=said[:_SAID_MAX], why=why) for said, why in gone)
    return (render(Sections(**sections), pattern.front), tuple(dropped)) if dropped else (text, ())


def too_much(text: str, grounding: Grounding) -> list[Claim]:
    """What a text says beyond the evidence, or beside it, and what in its sentences may be an order."""
    from learnd.crystalizer.grounding import Claim  # noqa: PLC0415 - it loads the diff's parser

    orders = (
        Claim("order", said[:120], found)
        for block in blocks(text)
        if block.kind == "prose"
        for said in sentences(unmarked(block.text))
        if (found := doubtful(said, grounding))
    )
    return [*grounding.ungrounded(text), *grounding.beside(text), *orders]


def _pruned(section: str, grounding: Grounding) -> tuple[str, list[tuple[str, str]]]:
    reasons: dict[str, str] = {}

    def is_too_much(sentence: str) -> bool:
        claims = too_much(sentence, grounding)
        if not claims or any(claim.kind in KEPT_KINDS for claim in claims):
            return False
        reasons[" ".join(sentence.split())] = "; ".join(f"{claim.kind} `{claim.text}`" for claim in claims[:3])
        return True

    kept, gone = without(section, is_too_much)
    return kept, [(said, reasons.get(said, "it introduced nothing any more")) for said in gone]
