"""A repository that learnd watches. Its id is not its path: linked work trees share one, moves keep it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from events import catalog as e
from state.commands import (
    AddWorkTree,
    ForgetRepository,
    MoveRepository,
    RecordUnknownFiles,
    RegisterRepository,
    RepositoryCommand,
)
from state.machine import UnexpectedEvent
from state.people import not_an_approver, signed
from state.refusal import Refused


@dataclass(frozen=True, slots=True)
class Repository:
    """`common_dir` is the folder that all work trees share; `device` and `inode` are its own.

    `set_aside` has work tree, name and sha256 of each file that was taken out of an `active/`.
    """

    id: str
    version: int = 0
    path: str = ""
    common_dir: str = ""
    device: int = 0
    inode: int = 0
    root_commit: str | None = None
    registered_at: str = ""
    work_trees: tuple[str, ...] = ()
    forgotten: bool = False
    set_aside: frozenset[tuple[str, str, str]] = frozenset()

    @property
    def stream(self) -> str:
        return f"repo-{self.id}"


def evolve(repository: Repository, event: e.Event) -> Repository:
    """`repository` after `event`. Raises UnexpectedEvent."""
    match event:
        case e.RepositoryRegistered() if repository.version == 0 or repository.forgotten:
            return replace(
                repository,
                version=repository.version + 1, forgotten=False, path=event.path, common_dir=event.common_dir,
                device=event.device, inode=event.inode, root_commit=event.root_commit,
                registered_at=event.registered_at,
            )  # fmt: skip
        case e.RepositoryMoved() if repository.version > 0:
            return replace(
                repository,
                version=repository.version + 1, path=event.path, common_dir=event.common_dir,
                device=event.device, inode=event.inode,
            )  # fmt: skip
        case e.WorkTreeAdded() if repository.version > 0:
            return replace(repository, version=repository.version + 1, work_trees=(*repository.work_trees, event.path))
        case e.RepositoryForgotten() if repository.version > 0:
            return replace(
                repository, version=repository.version + 1, forgotten=True, work_trees=(), set_aside=frozenset()
            )
        case e.UnknownFilesSetAside() if repository.version > 0:
            files = {(event.path, file.name, file.sha256) for file in event.files}
            return replace(repository, version=repository.version + 1, set_aside=repository.set_aside | files)
    known = "registered" if repository.version else "unknown"
    raise UnexpectedEvent(f"repository {repository.id[:8]}", known, event.type)


def fold(repo_id: str, events: Iterable[e.Event]) -> Repository:
    repository = Repository(repo_id)
    for event in events:
        repository = evolve(repository, event)
    return repository


def decide(command: RepositoryCommand, repository: Repository) -> tuple[e.Event, ...] | Refused:
    """What `command` does to `repository`."""
    match command:
        case RegisterRepository():
            if repository.version and not repository.forgotten:
                return Refused("already_registered", f"{repository.path} is registered already")
            return (
                e.RepositoryRegistered(
                    repo_id=command.repo_id, path=command.path, common_dir=command.common_dir,
                    device=command.device, inode=command.inode, root_commit=command.root_commit,
                    registered_at=command.at,
                ),
            )  # fmt: skip
        case AddWorkTree():
            if command.path == repository.path or command.path in repository.work_trees:
                return Refused("already_registered", f"{command.path} is registered already")
            if not repository.version or repository.forgotten:
                return Refused("unknown", f"{command.path} is not registered. Next: learnd init {command.path}")
            return (e.WorkTreeAdded(repo_id=command.repo_id, path=command.path, added_at=command.at),)
        case MoveRepository():
            if not repository.version or repository.forgotten:
                return Refused("unknown", f"{command.path} is not registered. Next: learnd init {command.path}")
            return (
                e.RepositoryMoved(
                    repo_id=command.repo_id, path=command.path, common_dir=command.common_dir,
                    device=command.device, inode=command.inode,
                ),
            )  # fmt: skip
        case ForgetRepository():
            return _forget(command, repository)
        case RecordUnknownFiles():
            return _set_aside(command, repository)


def _forget(command: ForgetRepository, repository: Repository) -> tuple[e.Event, ...] | Refused:
    if not repository.version or repository.forgotten:
        return Refused("unknown", f"{repository.path or command.repo_id} is not registered")
    return not_an_approver(repository.path, command.person) or (
        e.RepositoryForgotten(**signed(command.person), repo_id=command.repo_id, path=repository.path),
    )


def _set_aside(command: RecordUnknownFiles, repository: Repository) -> tuple[e.Event, ...] | Refused:
    """Each file is told once, however often somebody puts it back: a loop of an agent's must not fill the log."""
    if not repository.version or repository.forgotten:
        return Refused("unknown", f"{command.path} is not registered")
    told = repository.set_aside
    files = tuple(file for file in command.files if (command.path, file.name, file.sha256) not in told)
    if not files:
        return Refused("already_recorded", f"these files of {command.path} were set aside before")
    return (e.UnknownFilesSetAside(repo_id=command.repo_id, path=command.path, files=files),)
