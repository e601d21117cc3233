"""What is asked when a scenario is looked for, what may come of it, and what is said when nothing does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from events.values import CommandClass, ScenarioCommand, ScenarioSource
from learnd.lab.nearest import ReadMany
from learnd.lab.runners import ReadFile
from learnd.lab.templates import Stack
from learnd.manifest.history import ExecutedCommand


class NoScenario(Exception):
    """Nothing that verifies the change was found.

    `cause`: `no_command` (no candidate at all) or `unfit` (all were turned down). `partial` is what was tried, plain
    data for `scenario.partial.json` and the manual template.
    """

    def __init__(self, cause: str, detail: str, partial: dict[str, object]) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause, self.detail, self.partial = cause, detail, partial


@dataclass(frozen=True)
class SynthesisRequest:
    """What is known of a run and its change.

    `files` are the paths of the snapshot's tree; `read` gives a file's bytes from the base tree, else the snapshot's,
    `read_many` the snapshot's, `read_before` the base's alone (None: as `read`).
    `also_at` are other absolute paths by which the run knew the repository (a manifest's `workspace_path`).
    """

    repo_path: str
    history: tuple[ExecutedCommand, ...]
    changed_paths: tuple[str, ...]
    files: frozenset[str]
    read: ReadFile
    stacks: tuple[Stack, ...]
    prompt: str | None = None
    acceptance: str | None = None
    last_known_good: tuple[ScenarioCommand, ...] = ()
    also_at: tuple[str, ...] = ()
    read_many: ReadMany | None = None
    read_before: ReadFile | None = None

    def many(self, paths: Sequence[str], at_most: int) -> Mapping[str, bytes]:
        """The snapshot's files at `paths`, at most so many bytes of them."""
        if self.read_many is not None:
            return self.read_many(paths, at_most)
        return {path: data for path in paths if (data := self.read(path)) is not None}


@dataclass(frozen=True)
class Candidate:
    """A command that would do, with where it came from."""

    source: ScenarioSource
    cls: CommandClass
    commands: tuple[ScenarioCommand, ...]
    why: str
    setup: tuple[ScenarioCommand, ...] = ()
    needs: tuple[str, ...] = ()
