"""The part of a change that the replays exercised: the only part that any text may speak of.

The diff is cut into *blocks* (runs of changed lines), each with the hunk verdict that covers it. Quotable are
the blocks of exercised hunks. Where single reverts could not tell hunks apart (`inseparable`, `unknown`, or no
hunk verdicts), the hunks not shown to be unexercised are quotable *as one*, for as one they turned the result.
Where a smaller change was shown to do the same, only its hunks are quotable.
Test files of the change are kept apart: they are how the change was verified, not what it was.

Invariant: nothing of an unexercised hunk, neither its text nor its path, leaves this module; it is counted.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk, PatchedFile, PatchSet

from events.values import Evidence, HunkEvidence, Scenario

CONTEXT: Final = 3
"""Unchanged lines kept on either side of a quoted block, up to the next blank one."""

_PROVEN: Final = ("exercised",)
_AS_ONE: Final = ("inseparable", "unknown")

Basis = Literal["hunks", "as_one", "unproven"]
"""Why these hunks may be quoted: each was exercised; only as one they were; a person accepted no proof."""


class DiffUnreadable(Exception):
    """The diff cannot be split into hunks; the message says where it stops."""


@dataclass(frozen=True)
class Quote:
    """Some lines of the diff as they stand in it, signs included. Lines are 1-based, in the snapshot's file."""

    path: str
    first: int
    last: int
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        """The path as it can stand in one line of Markdown."""
        return self.path.replace("\n", "?").replace("`", "?")

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True)
class Change:
    """What may be quoted, how the tests that verified it were changed, and how much is left out."""

    quotes: tuple[Quote, ...]
    tests: tuple[Quote, ...]
    basis: Basis
    left_out: int
    """Source hunks that were changed but not shown to be exercised, those that were never tried included."""

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(quote.path for quote in self.quotes))


@dataclass(frozen=True)
class _Block:
    """A run of changed lines of one hunk. `reach` are the snapshot's lines that an evidence range may name."""

    start: int
    stop: int
    reach: tuple[int, int]
    deletion: bool


def exercised_change(diff: bytes, evidence: Evidence, scenario: Scenario) -> Change:
    """Split `diff` by the evidence. Raises DiffUnreadable."""
    wanted, basis = _wanted(evidence)
    ran = _ran(evidence, scenario)
    tests_run = [name for test in named_tests(evidence) if len(name := _own_name(test)) >= 8]
    quotes: list[Quote] = []
    tests: list[Quote] = []
    left_out = sum(hunk not in wanted for hunk in evidence.hunks)
    for file in _files(diff):
        path = _path(file)
        verdicts = [hunk for hunk in evidence.hunks if hunk.file == path]
        if not verdicts and is_test_file(path):
            # The lab judges no hunk of a test file; one that no replay names verified nothing.
            if _was_run(file, path, ran, tests_run):
                tests.extend(_quotes(file, path, [_blocks(hunk) for hunk in file]))
        elif not verdicts and evidence.hunks:
            left_out += 1 if file.is_added_file or file.is_removed_file or file.is_rename else len(file)
        else:
            quotes.extend(_quotes(file, path, [_chosen(hunk, verdicts, wanted) for hunk in file]))
    return Change(tuple(quotes), tuple(tests), basis, left_out)


def surroundings(diff: bytes, change: Change) -> tuple[list[str], list[str]]:
    """(the unchanged lines around what is quotable, up to the next blank one; paths and changed lines that are not).

    The first may be named, the second not even that. Raises DiffUnreadable.
    """
    quoted = {line for quote in (*change.quotes, *change.tests) for line in quote.lines}
    paths = {quote.path for quote in (*change.quotes, *change.tests)}
    near: list[str] = []
    rest: list[str] = []
    for file in _files(diff):
        path = _path(file)
        if path not in paths:
            rest.append(path)
        for run in (run for hunk in file for run in _runs(hunk)):
            changed = [line for line in run if line[0] in "+-"]
            rest.extend(line[1:] for line in changed if path not in paths or line not in quoted)
            if path in paths and any(line in quoted for line in changed):
                near.extend(line[1:] for line in run if line[0] == " ")
    return near, rest


