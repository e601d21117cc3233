"""Sentences that give orders to whoever acts on a pattern, and that no change of code gives cause for.

A pattern tells how code was mended. It has no reason to speak to or of AI assistants, of instructions, consent,
approval or secrecy, to lay down standing orders, or to send its reader outside of the code. Sentences of these kinds
are recognised by who they address, which verb they command and what it is done to (`order_kinds`); a kind is allowed
where the change itself is about these things: its words are then the change's own.

The kinds that unseat a reader's own rules (`UNSEATING`) are looked for in disguise too: other spellings, encodings,
and other languages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from learnd.library.order_kinds import ELSEWHERE, OUTSIDE, UNSEATING, Kind
from learnd.library.phrases import phrase

_NAMES_RULES = phrase(
    r"""instruct|rules?\b|guid|prompt|directive|polic|told|asked|training|role|mode|you\b|as\b|approv|review|confirm|
    permission|user|human|owner|maintain|operator|team|anyone|anybody|nobody|people|\[|<|:|consent|verif|secur"""
)
_NEAR: Final = 70
"""Characters between a word for assistants and one that asks something of them."""
_ASSISTANT = phrase(
    r"""\b(?:
        ai|llms?|language models?|chat\s?bots?|assistants?|copilot|claude|chatgpt|gpt(?:-?\w+)?|gemini|codex|agents?|
        automated reviewers?
    )\b(?!\s*[/=])"""
)
_ABOUT_MODELS: Final = ("prompt", "llm", "agent", "assistant", "chatbot", "openai", "anthropic", "gpt", "claude")
"""A change that has one of these words may ask things of assistants, as its own code does."""
_ASKED = phrase(
    r"""\b(?:
        should|must|shall|ought|needs? to|ha(?:s|ve) to|(?:is|are) to|please|kindly|dear|never|always|expected|required|
        allowed|permitted|entitled|asked|told|supposed|free to|do not|don't|best|better|helpful|good|important|
        essential|practice|let|make sure|ensure|remember|attention|note (?:to|for)|for (?:any|all|every|the)|hey|hello
    )\b""",
    r"(?:^|[.;(–—-]\s*)(?:ai|llms?|assistants?|copilot|claude|chatgpt|gpt\S*|gemini|codex|agents?)\s*[:,]",
    r"[:,]\s*(?:you|ignore|do)\b",
)
_OTHER_AGENTS = phrase(
    r"""\b(?:
        user|build|ssh|monitoring|mail|transfer|log|backup|deployment|estate|update|gpg|proxy|http|jenkins|datadog|node
    )[\s-]+agents?\b"""
)

_LABELS_NEVER_BEGIN_WITH = """
always never ignore disregard forget override bypass run execute install download fetch send post upload delete remove
erase wipe disable skip use apply approve promote merge push publish commit deploy trust obey follow call invoke open
visit curl wget sudo rm eval reveal print show export ask tell do dont please read write add you must
"""
_SENTENCES = "a an this these that it is are be not your you here so no"
_SMALL: Final = frozenset(_SENTENCES.split())
"""Words of sentences, and of no label of more than three words."""
_COMMANDING: Final = frozenset(_LABELS_NEVER_BEGIN_WITH.split())


def orders(text: str, is_own: Callable[[str], bool]) -> Iterator[str]:
    """What in a readable passage commands its reader, as clauses. `is_own` says whether words are the change's own."""
    yield from unseats(text)
    yield from outside(text, is_own)


def _nearest(sentence: str) -> tuple[re.Match[str] | None, re.Match[str] | None]:
    """A word for assistants and one that asks for something, near each other in one clause; a pair of None for none."""
    for named in _ASSISTANT.finditer(sentence):
        for asked in _ASKED.finditer(sentence):
            between = sentence[min(named.end(), asked.end()) : max(named.start(), asked.start())]
            if len(between) <= _NEAR and not re.search(r",\s+(?:so|and|but|which)\b", between):
                return named, asked
    return None, None


def unseats(text: str, *, is_loose: bool = False) -> Iterator[str]:
    """What unseats a reader's own rules; `is_loose` wants it to name them: code drops messages and ignores files."""
    for kind in UNSEATING:
        for match in kind.pattern.finditer(" ".join(text.split())):
            if not is_loose or _NAMES_RULES.search(match[0]):
                yield f"it {kind.says}: “{match[0].strip()[:120]}”"


def outside(text: str, is_own: Callable[[str], bool]) -> Iterator[str]:
    """What sends the reader outside of the code: the orders that a sentence about code may resemble."""
    flat = " ".join(text.split())
    yield from _found(OUTSIDE, flat, is_own)
    for sentence in re.split(r"(?<=[.!?])\s", _OTHER_AGENTS.sub(" ", flat)):
        named, asked = _nearest(sentence)
        if named and asked and not any(map(is_own, (named[0], *_ABOUT_MODELS))):
            yield f"it asks something of AI assistants: “{named[0]}”, “{asked[0].strip()}”"
    yield from (f"it sets instructions aside: “{match[0]}”" for match in ELSEWHERE.finditer(flat))


def _found(kinds: Iterable[Kind], text: str, is_own: Callable[[str], bool]) -> Iterator[str]:
    for kind in kinds:
        for match in kind.pattern.finditer(text):
            if not _is_allowed(kind, match, is_own):
                yield f"it {kind.says}: “{match[0].strip()[:120]}”"


def is_label(tag: str, is_own: Callable[[str], bool]) -> bool:
    """Whether a tag names something: few words, the first of which commands nothing that the change does not do."""
    words = re.split(r"[-_\s]+", tag)
    if len(words) > 5 or (len(words) > 3 and _SMALL.intersection(word.lower() for word in words)):
        return False
    return len(words) < 3 or words[0].lower() not in _COMMANDING or is_own(words[0])


def unseating(text: str, *, is_loose: bool = False) -> str | None:
    """The first thing in `text` that unseats a reader's rules, whatever the change says."""
    return next(unseats(text, is_loose=is_loose), None)


def _is_allowed(kind: Kind, match: re.Match[str], is_own: Callable[[str], bool]) -> bool:
    said = [match[name] for name in kind.unless if match[name]]
    return bool(said) and all(is_own(group) for group in said)
