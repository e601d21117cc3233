"""Where each pattern's file stands, and how it gets there: `.agent/patterns/` follows the log.

The log holds every text, so files are a copy that can be made again. `place` and `reconcile` compare what
stands there with what the log says and do the least that makes them agree; run twice, the second does
nothing. A crash at any point leaves a state that the next call mends: the new place is written before the old
one is cleared.

- Nothing that learnd did not write is overwritten or deleted. A person's edit is kept: where the pattern
  stands, it stays and is reported; elsewhere it moves along or, where it must not be seen any more, it is set
  aside in the state directory. learnd itself never carries an edit into `active/`.
- An edited active pattern leaves `active/` as soon as the edit is recorded: agents look there. The edit waits in
  `candidates/`; one that is saved to `active/` after that takes its place.
- Exactly one file per pattern, in the folder of its status. Rejected and expired ones have none; quarantined
  text stands in the state directory only, out of reach of agents that grep.
- Files of patterns that the log does not know (another person's, fetched with git) are left alone here; of those in
  `active/` that git does not know either, `unknown` tells.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from learnd.library.canonical import canonical_digest, claimed_id, is_file_name
from learnd.library.folders import Folder, NotText
from learnd.library.patterns import Standing, with_standing
from state.pattern import PatternStatus

PATTERNS = (".agent", "patterns")
FOLDERS = ("staging", "candidates", "active", "deprecated")
FOLDER_OF: Mapping[PatternStatus, str] = {
    PatternStatus.STAGED: "staging",
    PatternStatus.STALE: "staging",
    PatternStatus.CANDIDATE: "candidates",
    PatternStatus.ACTIVE: "active",
    PatternStatus.EDITED: "candidates",
    PatternStatus.DEPRECATED: "deprecated",
}
"""The statuses that have a file in the repository."""


@dataclass(frozen=True)
class Library:
    """One repository's patterns: its root, and a private folder of learnd's for what must not be in it."""

    repo: Path
    quarantine: Path


@dataclass(frozen=True)
class WantedPattern:
    """What the log says of a pattern. `text` is the text judged last; its standing lines do not matter."""

    id: str
    status: PatternStatus
    file_name: str
    text: str
    approver: str | None = None
    approved_at: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if not is_file_name(self.file_name):
            raise ValueError(f"{self.file_name!r} is no name of a pattern file")

    @property
    def digest(self) -> str:
        return canonical_digest(self.text)

    @property
    def file_text(self) -> str:
        """The text as its file holds it."""
        return with_standing(self.text, self.standing)

    @property
    def standing(self) -> Standing:
        """What learnd's own lines in the file say."""
        return Standing(status=self.status, approver=self.approver, approved_at=self.approved_at, reason=self.reason)


@dataclass(frozen=True)
class Edited:
    """A pattern's file that a person changed: it stands at `path` as they left it."""

    id: str
    path: Path
    digest: str
    text: str


@dataclass(frozen=True)
class Conflict:
    """Something that is not this pattern's stands where its file must be. It was left there."""

    id: str
    path: Path
    reason: str

    def __str__(self) -> str:
        return f"pattern {self.id[:8]} cannot be placed at {self.path}: {self.reason}. Next: move it away"


@dataclass
class Reconciliation:
    """What was done (paths), and what a person must look at."""

    placed: list[Path] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)
    set_aside: list[tuple[str, Path]] = field(default_factory=list)
    edited: list[Edited] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)


def place(library: Library, wanted: WantedPattern) -> Reconciliation:
    """Bring one pattern's file to where its status says. Raises FolderRefused, OSError (disk full …)."""
    done = Reconciliation()
    with _opened(library) as folders:
        _settle(folders, wanted, done)
    return done


def reconcile(library: Library, wanted: Iterable[WantedPattern]) -> Reconciliation:
    """Bring all files to what the log says, and clear what a crash left. Only the log's writer may call it.

    `wanted` holds every pattern of the repository, the rejected ones too. Raises as `place`.
    """
    done = Reconciliation()
    with _opened(library) as folders:
        folders.sweep()
        for pattern in wanted:
            _settle(folders, pattern, done)
    return done


def find_edit(library: Library, wanted: WantedPattern) -> Edited | None:
    """The person's text where the pattern's file differs from the log's; None where it does not.

    Reads only. Raises FolderRefused.
    """
    home = FOLDER_OF.get(wanted.status)
    if home is None:
        return None
    with _opened(library) as folders:
        found = folders.look(home, wanted)
        if isinstance(found, _Copy) and found.digest != wanted.digest:
            return Edited(wanted.id, folders.path(home, wanted.file_name), found.digest, found.text)
    return None


Look = tuple[tuple[str, int, int, int], ...]


def look_of(repo: Path) -> Look:
    """Path, inode, size and time of each pattern file of a work tree: it differs when one was written or moved."""
    found = []
    for name in FOLDERS:
        folder = repo.joinpath(*PATTERNS, name)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    seen = entry.stat(follow_symlinks=False)
                    found.append((f"{name}/{entry.name}", seen.st_ino, seen.st_size, seen.st_mtime_ns))
        except OSError:
            continue  # not there; or what is wrong with it is said when the files are brought to what the log says
    return tuple(sorted(found))


@dataclass(frozen=True)
class _Copy:
    """A regular UTF-8 file under a pattern's name that claims no other pattern's id."""

    content: bytes
    text: str
    digest: str


