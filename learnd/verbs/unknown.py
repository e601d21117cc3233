"""What `status`, `doctor` and `why` tell of files in `active/` that are not the log's: set aside, or git's and left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from learnd.ids import short
from learnd.verbs.check import Check, ok
from learnd.verbs.reading import Reading
from learnd.verbs.terminal import ago, say
from learnd.views.queries import PatternRow, UnknownFileRow

ACTIVE = ".agent/patterns/active"
SHOWN = 5


def waiting_aside(book: Reading) -> list[UnknownFileRow]:
    """Files that were set aside and that nobody has cleared up yet."""
    return [row for row in book.views.unknown_files() if os.path.lexists(row.kept)]


def as_json(rows: list[UnknownFileRow]) -> list[dict[str, object]]:
    """`{file, kept, sha256, claims, at}` each."""
    return [
        {"file": _path(row), "kept": row.kept, "sha256": row.sha256, "claims": row.claims, "at": row.at} for row in rows
    ]


def print_waiting(rows: list[UnknownFileRow]) -> None:
    for row in rows[:SHOWN]:
        say(f"ASIDE     {_path(row)} {ago(row.at)}: {told(row)}. {step(row)}", "yellow")
    if len(rows) > SHOWN:
        say(f"ASIDE     and {len(rows) - SHOWN} more. Next: learnd status --json", "yellow")


def told(row: UnknownFileRow) -> str:
    """Why the file was taken out, and where it is."""
    what = f"a link to something else (where it led is kept as {row.kept})" if row.link else f"kept as {row.kept}"
    claims = f", under the id {short(row.claims)}, which is no active pattern of this log" if row.claims else ""
    return f"it lay in active/{claims}, and git does not track it: taken out, {what}"


def step(row: UnknownFileRow) -> str:
    return f"Next: read it, then delete it: rm {row.kept}"


def _path(row: UnknownFileRow) -> str:
    return f"{row.path}/{ACTIVE}/{row.name}"


# --- doctor ---


def active_checks(book: Reading) -> Iterator[Check]:
    """Of each work tree: what was set aside and waits, and what is left in `active/` because git tracks it."""
    waiting = waiting_aside(book)
    for tree in book.views.work_trees():
        aside = [row for row in waiting if row.path == tree.path]
        if aside:
            found = f"{tree.path}: unknown files taken out of active/: {len(aside)}, the last {ago(aside[0].at)}"
            yield Check("active patterns", "warn", found, f"learnd why {aside[0].kept}")
        yield from _left(book, tree.path)


def _left(book: Reading, repo: str) -> Iterator[Check]:
    from learnd.clearing import judged, unknown_in
    from learnd.harvest.faults import DiskFull, SnapshotError
    from learnd.harvest.gitfolder import NotARepository
    from learnd.harvest.tracked import GitAtWork
    from learnd.library.folders import FolderRefused

    try:
        if not unknown_in(book.log, book.views, repo).strangers:
            return
        found, teams, _ = judged(book.log, book.views, repo)
    except (FolderRefused, NotARepository, SnapshotError, DiskFull, GitAtWork, OSError) as error:
        yield Check("active patterns", "warn", f"{repo}: not looked through: {error}", "mend what it names")
        return
    committed = [name for name in found.strangers if name in teams.committed]
    added = [name for name in found.strangers if name in teams.added]
    other = [name for name in found.strangers if name not in teams]
    if committed:
        said = f"{repo}: {_names(committed)}, committed to git and not of this log: left there, served to nobody"
        yield ok("active patterns", said)
    if added:
        said = f"{repo}: {_names(added)}, added to git's index, not committed, and not of this log"
        yield Check("active patterns", "warn", said, f"git -C {repo} diff --cached; agents that look there read it")
    if other:
        said = f"{repo}: {_names(other)}, known to neither the log nor git"
        yield Check("active patterns", "warn", said, "learnd daemon, or learnd once: they are taken out")


def _names(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(os.fsencode(name).decode("utf-8", "backslashreplace") for name in names[:SHOWN]) + more


# --- why ---


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a path in `active/`, or of a file that was set aside. `pattern`: it is this one's file."""

    stands: str
    reason: str
    next: str | None = None
    since: str | None = None
    position: int | None = None
    pattern: PatternRow | None = None


def standing_of(book: Reading, path: Path) -> Standing | None:
    """None for a path that is neither."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - a link here must not be followed
    for row in book.views.unknown_files():
        if absolute == Path(row.kept):
            return _aside(row, f"it is the kept copy of {_path(row)}: {told(row)}")
    for tree in book.views.work_trees():
        if absolute.parent == Path(tree.path, ACTIVE):
            return _in_active(book, tree.path, absolute)
    return None


def _in_active(book: Reading, repo: str, path: Path) -> Standing | None:
    name = _names([path.name])
    if not os.path.lexists(path):
        row = next((row for row in book.views.unknown_files() if (row.path, row.name) == (repo, name)), None)
        return _aside(row, told(row)) if row is not None else None
    from learnd.library.wanted import names_of

    known = names_of(book.views, repo).get(path.name)
    if known is not None:
        return Standing("", "", pattern=book.views.pattern(known))
    return _stranger(book, repo, path)


def _stranger(book: Reading, repo: str, path: Path) -> Standing:
    from learnd.clearing import judged, unknown_in
    from learnd.harvest.faults import DiskFull, SnapshotError
    from learnd.harvest.gitfolder import NotARepository
    from learnd.harvest.tracked import GitAtWork
    from learnd.library.folders import FolderRefused

    try:
        found = unknown_in(book.log, book.views, repo)
        if path.name in found.unreadable:
            return Standing("left in active/", f"it is no pattern of this log, and {found.unreadable[path.name]}")
        if path.name not in found.strangers:
            return Standing("left in active/", "it is a file of learnd's, README.md, a folder, a hidden file, or an "
                            "active pattern's text")  # fmt: skip
        found, teams, _ = judged(book.log, book.views, repo)
    except (FolderRefused, NotARepository, SnapshotError, DiskFull, GitAtWork, OSError) as error:
        return Standing("left in active/", f"it could not be judged: {error}")
    if path.name in teams.committed:
        said = "git has it in HEAD: a pattern of another clone's log, say. It is left there, and served to nobody"
        return Standing("tracked by git", said)
    if path.name in teams.added:
        said = "git has it in the index, nobody committed it, and this log does not know it. It is served to nobody"
        return Standing("tracked by git", said, f"git -C {repo} rm --cached {ACTIVE}/{path.name} gives it up")
    return Standing("unknown", "neither the log nor git knows it: it will be taken out of active/ and kept aside",
                    "learnd daemon, or learnd once")  # fmt: skip


def _aside(row: UnknownFileRow, reason: str) -> Standing:
    gone = not os.path.lexists(row.kept)
    return Standing(
        "set aside", f"{reason}{' (gone since)' if gone else ''}", None if gone else step(row).removeprefix("Next: "),
        row.at, row.position,
    )  # fmt: skip
