"""What a machine must find in order before a person is asked: the gates between a draft and `candidates/`.

In this order, the first failure ends it:

1. `format`: front matter valid, Problem, Solution and Rationale there, and each says something.
2. `size`: short enough to be read by a person and loaded by an agent.
3. `hidden`: nothing that a reviewer would not see and an agent would read (bidirectional and zero-width
   characters, control characters, HTML comments outside of code).
4. `redaction`: no secret is left, and nobody's address, home directory or number.
5. `danger`: nothing commands its reader or reaches beyond the change (`danger`).
6. `grounding`: every path, symbol, version and option named stands in the exercised change, and nothing is promised.

The gates judge a text; they change none (`pruning` does, before the last is asked again).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Container
from typing import TYPE_CHECKING

from events.values import Value
from learnd.crystalizer.vocabulary import FILLER
from learnd.library.danger import danger
from learnd.library.patterns import PatternText, PatternUnreadable, note, parse
from learnd.library.prose import SPAN
from learnd.library.pruning import too_much
from learnd.library.sections import HEADINGS, REQUIRED, fenced

if TYPE_CHECKING:
    from learnd.crystalizer.grounding import Grounding

GATES = ("format", "size", "hidden", "redaction", "danger", "grounding")

MAX_TEXT = 32_768
"""Bytes of UTF-8, front matter included: some 8,000 tokens, already much for one piece of advice."""
MAX_TITLE = 160
MIN_SECTION = 12
"""Letters, digits and other signs that are not white space; less ("TODO", "n/a") says nothing."""

_LONG_NUMBER = re.compile(r"(?<![\w.,:/-])\+?\(?\d[\d ()/-]{6,}\d(?![\w,:/-]|\.\d)")
"""Telephone, card and personnel numbers. A date or a count of a change stands in it."""
_COMMENT = re.compile(r"<!--|<!\[CDATA\[", re.IGNORECASE)
_PLAIN_CONTROLS = "\n\t"
_INVISIBLE = frozenset("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffc")
"""Characters that show nothing although Unicode calls them letters, marks or symbols."""
_UNSEEN = (range(0xFE00, 0xFE0F), range(0xE0000, 0xE1000))
"""Variation selectors and plane 14: they can carry bytes invisibly. U+FE0F only makes the sign before it an emoji."""


class GateReport(Value):
    """Which gates held, in order, and the first that did not, with its reason."""

    passed: tuple[str, ...]
    failed: tuple[str, str] | None = None


def run_gates(text: str, grounding: Grounding, overruled: Container[str] = ()) -> GateReport:
    """Judge a pattern file's text against what the evidence exercised; a person `overruled` some gates for it."""
    try:
        pattern = parse(text)
    except PatternUnreadable as error:
        return GateReport(passed=(), failed=("format", str(error)))
    findings: tuple[tuple[str, Callable[[], str | None]], ...] = (
        ("format", lambda: _thin_section(pattern) or _says_nothing(pattern, grounding)),
        ("size", lambda: _too_large(text, pattern)),
        ("hidden", lambda: hidden(text)),
        ("redaction", lambda: _private(said(pattern), grounding)),
        ("danger", lambda: danger(pattern, said(pattern), grounding)),
        ("grounding", lambda: _ungrounded(pattern, grounding)),
    )
    passed: list[str] = []
    for gate, find in findings:
        detail = find()
        if detail is None:
            passed.append(gate)
        elif gate not in overruled:
            return GateReport(passed=tuple(passed), failed=(gate, detail))
    return GateReport(passed=tuple(passed))


def said(pattern: PatternText) -> str:
    """Everything that the text itself says: title, tags and body, without learnd's own note."""
    own = note(pattern.front)
    texts = [pattern.front.title, *pattern.front.tags, pattern.before.replace(own, "")]
    texts.extend(text for text in pattern.sections.model_dump().values() if text)
    return "\n\n".join(texts) + "\n"


