"""Which producer wrote a manifest: told by its fields, never by the folder it lies in.

| shape | told by |
| --- | --- |
| cli-v1 | `version: 1`, `runner: "codex-cli"`, and all that a job needs |
| trimmed | the same, but something that a job needs is missing |
| agents-sdk | `runner: "agents-sdk"`; samples without it: `run_id`, `status`, `commands`, `artifact_root`, no version |
| learnd | `version: 1`, `runner: "learnd"`: a commit range that a person asked to be learned (`learnd learn`) |
| stub | `redirect_to` and no status |
| mcp-server | `mode`, `started_at`, `command`, no status: a server's start, it never completes |
| approval | an approval's `event`, or `approved_by` |
| summary | camelCase `runId`, `taskId` |
| hand-written | `task` or `validations`, no status |

Migrations added fields to old files (`task_id`, `resume_token` …) and moved them: what a shape must have
counts, more does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

from learnd.manifest.fields import Fields
from learnd.manifest.runs import Kind, Shape

NEEDED = ("version", "task_id", "run_id", "runner", "status", "started_at", "completed_at", "commands")
"""Without these no job can be opened for a cli-v1 run."""

PROMISED = (
    *NEEDED, "task_slug", "parent_run_id", "pipeline_id", "pipeline_title", "approval_policy", "status_detail",
    "updated_at", "heartbeat_at", "heartbeat_interval_seconds", "heartbeat_stale_after_seconds", "artifact_root",
    "compat_path", "log_path", "summary", "metrics_recorded", "resume_token", "resume_events", "approvals",
    "child_runs", "run_summary_path",
)  # fmt: skip
"""All that the producer's schema has required of every version learnd has seen."""


@dataclass(frozen=True, slots=True)
class NoRun:
    """The kind of a document that is no run, and a sentence that says why no job is opened."""

    kind: Kind
    reason: str


def recognise(data: Fields) -> Shape | NoRun:
    """The shape of a run, or what else the document is. Never raises."""
    runner = data.value("runner")
    version = data.value("version")
    if "redirect_to" in data and "status" not in data:
        return NoRun("stub", f"a stub that points to {ascii(data.value('redirect_to'))[:200]}")
    if runner == "agents-sdk":
        return "agents-sdk"
    if runner is None and version is None:
        return _without_runner(data)
    if runner is not None and runner not in ("codex-cli", "learnd"):
        return NoRun("unknown", f"runner {ascii(runner)[:80]} is no producer that learnd knows")
    if version is not None and (version != 1 or isinstance(version, bool)):
        return NoRun("unknown", f"version {ascii(version)[:80]} of {runner or 'codex-cli'}; learnd knows version 1")
    return _versioned(data, "learnd" if runner == "learnd" else "cli-v1")


def _versioned(data: Fields, shape: Shape) -> Shape | NoRun:
    missing = [name for name in NEEDED if name not in data]
    if not missing:
        return shape
    others = sum(name not in data for name in PROMISED) - len(missing)
    more = f", and {others} more that the producer always writes" if others else ""
    return NoRun("trimmed", f"a trimmed manifest: {_listed(missing)} missing{more}; the run cannot be told from it")


def _without_runner(data: Fields) -> Shape | NoRun:
    has_status = "status" in data
    if all(name in data for name in ("run_id", "status", "commands", "artifact_root")):
        return "agents-sdk"
    event = data.value("event")
    if (isinstance(event, str) and "approval" in event) or ("approved_by" in data and not has_status):
        return NoRun("approval", "an approval that was recorded, not a run")
    if "runId" in data or "taskId" in data:
        return NoRun("summary", "a run's summary in camelCase; the run itself has its own manifest")
    if all(name in data for name in ("mode", "started_at", "command")) and not has_status:
        return NoRun("mcp-server", "the start of an MCP server: it has no status and never completes")
    if ("task" in data or "validations" in data) and not has_status:
        return NoRun(
            "hand-written", "written by hand (task, validations, notes): no status, no commands, nothing to replay"
        )
    return NoRun("unknown", f"no shape that learnd knows; it has {_listed(data.names()[:8]) or 'no fields'}")


def _listed(names: list[str]) -> str:
    return ", ".join(ascii(name)[1:-1][:40] for name in names)
