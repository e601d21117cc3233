"""How alike two patterns are: the same lesson again, the opposite advice, or neither.

A pattern is compared by what its text says and cites, and by what its change did (`ChangeMarks`). All of it is in the
log, so that a pattern can be compared long after its snapshot was pruned.

- *The same change*: the lines taken out and put in are the same, and something that both cite.
- *The same text*: nearly the same words (rapidfuzz), and the same structural rule or the same cited symbols; where both
  changes are known, at least half of the lines must agree. Two one-line fixes of one function read alike and teach
  different things.
- *Opposite*: in the same context one takes out what the other puts in.

Pure, and light to import: the read models are made with it.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from events.values import ChangeMarks
from learnd.library.prose import SPAN
from learnd.library.sections import fenced

SAME_TEXT: Final = 85.0
"""Per cent of rapidfuzz's `ratio`, word by word, from which two texts say the same."""
SAME_RULE_TEXT: Final = 50.0
"""The same where both carry the same structural rule: it says most of it."""
SAME_SYMBOLS: Final = 0.8
SAME_CHANGE: Final = 0.9
ALSO_CHANGE: Final = 0.5
SHARED_CONTEXT: Final = 0.3
TAKEN_BACK: Final = 0.8
REVERSED: Final = 0.6

MARK_DIGITS: Final = 12
MARKS_MAX: Final = 400
_TELLING: Final = 5
"""Letters and digits that a line must have in order to say something."""

ConflictKind = Literal["reverse", "takes_back", "brings_back"]

