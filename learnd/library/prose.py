"""A pattern's Markdown cut into what can be judged alone, and put together again without what must go.

A text is a row of *blocks* (paragraphs, list items, quotations, code blocks, headings), each with the lines that it
takes; a paragraph is a row of sentences. Only sentences of prose can be taken out: code stands as a whole or not at
all. What introduced nothing any more ("It showed as:") goes with what it introduced.

Invariant: taking nothing out gives the text back, to the letter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from learnd.library.sections import fenced

_MARK = re.compile(r"[ \t]*(?:>[ \t]?)*[ \t]*(?:(?:[-*+]|\d{1,3}[.)])[ \t]+|#{1,6}[ \t]+)?")
_QUOTED = re.compile(r"\n[ \t]*(?:>[ \t]?)+")
_ITEM = re.compile(r"[ \t]*(?:>[ \t]?)*[ \t]*(?:[-*+]|\d{1,3}[.)])[ \t]+")
_END = re.compile(r"(?<=[.!?])[)\"'*_»”]*\s+(?=[A-Z0-9`\"'(*_\[!<¡¿«„“]|[^\x00-\x7f])|(?<=[。！？])")
SPAN = re.compile(r"(?P<ticks>`+)(?!`)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)", re.DOTALL)
"""Code within prose, as Markdown marks it."""
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|etc|no|approx)\.|\b[A-Z]\.)$", re.IGNORECASE)


@dataclass(frozen=True)
class Block:
    """Lines `first` to `last` (exclusive) of a text. `code` is what stands between fences, the fences included."""

    kind: str
    first: int
    last: int
    text: str


def blocks(text: str) -> list[Block]:
    """The blocks of a text, in order; blank lines belong to none."""
    found: list[Block] = []
    held: list[str] = []
    start = 0
    state = ""

    def close(end: int) -> None:
        if held:
            found.append(Block("code" if state else "prose", start, end, "\n".join(held)))
            held.clear()

    opened = False
    for at, (line, fence) in enumerate(fenced(text.split("\n"))):
        begins = bool(fence) and (not state or (opened and held and _closes(held, fence) and line.strip()[:3] in fence))
        if fence != state or begins or (not fence and (not line.strip() or _ITEM.match(line) or line.startswith("#"))):
            close(at)
            start, state, opened = at, fence, bool(fence)
        if fence or line.strip():
            held.append(line)
    close(text.count("\n") + 1)
    return found


def _closes(held: list[str], fence: str) -> bool:
    """Whether the block so far ends with its closing fence: two code blocks may follow each other directly."""
    return len(held) > 1 and held[-1].strip().startswith(fence[:3]) and not held[-1].strip().strip(fence[0])


def sentences(text: str) -> list[str]:
    """`text` cut after each sentence; nothing is cut inside of code, and joining gives `text` back."""
    inside = [match.span() for match in SPAN.finditer(text)]
    cuts = [0]
    for match in _END.finditer(text):
        at = match.end()
        if any(first < at < last for first, last in inside) or _ABBREVIATION.search(text[: match.start()]):
            continue
        cuts.append(at)
    return [text[first:last] for first, last in zip(cuts, [*cuts[1:], len(text)], strict=True) if text[first:last]]


def without(text: str, is_bad: Callable[[str], bool]) -> tuple[str, list[str]]:
    """`text` without the sentences of prose that are bad, and these."""
    lines = text.split("\n")
    gone: list[str] = []
    emptied: list[Block] = []
    kept: dict[int, Block] = {}
    for block in blocks(text):
        if block.kind == "code":
            kept[block.first] = block
            continue
        mark, said = _parted(block.text)
        if ">" in mark:
            said = _QUOTED.sub(" ", said)
        parts = sentences(said)
        bad = [part for part in parts if is_bad(part.strip())]
        gone.extend(" ".join(part.split()) for part in bad)
        left = "".join(part for part in parts if part not in bad).rstrip()
        if not left.strip():
            emptied.append(block)
        elif bad:
            kept[block.first] = Block("prose", block.first, block.last, mark + left)
        else:
            kept[block.first] = block
    if not gone:
        return text, []
    gone.extend(_drop_openings(kept, emptied, lines))
    return _together(lines, kept), gone


def unmarked(block: str) -> str:
    """What a block says: without the marks of a quotation, a list or a heading."""
    return _QUOTED.sub("\n", _parted(block)[1])


def _parted(block: str) -> tuple[str, str]:
    """A block's own mark (of a list, a quotation), and what it says; marks of further lines stay in the text."""
    mark = _MARK.match(block)
    end = mark.end() if mark else 0
    return block[:end], block[end:]


def _drop_openings(kept: dict[int, Block], emptied: list[Block], lines: list[str]) -> Iterator[str]:
    """Take out the paragraphs that end with a colon and have lost all that they introduced."""
    for block in emptied:
        before = [first for first in sorted(kept) if first < block.first]
        if not before or not kept[before[-1]].text.rstrip().endswith(":"):
            continue
        opening = kept[before[-1]]
        after = next((first for first in sorted(kept) if first > block.first), None)
        if after is not None and (kept[after].kind == "code" or _ITEM.match(lines[after])):
            continue  # it still introduces something
        rest = opening.text.rstrip()
        parts = sentences(rest)
        yield " ".join(parts[-1].split())
        left = "".join(parts[:-1]).rstrip()
        if _parted(left)[1].strip():
            kept[opening.first] = Block("prose", opening.first, opening.last, left)
        else:
            del kept[opening.first]


def _together(lines: list[str], kept: dict[int, Block]) -> str:
    """The kept blocks with the blank lines that stood before each."""
    out: list[str] = []
    last = 0
    for first in sorted(kept):
        block = kept[first]
        gap = any(not line.strip() for line in lines[last:first])
        if out and gap:
            out.append("")
        out.append(block.text)
        last = block.last
    return "\n".join(out)
