"""Which repositories learnd watches: registered once, known again wherever they move.

A repository is known by the device and inode of the git folder that all its work trees share. When that
is gone (copied to another disk), it is known by its first commit, provided that nothing stands at the
old place any more: two clones are two repositories.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from learnd.clock import now
from learnd.door import Door
from learnd.harvest.repository import Identity, identify
from learnd.views.queries import RepositoryRow, Views, WorkTreeRow
from state.commands import AddWorkTree, MoveRepository, RegisterRepository
from state.refusal import Refused


class RegistrationRefused(Exception):
    """The repository cannot be registered; the message says why and what next."""


def register(door: Door, views: Views, path: Path, actor: str) -> WorkTreeRow:
    """The watched work tree that `path` lies in, registered now where it was not.

    Raises NotARepository, RegistrationRefused.
    """
    identity = identify(path)
    tree = str(identity.work_tree)
    if not _storable(tree, str(identity.common_dir)):
        raise RegistrationRefused(f"{tree!a} is not UTF-8, which the log cannot hold. Next: rename the folder")
    known = _known(views, identity)
    if known is None:
        outcome = door.handle(_registration(identity), actor)
    elif any(row.path == tree for row in views.work_trees()):
        return _row(views, tree)
    elif _still_there(known):
        outcome = door.handle(AddWorkTree(known.id, tree, now()), actor)
    else:
        outcome = door.handle(
            MoveRepository(known.id, tree, str(identity.common_dir), identity.device, identity.inode), actor
        )
    if isinstance(outcome, Refused):
        raise RegistrationRefused(outcome.reason)
    return _row(views, tree)


def recognized(views: Views, path: Path) -> RepositoryRow | None:
    """The registered repository that stands at `path` now, wherever it was when it was registered.

    Raises NotARepository.
    """
    return _known(views, identify(path))


def _storable(*paths: str) -> bool:
    try:
        return all(path.encode() for path in paths)
    except UnicodeEncodeError:
        return False


def registered(views: Views, path: Path) -> WorkTreeRow | None:
    """The watched work tree that `path` lies in, if it is registered: the innermost one."""
    real = Path(os.path.realpath(path))  # resolve() raises where links lead in a circle
    trees = [row for row in views.work_trees() if real.is_relative_to(row.path)]
    return max(trees, key=lambda row: len(row.path), default=None)


def _row(views: Views, tree: str) -> WorkTreeRow:
    return next(row for row in views.work_trees() if row.path == tree)


def _registration(identity: Identity) -> RegisterRepository:
    return RegisterRepository(
        repo_id=uuid.uuid4().hex,
        path=str(identity.work_tree),
        common_dir=str(identity.common_dir),
        device=identity.device,
        inode=identity.inode,
        root_commit=identity.root_commit,
        at=now(),
    )


def _known(views: Views, identity: Identity) -> RepositoryRow | None:
    rows = views.repositories()
    for row in rows:
        # An inode is used again after a deletion: the first commit tells a new repository from an old one.
        same_root = None in (row.root_commit, identity.root_commit) or row.root_commit == identity.root_commit
        if (row.device, row.inode) == (identity.device, identity.inode) and same_root:
            return row
    for row in rows:
        moved = row.root_commit is not None and row.root_commit == identity.root_commit
        if moved and not Path(row.common_dir).exists():
            return row
    return None


def _still_there(row: RepositoryRow) -> bool:
    """Whether the main work tree still stands where it was registered, and is the same repository."""
    try:
        found = Path(row.common_dir).stat()
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (row.device, row.inode) and Path(row.path).is_dir()
