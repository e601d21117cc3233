"""The rule beside each pattern: `<slug>-<id>.rule.yml`, in the folder of the pattern's status.

It is there for people and for other users of ast-grep; learnd never reads one back. What it runs is the verified text
in the log, so a file that somebody changed changes nothing: it is left where it stands, and reported. As with patterns,
nothing that learnd did not write is overwritten, and what must leave a folder is set aside.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from learnd.library.files import FOLDER_OF, FOLDERS, PATTERNS, Library, WantedPattern
from learnd.library.folders import Folder, NotText

HEADER = (
    "# Verified by learnd: it matches the base of the pattern's change and nothing in its snapshot.\n"
    "# learnd runs the text in its log, not this file.\n"
)


@dataclass(frozen=True)
class RuleChanged:
    """A rule's file that is not what was verified. It was left there, and is not used."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}; it is not used. Next: delete it to get the verified rule back"


def rule_file_name(pattern_file: str) -> str:
    return f"{pattern_file.removesuffix('.md')}.rule.yml"


def place_rules(library: Library, wanted: Iterable[WantedPattern], rules: Mapping[str, str]) -> list[RuleChanged]:
    """Bring the files of `rules` (texts by pattern id) to where their patterns stand. Raises FolderRefused, OSError."""
    changed: list[RuleChanged] = []
    with ExitStack() as stack:
        folders = {name: _entered(stack, Folder.at(library.repo, *PATTERNS, name)) for name in FOLDERS}
        names = {name: folder.names() for name, folder in folders.items() if folder is not None}
        for pattern in wanted:
            if pattern.id not in rules:
                continue
            name, content = rule_file_name(pattern.file_name), (HEADER + rules[pattern.id]).encode()
            home = FOLDER_OF.get(pattern.status)
            for at, folder in folders.items():
                if folder is None:
                    continue
                if at == home:
                    changed.extend(_placed(folder, name, content))
                elif name in names[at]:
                    _cleared(library, folder, name, content)
    return changed


def _entered(stack: ExitStack, folder: Folder | None) -> Folder | None:
    return stack.enter_context(folder) if folder is not None else None


def _placed(folder: Folder, name: str, content: bytes) -> list[RuleChanged]:
    """The pattern itself stands in this folder, so the folder is there."""
    found = folder.read(name)
    if found is None:
        folder.create(name, content)
        return []
    if found == content:
        return []
    reason = found.reason if isinstance(found, NotText) else "it is not the rule that was verified"
    return [RuleChanged(folder.path / name, reason)]


def _cleared(library: Library, folder: Folder, name: str, content: bytes) -> None:
    found = folder.read(name)
    if found is None or isinstance(found, NotText):
        return
    if found != content:
        library.quarantine.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = f"{name.removesuffix('.yml')}.edited-{hashlib.sha256(found).hexdigest()[:12]}.yml"
        with Folder.require(library.quarantine) as quarantine:
            quarantine.create(aside, found)
    folder.remove(name, found)
