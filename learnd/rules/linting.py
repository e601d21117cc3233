"""All active rules over a tree, as a linter: what was found where, and what would stand there instead.

Rules are the log's verified texts. Files are those that ast-grep walks: what git ignores, hidden files and links are
left out, and `ast-grep-ignore` in a comment is a person's word that a place is meant so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.library.folders import Folder, FolderRefused, NotText
from learnd.rules.astgrep import Match, scan
from learnd.rules.rule import rule_name

if TYPE_CHECKING:
    from learnd.views.queries import RuleRow


@dataclass(frozen=True, slots=True)
class Finding:
    """A match of an active pattern's rule. The match's path is relative to the folder that was looked at."""

    rule: RuleRow
    match: Match


@dataclass(frozen=True, slots=True)
class FixedFile:
    """A file as it is and as it would be. `findings` are those that are mended, `left` those that overlap one."""

    path: str
    seen: bytes
    content: bytes
    findings: tuple[Finding, ...]
    left: tuple[Finding, ...]


class NotWritten(Exception):
    """A file was left as it is; the message says which and why."""


def split_path(path: Path) -> tuple[Path, str]:
    """The folder to stand in, and what to look at from there."""
    return (path, ".") if path.is_dir() else (path.parent, path.name)


def find(rules: Sequence[RuleRow], path: Path) -> list[Finding]:
    """What the rules match below `path`, by file and place. Raises AstGrepFailed."""
    if not rules:
        return []
    root, what = split_path(path)
    names = {rule_name(row.pattern): row for row in rules}
    found = [Finding(names[match.name], match) for match in scan([row.text for row in rules], root, [what])]
    return sorted(found, key=lambda one: (one.match.path, one.match.start, one.match.end, one.match.name))


def fixed(findings: Iterable[Finding], root: Path) -> tuple[list[FixedFile], list[str]]:
    """The files that change when every verified fix is applied, and why others of them cannot.

    Of fixes that overlap, the first and outermost is applied.
    """
    by_file: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.rule.has_fix and finding.match.replacement is not None:
            by_file.setdefault(finding.match.path, []).append(finding)
    files: list[FixedFile] = []
    troubles: list[str] = []
    for path, found in by_file.items():
        seen = _read(root, path)
        if isinstance(seen, str):
            troubles.append(f"{path}: {seen}")
            continue
        kept, left = _apart(found)
        if any(seen[one.match.start : one.match.end] != one.match.text.encode() for one in kept):
            troubles.append(f"{path}: it was changed while it was being looked at")
            continue
        files.append(FixedFile(path, seen, _with(seen, kept), tuple(kept), tuple(left)))
    return files, troubles


def write(file: FixedFile, root: Path) -> None:
    """Put the fixed content in the file's place: whole or not at all, with its mode, and never through a link.

    Raises NotWritten, also where the file is no longer what was looked at.
    """
    *folders, name = file.path.split("/")
    try:
        folder = Folder.at(root, *folders)
        if folder is None:
            raise NotWritten(f"{file.path}: its folder is gone")
        with folder:
            if not folder.replace(name, file.content, file.seen):
                raise NotWritten(f"{file.path}: it was changed meanwhile, and was left alone")
    except (FolderRefused, OSError) as error:
        raise NotWritten(f"{file.path}: {error}") from error


def _read(root: Path, path: str) -> bytes | str:
    *folders, name = path.split("/")
    try:
        folder = Folder.at(root, *folders)
        if folder is None:
            return "its folder is gone"
        with folder:
            found = folder.read(name)
    except (FolderRefused, OSError) as error:
        return str(error)
    if isinstance(found, NotText):
        return found.reason
    return found if found is not None else "it is gone"


def _apart(found: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
    kept: list[Finding] = []
    left: list[Finding] = []
    at = 0
    for finding in sorted(found, key=lambda one: (one.match.replaces[0], -one.match.replaces[1])):
        start, end = finding.match.replaces
        (left if start < at else kept).append(finding)
        at = max(at, end)
    return kept, left


def _with(content: bytes, findings: Sequence[Finding]) -> bytes:
    parts: list[bytes] = []
    at = 0
    for finding in findings:
        start, end = finding.match.replaces
        parts += [content[at:start], (finding.match.replacement or "").encode()]
        at = end
    return b"".join([*parts, content[at:]])
