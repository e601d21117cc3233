"""The gate against text that would have its reader do what no change shows: orders, addresses, commands, disguises.

A text is judged passage by passage, each as it stands and as it reads once disguises are taken off (other scripts,
spelling with digits or blanks, reversal, rot13, encodings). The one principle: what reaches out of the text must
stand in the exercised change or in its scenario. An order in a sentence that is about the change is doubtful: that
sentence is taken out (`pruning`), and the text quarantined only where it cannot be. What unseats a reader's own rules
is allowed only as a quoted literal of the change, and never in a comment of it.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from learnd.library import reach
from learnd.library.lookalikes import lookalike, skeleton
from learnd.library.orders import is_label, orders, outside, unseating, unseats
from learnd.library.patterns import PatternText
from learnd.library.prose import SPAN, blocks, sentences, unmarked

if TYPE_CHECKING:
    from learnd.crystalizer.grounding import Grounding

_LITERAL = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`[^`\n]*`|“[^”\n]*”")
_COMMENT = re.compile(
    r"(?:^|\s)(?:#|//|--|%|;|rem\b)\s?(?P<line>.*)$|/\*(?P<block>.*?)(?:\*/|$)|^\s*\*\s(?P<inner>.*)$|\"\"\"(?P<doc>.*)|<!--(?P<html>.*)",
    re.IGNORECASE,
)
_SHELLS: Final = frozenset(
    ["sh", "bash", "shell", "console", "zsh", "fish", "terminal", "powershell", "ps1", "cmd", "bat"]
)
_LEET: Final = str.maketrans("013457@$!|", "oieastasil")
PLACE: Final = "\u00a7"
"""Stands for code and quotations of the change in what is read for orders."""


@dataclass(frozen=True)
class _Passage:
    """Something to judge: prose, or a line of code (`shell` where its fence says that it is typed)."""

    text: str
    code: bool = False
    shell: bool = False


def danger(pattern: PatternText, said: str, grounding: Grounding) -> str | None:
    """The first danger in a pattern's title, tags and body (`said`), as a clause; None when there is none."""
    for tag in pattern.front.tags:
        if not is_label(tag, grounding.speaks_of) or grounding.is_beside_as_label(tag):
            return f"the tag `{tag}` is a sentence, not a label"
    passages = [_Passage(pattern.front.title), *(_Passage(tag.replace("-", " ")) for tag in pattern.front.tags)]
    body = said.split("\n\n", 1 + len(pattern.front.tags))[-1]
    for passage in (*passages, *_passages(body)):
        found = next(_findings(passage, grounding), None)
        if found is not None:
            return found
    return None


def _passages(body: str) -> Iterator[_Passage]:
    for block in blocks(body):
        if block.kind == "prose":
            yield _Passage(unmarked(block.text))
            continue
        first, *lines = block.text.split("\n")
        shell = first.strip(" >`~").lower() in _SHELLS
        yield _Passage(first.strip(" >`~"))
        yield from (_Passage(line, code=True, shell=shell) for line in lines if line.strip(" >`~"))


def _findings(passage: _Passage, grounding: Grounding) -> Iterator[str]:
    stands = grounding.was_seen
    text = passage.text
    alike = lookalike(text, stands, grounding.knows)
    if alike:
        yield alike
    if passage.code:
        yield from _in_code(passage, grounding)
        return
    for span in SPAN.finditer(text):
        # In a table, a pipe of the code has a backslash.
        yield from _in_span(span["code"].strip().replace("\\|", "|"), grounding)
    prose = SPAN.sub(f" {PLACE} ", text)
    yield from reach.markup(prose, stands)
    yield from _reaching(prose, grounding)
    yield from _commanding(text, grounding)


def _in_span(code: str, grounding: Grounding) -> Iterator[str]:
    if grounding.was_seen(code):
        return
    wrong = reach.typed(code, grounding.stands, is_shell=False)
    if wrong:
        yield wrong
    yield from _reaching(code, grounding)