def hidden(text: str) -> str | None:
    """What in `text` a reader would not see, and where; None when there is nothing."""
    for number, (line, fence) in enumerate(fenced(text.replace("\r\n", "\n").split("\n")), 1):
        for at, character in enumerate(line):
            if _is_hidden(character) and not _joins_signs(line, at):
                name = unicodedata.name(character, "unnamed")
                return f"line {number} holds the invisible character U+{ord(character):04X} ({name})"
        if not fence and _COMMENT.search(SPAN.sub("", line)):
            return f"line {number} holds an HTML comment, which is not shown to a reviewer"
    return None


def _thin_section(pattern: PatternText) -> str | None:
    for name in REQUIRED:
        text = getattr(pattern.sections, name)
        if len("".join(text.split())) < MIN_SECTION:
            return f"the section {HEADINGS[name]} says nothing (fewer than {MIN_SECTION} characters)"
        if re.match(
            r"\W*(?:todo|tbd|fixme|lorem ipsum|n/a|to be (?:done|written|described|added))\b", text, re.IGNORECASE
        ):
            return f"the section {HEADINGS[name]} says nothing: it is yet to be written"
        if not any(word.lower() not in FILLER for word in re.findall(r"\w+", text)):
            return f"the section {HEADINGS[name]} says nothing but that something changed"
    return None


def _says_nothing(pattern: PatternText, grounding: Grounding) -> str | None:
    text = "\n\n".join(getattr(pattern.sections, name) for name in REQUIRED)
    return None if grounding.is_told_by(text) else "it says nothing of the change but where it is"


def _too_large(text: str, pattern: PatternText) -> str | None:
    size = len(text.encode("utf-8", "replace"))
    if size > MAX_TEXT:
        return f"the text has {size:,} bytes, at most {MAX_TEXT:,} are allowed"
    if len(pattern.front.title) > MAX_TITLE:
        return f"the title has {len(pattern.front.title)} characters, at most {MAX_TITLE} are allowed"
    return None


def _is_hidden(character: str) -> bool:
    if character in _PLAIN_CONTROLS:
        return False
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") or character in _INVISIBLE:
        return True
    return any(ord(character) in unseen for unseen in _UNSEEN)


def _joins_signs(line: str, at: int) -> bool:
    """Whether a joiner stands between two pictures: a family is one emoji."""
    before = line[:at].rstrip("\ufe0f")[-1:]
    after = line[at + 1 : at + 2]
    return line[at] == "\u200d" and _is_picture(before) and _is_picture(after)


def _is_picture(sign: str) -> bool:
    return bool(sign) and unicodedata.category(sign) in ("So", "Sk") and ord(sign) > 0x203B


def _private(text: str, grounding: Grounding) -> str | None:
    # It loads detect-secrets, which no reading verb needs.
    from learnd.crystalizer.redact import generalise, redact  # noqa: PLC0415

    count = redact(text).count
    if count:
        return f"{count} secret{'s' if count > 1 else ''} would be redacted from it"
    if generalise(text) != text:
        return "it holds an e-mail address or somebody's home directory"
    numbers = (match[0] for match in _LONG_NUMBER.finditer(text))
    number = next((one for one in numbers if not grounding.stands(one) and one not in grounding.reports), None)
    return f"it holds the number {number}, which is not in the exercised change" if number else None


def _ungrounded(pattern: PatternText, grounding: Grounding) -> str | None:
    front, text = pattern.front, said(pattern)
    body = text.split("\n\n", 1 + len(front.tags))[-1].replace(f"# {front.title}\n", "", 1)
    found = [*grounding.ungrounded(text), *grounding.beside(front.title, heading=True), *too_much(body, grounding)]
    claims = list(dict.fromkeys(found))
    if not claims:
        return None
    named = "; ".join(f"{claim.kind} `{claim.text}` ({claim.why})" for claim in claims[:5])
    more = f" and {len(claims) - 5} more" if len(claims) > 5 else ""
    return f"it names what the evidence did not exercise: {named}{more}"
