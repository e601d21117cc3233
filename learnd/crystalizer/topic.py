"""Does a sentence speak of the exercised change, or of the people, machines and habits around it?

No list of phrases foresees the orders that a text may hold, but nearly all of them are about the same things: who
reviews and approves, what is committed, installed or reported, what the reader may do, what holds from now on. A text
about a change of code has no cause to speak of these, unless the change does. So two things are weighed in each
sentence, and in each clause of it: how many of its words are the change's own, and how much it talks of the work
around code, in words that are not the change's. Little of the one and some of the other is *beside* the change.

- A word that stands in the change counts for a sentence, never against it: a change of a review tool speaks of reviews.
- A sentence that neither has such a word nor asks for anything is never beside the change, however general it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from learnd.crystalizer.vocabulary import ENGLISH

_ENDINGS = re.compile(r"(?<=\w{2})(?:ations?|ions?|ings?|ers?|ies|ed|es|e|s|ment|ly|y)$")


def stems(text: str, least: int = 3) -> frozenset[str]:
    """The words in names and prose, small, without what inflects them: `approvedBy` has `approv` and `by`."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_A-Za-z]+", text)
    return frozenset(_ENDINGS.sub("", word.lower()) for word in words if len(word) >= least)


# --- words ------------------------------------------------------------------------------------------

_AROUND_WORDS = """
owner owners maintainer maintainers reviewer reviewers approver approvers colleague colleagues coworker coworkers
teammate teammates stakeholder stakeholders contributor contributors manager supervisor assistant assistants agent
agents llm llms chatbot chatbots copilot claude gpt codex session sessions conversation conversations guidance
guideline guidelines policy policies preferences note notes remark remarks recommendation recommendations advice
instruction instructions directive directives precedence outrank outranks outranked supersede supersedes superseded
wording habit habits convention conventions commit commits committed committing merge push pushed pushing rebase
rebased repository repositories repo repos checkout checkouts workspace workspaces worktree worktrees monorepo
codebase codebases changelog unsigned upstream mainline review reviewed reviews verification hook hooks approval
approvals approve approves approved consent confirmation lint linter linters coverage sign-off signoff pre-commit
oversight clearance waived wave waved attestation permission permissions rights privilege privileges credential
credentials password passwords pypirc netrc keychain sandbox firewall restriction restrictions allowlist registry
mirror mirrors dependency dependencies plugin plugins workstation laptop sibling telemetry analytics report reporting
summary summaries memory deploy deploys deployed deploying deployment deployments rollout release releases
"""
_AROUND: Final = frozenset(_AROUND_WORDS.split())
"""Words of the work around code."""
_MAYBE_WORDS = """
person human humans operator operators administrator administrators admin team teams engineer engineers developer
developers everyone anyone task tasks prompt prompts description reply replies answer message messages identity
history document documents documentation ticket tickets issue issues practice practices rule rules confirm confirmed
confirms sign signed evidence suite pipeline pipelines ci check checks package packages install installed installs
download downloaded downloads network environment environments project projects machine machines runner runners host
hosts account accounts secret secrets token tokens config configuration configurations shared company house
organisation organization version versions copy copies flaky noise outage incident production live automate automates
automated automation trusted trust trusts
"""
_MAYBE: Final = frozenset(_MAYBE_WORDS.split())
"""Words that are of the work around code in one sentence and of code in the next; two weigh as one of the others."""
_ASKING_WORDS = """
best better expected kindly please should must shall ought remember ensure worth practical helpful useful recommended
advisable accepted acceptable proper fitting remedy considered deserve deserves sufficient safely usual beforehand
afterwards unless until whenever always never henceforth later leave left skip skips mark hand handed carry carried
widen widened lifted lift granted grant granting needed further already anyway directly straight immediately unread
unseen spared spare bother nobody whoever wherever otherwise instead proven experience customary welcome
"""
_ASKING: Final = frozenset(_ASKING_WORDS.split())
"""Words that ask for something, allow it, or lay down when."""
_ASKING_PHRASE: Final = re.compile(
    r"""(?ix)\b(?:may\s+be\s+\w+ed | can\s+(?:be|go)\s+\w+ |
    need\s+not | needs?\s+no | no\s+need | (?:has|have)\s+to\s+be |
    it\s+is\s+(?:best|fine|safe|enough|customary|common) |
    on\s+(?:your|their|its)\s+own | as\s+well | the\s+next\s+\w+ | every\s+(?:new|other|time) |
    each\s+(?:new|time) | in\s+(?:the\s+)?future | right\s+away | no\s+one |
    counts?\s+as | you | your | yours | yourself | this\s+(?:text|note|page|pattern|advice|document) |
    what\s+stands\s+here |
    who(?:ever)?\s+(?:reads|applies|carries|automates|takes|works|uses|follows) | anyone\s+who | the\s+reader)\b"""
)
_DEMAND: Final = re.compile(
    r"""(?ix)\b(?:(?:is|are)\s+to\s+be\s+\w+ | from\s+(?:then|now|here)\s+on |
    with\s+no\s+one | so\s+that\s+nobody)\b"""
)
"""These weigh twice as much: they do nothing else."""
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

    @property
    def is_beside(self) -> bool:
        share = self.own / self.words if self.words else 1.0
        said = self.around + self.asking
        if self.words < 3:
            return False
        return (
            (share < 0.34 and self.around > 0 and said >= 1.5 and (self.asking > 0 or self.around >= 3))
            or (share < 0.25 and self.asking >= 1.5)
            or (share < 0.6 and self.around >= 2 and said >= 3)
        )

    @property
    def is_beside_as_clause(self) -> bool:
        """A clause may hide in a sentence about the change: it needs more, and none of the change's words."""
        return self.words >= 2 and self.own == 0 and self.around >= 1 and self.around + self.asking >= 2

    @property
    def is_beside_in_heading(self) -> bool:
        """What is tacked on to a heading has no reason to speak of anything else."""
        return self.own == 0 and self.around + self.asking >= 1