class _Folders:
    """The open status folders of one library. Missing ones are made when something is put into them."""

    def __init__(self, library: Library, stack: ExitStack) -> None:
        self._library = library
        self._stack = stack
        self._open: dict[str, Folder] = {}
        for name in FOLDERS:
            self._enter(name, Folder.at(library.repo, *PATTERNS, name))
        if library.quarantine.is_dir():
            self._enter("quarantine", Folder.at(library.quarantine, file_mode=0o600))
        self._names = {name: folder.names() for name, folder in self._open.items()}

    def _enter(self, name: str, folder: Folder | None) -> None:
        if folder is not None:
            self._open[name] = self._stack.enter_context(folder)

    def path(self, folder: str, name: str) -> Path:
        root = self._library.quarantine if folder == "quarantine" else self._library.repo.joinpath(*PATTERNS, folder)
        return root / name

    def look(self, folder: str, wanted: WantedPattern) -> _Copy | NotText | None:
        if wanted.file_name not in self._names.get(folder, ()):
            return None
        content = self._open[folder].read(wanted.file_name)
        if content is None or isinstance(content, NotText):
            return content
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return NotText("it is not UTF-8 text")
        claimed = claimed_id(text)
        if claimed is not None and claimed != wanted.id:
            return NotText(f"it is the pattern {claimed[:8]}")
        return _Copy(content, text, canonical_digest(text))

    def create(self, folder: str, name: str, content: bytes) -> bool:
        if folder not in self._open:
            if folder == "quarantine":
                self._library.quarantine.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._enter(folder, Folder.at(self._library.quarantine, file_mode=0o600))
            else:
                self._enter(folder, Folder.at(self._library.repo, *PATTERNS, folder, create=True))
        created = self._open[folder].create(name, content)
        if created:
            self._names.setdefault(folder, set()).add(name)
        return created

    def replace(self, folder: str, name: str, content: bytes, seen: bytes) -> bool:
        return self._open[folder].replace(name, content, seen)

    def remove(self, folder: str, name: str, seen: bytes) -> bool:
        removed = self._open[folder].remove(name, seen)
        if removed:
            self._names[folder].discard(name)
        return removed

    def sweep(self) -> None:
        for folder in self._open.values():
            folder.sweep()


@contextmanager
def _opened(library: Library) -> Iterator[_Folders]:
    with ExitStack() as stack:
        yield _Folders(library, stack)


def _settle(folders: _Folders, wanted: WantedPattern, done: Reconciliation) -> None:
    home = "quarantine" if wanted.status is PatternStatus.QUARANTINED else FOLDER_OF.get(wanted.status)
    if home is not None and not _settle_home(folders, home, wanted, done):
        return
    for folder in (*FOLDERS, "quarantine"):
        if folder != home:
            _clear(folders, folder, wanted, done)


def _settle_home(folders: _Folders, home: str, wanted: WantedPattern, done: Reconciliation) -> bool:
    """Make the right file stand at home. False where something foreign does: then nothing else is touched."""
    path = folders.path(home, wanted.file_name)
    found = folders.look(home, wanted)
    if found is None:
        content = _carried(folders, home, wanted).encode()
        if folders.create(home, wanted.file_name, content):
            done.placed.append(path)
        found = folders.look(home, wanted)
    if not isinstance(found, _Copy):
        done.conflicts.append(Conflict(wanted.id, path, found.reason if found else "it keeps changing"))
        return False
    if wanted.status is PatternStatus.EDITED:
        found = _newest_edit(folders, home, wanted, found, done)
    right = wanted.file_text.encode()
    if found.digest != wanted.digest:
        done.edited.append(Edited(wanted.id, path, found.digest, found.text))
    elif found.content != right and folders.replace(home, wanted.file_name, right, found.content):
        done.placed.append(path)
    return True


def _newest_edit(folders: _Folders, home: str, wanted: WantedPattern, found: _Copy, done: Reconciliation) -> _Copy:
    """What stands at home, once an edit that was saved to `active/` later has taken its place there."""
    newer = folders.look("active", wanted)
    if not isinstance(newer, _Copy) or newer.digest in (wanted.digest, found.digest):
        return found
    content = with_standing(newer.text, wanted.standing).encode()
    if found.digest != wanted.digest:
        _set_aside(folders, wanted, found, done)
    if not folders.replace(home, wanted.file_name, content, found.content):
        return found
    done.placed.append(folders.path(home, wanted.file_name))
    return _Copy(content, content.decode(), newer.digest)


def _carried(folders: _Folders, home: str, wanted: WantedPattern) -> str:
    """The text to place: the log's, or the edit that stands where the pattern was before."""
    if home in ("active", "quarantine"):
        return wanted.file_text
    for folder in FOLDERS:
        found = folders.look(folder, wanted)
        if isinstance(found, _Copy) and found.digest != wanted.digest:
            return with_standing(found.text, wanted.standing)
    return wanted.file_text


def _clear(folders: _Folders, folder: str, wanted: WantedPattern, done: Reconciliation) -> None:
    """Take the pattern's file out of a folder where it does not belong; an edit that is nowhere else is kept."""
    found = folders.look(folder, wanted)
    if found is None:
        return
    path = folders.path(folder, wanted.file_name)
    if isinstance(found, NotText):
        done.conflicts.append(Conflict(wanted.id, path, found.reason))
        return
    known = {wanted.digest, *(edit.digest for edit in done.edited if edit.id == wanted.id)}
    if found.digest not in known:
        _set_aside(folders, wanted, found, done)
    if folders.remove(folder, wanted.file_name, found.content):
        done.removed.append(path)


def _set_aside(folders: _Folders, wanted: WantedPattern, found: _Copy, done: Reconciliation) -> None:
    """Keep an edit in the state directory."""
    aside = f"{wanted.file_name.removesuffix('.md')}.edited-{found.digest[:12]}.md"
    folders.create("quarantine", aside, found.content)
    done.set_aside.append((wanted.id, folders.path("quarantine", aside)))
