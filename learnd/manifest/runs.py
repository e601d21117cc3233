"""What a `manifest.json` turned out to be: a run, something that is no run, or something nobody can read.

The raw document does not leave the reader: these values hold all that learnd uses of it, checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Shape = Literal["cli-v1", "agents-sdk", "learnd"]
RunStatus = Literal["queued", "in_progress", "succeeded", "failed", "cancelled"]
Kind = Literal["approval", "hand-written", "link", "mcp-server", "stub", "summary", "trimmed", "unknown"]


@dataclass(frozen=True, slots=True)
class RunCommand:
    """One command as the manifest lists it. `status` is the producer's word; times are normalised.

    `command` is a shell line. `response_file` names the answer of an agents-sdk command, a file name only.
    """

    index: int
    title: str
    command: str | None
    kind: str
    status: str
    exit_code: int | None = None
    started_at: str | None = None
    completed_at: str | None = None
    log_path: str | None = None
    response_file: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One execution by an agent or a recorder.

    `path` is the manifest with every link resolved, `repo` the resolved repository, `artifact_root` the
    manifest's own folder (never what the manifest says of it: runs are moved). `workspace` is the absolute
    path where the producer says it worked. Times are ISO 8601 UTC with milliseconds. `digest` is the sha256
    of the manifest's bytes. `task_id` and `run_id` are safe as names of files.
    """

    path: Path
    repo: Path
    shape: Shape
    task_id: str
    run_id: str
    status: RunStatus
    started_at: str | None
    completed_at: str | None
    commands: tuple[RunCommand, ...]
    title: str
    pipeline_id: str | None
    parent_run_id: str | None
    base_commit: str | None
    workspace: str | None
    prompt_path: str | None
    digest: str

    @property
    def artifact_root(self) -> Path:
        return self.path.parent

    @property
    def over(self) -> bool:
        """Has the run ended? A status alone does not say so: completion stamps a time."""
        return self.status in {"succeeded", "failed", "cancelled"} and self.completed_at is not None


@dataclass(frozen=True, slots=True)
class NotARun:
    """A readable file that opens no job, and why. `leads_to` is the manifest a stub or a link stands for."""

    path: Path
    kind: Kind
    reason: str
    leads_to: Path | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file learnd refuses, and why. Worth another look when the file changes."""

    path: Path
    reason: str
