"""A folder of skills kept in step with the active patterns: written, brought up to date, taken away.

- Touched is only what learnd wrote and nobody changed since (`skill_text.mark_of`); everything else is left and said.
- Of what learnd wrote, only skills of the asked repository's patterns: a folder may serve several.
- No link is followed below the root (`library/folders.py`), and run twice, the second run does nothing.

For whoever asks what is learnd's own work in a change: the folders are those of the setting `skills`, the file in each
is SKILL_FILE, and `mark_of` knows it wherever a person had it written. The pointer is one line with `pointer.MARK`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from learnd.library.folders import Folder, FolderRefused, NotText
from learnd.serving.servable import Served
from learnd.serving.skill_text import SKILL_FILE, mark_of, skill_name, skill_text

USUAL_FOLDERS = (".claude/skills", ".agents/skills")
"""Where agents look; whoever writes skills by hand mostly names one of them."""


@dataclass(frozen=True, slots=True)
class Left:
    """A skill that was left as it is, and why."""

    path: str
    reason: str


@dataclass
class Kept:
    """What was done, or would be: paths of skills relative to the folder's root."""

    written: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    unchanged: int = 0


@dataclass(frozen=True, slots=True)
class Skills:
    """A folder of skills: `parts` below `root`. `is_ours` says of a pattern's id whether it is this repository's."""

    root: Path
    parts: tuple[str, ...]
    is_ours: Callable[[str], bool]
    dry_run: bool = False

    def keep(self, patterns: Sequence[Served]) -> Kept:
        """Make the folder hold a skill of each of `patterns`, and no other of this repository's.

        Raises FolderRefused, OSError (disk full …).
        """
        kept = Kept()
        wanted = named(patterns)
        for name, pattern in wanted.items():
            self._write(name, skill_text(pattern, name), kept)
        folder = Folder.at(self.root, *self.parts)
        if folder is not None:
            with folder:
                for name in sorted(folder.names() - wanted.keys()):
                    self._clear(folder, name, kept)
        return kept

    def written(self) -> list[str]:
        """The skills of this repository's patterns that stand there, changed by a person or not.

        Raises FolderRefused.
        """
        folder = Folder.at(self.root, *self.parts)
        if folder is None:
            return []
        with folder:
            return [self._path(name) for name in sorted(folder.names()) if self._is_written(name)]

    def _is_written(self, name: str) -> bool:
        try:
            inside = Folder.at(self.root, *self.parts, name)
        except FolderRefused:
            return False
        if inside is None:
            return False
        with inside:
            found = inside.read(SKILL_FILE)
        mark = mark_of(found.decode("utf-8", "replace")) if isinstance(found, bytes) else None
        return mark is not None and self.is_ours(mark.pattern_id)

    def _write(self, name: str, text: str, kept: Kept) -> None:
        path = self._path(name)
        try:
            folder = Folder.at(self.root, *self.parts, name, create=not self.dry_run)
        except FolderRefused as error:
            kept.left.append(Left(path, error.reason))
            return
        if folder is None:
            kept.written.append(path)  # it would be
            return
        with folder:
            found = folder.read(SKILL_FILE)
            if found is None:
                if not self.dry_run and not folder.create(SKILL_FILE, text.encode()):
                    kept.left.append(Left(path, "it has appeared meanwhile"))
                else:
                    kept.written.append(path)
                return
            reason = _foreign(found)
            if reason is not None or isinstance(found, NotText):
                kept.left.append(Left(path, reason or "it is no text"))
            elif found == text.encode():
                kept.unchanged += 1
            elif self.dry_run or folder.replace(SKILL_FILE, text.encode(), found):
                kept.written.append(path)
            else:
                kept.left.append(Left(path, "it has changed meanwhile"))

    def _clear(self, folder: Folder, name: str, kept: Kept) -> None:
        """Take a skill away whose pattern is served no more."""
        try:
            inside = Folder.at(self.root, *self.parts, name)
        except FolderRefused:
            return  # a link, or a file: nothing that learnd made
        if inside is None:
            return
        path = self._path(name)
        with inside:
            found = inside.read(SKILL_FILE)
            mark = mark_of(found.decode("utf-8", "replace")) if isinstance(found, bytes) else None
            if mark is None or not isinstance(found, bytes) or not self.is_ours(mark.pattern_id):
                return
            if not mark.intact or mark.name != name:
                reason = "its pattern is served no more, and it was changed since learnd wrote it"
                kept.left.append(Left(path, reason))
                return
            if not self.dry_run and not inside.remove(SKILL_FILE, found):
                kept.left.append(Left(path, "it has changed meanwhile"))
                return
            kept.removed.append(path)
        if not self.dry_run:
            folder.remove_folder(name)

    def _path(self, name: str) -> str:
        return "/".join((*self.parts, name, SKILL_FILE))


def named(patterns: Sequence[Served]) -> dict[str, Served]:
    """Patterns by their skills' names, which are unique."""
    found: dict[str, Served] = {}
    for pattern in patterns:
        found[skill_name(pattern.title, pattern.id, found)] = pattern
    return found


def _foreign(found: bytes | NotText) -> str | None:
    """Why a file is not learnd's to write over; None where it is."""
    if isinstance(found, NotText):
        return found.reason
    mark = mark_of(found.decode("utf-8", "replace"))
    if mark is None:
        return "learnd did not write it"
    return None if mark.intact else "it was changed since learnd wrote it"
