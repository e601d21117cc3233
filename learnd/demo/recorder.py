"""A small recorder: executes a command for real and leaves a run manifest in the current producers' shape.

It writes what such a producer writes and when: the manifest while the run is in progress, `runner.ndjson` as commands
start and end, and the final status last, each by replacing the file.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from learnd.atomic import write_atomically
from learnd.clock import now

TAIL = 4000
"""Bytes of a command's output that are kept in the history."""


@dataclass
class Recorder:
    """One run of `task` in `repo`. `begin`, then `execute` as often as wanted, then `finish`."""

    repo: Path
    task: str
    title: str
    prompt: str
    started_at: str = field(default_factory=now)
    commands: list[JsonValue] = field(default_factory=list)
    failed: bool = False

    def __post_init__(self) -> None:
        self.run_id = f"{self.started_at.replace(':', '-').replace('.', '-')}-{secrets.token_hex(4)}"
        self.folder = self.repo / ".runs" / self.task / "cli" / self.run_id

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.json"

    def begin(self) -> None:
        """The run is in progress: manifest and prompt stand on disk."""
        self.folder.mkdir(parents=True)
        (self.folder / "prompt.md").write_text(self.prompt)
        self._save("in_progress", None)

    def execute(self, title: str, argv: tuple[str, ...]) -> int:
        """Run `argv` in the repository and record it. Returns its exit code."""
        index, started = len(self.commands) + 1, now()
        line = " ".join(argv)
        self._log("command:start", index, command=line)
        self._log("exec:begin", index, command=argv[0], args=list(argv[1:]), cwd=str(self.repo), attempt=1)
        begun = time.monotonic()
        done = subprocess.run(
            argv,
            cwd=self.repo,
            env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        ended: dict[str, JsonValue] = {
            "exit_code": done.returncode,
            "signal": None,
            "duration_ms": round((time.monotonic() - begun) * 1000),
        }
        status = "succeeded" if done.returncode == 0 else "failed"
        self._log("exec:chunk", index, stream="stdout", data=done.stdout[-TAIL:].decode(errors="replace"))
        self._log("exec:end", index, **ended, status=status, attempt=1)
        self._log("command:end", index, **ended)
        self.failed = self.failed or done.returncode != 0
        self.commands.append(
            {
                "index": index, "id": f"step-{index}", "title": title, "command": line, "kind": "command",
                "status": status, "started_at": started, "completed_at": now(), "exit_code": done.returncode,
                "summary": None, "log_path": self._relative("runner.ndjson"), "error_file": None, "sub_run_id": None,
            }
        )  # fmt: skip
        self._save("in_progress", None)
        return done.returncode

    def finish(self) -> None:
        """The run is over: `succeeded` when every command did."""
        self._save("failed" if self.failed else "succeeded", now())

    def _log(self, kind: str, index: int, **more: JsonValue) -> None:
        record: Mapping[str, JsonValue] = {"type": kind, "index": index, "timestamp": now(), **more}
        with (self.folder / "runner.ndjson").open("a") as file:
            file.write(json.dumps(record) + "\n")

    def _relative(self, name: str) -> str:
        return str((self.folder / name).relative_to(self.repo))

    def _save(self, status: str, completed_at: str | None) -> None:
        moment = now()
        manifest: Mapping[str, JsonValue] = {
            "version": 1, "task_id": self.task, "task_slug": self.task, "run_id": self.run_id, "parent_run_id": None,
            "pipeline_id": "exec", "pipeline_title": self.title, "runner": "codex-cli", "approval_policy": None,
            "status": status, "status_detail": None, "started_at": self.started_at, "completed_at": completed_at,
            "updated_at": moment, "heartbeat_at": moment, "heartbeat_interval_seconds": 5,
            "heartbeat_stale_after_seconds": 30, "artifact_root": self._relative("."),
            "compat_path": f".runs/{self.task}/mcp/{self.run_id}", "log_path": self._relative("runner.ndjson"),
            "workspace_path": str(self.repo), "summary": None, "metrics_recorded": False,
            "resume_token": secrets.token_hex(32), "resume_events": [], "approvals": [], "commands": self.commands,
            "child_runs": [], "run_summary_path": None,
            "learning": {
                "validation": {"mode": "per-task", "grouping": None, "status": "pending"},
                "alerts": [], "approvals": [],
            },
        }  # fmt: skip
        write_atomically(self.manifest, json.dumps(manifest, indent=2) + "\n")