_FRONT = re.compile(r"\A\ufeff?---[ \t]*\n.*?\n---[ \t]*\n", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[./:\-]+[A-Za-z0-9_]+)*")
_WORD = re.compile(r"[^\W\d_]+|\d+", re.UNICODE)


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a pattern is compared by. `text` has a letter for each word, which makes comparing it some thirty times
    as fast; `removed` and `added` are marks of lines, `rule` a digest.
    """

    text: str
    symbols: frozenset[str]
    paths: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    added: frozenset[str] = frozenset()
    rule: str | None = None

    @classmethod
    def of(cls, text: str, change: ChangeMarks | None, rule: str | None = None) -> Likeness:
        """Of a pattern's whole text; where its change is not known, the diffs that it quotes tell of it."""
        marks = change or marks_of(quoted_diff(text))
        # A line that was only moved is neither taken out nor put in.
        removed, added = frozenset(marks.removed), frozenset(marks.added)
        return cls(
            letters(normal(text)), symbols(text), frozenset(marks.paths), removed - added, added - removed,
            rule_mark(rule) if rule else None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alike:
    """The known pattern that a new one repeats. `similarity` (0 to 1) is of their words."""

    pattern_id: str
    similarity: float
    because: str


@dataclass(frozen=True, slots=True)
class Opposed:
    """The known pattern that a new one contradicts."""

    pattern_id: str
    kind: ConflictKind
    detail: str


Known = tuple[str, Likeness]
"""A pattern's id, and what it is compared by."""


def most_alike(new: Likeness, known: Sequence[Known]) -> Alike | None:
    """The known pattern that says the same as `new`, the one with the most alike text first; None where none does."""
    same: list[Alike] = []
    by_text: list[tuple[str, Likeness, float, str]] = []
    for pattern_id, other in known:
        if is_same_change(new, other):
            same.append(Alike(pattern_id, _similarity(new.text, other.text), "the same change"))
        elif new.rule is not None and new.rule == other.rule:
            by_text.append((pattern_id, other, SAME_RULE_TEXT, "the same rule"))
        elif _share(new.symbols, other.symbols) >= SAME_SYMBOLS and _changes_agree(new, other):
            by_text.append((pattern_id, other, SAME_TEXT, "the same symbols"))
    same.extend(_by_text(new, by_text))
    return max(same, key=lambda alike: alike.similarity, default=None)


def _by_text(new: Likeness, known: Sequence[tuple[str, Likeness, float, str]]) -> Iterable[Alike]:
    from rapidfuzz import fuzz, process  # noqa: PLC0415 - loaded where texts are compared, not where they are read

    for cutoff in (SAME_RULE_TEXT, SAME_TEXT):
        texts = {pattern_id: other.text for pattern_id, other, least, _ in known if least == cutoff}
        reasons = {pattern_id: why for pattern_id, _, least, why in known if least == cutoff}
        found = process.extractOne(new.text, texts, scorer=fuzz.ratio, score_cutoff=cutoff) if texts else None
        if found is not None:
            _, score, pattern_id = found
            yield Alike(pattern_id, round(score / 100, 3), f"nearly the same text and {reasons[pattern_id]}")


def is_same_change(new: Likeness, other: Likeness) -> bool:
    """Whether both changes take out and put in the same lines, about something that both cite."""
    if not (new.removed or new.added):
        return False
    same = _change_share(new, other) >= SAME_CHANGE
    return same and bool(new.paths & other.paths or _share(new.symbols, other.symbols) >= ALSO_CHANGE)


def opposing(new: Likeness, known: Iterable[Known]) -> list[Opposed]:
    """The known patterns that advise the opposite of `new`."""
    return [found for pattern_id, other in known if (found := _opposed(new, pattern_id, other)) is not None]


def _opposed(new: Likeness, pattern_id: str, other: Likeness) -> Opposed | None:
    if not (new.paths & other.paths or _share(new.symbols, other.symbols) >= SHARED_CONTEXT):
        return None
    taken, brought = len(new.removed & other.added), len(new.added & other.removed)
    if taken + brought and (taken + brought) >= REVERSED * (_size(new) + _size(other) - taken - brought):
        return Opposed(pattern_id, "reverse", f"its change is the reverse: {_lines(taken + brought)} of it are undone")
    takes = taken > 0 and taken >= TAKEN_BACK * min(len(new.removed), len(other.added))
    brings = brought > 0 and brought >= TAKEN_BACK * min(len(new.added), len(other.removed))
    if takes and brings:
        return Opposed(pattern_id, "reverse", f"each undoes what the other does: {_lines(taken + brought)} in all")
    if takes:
        return Opposed(pattern_id, "takes_back", f"it takes out {_lines(taken)} that the other puts in")
    if brings:
        return Opposed(pattern_id, "brings_back", f"it puts in {_lines(brought)} that the other takes out")
    return None


def mirrored_kind(kind: ConflictKind) -> ConflictKind:
    """The same conflict, told from the other side."""
    return {"takes_back": "brings_back", "brings_back": "takes_back"}.get(kind, "reverse")  # type: ignore[return-value]


# --- what is compared ---


def normal(text: str) -> str:
    """A pattern's words, lower case, numbers alike; without front matter, learnd's own note and Markdown's marks."""
    body = _FRONT.sub("", text.replace("\r\n", "\n"), count=1)
    said = " ".join(line for line in body.split("\n") if not line.startswith("> "))
    return " ".join("0" if word[0].isdigit() else word for word in _WORD.findall(said.lower()))


def letters(words: str) -> str:
    """A letter for each word, the same for the same word; of 54,000, so that two words seldom share one."""
    return "".join(chr(0x100 + zlib.crc32(word.encode("utf-8", "replace")) % 0xD600) for word in words.split())


def symbols(text: str) -> frozenset[str]:
    """What a text cites: names and paths in its code spans, and on the changed lines of the diffs that it quotes."""
    body = _FRONT.sub("", text.replace("\r\n", "\n"), count=1)
    found: set[str] = set()
    prose: list[str] = []
    for line, fence in fenced(body.split("\n")):
        if not fence:
            prose.append(line)
        elif line[:1] in "+-":
            found.update(_NAME.findall(line[1:]))
    for _, span in SPAN.findall("\n".join(prose)):
        found.update(_NAME.findall(span))
    return frozenset(name for name in found if len(name) > 2)


def quoted_diff(text: str) -> list[tuple[str, str]]:
    """Sign and text of each changed line in the fenced code of a pattern's text."""
    body = _FRONT.sub("", text.replace("\r\n", "\n"), count=1)
    return [(line[0], line[1:]) for line, fence in fenced(body.split("\n")) if fence and line[:1] in ("+", "-")]


def marks_of(lines: Iterable[tuple[str, str]], paths: Collection[str] = ()) -> ChangeMarks:
    """The marks of changed lines, each a sign and its text."""
    found: dict[str, set[str]] = {"-": set(), "+": set()}
    for sign, line in lines:
        bare = "".join(line.split())
        if sign in found and sum(character.isalnum() for character in bare) >= _TELLING:
            found[sign].add(hashlib.sha256(bare.encode("utf-8", "replace")).hexdigest()[:MARK_DIGITS])
    return ChangeMarks(
        paths=tuple(sorted(set(paths))),
        removed=tuple(sorted(found["-"])[:MARKS_MAX]),
        added=tuple(sorted(found["+"])[:MARKS_MAX]),
    )


def rule_mark(rule: str) -> str:
    """The digest of what a structural rule matches: neither its name, its message nor its comments."""
    lines = [line.rstrip() for line in rule.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    kept = [line for line in lines if not line.startswith(("id:", "message:", "note:", "severity:", "url:"))]
    return hashlib.sha256("\n".join(kept).encode("utf-8", "replace")).hexdigest()


def _changes_agree(new: Likeness, other: Likeness) -> bool:
    known = (new.removed or new.added) and (other.removed or other.added)
    return not known or _change_share(new, other) >= ALSO_CHANGE


def _size(likeness: Likeness) -> int:
    return len(likeness.removed) + len(likeness.added)


def _change_share(one: Likeness, other: Likeness) -> float:
    """How much of both changes together both make (Jaccard), 0 of none."""
    both = len(one.removed & other.removed) + len(one.added & other.added)
    together = _size(one) + _size(other) - both
    return both / together if together else 0.0


def _share(one: frozenset[str], other: frozenset[str]) -> float:
    """How much of both together both have (Jaccard), 0 of nothing."""
    both = len(one & other)
    together = len(one) + len(other) - both
    return both / together if together else 0.0


def _similarity(one: str, other: str) -> float:
    from rapidfuzz import fuzz  # noqa: PLC0415 - as above

    return round(fuzz.ratio(one, other) / 100, 3)


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"