def _runs(hunk: Hunk) -> Iterator[list[str]]:
    """The lines of a hunk, signs included, cut at blank unchanged ones."""
    run: list[str] = []
    for line in hunk:
        shown = _readable(f"{line.line_type}{line.value}".rstrip("\r\n"))
        if shown.strip():
            run.append(shown)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _wanted(evidence: Evidence) -> tuple[frozenset[HunkEvidence], Basis]:
    """The hunks that may be quoted. Of those that the smallest proven change does without, none may."""
    minimal = evidence.minimal
    hunks = evidence.hunks
    if minimal is not None and minimal.verified:
        hunks = tuple(hunk for number, hunk in enumerate(hunks) if number in minimal.hunks)
    if evidence.verdict != "proven":
        return frozenset(hunk for hunk in hunks if hunk.verdict in (*_PROVEN, *_AS_ONE)), "unproven"
    exercised = frozenset(hunk for hunk in hunks if hunk.verdict in _PROVEN)
    if exercised:
        return exercised, "hunks"
    return frozenset(hunk for hunk in hunks if hunk.verdict in _AS_ONE), "as_one"


def _files(diff: bytes) -> Iterator[PatchedFile]:
    """The text files of a diff. Bytes that are not UTF-8 become U+FFFD: a quote must be readable text."""
    try:
        # One character a byte keeps unidiff's idea of a line git's: nothing but \\n ends one.
        patches = PatchSet(diff.decode("latin-1"))
    except UnidiffParseError as error:
        raise DiffUnreadable(f"the diff cannot be split into hunks: {error}") from error
    return (file for file in patches if file and not file.is_binary_file)


_C_ESCAPE = re.compile(rb'\\([abfnrtv"\\]|[0-7]{3})')
_ESCAPES: Final = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13, b'"': 34, b"\\": 92}


def _path(file: PatchedFile) -> str:
    """The path as git wrote it in a header (prefixed, perhaps quoted), odd bytes as U+FFFD, as evidence has them."""
    raw = (file.source_file if file.is_removed_file else file.target_file).encode("latin-1")
    if raw.startswith(b'"') and raw.endswith(b'"'):
        raw = _C_ESCAPE.sub(lambda m: bytes([_ESCAPES[m[1]] if m[1] in _ESCAPES else int(m[1], 8)]), raw[1:-1])
    return (raw[2:] if raw[:2] in (b"a/", b"b/") else raw).decode("utf-8", "replace")


def _blocks(hunk: Hunk) -> list[_Block]:
    blocks: list[_Block] = []
    start: int | None = None
    after = hunk.target_start - 1 if hunk.target_length else hunk.target_start  # last snapshot line before here
    begun = after
    for index, line in enumerate([*hunk, None]):
        if line is not None and line.line_type in "+-" and line.line_type:
            if start is None:
                start, begun = index, after
            after += line.is_added
        elif line is not None and line.line_type == "\\":
            continue
        else:
            if start is not None:
                deletion = after == begun
                # The lab names a deletion by the line that it stood before.
                reach = (begun + 1, begun + 1) if deletion else (begun + 1, after)
                blocks.append(_Block(start, index, reach, deletion))
                start = None
            after += 1
    return blocks


def _chosen(hunk: Hunk, verdicts: Sequence[HunkEvidence], wanted: Collection[HunkEvidence]) -> list[_Block]:
    """The quotable blocks of a hunk: every evidence range that reaches a block must have a wanted verdict."""
    blocks = _blocks(hunk)
    if not verdicts:  # no hunk was judged alone: the change stands as one
        return blocks
    around = (hunk.target_start, hunk.target_start + max(hunk.target_length, 1) - 1)
    here = [verdict for verdict in verdicts if _meets(_span(verdict), around, slack=1)]
    kept = []
    for block in blocks:
        reached = [verdict for verdict in here if _meets(_span(verdict), block.reach)]
        if not reached and block.deletion and len(here) == 1:
            # A range runs from the first to the last added line; lines removed beside them are of that hunk.
            reached = here
        if reached and all(verdict in wanted for verdict in reached):
            kept.append(block)
    return kept


def _span(verdict: HunkEvidence) -> tuple[int, int]:
    return min(verdict.lines), max(verdict.lines)


def _meets(one: tuple[int, int], other: tuple[int, int], slack: int = 0) -> bool:
    return one[0] <= other[1] + slack and other[0] <= one[1] + slack