def is_beside(
    sentence: str, known: Collection[str], stands: Callable[[str], bool], *, is_heading: bool = False
) -> bool:
    """Whether a sentence of prose is beside the change, as a whole or in a clause of it; of a heading, in a clause.

    `known` are the stems of the change's words; `stands` says whether a piece of code, a quotation or a number stands
    in the change as it is. The bounds were found with drafts made for the purpose (`bench/corpus`).
    """
    if not is_heading and _weighed(sentence, known, stands).is_beside:
        return True
    clauses = [_weighed(clause, known, stands) for clause in _JOINT.split(sentence)]
    if is_heading and any(clause.is_beside_in_heading for clause in clauses[1:]):
        return True
    return any(clause.is_beside_as_clause for clause in clauses)


def is_beside_as_label(label: str, known: Collection[str]) -> bool:
    """Whether a tag of several words is beside the change: none of them is the change's, and one is of other things."""
    words = re.split(r"[-_\s]+", label)
    weight = _weighed(" ".join(words), known, lambda _text: False)
    return len(words) >= 3 and weight.own == 0 and weight.around + weight.asking >= 1


def own_words(text: str, known: Collection[str], stands: Callable[[str], bool]) -> int:
    """How many words and quoted pieces of a text are the change's, each counted once."""
    return _weighed(text, known, stands).own


def _weighed(text: str, known: Collection[str], stands: Callable[[str], bool]) -> _Weight:
    content = stems(text) - _COMMON
    exact = {match["code"] or match["said"] for match in _QUOTED.finditer(text)} | set(_NUMBER.findall(text))
    standing = sum(stands(part.strip()) for part in exact)
    plain = _QUOTED.sub(" ", text)
    foreign = [word for word in dict.fromkeys(_WORD.findall(plain.lower())) if not _is_own(word, known)]
    return _Weight(
        words=len(content) + standing,
        own=sum(stem in known for stem in content) + standing,
        around=sum(word in _AROUND for word in foreign) + _half(foreign, _MAYBE),
        asking=_half(foreign, _ASKING) + len(_ASKING_PHRASE.findall(plain)) / 2 + len(_DEMAND.findall(plain)),
    )


def _is_own(word: str, known: Collection[str]) -> bool:
    parts = stems(word, 2)
    return bool(parts) and all(part in known for part in parts)


def _half(words: Iterable[str], among: Collection[str]) -> float:
    return 0.5 * sum(word in among for word in words)
