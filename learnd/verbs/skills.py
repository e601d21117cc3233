"""`skills`: active patterns as Agent Skills in a folder, and the line in `AGENTS.md` that points at patterns."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from learnd.ids import short
from learnd.library.folders import FolderRefused
from learnd.serving import pointer
from learnd.serving.answers import Library, NoRepository, library_at
from learnd.serving.servable import HeldBack
from learnd.serving.skills import Kept, Skills
from learnd.verbs.reading import reading
from learnd.verbs.terminal import USAGE, Stop, note, print_json, say


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options as typed."""

    folder: Path | None
    repo: Path
    dry_run: bool
    pointer: bool
    write: bool


def skills(log: Path | None, wanted: Wanted, *, as_json: bool) -> int:
    """Bring a folder of skills in step with the active patterns, or show the pointer.

    JSON: `{folder, written, removed, unchanged, left: [{path, reason}], held_back: [{id, reason}], dry_run}`.
    """
    if wanted.pointer:
        return _pointer(wanted)
    if wanted.write:
        raise Stop("--write goes with --pointer. Next: learnd skills --pointer --write", USAGE)
    if wanted.folder is None:
        raise Stop("which folder? Next: learnd skills .claude/skills, or learnd skills .agents/skills", USAGE)
    with reading(log) as book:
        try:
            library = library_at(book.views, book.rows, wanted.repo)
        except NoRepository as error:
            raise Stop(str(error)) from error
        given, held = library.everything()
        try:
            kept = _skills(library, wanted).keep(given)
        except (FolderRefused, OSError) as error:
            raise Stop(_not_written(wanted.folder, error)) from error
    if as_json:
        told = {"folder": str(wanted.folder), **asdict(kept), "held_back": [asdict(each) for each in held]}
        print_json({**told, "dry_run": wanted.dry_run})
    else:
        _print(kept, held, dry_run=wanted.dry_run)
    return 0


def _skills(library: Library, wanted: Wanted) -> Skills:
    """The folder, by its way from the repository where it lies in it: then no link on that way is followed."""
    folder = wanted.folder
    assert folder is not None  # noqa: S101 - asked before
    absolute = Path(os.path.normpath(folder.absolute()))
    root: Path = absolute
    parts: tuple[str, ...] = ()
    if absolute.is_relative_to(library.work_tree):
        root, parts = library.work_tree, absolute.relative_to(library.work_tree).parts
    elif not wanted.dry_run:
        absolute.mkdir(parents=True, exist_ok=True)
    elif not absolute.is_dir():
        root, parts = absolute.parent, (absolute.name,)
    return Skills(root, parts, library.has, wanted.dry_run)


def _print(kept: Kept, held: list[HeldBack], *, dry_run: bool) -> None:
    would = "would " if dry_run else ""
    for word, paths in (("write", kept.written), ("remove", kept.removed)):
        for path in paths:
            say(f"{would}{word} {path}")
    for left in kept.left:
        note(f"left alone: {left.path}: {left.reason}. Next: move it away to get learnd's")
    for back in held:
        note(f"pattern {short(back.id)} is not served: {back.reason}. Next: learnd review {short(back.id)}")
    if not kept.written and not kept.removed:
        count = kept.unchanged
        note(f"{count} skill{'' if count == 1 else 's'} up to date" if count else "no active pattern to write")


def _not_written(path: Path, error: FolderRefused | OSError) -> str:
    if isinstance(error, FolderRefused):
        return str(error)
    return f"{path} cannot be written: {error.strerror}. Next: make it writable for this user, or name another"


def _pointer(wanted: Wanted) -> int:
    if not wanted.write:
        print(pointer.LINE)
        return 0
    from learnd.harvest.gitfolder import NotARepository, find

    try:
        root = find(wanted.repo).work_tree
    except NotARepository as error:
        raise Stop(str(error)) from error
    file = root / pointer.FILE
    try:
        done = pointer.write(root)
    except (FolderRefused, OSError) as error:
        raise Stop(_not_written(file, error)) from error
    if isinstance(done, str):
        raise Stop(f"{file}: {done}; it was left alone. Next: put the line there by hand: learnd skills --pointer")
    say(f"{file} has the line{'' if done else ' already'}")
    return 0
