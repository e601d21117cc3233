"""Rules from a change alone, without a model: what exercised hunks took out as a pattern, what they put there as a fix.

A rule is proposed, never believed: each is run on both trees, and one that matches anything else in the base, or
anything in the snapshot, is none. Three shapes, in this order:

- *replaced*: the smallest piece of syntax around what changed, within the lines taken out; its fix is what is there.
- *guarded*: a statement before which something was put in, where that does not stand before it; its fix puts it there.
- *removed*: a piece of syntax of the lines taken out, of which the snapshot has none. It has no fix.

Names that the file does not import or define at its top are the base's own choice; they become metavariables where the
rule still matches there and nowhere else. So do names in which two exercised hunks of one shape differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from learnd.lab.hunks import defined
from learnd.rules.astgrep import AstGrepFailed, Match
from learnd.rules.bench import Bench
from learnd.rules.rule import Rule, RuleRefused, build
from learnd.rules.target import Spot
from learnd.rules.verify import NotVerified, Verified, judge

SPOTS_MAX = 12
PIECES_MAX = 6
PROPOSALS_MAX = 60
FILE_MAX = 200_000
"""Bytes of a file whose syntax is looked at: what ast-grep says of it grows with its depth, too."""
TOKENS_MIN = 3
_TOKEN = re.compile(rb"\w+|[^\w\s]")
_WORD = re.compile(r"[^\W\d]\w*")
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`", re.DOTALL)
_METAVARIABLE = re.compile(r"\$[A-Z_$]")
_NAME_ONLY = re.compile(r"[\w.:>$-]+")
_GOES_ON = re.compile(r"[)\]}>]|(?:else|elif|except|finally|catch|then|end|do|while|rescue|ensure|when|case)\b")
"""How a line may begin that stands as far left as the first and is part of the same statement all the same."""
_CONSTANTS = frozenset(
    (
        "None",
        "True",
        "False",
        "null",
        "undefined",
        "nil",
        "true",
        "false",
        "self",
        "cls",
        "this",
        "super",
        "NULL",
        "nullptr",
        "and",
        "or",
        "not",
        "in",
        "is",
    )
)


@dataclass(frozen=True)
class Piece:
    """A piece of syntax of the base, and what the snapshot has in its place (or before it: `guard`)."""

    text: str
    fix: str | None = None
    guard: str | None = None
    names: tuple[str, ...] = ()
    """Names in it that are the base's own choice."""


def propose(bench: Bench, spots: Sequence[Spot], language: str, name: str) -> Verified | None:
    """The rule that covers most of the spots, of the best shape; None where none tells the sides apart.

    Raises AstGrepFailed, SandboxUnavailable.
    """
    pieces = [list(_pieces(bench, spot, language)) for spot in spots[:SPOTS_MAX]]
    shapes = [shape for found in pieces for piece in found for shape in _shapes(piece)]
    shapes += _unified(pieces)
    rules: list[Rule] = []
    for shape in list(dict.fromkeys(shapes))[:PROPOSALS_MAX]:
        try:
            rules.append(build(_fields(shape, language), f"{name}-{len(rules)}"))
        except RuleRefused:
            continue
    verified = list(_verified(bench, rules, spots))
    # Python keeps the order of equals: that of the shapes.
    return max(verified, key=lambda one: (one.covers, one.rule.has_fix), default=None)


def _verified(bench: Bench, rules: Sequence[Rule], spots: Sequence[Spot]) -> Iterator[Verified]:
    for rule, found in _scanned(bench, rules):
        try:
            yield judge(rule, found, bench, spots)
        except NotVerified:
            continue


def _scanned(bench: Bench, rules: Sequence[Rule]) -> Iterator[tuple[Rule, list[Match]]]:
    """The matches of each rule. One that ast-grep refuses would take the others with it: then each is run alone."""
    if not rules:
        return
    try:
        found = bench.scan([rule.text for rule in rules])
    except AstGrepFailed:
        if len(rules) == 1:
            return
        half = len(rules) // 2
        yield from _scanned(bench, rules[:half])
        yield from _scanned(bench, rules[half:])
        return
    for rule in rules:
        yield rule, [match for match in found if match.name == rule.name]


def _fields(shape: Piece, language: str) -> dict[object, object]:
    rule: dict[str, object] = {"pattern": shape.text}
    if shape.guard is not None:
        rule["not"] = {"follows": {"pattern": shape.guard}}
    return {"language": language, "rule": rule, "fix": shape.fix}


# --- pieces of syntax ---------------------------------------------------------------------------------


