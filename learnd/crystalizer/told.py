"""What the run was told, as far as it may be repeated: visible, grounded sentences of its prompt.

A prompt is anybody's text: lists, code, HTML comments of an issue template, characters that show nothing.
Repeated is only prose that a reader sees and that names nothing beyond the exercised change; how much was left
out is counted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from learnd.crystalizer.grounding import Grounding, grounded_only
from learnd.library.prose import sentences

_CHARS_MAX: Final = 1_500

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)|<!\[CDATA\[", re.DOTALL)
_CODE_BLOCK = re.compile(r"^[ \t>]*(`{3,}|~{3,}).*?(?:^[ \t>]*\1[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,3}[.)])[ \t]+")
_LEAD = re.compile(r"^(?:[#>*\-\s]|\d+[.)]\s|(?:task|prompt|goal|summary|title|issue|todo)\s*[:–-]\s*)+", re.IGNORECASE)
_UNSEEN: Final = frozenset(map(chr, [0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0xFFFC]))


@dataclass(frozen=True)
class Told:
    """The repeatable paragraphs of a prompt (list items with their sign), and what was left out, in sentences."""

    paragraphs: tuple[str, ...]
    left_out: int


def tell(prompt: str, grounding: Grounding) -> Told:
    """`prompt` must be safe (redacted, generalised) already."""
    text, blocks = _CODE_BLOCK.subn("\n\n", _COMMENT.sub(" ", visible(prompt)))
    kept: list[str] = []
    left_out = blocks
    room = _CHARS_MAX
    for sign, unit in _units(text):
        grounded, dropped = grounded_only(grounding, (said.strip() for said in sentences(unit)))
        left_out += dropped
        said = " ".join(grounded).strip()
        if said and len(said) <= room:
            room -= len(said)
            kept.append(sign + said)
        elif said:
            left_out += len(grounded)
    return Told(tuple(kept), left_out)


def heading(prompt: str) -> str:
    """The first sentence of a safe prompt without its heading signs and labels; empty for none."""
    for line in _COMMENT.sub(" ", visible(prompt)).splitlines():
        found = _LEAD.sub("", line.strip()).strip(" *_#:")
        if found:
            return sentences(found)[0].strip().rstrip(".!:;, ")
    return ""


def visible(text: str) -> str:
    """`text` without characters that show nothing: bidirectional and zero-width signs, fillers, variation selectors."""
    return "".join(char for char in text if not _is_unseen(char))


def _is_unseen(char: str) -> bool:
    if char in _UNSEEN or "\ufe00" <= char <= "\ufe0f" or "\U000e0000" <= char <= "\U000e0fff":
        return True
    return unicodedata.category(char) in ("Cf", "Co", "Cs", "Zl", "Zp")


def _units(text: str) -> Iterator[tuple[str, str]]:
    """Paragraphs and list items, each on one line, as (sign, text)."""
    sign, lines = "", list[str]()
    for line in [*text.splitlines(), ""]:
        item = _ITEM.match(line)
        if (item or not line.strip()) and lines:
            yield sign, " ".join(lines)
            sign, lines = "", []
        if item:
            sign, line = "- ", line[item.end() :]  # noqa: PLW2901 - the rest of the line is the item
        bare = re.sub(r"`{3,}", "", line.strip().lstrip("#>").strip())
        if bare:
            lines.append(bare)
