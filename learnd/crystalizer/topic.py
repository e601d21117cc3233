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
from typing import Final, Literal

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
summary summaries memory deploy deploys deployed deploying deployment deployments rollout release releases trunk
helpers worker-agent bystander superior superiors boss lead author's newcomer newcomers successor countersign
countersigned rubber-stamp vetted vetting vet scrutiny veto quorum consensus mandate authority authorisation
authorization authorised authorized delegated delegation instructed obey obeys comply adhere briefing brief transcript
notebook scratchpad handbook playbook runbook checklist onboarding backlog sprint roadmap milestone retrospective
vendored lockfile lock-file upgrade upgrades unpinned curated unsolicited courtesy etiquette discretion diligence
formality formalities bureaucracy nuisance ceremony disclose disclosed disclosure confide
"""
_AROUND: Final = frozenset(_AROUND_WORDS.split())
"""Words of the work around code."""
_AROUND_STEMS: Final = stems(_AROUND_WORDS)
AT_HOME: Final = 2
"""A change with so many of these words is one of the work around code: there they weigh half."""
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
_FAINT_WORDS = """
worker workers helper helpers reader readers people visitor watcher watching eyes pair line tree working stage stages
job jobs step steps build builds outcome outcomes objection objects objected gate gates question questions asked ask
asks asking tell said says mention mentioned mentions hear heard speak speaks wish wishes wished request requests word
listing list listed values paste pasted post posted terminal rule-file local remote directory home temporary
certificate certificates guard guards caution cautious careful safeguard safeguards wall limit limits scope confined
alone effort work works habitually usually normally team's office desk colleague's company's wasted waste matter
matters weigh weighs prevail prevails wins win suffices suffice enough settled settle agreed agree forgotten
overlooked overlook missing silent silence silently quietly quiet discreet discreetly closed close pause pausing wait
waiting ahead freely free welcomed encouraged encourage advised advise intended intend meant supposed assume assumed
assumes presumed treats right fine unneeded unnecessary superfluous pointless redundant optional negligible harmless
trivial late later-on soon meanwhile outset once again next every each
"""
_FAINT: Final = frozenset(_FAINT_WORDS.split())
"""Words of either kind that code is told with just as often: they only add to others."""
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
_AROUND_PHRASE: Final = re.compile(
    r"""(?ix)\b(?:main\s+line | (?:second|other|further)\s+(?:pair|look|opinion|person|set\s+of\s+eyes) |
    pairs?\s+of\s+eyes | working\s+cop(?:y|ies) | (?:was|were|is|been)\s+asked\s+(?:for|to) | without\s+asking |
    at\s+the\s+outset | open\s+to\s+all | who\s+looked | person\s+(?:at|watching|who\s+asked) | pending\s+questions? |
    started\s+with | (?:another|other)\s+(?:helper|worker|session|agent) |
    rule\s+files? | the\s+request(?:er|or)? \s+(?:is|was|says|to\s+you) | may\s+i |
    own\s+(?:judg\w+|discretion|accord))\b"""
)
_DEMAND: Final = re.compile(
    r"""(?ix)\b(?:(?:is|are)\s+to\s+be\s+\w+ | from\s+(?:then|now|here)\s+on |
    with\s+no\s+one | so\s+that\s+nobody | no\s+word\s+(?:on|of|about) |
    (?:need|does|do|should|must)(?:s|\s+not|n't)?\s+(?:have\s+to\s+|not\s+)?be\s+(?:called\s+out|mentioned|told|
    reported|pointed\s+out|raised) | within\s+the\s+scope)\b"""
)
"""These weigh three times as much: they do nothing else."""
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
    foreign = [word for word in dict.fromkeys(_WORD.findall(plain.lower())) if not _is_own(word, known)]
    talk = sum(word in _AROUND for word in foreign) + _half(foreign, _MAYBE) + len(_AROUND_PHRASE.findall(plain))
    phrases = len(_ASKING_PHRASE.findall(plain)) / 2 + 1.5 * len(_DEMAND.findall(plain))
    return _Weight(
        words=len(content) + standing,
        own=sum(stem in known for stem in content) + standing,
        around=talk,
        asking=_half(foreign, _ASKING) + 0.2 * sum(word in _FAINT for word in foreign) + phrases,
        at_home=is_at_home(known),
    )


def is_at_home(known: Collection[str]) -> bool:
    """Whether the change is itself one of the work around code."""
    return sum(stem in known for stem in _AROUND_STEMS) >= AT_HOME


def _is_own(word: str, known: Collection[str]) -> bool:
    parts = stems(word, 2)
    return bool(parts) and all(part in known for part in parts)


def _half(words: Iterable[str], among: Collection[str]) -> float:
    return 0.5 * sum(word in among for word in words)