def _pieces(bench: Bench, spot: Spot, language: str) -> Iterator[Piece]:
    base = bench.files["base"].get(spot.path)
    snapshot = bench.files["snapshot"].get(spot.path)
    if base is None or len(base) > FILE_MAX:
        return
    file = _File(base, bench.nodes("base", spot.path, language))
    if spot.inserts:
        if snapshot is not None and len(snapshot) <= FILE_MAX:
            yield from _guarded(file, _File(snapshot, bench.nodes("snapshot", spot.path, language)), spot)
        return
    start, end = file.span(spot.first, spot.last)
    removed, added = base[start:end], "\n".join(spot.added).strip().encode()
    if not removed:
        return
    core = _core(removed, added)
    within = file.within(start, end)
    around = [node for node in within if node[0] <= start + core[0] and start + core[1] <= node[1]]
    for first, last in [node for node in sorted(around, key=_size) if file.is_code(node)][:PIECES_MAX]:
        before, after = removed[: first - start], removed[last - start :]
        fix = None
        if added.startswith(before) and added.endswith(after) and len(added) > len(before) + len(after):
            fix = _dedented(added[len(before) : len(added) - len(after)], file.indent(first))
        yield Piece(file.text(first, last), fix, names=file.own_names(first, last))
    whole = [node for node in sorted(within, key=_size, reverse=True) if file.is_code(node, 5)]
    for first, last in whole[:PIECES_MAX]:
        yield Piece(file.text(first, last), names=file.own_names(first, last))


def _guarded(base: _File, snapshot: _File, spot: Spot) -> Iterator[Piece]:
    """What was put in stands right before a statement that the base has without it."""
    at = base.first_code(spot.first)
    added = "\n".join(spot.added).rstrip().encode()
    where = snapshot.content.find(added)
    if at is None or not added.strip() or where < 0 or snapshot.content.count(added) != 1:
        return
    where += len(added) - len(added.lstrip())
    ends = where + len(added.strip())
    last_put_in = [node for node in snapshot.within(where, ends) if node[1] == ends and snapshot.is_code(node)]
    if not last_put_in:
        return
    guard = max(last_put_in, key=_size)
    for first, last in sorted((node for node in base.nodes if node[0] == at), key=_size)[: 2 * PIECES_MAX]:
        if not base.is_code((first, last)):
            continue
        put_in = _dedented(snapshot.content[where:ends], snapshot.indent(where))
        text = base.text(first, last)
        yield Piece(text, f"{put_in}\n{text}", snapshot.text(*guard), base.own_names(first, last))


Node = tuple[int, int]


def _size(node: Node) -> int:
    return node[1] - node[0]


class _File:
    """A file and its named nodes, as byte ranges."""

    def __init__(self, content: bytes, found: Sequence[Match]) -> None:
        self.content = content
        self.nodes = frozenset((match.start, match.end) for match in found)
        self._starts = [0, *(at + 1 for at, byte in enumerate(content) if byte == 10), len(content)]
        self._top = defined(line for line in content.decode("utf-8", "replace").split("\n") if line[:1].strip())

    def span(self, first: int, last: int) -> Node:
        """The bytes of these lines, without the blanks around them."""
        start, end = self._starts[first - 1], self._starts[min(last, len(self._starts) - 1)]
        text = self.content[start:end]
        return start + len(text) - len(text.lstrip()), end - (len(text) - len(text.rstrip()))

    def first_code(self, line: int) -> int | None:
        """Where the first line from `line` on that is not blank begins."""
        rest = self.content[self._starts[min(line, len(self._starts)) - 1] :]
        at = len(self.content) - len(rest.lstrip())
        return at if rest.strip() else None

    def within(self, start: int, end: int) -> list[Node]:
        return [node for node in self.nodes if start <= node[0] and node[1] <= end]

    def is_code(self, node: Node, tokens: int = TOKENS_MIN) -> bool:
        """Whether it is more than a name, and can be written as a pattern."""
        text = self.content[node[0] : node[1]].decode("utf-8", "replace")
        enough = len(_TOKEN.findall(text.encode())) >= tokens and not _NAME_ONLY.fullmatch(text)
        lines = (_dedented(self.content[node[0] : node[1]], self.indent(node[0])) or text).split("\n")[1:]
        statements = any(line[:1].strip() and not _GOES_ON.match(line) for line in lines)
        return enough and not statements and "\ufffd" not in text and not _METAVARIABLE.search(text)

    def indent(self, at: int) -> bytes:
        """The blanks at the beginning of the line that `at` stands in."""
        line = self.content[self.content.rfind(b"\n", 0, at) + 1 :]
        return line[: len(line) - len(line.lstrip(b" \t"))]

    def text(self, first: int, last: int) -> str:
        return _dedented(self.content[first:last], self.indent(first)) or ""

    def own_names(self, first: int, last: int) -> tuple[str, ...]:
        """Names within that are variables by their look, and that the file neither imports nor defines at its top."""
        inside = self.within(first, last)
        leaves = [node for node in inside if not any(node[0] <= o[0] and o[1] <= node[1] and o != node for o in inside)]
        quoted = "\n".join(_STRING.findall(self.content[first:last].decode("utf-8", "replace")))
        found: dict[str, bool] = {}
        for start, end in sorted(leaves):
            word = self.content[start:end].decode("utf-8", "replace")
            if _WORD.fullmatch(word):
                before, after = self.content[:start].rstrip(), self.content[end:].lstrip()
                member = before.endswith((b".", b"->", b"::", b"@", b"#"))
                called = after.startswith((b"(", b"::")) or (after.startswith(b"=") and not after.startswith(b"=="))
                # A name within a string (an f-string, a template) is not replaced there.
                fixed = word in _CONSTANTS or word in self._top or re.search(rf"\b{word}\b", quoted)
                chosen = not (member or called or fixed)
                found[word] = found.get(word, True) and chosen
        return tuple(word for word, chosen in found.items() if chosen)