def _in_code(passage: _Passage, grounding: Grounding) -> Iterator[str]:
    """A line that stands in the change is the change's; of others, what reaches out, and their comments as prose."""
    line = re.sub(r"^[+-]", "", passage.text.strip()).strip()
    known = grounding.stands(line)
    if not known:
        wrong = reach.typed(line, grounding.stands, is_shell=passage.shell and not line.startswith("#"))
        if wrong:
            yield wrong
        yield from _reaching(line, grounding)
    comment = _COMMENT.search(_LITERAL.sub(PLACE, line) if known else line)
    said = next((part for part in comment.groups() if part), "") if comment else ""
    if said and not known:
        yield from _commanding(said, grounding)
    elif said:
        found = unseating(skeleton(said)) or _speaks_to_assistants(said)
        if found:
            yield f"a comment of the change: {found}"


def _speaks_to_assistants(comment: str) -> str | None:
    """A comment that addresses AI assistants with an order; that a comment names them is no matter."""
    return next((found for found in orders(comment, lambda _words: False) if _TO_ASSISTANTS.search(comment)), None)


_TO_ASSISTANTS = re.compile(
    r"(?i)\b(?:ai|llms?|assistants?|copilot|claude|chatgpt|gpt|agents?)\b[^.]{0,20}[:,]|@(?:ai|agent|claude|copilot)\b"
)


def _reaching(text: str, grounding: Grounding) -> Iterator[str]:
    stands = grounding.stands
    yield from reach.addresses(text, stands, grounding.knows)
    yield from reach.commands(text, stands)
    yield from reach.credentials(text, stands, grounding.speaks_of)
    yield from reach.encoded(text, stands)


def _commanding(text: str, grounding: Grounding) -> Iterator[str]:
    """Orders in a passage: as it stands, and, for the worst kinds, as it reads without its disguise."""
    plain = _unquoted(text, grounding)
    is_loose = grounding.is_about(text)
    yield from unseats(skeleton(plain), is_loose=is_loose)
    for sentence in sentences(text):
        if not grounding.is_about(sentence):
            yield from outside(skeleton(_unquoted(sentence, grounding)), grounding.speaks_of)
    for reading in _readings(plain):
        found = unseating(reading, is_loose=is_loose)
        if found:
            yield f"{found}, in disguise"


def doubtful(sentence: str, grounding: Grounding) -> str | None:
    """What reads like an order in a sentence of prose about the change: it may be one, or tell what code does."""
    if not grounding.is_about(sentence):
        return None
    return next(orders(skeleton(_unquoted(sentence, grounding)), grounding.speaks_of), None)


def _unquoted(text: str, grounding: Grounding) -> str:
    """`text` with quotations and code that are literals of the change, or code of it, taken for one sign."""

    def judged(match: re.Match[str]) -> str:
        inner = match[0].strip("`\"'“” ")
        own = grounding.is_literal(inner) or (
            match[0].startswith("`") and grounding.stands(inner) and not unseating(inner)
        )
        return PLACE if own else f" {inner} "

    return re.sub(r"(?<!\w)[*_~]{1,3}(?=\S)|(?<=\S)[*_~]{1,3}(?!\w)", "", _LITERAL.sub(judged, SPAN.sub(judged, text)))


def _readings(text: str) -> Iterator[str]:
    """Other ways to read a passage: spelled with digits or blanks, backwards, rot13, decoded."""
    plain = skeleton(text)
    leet = re.sub(r"\b(?=\w*[a-z])[\w@$!|]+", lambda word: word[0].translate(_LEET), plain)
    yield re.sub(r"\b(\w)[\s.\-_](?=\w\b)", r"\1", leet)
    yield re.sub(r"(?<=\b\w)[\s.\-_]+(?=\w\b)", "", plain)
    yield leet
    yield plain[::-1]
    yield codecs.decode(plain, "rot13")
    yield skeleton(reach.unescaped(text))
    yield re.sub(r"[-_./]+", " ", plain)


def tells(text: str, grounding: Grounding) -> bool:
    """Whether a passage of prose is dangerous by itself."""
    return next(_findings(_Passage(text), grounding), None) is not None
