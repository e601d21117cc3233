"""The source hunks of a change: which there are, how to take one away, and what names a change adds.

A change is read with bytes kept exactly (latin-1 both ways), so that a revert patch says what the diff said. A *unit*
is what is reverted alone: one run of changed lines of a modified file (git shows neighbours as one hunk; what was
not reverted alone was not shown to matter alone), or a whole file where it was added, deleted or renamed, since half of
such a file is no state that ever was. Test files and binary files are no units: a pattern claims neither. Nor are the
pattern files that learnd itself laid beside the change, one more after every job: each would cost a replay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk, Line, PatchedFile, PatchSet

UNITS_MAX = 300
"""More units than this are counted, not listed: evidence is an event and must stay small."""

_PROSE = re.compile(
    r"(?i)(\.(md|rst|adoc)$|(^|/)(changelog|changes|news|licen[cs]e|authors|notice|readme)[^/]*$|^docs?/)"
)
_OWN_FILES = (".agent/patterns/", "docs/patterns/")
_C_ESCAPE = re.compile(rb'\\([abfnrtv"\\]|[0-7]{3})')
_ESCAPES = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13, b'"': 34, b"\\": 92}


class DiffUnreadable(Exception):
    """The diff cannot be split into hunks; the message says at what it failed."""


@dataclass(frozen=True)
class Run:
    """One run of changed lines: the lines `start` to `stop` (exclusive) of a hunk of a file of the diff."""

    file: PatchedFile
    hunk: Hunk
    start: int
    stop: int


@dataclass(frozen=True)
class Unit:
    """One thing to revert alone.

    `patch` is the forward patch (revert = apply it in reverse). `lines` are 1-based, inclusive, in the snapshot's file;
    of a pure deletion the line it stood before; (1, 1) for a deleted file. `added` and `removed` are the text lines.
    """

    file: str
    lines: tuple[int, int]
    header: str
    patch: bytes
    added: tuple[str, ...]
    removed: tuple[str, ...]
    added_file: bool = False
    run: Run | None = field(default=None, compare=False, repr=False)
    """Where in the diff it stands; none where it is a whole file."""

    @property
    def name(self) -> str:
        """`file:line`, as people point at it."""
        return f"{self.file}:{self.lines[0]}"


@dataclass(frozen=True)
class AddedNames:
    """What a change brings into being: names defined on added source lines, and dotted names of added modules."""

    symbols: frozenset[str]
    modules: frozenset[str]

    def has(self, name: str) -> bool:
        """Whether `name` (a symbol, or a dotted module name) is one the change adds."""
        return name in self.symbols or name in self.modules


def split(diff: bytes, is_test: Callable[[str], bool]) -> tuple[Unit, ...]:
    """The units of a `git diff`, code before prose, in the diff's order otherwise. Raises DiffUnreadable."""
    try:
        patched = PatchSet(diff.decode("latin-1"))
    except UnidiffParseError as error:
        raise DiffUnreadable(f"the diff cannot be split into hunks: {error}") from error
    units: list[Unit] = []
    for file in patched:
        path = _path(file.target_file if not file.is_removed_file else file.source_file)
        if file and not file.is_binary_file and not is_test(path) and not path.startswith(_OWN_FILES):
            units.extend(_units_of(file, path))
    return tuple(sorted(units, key=lambda unit: _PROSE.search(unit.file) is not None))


def _units_of(file: PatchedFile, path: str) -> Iterable[Unit]:
    if file.is_added_file or file.is_removed_file or file.is_rename:
        last = max((line.target_line_no or 1 for hunk in file for line in hunk), default=1)
        lines = (1, 1 if file.is_removed_file else last)
        whole = str(file).encode("latin-1")
        yield Unit(path, lines, "", whole, _texts(file, "+"), _texts(file, "-"), file.is_added_file)
        return
    for hunk in file:
        for run in _runs(file, hunk):
            alone = _only(hunk, [run])
            patch = (_head(file) + str(alone)).encode("latin-1")
            header = _text(alone.section_header)
            yield Unit(path, _lines(alone), header, patch, _texts([alone], "+"), _texts([alone], "-"), run=run)


