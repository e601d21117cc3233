"""What lies in `active/` and is nothing of the log's: found, kept aside, taken out.

Agents read what stands in that folder, so that a file which somebody puts there is as good as a promoted pattern to
them. The log decides what is promoted, git decides what belongs to the people who share the repository: what neither
knows leaves the folder. Nothing is lost: the bytes are in learnd's own folder before the file goes.

What stays, whoever put it there: folders and links to folders, `README.md`, hidden files that are no Markdown
(`.gitkeep`, an editor's own), the files of the log's patterns and rules, and a copy of a text that is active by the log
(a pattern of another work tree, or of a time before the repository was forgotten).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from events.values import UnknownFile
from learnd.harvest.faults import shown
from learnd.library.canonical import ID, canonical_digest, claimed_id, safe_slug
from learnd.library.files import PATTERNS, Library
from learnd.library.folders import Folder, NotText
from learnd.library.rule_files import rule_file_name

ACTIVE = (*PATTERNS, "active")
KEPT_MAX = 64 << 20
"""Bytes. A larger file is left and said: learnd's own folder is no place for it."""
_STAYS = "README.md"

IsActive = Callable[[str, str], bool]
"""Whether the log has a pattern of this id and this canonical digest as active."""


@dataclass(frozen=True)
class Stranger:
    """A file, or a link (`content` is where it leads then), that is not the log's."""

    name: str
    content: bytes
    link: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def claims(self) -> str | None:
        """The id that its front matter gives, if it gives one."""
        claimed = None if self.link else claimed_id(self.content.decode("utf-8", "replace"))
        return claimed if claimed is not None and ID.fullmatch(claimed) else None


@dataclass
class Found:
    """`strangers` by name; `unreadable` says what else stands there and why it can only be left."""

    strangers: dict[str, Stranger] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def find_unknown(repo: Path, own: Mapping[str, str], with_rule: Collection[str], is_active: IsActive) -> Found:
    """Look through `active/`. `own` has the ids of the log's patterns by their files' names, `with_rule` those of them
    that have a rule. Raises FolderRefused, OSError.
    """
    found = Found()
    folder = Folder.at(repo, *ACTIVE)
    if folder is None:
        return found
    rules = {rule_file_name(name) for name, pattern_id in own.items() if pattern_id in with_rule}
    with folder:
        for name in sorted(folder.names() - rules - {_STAYS}):
            if not name.startswith(".") or name.lower().endswith(".md"):
                _look(folder, name, own, is_active, found)
    return found


def _look(folder: Folder, name: str, own: Mapping[str, str], is_active: IsActive, found: Found) -> None:
    target = folder.read_link(name)
    if target is not None:
        found.strangers[name] = Stranger(name, os.fsencode(target), link=True)
        return
    content = folder.read(name, KEPT_MAX)
    if isinstance(content, NotText):
        if content.reason not in ("it is a folder", "it is a link"):
            found.unreadable[name] = content.reason
    elif content is not None and not _is_known(content, own.get(name), is_active):
        found.strangers[name] = Stranger(name, content)


def _is_known(content: bytes, pattern_id: str | None, is_active: IsActive) -> bool:
    """Whether these bytes may stand under the name of this pattern, or under one that is no pattern's (None)."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return False
    claimed = claimed_id(text)
    if pattern_id is not None:
        return claimed in (None, pattern_id)  # an edit, whatever it says: `files.reconcile` deals with it
    return claimed is not None and is_active(claimed, canonical_digest(text))


def keep_aside(library: Library, repo_id: str, strangers: Sequence[Stranger]) -> tuple[UnknownFile, ...]:
    """Copy the files into learnd's own folder, for this user alone; the same file is kept once. Raises OSError."""
    library.quarantine.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = []
    with Folder.require(library.quarantine) as quarantine:
        for stranger in strangers:
            name = f"{safe_slug(Path(stranger.name).stem)}{kept_mark(repo_id)}{stranger.sha256[:12]}.md"
            if not quarantine.create(name, stranger.content, mode=0o600) and not _is_kept(quarantine, name, stranger):
                raise FileExistsError(f"{library.quarantine / name} is not what learnd kept there")
            kept.append(
                UnknownFile(
                    name=shown(os.fsencode(stranger.name)), sha256=stranger.sha256, size=len(stranger.content),
                    kept=str(library.quarantine / name), claims=stranger.claims, link=stranger.link,
                )
            )  # fmt: skip
    return tuple(kept)


def _is_kept(quarantine: Folder, name: str, stranger: Stranger) -> bool:
    return quarantine.read(name, KEPT_MAX) == stranger.content


def kept_mark(repo_id: str) -> str:
    """What stands in the names of all files that are kept of this repository, and of no other."""
    return f".unknown-{repo_id[:16]}-"


def take_out(repo: Path, strangers: Sequence[Stranger]) -> list[Path]:
    """Remove from `active/` what still is as it was kept; gives what went. Raises FolderRefused, OSError."""
    folder = Folder.at(repo, *ACTIVE)
    if folder is None:
        return []
    with folder:
        return [folder.path / each.name for each in strangers if _removed(folder, each)]


def _removed(folder: Folder, stranger: Stranger) -> bool:
    if stranger.link:
        return folder.remove_link(stranger.name, os.fsdecode(stranger.content))
    return folder.remove(stranger.name, stranger.content)
