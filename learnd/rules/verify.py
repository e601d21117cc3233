"""Does a rule tell a proven change's base from its snapshot? Run on both, it must

- match the base, and there nothing but what exercised hunks took out or were put beside;
- match nothing in the snapshot, in no file of its language.

Its fix is kept when applying it to those matches gives the snapshot's code there: the same bytes, or the same syntax.
`fix_as_tested` says more: nothing else in those files differs from the snapshot, whose tests were replayed.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from events.values import RuleMatch
from learnd.rules.astgrep import Match, version
from learnd.rules.bench import Bench
from learnd.rules.rule import Rule, without_fix
from learnd.rules.target import Spot

MATCHES_MAX = 50
"""Matches that an event names."""
_AST_MAX = 200_000
"""Bytes of Python that are parsed for a comparison."""


class NotVerified(Exception):
    """The rule does not tell the two sides apart; the message says where it matched, or did not."""


@dataclass(frozen=True)
class Verified:
    """A rule that was run on both sides. `covers` is how many spots it matched."""

    rule: Rule
    matches: tuple[RuleMatch, ...]
    base_files: int
    snapshot_files: int
    fix_as_tested: bool
    covers: int
    engine: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.rule.text.encode()).hexdigest()


def judge(rule: Rule, found: Sequence[Match], bench: Bench, spots: Sequence[Spot]) -> Verified:
    """What the matches of `rule` on both sides show. Raises NotVerified."""
    sides = split(found)
    if sides["snapshot"]:
        raise NotVerified(f"it matches the snapshot at {_place(sides['snapshot'][0])}")
    if not sides["base"]:
        raise NotVerified("it matches nothing in the base")
    beside = [match for match in sides["base"] if not any(_is_at(match, spot) for spot in spots)]
    if beside:
        raise NotVerified(f"it matches the base at {_place(beside[0])}, which no exercised hunk changed")
    kept, as_tested = rule, False
    if rule.has_fix:
        fixed = applied(bench.files["base"], sides["base"])
        if all(_as_in_snapshot(path, bench, content) for path, content in fixed.items()):
            as_tested = all(bench.files["snapshot"].get(path) == content for path, content in fixed.items())
        else:
            kept = without_fix(rule)
    return Verified(
        rule=kept,
        matches=tuple(RuleMatch(path=match.path, lines=match.lines) for match in sides["base"][:MATCHES_MAX]),
        base_files=len(bench.files["base"]),
        snapshot_files=len(bench.files["snapshot"]),
        fix_as_tested=as_tested,
        covers=sum(any(_is_at(match, spot) for match in sides["base"]) for spot in spots),
        engine=version(),
    )


def split(found: Iterable[Match]) -> dict[str, list[Match]]:
    """Matches by side, with the paths that they have in the repository."""
    sides: dict[str, list[Match]] = {"base": [], "snapshot": []}
    for match in found:
        side, _, path = match.path.partition("/")
        sides[side].append(replace(match, path=path))
    return sides


def applied(files: Mapping[str, bytes], matches: Iterable[Match]) -> dict[str, bytes]:
    """The matched files with every match replaced by its fix. Of matches within one another the outer counts."""
    by_file: dict[str, list[Match]] = {}
    for match in matches:
        if match.replacement is not None:
            by_file.setdefault(match.path, []).append(match)
    return {path: replaced(files[path], found) for path, found in by_file.items()}


def replaced(content: bytes, matches: Iterable[Match]) -> bytes:
    """`content` with the matches replaced by their fixes."""
    parts: list[bytes] = []
    at = 0
    for match in sorted(matches, key=lambda match: (match.replaces[0], -match.replaces[1])):
        start, end = match.replaces
        if start < at:
            continue
        parts += [content[at:start], (match.replacement or "").encode()]
        at = end
    return b"".join([*parts, content[at:]])


def _is_at(match: Match, spot: Spot) -> bool:
    return match.path == spot.path and spot.touches(match.lines)


def _place(match: Match) -> str:
    return f"{match.path}:{match.lines[0]}"


# --- is the fixed code the snapshot's? ----------------------------------------------------------------


def _as_in_snapshot(path: str, bench: Bench, fixed: bytes) -> bool:
    """Whether all that the fix changed is as the snapshot has it, line by line or as Python reads it."""
    base, snapshot = bench.files["base"].get(path, b""), bench.files["snapshot"].get(path)
    if snapshot is None:
        return False
    if fixed == snapshot:
        return True
    edits = _edits(base, snapshot)
    own = _edits(base, fixed)
    if own and own <= edits:
        return True
    return path.endswith((".py", ".pyi")) and _same_python(fixed, snapshot)


def _edits(before: bytes, after: bytes) -> frozenset[tuple[int, int, tuple[bytes, ...]]]:
    """The runs of changed lines: where in `before`, and what stands there then. Trailing blanks do not count."""
    one, other = ([line.rstrip() for line in text.split(b"\n")] for text in (before, after))
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    return frozenset(
        (first, last, tuple(other[start:stop]))
        for kind, first, last, start, stop in matcher.get_opcodes()
        if kind != "equal"
    )


def _same_python(one: bytes, other: bytes) -> bool:
    """Whether Python reads the same program from both. Nothing of it is executed."""
    if max(len(one), len(other)) > _AST_MAX:
        return False
    try:
        return ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