def combined(units: Iterable[Unit]) -> bytes:
    """One forward patch of several units of one diff: reverting it takes them all away, and nothing else."""
    whole: list[bytes] = []
    files: dict[int, list[Run]] = {}
    for unit in units:
        if unit.run is None:
            whole.append(unit.patch)
        else:
            files.setdefault(id(unit.run.file), []).append(unit.run)
    return b"".join([*whole, *map(_of_one_file, files.values())])


def _of_one_file(runs: Sequence[Run]) -> bytes:
    chosen = {id(run.hunk): [other for other in runs if other.hunk is run.hunk] for run in runs}
    text = _head(runs[0].file)
    shift = 0
    for hunk in runs[0].file:
        if id(hunk) in chosen:
            part = _only(hunk, chosen[id(hunk)], shift)
            shift += part.source_length - part.target_length
            text += str(part)
    return text.encode("latin-1")


def _runs(file: PatchedFile, hunk: Hunk) -> Iterator[Run]:
    """The runs of changed lines of a hunk."""
    changed = [line.is_added or line.is_removed for line in hunk]
    # "\\ No newline at end of file" belongs to the line before it.
    for at, line in enumerate(hunk):
        if line.line_type == "\\":
            changed[at] = changed[at - 1] if at else False
    start: int | None = None
    for at, is_changed in enumerate([*changed, False]):
        if is_changed and start is None:
            start = at
        elif not is_changed and start is not None:
            yield Run(file, hunk, start, at)
            start = None


def _only(hunk: Hunk, runs: Sequence[Run], shift: int = 0) -> Hunk:
    """The hunk with these runs alone; the others stand as the snapshot has them.

    `shift`: how many lines longer the file is before this hunk without the runs that the patch has up to here.
    """
    kept: list[Line] = []
    dropped = False
    for at, line in enumerate(hunk):
        inside = any(run.start <= at < run.stop for run in runs)
        dropped = not inside and (line.is_removed or (line.line_type == "\\" and dropped))
        if not dropped:
            kind = " " if line.is_added and not inside else line.line_type
            kept.append(Line(line.value, kind, target_line_no=line.target_line_no))
    sources = sum(line.line_type in " -" for line in kept)
    targets = sum(line.line_type in " +" for line in kept)
    # By git's convention a side without lines starts at the line before.
    start = hunk.target_start + shift + (not hunk.target_length) - (not sources)
    part = Hunk(start, sources, hunk.target_start, targets, hunk.section_header)
    for line in kept:
        part.append(line)
    return part


def _head(file: PatchedFile) -> str:
    """The file's header without mode and index lines: the revert of a hunk changes text and nothing else."""
    first = str(file.patch_info).split("\n", 1)[0]
    return f"{first}\n--- {file.source_file}\n+++ {file.target_file}\n"


def _lines(hunk: Hunk) -> tuple[int, int]:
    added = [line.target_line_no for line in hunk if line.is_added and line.target_line_no]
    if added:
        return (min(added), max(added))
    kept = 0  # context lines before the first removed one
    for line in hunk:
        if line.is_removed:
            break
        kept += 1
    at = max(1, hunk.target_start + kept)
    return (at, at)


def _texts(hunks: Iterable[Hunk], sign: str) -> tuple[str, ...]:
    return tuple(_text(line.value.rstrip("\n")) for hunk in hunks for line in hunk if line.line_type == sign)


def _text(latin: str) -> str:
    return latin.encode("latin-1").decode("utf-8", "replace")


def _path(name: str) -> str:
    """A path as git wrote it in a header (prefixed, perhaps quoted) as text, odd bytes kept as surrogates."""
    raw = name.encode("latin-1")
    if raw.startswith(b'"') and raw.endswith(b'"'):
        raw = _C_ESCAPE.sub(_unescape, raw[1:-1])
    return (raw[2:] if raw[:2] in (b"a/", b"b/") else raw).decode("utf-8", "surrogateescape")


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match.group(1)
    return bytes([_ESCAPES[code] if code in _ESCAPES else int(code, 8)])


