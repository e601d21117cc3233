"""What `learnd init` puts into a repository: shown first, then done, nothing ever overwritten.

- Files: the folders that patterns live in, the SOPs, the slash command. Task templates and prompt packs are not
  copied: agents write to the repository, and learnd reads its own only.
- `.gitignore`: what runs and learnd leave behind. A line that any form of it, or its opposite, already stands
  there for is not added.
- Applying a plan looks again: what has appeared in between is left. Links are never written through.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from learnd.assets import agent_dir
from learnd.library.files import FOLDERS
from learnd.library.folders import Folder, FolderRefused, NotText

IGNORED = ("/.runs/", "/learning-snapshots/", "/out/*/state.json")
"""Only what runs and learnd write: `out/` as a whole may well be the repository's own."""

_GITIGNORE = ".gitignore"


@dataclass(frozen=True)
class CreateFile:
    """A file that is not there yet; `path` is relative to the repository."""

    path: PurePosixPath
    content: bytes

    def __str__(self) -> str:
        return f"create {self.path}"


@dataclass(frozen=True)
class AppendLines:
    """Lines for a file that may or may not be there; the bytes in it stay."""

    path: PurePosixPath
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return f"append to {self.path}: {' '.join(self.lines)}"


Step = CreateFile | AppendLines


@dataclass(frozen=True)
class Left:
    """Something that learnd would have written and leaves as it is."""

    path: PurePosixPath
    reason: str

    def __str__(self) -> str:
        return f"leave {self.path}: {self.reason}"


@dataclass(frozen=True)
class Plan:
    """What `apply` will do to `repo`, in order, and what it will leave. Empty when all is laid out."""

    repo: Path
    steps: tuple[Step, ...]
    left: tuple[Left, ...]

    def describe(self) -> tuple[str, ...]:
        """One line a step, then one for each thing that is left."""
        return tuple(str(item) for item in (*self.steps, *self.left))


@dataclass(frozen=True)
class Applied:
    """What was done, and what was left after all."""

    done: tuple[Step, ...]
    left: tuple[Left, ...]


def plan(repo: Path) -> Plan:
    """Compare `repo` with what it should have. Reads only. Raises AssetsMissing, FolderRefused (no repository)."""
    Folder.require(repo)
    found = [*(_plan_file(repo, path, content) for path, content in _shipped()), _plan_ignored(repo)]
    return Plan(
        repo,
        tuple(step for step in found if isinstance(step, CreateFile | AppendLines)),
        tuple(step for step in found if isinstance(step, Left)),
    )


def apply(planned: Plan) -> Applied:
    """Do the steps of a plan. A step that has become impossible is left and reported; raises OSError (disk full …)."""
    done: list[Step] = []
    left = list(planned.left)
    for step in planned.steps:
        try:
            outcome = _apply(planned.repo, step)
        except FolderRefused as error:
            outcome = Left(step.path, str(error))
        if outcome is None:
            done.append(step)
        else:
            left.append(outcome)
    return Applied(tuple(done), tuple(left))


def _shipped() -> Iterator[tuple[PurePosixPath, bytes]]:
    """Files to lay out. Of the pattern folders the READMEs alone: the rest are other repositories' patterns."""
    agent = agent_dir()
    folders = [agent / "patterns", *(agent / "patterns" / name for name in FOLDERS)]
    sources = [folder / "README.md" for folder in folders]
    sources += sorted((agent / "SOPs").glob("*.md"))
    sources += sorted((agent / "commands").glob("*.md"))
    for source in sources:
        yield PurePosixPath(".agent", *source.relative_to(agent).parts), source.read_bytes()


def _plan_file(repo: Path, path: PurePosixPath, content: bytes) -> Step | Left | None:
    try:
        folder = Folder.at(repo, *path.parts[:-1])
    except FolderRefused as error:
        return Left(path, str(error))
    if folder is None:
        return CreateFile(path, content)
    with folder:
        found = folder.read(path.name)
    if found is None:
        return CreateFile(path, content)
    if isinstance(found, NotText):
        return Left(path, found.reason)
    return None if found == content else Left(path, "it is there and differs from the shipped one")


def _plan_ignored(repo: Path) -> Step | Left | None:
    path = PurePosixPath(_GITIGNORE)
    with Folder.require(repo) as folder:
        found = folder.read(_GITIGNORE)
    if isinstance(found, NotText):
        return Left(path, found.reason)
    missing = _missing_lines(found or b"")
    return AppendLines(path, missing) if missing else None


def _missing_lines(content: bytes) -> tuple[str, ...]:
    present = {_pattern_of(os.fsdecode(line)) for line in content.splitlines()}
    return tuple(line for line in IGNORED if present.isdisjoint(_folders_of(_pattern_of(line))))


def _pattern_of(line: str) -> str:
    """What a line of .gitignore is about: `.runs`, `/.runs/`, `.runs/**` and `!/.runs/` are about the same."""
    line = line.strip().removeprefix("!").removeprefix("**/")
    for ending in ("/**", "/*"):
        line = line.removesuffix(ending)
    return line.strip("/")


def _folders_of(pattern: str) -> set[str]:
    """`pattern` and the folders above it: a line for `out` says all that is to be said about what is in it."""
    parts = pattern.split("/")
    return {"/".join(parts[:length]) for length in range(1, len(parts) + 1)}


def _apply(repo: Path, step: Step) -> Left | None:
    if isinstance(step, CreateFile):
        folder = Folder.at(repo, *step.path.parts[:-1], create=True)
        if folder is None:
            return Left(step.path, "its folder was deleted meanwhile")
        with folder:
            created = folder.create(step.path.name, step.content)
        return None if created else Left(step.path, "it has appeared meanwhile")
    with Folder.require(repo) as folder:
        return _append(folder, step)


def _append(folder: Folder, step: AppendLines) -> Left | None:
    found = folder.read(step.path.name)
    if isinstance(found, NotText):
        return Left(step.path, found.reason)
    before = found or b""
    end = b"\r\n" if b"\r\n" in before else b"\n"
    missing = [line.encode() for line in _missing_lines(before) if line in step.lines]
    joint = end if before and not before.endswith(b"\n") else b""
    after = before + joint + b"".join(line + end for line in missing)
    written = folder.create(step.path.name, after) if found is None else folder.replace(step.path.name, after, before)
    return None if written else Left(step.path, "it has changed meanwhile")
