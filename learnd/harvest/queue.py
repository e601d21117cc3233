"""The files that hand a snapshot on: prompt, execution history, and the payload that names them.

Names and keys are those of the producers' convention (`snapshot_id, diff_path, prompt_path, execution_history_path,
manifest_path`), paths relative to the repository. Writing them again gives the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import to_jsonable_python

from events.values import FileRef, SnapshotRecord
from learnd.harvest import places
from learnd.harvest.prompt import Prompt
from learnd.harvest.snapshot import SnapshotRequest
from learnd.harvest.store import SnapshotStore


@dataclass(frozen=True)
class Queued:
    """What was written. `prompt` is None where no source had one."""

    payload: FileRef
    prompt: FileRef | None
    prompt_source: str | None
    execution_history: FileRef


def enqueue(
    request: SnapshotRequest,
    record: SnapshotRecord,
    store: SnapshotStore,
    *,
    prompt: Prompt | None,
    history: Sequence[object],
) -> Queued:
    """Write the queue's files into the run's learning folder. `history` holds dataclasses or pydantic models.

    Raises SnapshotError (`link_refused`, `not_writable`), DiskFull.
    """
    repo = store.repo
    asked = None
    if prompt is not None:
        asked = places.put(repo, request.file("prompt", ".md"), prompt.text.encode() + b"\n")
    executed = places.put(repo, request.file("execution-history", ".json"), _json(to_jsonable_python(list(history))))
    payload = {
        "snapshot_id": record.snapshot_id,
        "diff_path": _relative(record.diff.path, repo),
        "prompt_path": None if asked is None else _relative(asked.path, repo),
        "execution_history_path": _relative(executed.path, repo),
        "manifest_path": _relative(request.manifest_path, repo),
    }
    written = places.put(repo, request.file("queue-payload", ".json"), _json(payload))
    return Queued(written, asked, None if prompt is None else prompt.source, executed)


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _relative(path: str | Path, repo: Path) -> str:
    real = Path(os.path.realpath(Path(path).parent)) / Path(path).name
    return str(real.relative_to(repo)) if real.is_relative_to(repo) else str(path)
