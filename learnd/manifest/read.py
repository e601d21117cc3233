"""Reads one manifest, whoever wrote it, and says what it is.

`read_run` never raises and never blocks, whatever bytes or links stand at the path: a daemon reads what
agents write. A second look at the same bytes gives the same answer; nothing is guessed from a folder
except a task's id in the oldest agents-sdk runs, which did not record it.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import get_args

from learnd.manifest import jsontext
from learnd.manifest.fields import Fields, WrongField, unsafe_name
from learnd.manifest.inside import Folder, Located, NotAFile, OutsideRepository, TooLarge, locate
from learnd.manifest.jsontext import NotJson
from learnd.manifest.runs import NotARun, Run, RunCommand, RunStatus, Shape, Unreadable
from learnd.manifest.shapes import NoRun, recognise

__all__ = ["LeadsNowhere", "NotARun", "Run", "RunCommand", "Unreadable", "canonical_path", "read_run"]

MAX_BYTES = 10 * 1024 * 1024
"""A manifest over this size is refused unread."""

MAX_HOPS = 8
"""Stubs and links that one path may lead over."""

_STATUSES: tuple[RunStatus, ...] = get_args(RunStatus)


class LeadsNowhere(Exception):
    """A stub or link leads in a circle, or to a manifest that cannot be read. The message says which."""


def read_run(path: Path, repo: Path) -> Run | NotARun | Unreadable:
    """What stands at `path`, absolute or relative to `repo`."""
    try:
        found = locate(path, repo)
        if found.linked:
            real = Path(found.real)
            return NotARun(path, "link", f"a link to {os.path.relpath(found.real, found.repo)}, the same run", real)
        with Folder.open(found.repo, os.path.dirname(found.real)) as folder:  # noqa: PTH120 - resolved text
            data, _ = folder.read(os.path.basename(found.real), MAX_BYTES)  # noqa: PTH119
        fields = Fields.of(jsontext.parse(data))
        shape = recognise(fields)
        if isinstance(shape, NoRun):
            leads_to = _target(fields, found) if shape.kind == "stub" else None
            return NotARun(Path(found.real), shape.kind, shape.reason, leads_to)
        return _run(fields, shape, found, hashlib.sha256(data).hexdigest())
    except (NotJson, WrongField, OutsideRepository, NotAFile, TooLarge) as refusal:
        return Unreadable(path, str(refusal))
    except OSError as error:
        return Unreadable(path, f"cannot be opened: {error.strerror or error}")


def canonical_path(path: Path, repo: Path) -> Path:
    """The one manifest that `path` stands for, over stubs and links. Raises LeadsNowhere."""
    seen = [path]
    for _ in range(MAX_HOPS):
        found = read_run(seen[-1], repo)
        if isinstance(found, Unreadable):
            raise LeadsNowhere(f"{found.path}: {found.reason}")
        if isinstance(found, Run) or found.kind not in {"link", "stub"}:
            return found.path
        if found.leads_to is None or found.leads_to in seen:
            raise LeadsNowhere(f"{found.path} is {found.reason}, which leads nowhere")
        seen.append(found.leads_to)
    raise LeadsNowhere(f"{path} leads over more than {MAX_HOPS} stubs and links")


def _target(stub: Fields, found: Located) -> Path:
    """The manifest a stub names: by `manifest`, else by `redirect_to`, a run's folder or its manifest."""
    named = stub.text("manifest") or stub.text("redirect_to")
    if not named:
        raise WrongField("redirect_to must be a path, is empty")
    if not named.endswith("manifest.json"):
        named = f"{named.rstrip('/')}/manifest.json"
    try:
        return Path(locate(Path(named), Path(found.repo)).real)
    except FileNotFoundError:
        raise WrongField(f"a stub that points to {ascii(named)[:200]}, which is not there") from None


def _run(data: Fields, shape: Shape, found: Located, digest: str) -> Run:
    status = data.text("status")
    known = next((word for word in _STATUSES if word == status), None)
    if known is None:
        raise WrongField(f"status must be one of {', '.join(_STATUSES)}, is {ascii(status)[:80]}")
    path = Path(found.real)
    commands = tuple(_command(item, at) for at, item in enumerate(data.each("commands"), start=1))
    run_id = data.identifier("run_id")
    task_id = data.identifier("task_id") or (_task_by_place(data, found) if shape == "agents-sdk" else None)
    if run_id is None or task_id is None:
        raise WrongField(f"{'task_id' if run_id else 'run_id'} must be a name, is missing")
    return Run(
        path=path,
        repo=Path(found.repo),
        shape=shape,
        task_id=task_id,
        run_id=run_id,
        status=known,
        started_at=data.time("started_at"),
        completed_at=data.time("completed_at"),
        commands=commands,
        title=data.label("pipeline_title") or next((command.title for command in commands), "") or run_id,
        pipeline_id=data.text("pipeline_id"),
        parent_run_id=data.text("parent_run_id"),
        base_commit=_base_commit(data),
        workspace=data.text("workspace_path") or data.text("repo_root"),
        prompt_path=_prompt_path(data),
        digest=digest,
    )


def _command(data: Fields, at: int) -> RunCommand:
    line = data.text("command")
    index = data.integer("index")
    response = data.text("response_file")
    return RunCommand(
        index=at if index is None else index,
        title=data.label("title") or data.label("command") or "",
        command=line,
        kind=data.text("kind") or "command",
        status=data.text("status") or "pending",
        exit_code=data.integer("exit_code"),
        started_at=data.time("started_at"),
        completed_at=data.time("completed_at"),
        log_path=data.text("log_path"),
        response_file=os.path.basename(response) if response else None,  # noqa: PTH119 - not a path to open
    )


def _task_by_place(data: Fields, found: Located) -> str | None:
    """The task of an agents-sdk run that names none: the folder under `.runs/`, as recorded, else as found."""
    for place in (data.text("artifact_root") or "", os.path.relpath(found.real, found.repo)):
        root, _, rest = place.partition("/")
        task = rest.partition("/")[0]
        if root == ".runs" and unsafe_name(task) is None:
            return task
    return None


def _base_commit(data: Fields) -> str | None:
    """A commit that a producer recorded as the run's start; anything but a full object name is no help."""
    commit = data.value("base_commit")
    return commit if isinstance(commit, str) and re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", commit) else None


def _prompt_path(data: Fields) -> str | None:
    """`learning.queue.prompt_path`. The block is a copy that the producer rewrites: its faults refuse no run."""
    try:
        learning = data.inner("learning")
        queue = learning.inner("queue") if learning else None
        return queue.text("prompt_path") if queue else None
    except WrongField:
        return None
