"""What of the host a replay may be shown, and where it stands inside.

Links in a repository are written by agents: `.venv -> ~` must not show a home directory. So the rules look at where a
path leads, not at what it is called.

Invariants:
- No bind exposes a home directory as a whole, a credentials folder or a live part of the system.
- Mount points inside the tree are made here, before any of its code runs, and never through a link.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Final

from learnd.lab.launcher import User
from learnd.lab.limits import Limits

REPORT_INSIDE: Final = PurePosixPath("/learnd/report")
FORBIDDEN_TREES: Final = tuple(
    map(PurePosixPath, ("/proc", "/sys", "/dev", "/run", "/etc", "/boot", "/var/lib", "/var/run"))
)
CREDENTIALS: Final = frozenset(
    (".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".netrc", ".password-store", ".mozilla")
)
FIRST_PERSONAL_UID: Final = 1000


class RunRefused(Exception):
    """This run cannot be set up, though others can: a path that may not be shown, or not at that place."""

    def __init__(self, what: object, reason: str) -> None:
        super().__init__(f"replay cannot be set up: {what}: {reason}")


@dataclass(frozen=True)
class SandboxRun:
    """One replay.

    argv runs in `cwd` (relative to the tree) with exactly `env` over a few defaults (PATH, HOME, TMPDIR, LANG).
    tree: host folder, restored, without `.git`; stands at `mount_at` (absolute, the repository's own path), writable.
    read_only_binds: (host, absolute path inside), of the user's machine: each is held against the rules above.
    own_binds, overlays: the same, of files that learnd itself made (reporter, a synthetic `.git` bound at
    `mount_at / ".git"`, copies of generated files): nobody else chose their host paths. What lies below `mount_at`
    gets its mount point made in `tree`.
    report_dir: host folder, writable, at /learnd/report.
    stdin: what the command may read there; nothing where None.
    owner_uid, owner_gid: of the repository; who runs the replay when the daemon is root.
    network: share the host's network. Never for a replay: only for set-up that the operator allowed.
    """

    argv: tuple[str, ...]
    tree: Path
    mount_at: Path
    report_dir: Path
    limits: Limits
    owner_uid: int
    owner_gid: int
    cwd: str = "."
    env: dict[str, str] | None = None
    read_only_binds: tuple[tuple[Path, Path], ...] = ()
    own_binds: tuple[tuple[Path, Path], ...] = ()
    overlays: tuple[tuple[Path, Path], ...] = ()
    network: bool = False
    stdin: bytes | None = None


@dataclass(frozen=True)
class Mount:
    """A host path (absolute, resolved) and where it stands inside."""

    source: Path
    inside: PurePosixPath
    writable: bool


def mounts_of(spec: SandboxRun) -> list[Mount]:
    """Everything of this run that is bound, outermost first. Raises RunRefused."""
    root = PurePosixPath(spec.mount_at)
    _check_place(root)
    mounts = [
        Mount(spec.tree.resolve(strict=True), root, writable=True),
        Mount(spec.report_dir.resolve(strict=True), REPORT_INSIDE, writable=True),
    ]
    foreign = [(admissible(host, spec.mount_at), inside) for host, inside in spec.read_only_binds]
    own = [(host.resolve(strict=True), inside) for host, inside in (*spec.own_binds, *spec.overlays)]
    for source, inside in (*foreign, *own):
        at = PurePosixPath(inside)
        if not at.is_absolute() or ".." in at.parts or at == root:
            raise RunRefused(
                inside, "a bind's place must be an absolute path without `..` and not the repository itself"
            )
        mounts.append(Mount(source, at, writable=False))
    # Stable: of two at one place the later one, an overlay, is mounted over the earlier.
    return sorted(mounts, key=lambda mount: len(mount.inside.parts))


def _check_place(root: PurePosixPath) -> None:
    system = {PurePosixPath("/"), PurePosixPath("/usr"), PurePosixPath("/etc"), PurePosixPath("/tmp")}  # noqa: S108
    own = (PurePosixPath("/proc"), PurePosixPath("/sys"), PurePosixPath("/dev"), PurePosixPath("/learnd"))
    if not root.is_absolute() or ".." in root.parts:
        raise RunRefused(root, "the repository's path must be absolute and without `..`")
    if root in system or any(root.is_relative_to(folder) for folder in own):
        raise RunRefused(root, "a tree cannot stand at a place the system itself needs")


def admissible(host: Path, repository: Path | None = None) -> Path:
    """The resolved path, when a replay may see it read-only. Raises RunRefused with the rule it breaks.

    What really lies in the repository may be shown wherever that stands (a CI's work space below /var/lib).
    """
    try:
        resolved = host.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise RunRefused(host, f"cannot be resolved ({error})") from error
    its_own = repository is not None and resolved.is_relative_to(repository)
    if not its_own and any(resolved.is_relative_to(folder) for folder in FORBIDDEN_TREES):
        raise RunRefused(host, f"leads to {resolved}, a live part of the system")
    if any(home.is_relative_to(resolved) for home in _homes()):
        raise RunRefused(host, f"leads to {resolved}, which holds a whole home directory")
    if CREDENTIALS.intersection(resolved.parts) or _in_configuration(resolved):
        raise RunRefused(host, f"leads to {resolved}, where credentials are kept")
    if resolved.is_dir() and any(os.path.lexists(resolved / name) for name in CREDENTIALS):
        raise RunRefused(host, f"leads to {resolved}, which holds credentials")
    return resolved


def _in_configuration(path: Path) -> bool:
    """Below a `.config`, where tools keep tokens; nvm alone keeps interpreters there."""
    return any(first == ".config" and then != "nvm" for first, then in pairwise((*path.parts, "")))


def _homes() -> set[Path]:
    people = [user for user in pwd.getpwall() if user.pw_uid == 0 or FIRST_PERSONAL_UID <= user.pw_uid < 2**16 - 2]
    return {Path(user.pw_dir).resolve() for user in people} | {Path.home().resolve(), Path("/home"), Path("/root")}


def make_mount_points(spec: SandboxRun, mounts: Sequence[Mount], user: User) -> None:
    """Make the places of all binds that lie inside the tree, as empty folders or files of the replay's user.

    Raises RunRefused where the tree has a link or something of another kind on the way.
    """
    root = PurePosixPath(spec.mount_at)
    for mount in mounts:
        if mount.inside != root and mount.inside.is_relative_to(root):
            _make_place(spec.tree, mount.inside.relative_to(root).parts, mount.source.is_dir(), user)


def _make_place(tree: Path, parts: tuple[str, ...], wants_folder: bool, user: User) -> None:
    at = tree
    for index, part in enumerate(parts):
        at = at / part
        folder = wants_folder or index < len(parts) - 1
        try:
            mode = at.lstat().st_mode
        except FileNotFoundError:
            at.mkdir(mode=0o755) if folder else at.touch(mode=0o644, exist_ok=False)
            if user.dropped:
                os.chown(at, user.uid, user.gid, follow_symlinks=False)
            continue
        if stat.S_ISDIR(mode) != folder or stat.S_ISLNK(mode):
            raise RunRefused(at, "the tree has a link or a file of another kind where something is to be bound")