def _core(removed: bytes, added: bytes) -> Node:
    """Where in `removed` what differs from `added` lies: between the tokens that begin and end both alike."""
    one, other = list(_TOKEN.finditer(removed)), list(_TOKEN.finditer(added))
    front = 0
    while front < min(len(one), len(other)) and one[front][0] == other[front][0]:
        front += 1
    back = 0
    while back < min(len(one), len(other)) - front and one[-1 - back][0] == other[-1 - back][0]:
        back += 1
    if front + back < len(one):
        return one[front].start(), one[len(one) - back - 1].end()
    # Something was only put in: what stands on either side of it belongs together.
    return (one[front - 1].start() if front else 0), (one[front].end() if back else len(removed))


def _dedented(text: bytes, indent: bytes) -> str | None:
    """`text` whose lines but the first begin with `indent`, without that; None where they do not all."""
    first, *rest = text.decode("utf-8", "replace").split("\n")
    blanks = indent.decode()
    if any(line.strip() and not line.startswith(blanks) for line in rest):
        return None
    return "\n".join([first, *(line.removeprefix(blanks) for line in rest)])


# --- from pieces to patterns --------------------------------------------------------------------------


def _shapes(piece: Piece) -> Iterator[Piece]:
    """The piece with its own names as metavariables, then as it stands."""
    if not piece.text:
        return
    if piece.names:
        general = _with_metavariables(piece, dict(zip(piece.names, _metavariables(), strict=False)))
        if re.search(r"\w", re.sub(r"\$[A-Z]\b", "", general.text)):  # `$A == $B` says nothing of this code
            yield general
    yield piece


def _metavariables() -> list[str]:
    return [f"${letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]


def _with_metavariables(piece: Piece, names: dict[str, str]) -> Piece:
    return Piece(
        _renamed(piece.text, names),
        None if piece.fix is None else _renamed(piece.fix, names),
        None if piece.guard is None else _renamed(piece.guard, names),
    )


def _renamed(text: str, names: dict[str, str]) -> str:
    """`text` with whole words replaced, but for members and what stands in strings."""
    parts: list[str] = []
    at = 0
    for string in [*_STRING.finditer(text), None]:
        end = string.start() if string else len(text)
        parts.append(re.sub(r"(?<![\w.$])[^\W\d]\w*", lambda match: names.get(match[0], match[0]), text[at:end]))
        if string:
            parts.append(string[0])
            at = string.end()
    return "".join(parts)


def _unified(pieces: Sequence[Sequence[Piece]]) -> list[Piece]:
    """Pieces of different spots that differ in names alone, as one with metavariables for those names."""
    found: list[Piece] = []
    for one, other in combinations(pieces, 2):
        for piece in one:
            for twin in other:
                names = _differing(piece, twin)
                if names:
                    found.append(_with_metavariables(piece, names))
    return found


def _differing(piece: Piece, twin: Piece) -> dict[str, str]:
    """Names of `piece` in whose place `twin` has another one, everywhere the same; none where more differs."""
    if (piece.fix is None) != (twin.fix is None) or piece.guard or twin.guard:
        return {}
    pairs: dict[str, str] = {}
    for text, counterpart in ((piece.text, twin.text), (piece.fix or "", twin.fix or "")):
        one, other = re.findall(r"\w+|[^\w\s]", text), re.findall(r"\w+|[^\w\s]", counterpart)
        if len(one) != len(other):
            return {}
        for mine, theirs in zip(one, other, strict=True):
            if not (_WORD.fullmatch(mine) and _WORD.fullmatch(theirs)):
                if mine != theirs:
                    return {}
            elif pairs.setdefault(mine, theirs) != theirs:
                return {}
    differ = [mine for mine, theirs in pairs.items() if mine != theirs]
    return dict(zip(differ, _metavariables(), strict=False))