def _quotes(file: PatchedFile, path: str, chosen: Iterable[Sequence[_Block]]) -> Iterator[Quote]:
    """Blocks with their context, neighbours that touch joined, never over a changed line that is not theirs."""
    for hunk, blocks in zip(file, chosen, strict=True):
        kept = sorted({index for block in blocks for index in _with_context(hunk, block)})
        run: list[int] = []
        for index in [*kept, -1]:
            if run and index != run[-1] + 1:
                yield _quote(path, hunk, run)
                run = []
            run.append(index)


def _with_context(hunk: Hunk, block: _Block) -> Iterator[int]:
    yield from range(block.start, block.stop)
    for step, start in ((-1, block.start - 1), (1, block.stop)):
        for index in range(start, start + step * CONTEXT, step):
            # A blank line is where the next thing may begin, and that one was not exercised.
            if not 0 <= index < len(hunk) or hunk[index].line_type != " " or not hunk[index].value.strip():
                break
            yield index


def _quote(path: str, hunk: Hunk, indices: Sequence[int]) -> Quote:
    lines = [hunk[index] for index in indices]
    numbers = [line.target_line_no for line in lines if line.target_line_no]
    at = numbers or [max(1, hunk.target_start)]
    shown = tuple(_readable(f"{line.line_type or ' '}{line.value}".rstrip("\r\n")) for line in lines)
    return Quote(path, min(at), max(at), shown)


def _readable(latin: str) -> str:
    return latin.encode("latin-1").decode("utf-8", "replace")


# --- test files of the change -----------------------------------------------------------------------

_TEST_PATH = re.compile(
    r"(?:^|/)(?:tests?|specs?|__tests__|testing)/|(?:^|/)(?:test_[^/]*|conftest\.py|[^/]*(?:_test|_spec|\.test|\.spec|Tests?)\.\w+)$"
)


def is_test_file(path: str) -> bool:
    """Whether a path says of itself that it holds tests."""
    return _TEST_PATH.search(path) is not None


def named_tests(evidence: Evidence) -> tuple[str, ...]:
    """Every test that a replay names, in the order named."""
    failing = (test for replay in (*evidence.base, *evidence.snapshot) for test in replay.failing)
    turned = (test for hunk in evidence.hunks for test in hunk.turned)
    return tuple(dict.fromkeys([*failing, *turned]))


def commands(scenario: Scenario) -> Iterator[str]:
    """The scenario's commands as a person types them."""
    for command in (*scenario.setup, *scenario.commands):
        # `bash -c line`: the line is what was typed.
        yield (
            command.argv[2]
            if command.argv[:2] == ("bash", "-c") and len(command.argv) == 3
            else shlex.join(command.argv)
        )


def _ran(evidence: Evidence, scenario: Scenario) -> frozenset[str]:
    """Test ids and the words of the scenario's commands."""
    words = {word for line in commands(scenario) for word in re.split(r"[\s'\"]+", line) if word}
    return frozenset(words | set(named_tests(evidence)))


def _was_run(file: PatchedFile, path: str, ran: frozenset[str], tests_run: Sequence[str]) -> bool:
    """Whether a replay ran something of this test file: by its path, its module's dotted name, or a test in it."""
    dotted = str(PurePosixPath(path).with_suffix("")).replace("/", ".")
    starts = (f"{path}::", f"{path} ", f"{dotted}.", f"{dotted}::")
    if path in ran or dotted in ran or any(word.startswith(starts) for word in ran):
        return True
    text = "".join(line.value for hunk in file for line in hunk)
    if any(name in text for name in tests_run):
        return True
    return any(len(leaf) >= 4 and leaf in text for word in ran if (leaf := _leaf(word)))


def _own_name(test: str) -> str:
    """The last part of a test's id, whatever runner wrote it, without its parameters."""
    name = re.split(r"::| > ", re.split(r"[\[(]", test)[0].rstrip())[-1]
    return name if " " in name else re.split(r"[./]", name)[-1]


def _leaf(test: str) -> str:
    """A test's own name: `test_m.py::T::test_x[1]`, `pkg.T.test_x`, `sum > adds`, `TestX/sub` each end in one."""
    if "::" not in test and " > " not in test and not re.search(r"(?i)^test|\.test", test):
        return ""
    name = re.split(r"::| > ", test.partition("[")[0])[-1]
    return name if " " in name else re.split(r"\.", name.partition("/")[0])[-1]