# --- names ------------------------------------------------------------------------------------------

_DEFINITIONS = (
    # Python, JavaScript, TypeScript, Go, Rust, Java and kin: keyword then name.
    re.compile(
        r"\b(?:def|class|function\*?|const|let|var|fn|func|type|struct|enum|trait|interface|mod|static|record)\s+"
        r"(?:\([^)]*\)\s*)?(?:mut\s+)?([A-Za-z_$][\w$]*)"
    ),
    # Assignment or annotation at the start of a line: NAME = …, self.name: int = …, exports.name = …
    re.compile(r"^\s*(?:(?:self|cls|this|exports|module\.exports)\.)?([A-Za-z_$][\w$]*)\s*(?::[^=]+)?=(?!=)"),
    re.compile(r"^\s*([A-Za-z_]\w*)\s*:\s*\S"),
    # A method of an object or class in JavaScript and TypeScript.
    re.compile(r"^\s*(?:async\s+|static\s+|get\s+|set\s+)*([A-Za-z_$][\w$]*)\s*\([^)]*\)\s*\{"),
)
_IMPORTED = re.compile(r"^\s*(?:from\s+\S+\s+)?import\s+(.+)$")


def added_names(units: Iterable[Unit]) -> AddedNames:
    """The names that source units define on added lines and did not define on removed ones."""
    symbols: set[str] = set()
    gone: set[str] = set()
    modules: set[str] = set()
    for unit in units:
        symbols |= defined(unit.added)
        gone |= defined(unit.removed)
        if unit.added_file and unit.file.endswith(".py"):
            modules |= _dotted(unit.file)
    return AddedNames(frozenset(symbols - gone), frozenset(modules))


def defined(lines: Iterable[str]) -> frozenset[str]:
    """Names that these lines of code define or import, whatever the language; generous, never from comments."""
    names: set[str] = set()
    for line in lines:
        code = line.strip()
        if code.startswith(("#", "//", "/*", "*")):
            continue
        for shape in _DEFINITIONS:
            names.update(shape.findall(line))
        imported = _IMPORTED.match(line)
        if imported:
            for part in imported.group(1).strip("() ").split(","):
                words = part.split()
                if words:
                    names.add(words[-1].strip("();"))
    return frozenset(names)


def _dotted(file: str) -> frozenset[str]:
    """Every dotted name an added module may be imported by: `src/p/m.py` is `src.p.m`, `p.m` and `m`."""
    path = PurePosixPath(file)
    parts = path.parent.parts if path.name == "__init__.py" else (*path.parent.parts, path.stem)
    return frozenset(".".join(parts[start:]) for start in range(len(parts)))


_MISSING = (
    re.compile(r"cannot import name '([^']+)'"),
    re.compile(r"ModuleNotFoundError: No module named '([^']+)'"),
    re.compile(r"NameError: name '([^']+)' is not defined"),
    re.compile(r"AttributeError: .*? has no attribute '([^']+)'"),
    re.compile(r"unexpected keyword argument '([^']+)'"),
    re.compile(r"undefined: (?:\w+\.)?(\w+)"),  # go vet and go build
    re.compile(r"\.(\w+) undefined \(type "),
    re.compile(r"cannot find (?:function|type|value|macro|struct|trait|derive macro)[^`]*`(\w+)`"),  # rustc
    re.compile(r"no (?:method|function or associated item|associated item|field|variant)[^`]*`(\w+)`"),
    re.compile(r"unresolved import `(?:\w+::)*(\w+)`"),
    re.compile(r"(?:TypeError: .*?|ReferenceError: )(?:\w+\.)*(\w+) is not (?:a function|defined|a constructor)"),
    re.compile(r"does not provide an export named '([^']+)'"),
)


def missing_names(text: str) -> frozenset[str]:
    """The names that a failure says are not there (an import, an attribute, an undefined symbol)."""
    return frozenset(name for shape in _MISSING for name in shape.findall(text))
