"""Which repository this is, told without running anything of its own.

The identity is not the path: linked work trees share their common git folder, and a moved repository keeps its root
commit, device and inode.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from learnd.harvest import gitfolder
from learnd.harvest.gitfolder import GitFolder, NotARepository
from learnd.harvest.plumbing import OwnRepository

__all__ = ["Identity", "NotARepository", "identify"]

_SHALLOW_MAX = 16 << 20


@dataclass(frozen=True)
class Identity:
    """Where a repository is and how to know it again.

    `device` and `inode` are the common git folder's. `root_commit` is the first commit of HEAD's first-parent line;
    None before the first commit, and for shallow clones, whose oldest commit is not the root.
    """

    common_dir: Path
    device: int
    inode: int
    root_commit: str | None
    work_tree: Path


def identify(repo: Path) -> Identity:
    """The identity of the repository that `repo` lies in. Raises NotARepository."""
    folder = gitfolder.find(repo)
    found = folder.common_dir.stat()
    return Identity(
        common_dir=folder.common_dir,
        device=found.st_dev,
        inode=found.st_ino,
        root_commit=_root_commit(folder),
        work_tree=folder.work_tree,
    )


def shallow_commits(folder: GitFolder) -> bytes | None:
    """The user's list of commits whose parents are not in the store; None for a whole clone."""
    return gitfolder.read_small(folder.common_dir / "shallow", _SHALLOW_MAX)


def _root_commit(folder: GitFolder) -> str | None:
    commit = gitfolder.head(folder)
    if commit is None or shallow_commits(folder):
        return None
    with tempfile.TemporaryDirectory(prefix="learnd-identify-") as place:
        own = OwnRepository(Path(place), folder.objects)
        own.prepare(gitfolder.object_format(folder), None)
        status, output, _ = own.attempt("rev-list", "--first-parent", "--max-parents=0", commit, borrow=True)
    # A partial clone may lack old commits: then there is no root to know it by, and that is no fault.
    return output.decode().split()[-1] if status == 0 and output.strip() else None
