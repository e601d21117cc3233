"""Does a sentence speak of the exercised change, or of the people, machines and habits around it?

No list of phrases foresees the orders that a text may hold, but nearly all of them are about the same things: who
reviews and approves, what is committed, installed or reported, what the reader may do, what holds from now on. A text
about a change of code has no cause to speak of these, unless the change does. So two things are weighed in each
sentence, and in each clause of it: how many of its words are the change's own, and how much it talks of the work
around code, in words that are not the change's. Little of the one and some of the other is *beside* the change.

- A word that stands in the change, and a phrase of such words, counts for a sentence, never against it: a change of a
  review tool speaks of reviews.
- A sentence that neither has such a word nor asks for anything is never beside the change, however general it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Literal

from learnd.crystalizer.talk import AROUND, AROUND_PHRASE, ASKING, ASKING_PHRASE, DEMAND, FAINT, MAYBE
from learnd.crystalizer.vocabulary import ENGLISH

_ENDINGS = re.compile(r"(?<=\w{2})(?:ations?|ions?|ings?|ers?|ies|ed|es|e|s|ment|ly|y)$")


def stems(text: str, least: int = 3) -> frozenset[str]:
    """The words in names and prose, small, without what inflects them: `approvedBy` has `approv` and `by`."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_A-Za-z]+", text)
    return frozenset(_ENDINGS.sub("", word.lower()) for word in words if len(word) >= least)


_AROUND_STEMS: Final = stems(" ".join(AROUND))
AT_HOME: Final = 2
"""A change with so many of these words is one of the work around code: there they weigh half."""
_TESTING: Final = (
    "test fail pass change base revert replay hunk function method class argument parameter list string loop exception "
    "default behaviour result output input caller branch condition variable assertion suite regression bug"
)
_COMMON: Final = stems(_TESTING) | ENGLISH.union(*(stems(word, 1) for word in ENGLISH))
"""Stand in sentences about any change, and count neither way."""

# --- weighing ---------------------------------------------------------------------------------------

_QUOTED = re.compile(r"(?P<ticks>`+)(?!`)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)|[\"“](?P<said>[^\"”\n]+)[\"”]", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])\d[\d_.]*(?!\w)")
_WORD = re.compile(r"[a-z][a-z'-]*[a-z]")
_JOINT = re.compile(r"(?:[;:–—]|,)\s+|\s+(?:and|but|so|because|since|where|while)\s+")


@dataclass(frozen=True)
class _Weight:
    """Of a piece of a sentence: how many words count, how many of them are the change's, and what is not about code."""

    words: int
    own: int
    around: float
    asking: float
    at_home: bool

    @property
    def share(self) -> float:
        """How much of it is the change's, 0 to 1; all of what says nothing."""
        return self.own / self.words if self.words else 1.0

    @property
    def is_beside(self) -> bool:
        share = self.share
        around = self.around / 2 if self.at_home else self.around
        said = around + self.asking
        if self.words < 3:
            return False
        return (
            (share < 0.34 and around > 0 and said >= 1.5 and (self.asking >= 0.5 or around >= 3))
            or (share < 0.25 and self.asking >= 1.5)
            or (share < 0.6 and around >= 2 and said >= 3)
            or (self.own == 0 and self.words >= 8 and said >= 1)
        )

    @property
    def is_beside_as_clause(self) -> bool:
        """A clause may hide in a sentence about the change: it needs more, and none of the change's words."""
        said = self.around + self.asking
        return self.own == 0 and ((self.words >= 2 and self.around >= 1 and said >= 2) or self.asking >= 1.5)

    @property
    def is_beside_as_aside(self) -> bool:
        """What is tacked on to a heading, or to a line of code, has no reason to speak of anything else."""
        return self.own == 0 and (self.around >= 1 or self.asking >= 1)


Form = Literal["sentence", "heading", "comment"]


def is_beside(sentence: str, known: Collection[str], stands: Callable[[str], bool], form: Form = "sentence") -> bool:
    """Whether a sentence is beside the change, as a whole or in a clause of it.

    A heading is short, and would fall with its text: only what is tacked on to it is judged. A comment of code has less
    reason than prose to speak of anything else, in any of its clauses.

    `known` are the stems of the change's words; `stands` says whether a piece of code, a quotation or a number stands
    in the change as it is. The bounds were found with drafts made for the purpose (`bench/corpus`).
    """
    if form != "heading" and _weighed(sentence, known, stands).is_beside:
        return True
    clauses = [_weighed(clause, known, stands) for clause in _JOINT.split(sentence)]
    asides = {"sentence": [], "heading": clauses[1:], "comment": clauses}[form]
    return any(clause.is_beside_as_aside for clause in asides) or any(clause.is_beside_as_clause for clause in clauses)


def is_beside_as_label(label: str, known: Collection[str]) -> bool:
    """Whether a tag of several words is beside the change: none of them is the change's, and one is of other things."""
    words = re.split(r"[-_\s]+", label)
    weight = _weighed(" ".join(words), known, lambda _text: False)
    return len(words) >= 3 and weight.own == 0 and weight.around + weight.asking >= 1


def share(text: str, known: Collection[str], stands: Callable[[str], bool]) -> float:
    """How much of what a text says is the change's, 0 to 1."""
    return _weighed(text, known, stands).share


def own_words(text: str, known: Collection[str], stands: Callable[[str], bool]) -> int:
    """How many words and quoted pieces of a text are the change's, each counted once."""
    return _weighed(text, known, stands).own


def _weighed(text: str, known: Collection[str], stands: Callable[[str], bool]) -> _Weight:
    content = stems(text) - _COMMON
    exact = {match["code"] or match["said"] for match in _QUOTED.finditer(text)} | set(_NUMBER.findall(text))
    standing = sum(stands(part.strip()) for part in exact)
    plain = _QUOTED.sub(lambda quoted: " " if quoted["code"] or stands(quoted["said"]) else quoted["said"], text)
    words = dict.fromkeys(_WORD.findall(plain.lower()))

    def foreign(among: Collection[str]) -> int:
        return sum(word in among and not _is_own(word, known) for word in words)

    def phrases(kind: re.Pattern[str]) -> int:
        return sum(not _is_own(match[0], known) for match in kind.finditer(plain))

    return _Weight(
        words=len(content) + standing,
        own=sum(stem in known for stem in content) + standing,
        around=foreign(AROUND) + 0.5 * foreign(MAYBE) + phrases(AROUND_PHRASE),
        asking=0.5 * (foreign(ASKING) + phrases(ASKING_PHRASE)) + 0.2 * foreign(FAINT) + 1.5 * phrases(DEMAND),
        at_home=is_at_home(known),
    )


def is_at_home(known: Collection[str]) -> bool:
    """Whether the change is itself one of the work around code."""
    return sum(stem in known for stem in _AROUND_STEMS) >= AT_HOME


def _is_own(said: str, known: Collection[str]) -> bool:
    """Whether a word, or each word of a phrase, is the change's."""
    parts = stems(said, 2)
    return bool(parts) and all(part in known for part in parts)
