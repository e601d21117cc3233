"""`learn`: a person asks for a run, or for the repository's last commits, to be learned from.

A commit range has no run, so learnd writes the manifest of one, as its own producer (`runner: "learnd"`): the
range's start as its base, the commit messages and the person's reason as its prompt. It claims no executed
command. What is captured is the work tree, so the range must end at HEAD and the tree must be clean.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.clock import now
from learnd.ids import short
from learnd.verbs.asking import settled, understood
from learnd.verbs.reading import reading
from learnd.verbs.start import work_tree
from learnd.verbs.terminal import USAGE, Stop, print_json, say

if TYPE_CHECKING:
    from learnd.harvest.gitfolder import GitFolder
    from learnd.harvest.store import SnapshotStore
    from learnd.views.queries import WorkTreeRow

TASK = "learnd-learn"
OWN_PATHS = (b".agent/", b".gitignore", b"docs/patterns/")
"""What `learnd init` and learnd itself leave in a repository is no part of anybody's change."""

_REVISION = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._/-]*)(?P<back>(?:[~^]\d{0,4})*)")
_OBJECT_ID = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the person typed. `commands` verify the change, `reason` says why it is worth learning."""

    task: str | None
    span: str | None
    commands: tuple[str, ...]
    reason: str
    approver: str | None


def learn(log: Path | None, path: Path, asked: Asked, *, as_json: bool) -> int:
    """Open a job. JSON: `{job, opened, manifest, message}`."""
    tree = _registered(log, path)
    manifest = _manifest(path, Path(tree.path), asked)
    from learnd.requests import LearnRun  # brings pydantic

    with understood():
        request = LearnRun(manifest=str(manifest), reason=asked.reason, claimed=asked.approver)
    reply = settled(log, request)
    job = str(reply.data.get("job") or "")
    if as_json:
        told = {"job": job, "opened": bool(reply.data.get("opened")), "manifest": str(manifest)}
        print_json({**told, "message": reply.message})
        return 0
    say(reply.message)
    say(f"Next: learnd show {short(job)}")
    return 0


def _registered(log: Path | None, path: Path) -> WorkTreeRow:
    """The registered work tree that `path` is in. Raises Stop."""
    from learnd.repositories import registered  # brings pydantic

    if not path.exists():
        raise Stop(f"{path} is not there. Next: name a manifest, a run's folder or a repository", USAGE)
    with reading(log) as book:
        row = registered(book.views, path)
    if row is None:
        raise Stop(f"{path.resolve()} lies in no registered repository. Next: learnd init {path}")
    return row


def _manifest(path: Path, root: Path, asked: Asked) -> Path:
    """The manifest that is meant, or one that is written for a commit range."""
    if asked.task is not None:
        return _latest_of_task(root, asked.task)
    if path.is_file():
        return path.absolute()
    if (path / "manifest.json").exists() and (root / ".runs").resolve() in path.resolve().parents:
        return (path / "manifest.json").absolute()
    if path.resolve().is_relative_to((root / ".runs").resolve()):
        raise Stop(f"{path} holds no manifest.json. Next: name a run's folder, or use --task TASK", USAGE)
    return _of_range(work_tree(path), asked)


def _latest_of_task(root: Path, task: str) -> Path:
    """The manifest of the task's run that completed last."""
    from learnd.manifest.find import find_manifests
    from learnd.manifest.read import read_run
    from learnd.manifest.runs import Run

    runs = [found for item in find_manifests(root) if isinstance(found := read_run(Path(item.path), root), Run)]
    mine = [run for run in runs if run.task_id == task]
    over = [run for run in mine if run.over]
    if not over:
        known = ", ".join(sorted({run.task_id for run in runs})[:10]) or "none"
        what = "no run of it is over yet" if mine else f"tasks with runs here: {known}"
        raise Stop(f"{root}: nothing to learn from task {task!r}: {what}. Next: name another task or a manifest")
    return max(over, key=lambda run: run.completed_at or "").path


# --- a commit range ---


def _of_range(root: Path, asked: Asked) -> Path:
    from learnd.harvest.faults import DiskFull, SnapshotError  # brings pydantic
    from learnd.harvest.store import SnapshotStore

    # A store of its own, thrown away: the daemon may be at work in the real one.
    with tempfile.TemporaryDirectory(prefix="learnd-learn-") as place:
        try:
            store = SnapshotStore(Path(place), "range", root)
            start, end = _span(store, asked.span)
            _require_clean(store, end)
            messages = store.messages(start, end)
        except (SnapshotError, DiskFull) as error:
            raise Stop(f"{root}: {error}") from error
    return _write(root, start, end, messages, asked)


def _span(store: SnapshotStore, span: str | None) -> tuple[str, str]:
    """First (not included) and last commit of the range. Raises Stop."""
    head = store.resolve_head()
    if head is None:
        raise Stop(f"{store.repo} has no commit yet. Next: commit the work, or name a run's manifest")
    if span is None:
        parents = store.parents(head)
        if not parents:
            raise Stop(f"{store.repo}: HEAD has no parent to compare with. Next: commit the change on top of something")
        return parents[0], head
    first, dots, last = span.partition("..")
    if not dots or not first:
        raise Stop(f"{span!r} is no range. Next: --range START..HEAD", USAGE)
    start, end = (_commit(store, word) for word in (first, last or "HEAD"))
    if end != head:
        raise Stop(
            f"the range ends at {end[:12]} and the work tree stands on {head[:12]}: what is captured is the work tree. "
            f"Next: git switch --detach {end[:12]}, then learnd learn --range {start[:12]}..HEAD"
        )
    if start == end:
        raise Stop(f"the range {span} holds no commit. Next: --range A..HEAD, with an earlier A", USAGE)
    return start, end


def _commit(store: SnapshotStore, word: str) -> str:
    """The commit that a word stands for: HEAD, a branch, a tag or an object id, each with `~n` or `^`. Raises Stop."""
    match = _REVISION.fullmatch(word)
    found = (_named(store.folder, match["name"]) or _abbreviated(store, match["name"])) if match else None
    for step in re.findall(r"([~^])(\d*)", match["back"]) if match and found else ():
        found = _back(store, found, *step)
    if found is None or store.tree_of(found) is None:
        raise Stop(f"{word!r} is no commit of {store.repo}. Next: a branch, a tag, HEAD~n or a whole commit id", USAGE)
    return found


def _named(folder: GitFolder, name: str) -> str | None:
    from learnd.harvest import gitfolder

    if name == "HEAD":
        return gitfolder.head(folder)
    for prefix in ("refs/heads/", "refs/tags/", "refs/remotes/"):
        found = gitfolder.ref(folder, prefix + name)
        if found is not None:
            return found
    return name if len(name) in (40, 64) and _OBJECT_ID.fullmatch(name) else None


def _abbreviated(store: SnapshotStore, name: str) -> str | None:
    """One of the last commits, by the first digits of its id."""
    head = store.resolve_head()
    if head is None or not _OBJECT_ID.fullmatch(name):
        return None
    ids = [line.split(b" ", 1)[0].decode() for line in store.log_text(head).splitlines()]
    found = [id_ for id_ in ids if id_.startswith(name)]
    return found[0] if len(found) == 1 else None


def _back(store: SnapshotStore, commit: str | None, sign: str, number: str) -> str | None:
    count = int(number) if number else 1
    if sign == "^":
        parents = store.parents(commit) if commit else ()
        return parents[count - 1] if 0 < count <= len(parents) else None
    for _ in range(count):
        parents = store.parents(commit) if commit else ()
        commit = parents[0] if parents else None
    return commit


def _require_clean(store: SnapshotStore, head: str) -> None:
    """Raises Stop when the work tree holds more than the commits say."""
    taken = store.take_tree()
    committed = store.tree_of(head)
    if committed is None:
        raise Stop(f"{store.repo}: commit {head[:12]} is not in the repository")
    expected, _ = store.settle_base(committed, taken)
    changed = [stat.path for stat in store.numstat(expected, taken.tree) if not stat.path.startswith(OWN_PATHS)]
    if changed:
        names = ", ".join(os.fsdecode(path) for path in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise Stop(
            f"{store.repo} has changes that are in no commit ({names}{more}); they would be learned as part of the "
            "range. Next: commit them, or git stash -u"
        )


def _write(root: Path, start: str, end: str, messages: tuple[str, ...], asked: Asked) -> Path:
    """The range's manifest and prompt, under `.runs/`. The manifest comes last: what it names is there."""
    from learnd.library.folders import Folder, FolderRefused  # brings pydantic

    moment = now()
    run_id = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{end[:8]}"
    document = {
        "version": 1,
        "runner": "learnd",
        "task_id": TASK,
        "run_id": run_id,
        "status": "succeeded",
        "started_at": None,
        "completed_at": moment,
        "base_commit": start,
        "head_commit": end,
        "pipeline_title": messages[0].splitlines()[0] if messages else f"{start[:12]}..{end[:12]}",
        "commands": [],
    }
    try:
        folder = Folder.at(root, ".runs", TASK, "cli", run_id, create=True)
        assert folder is not None  # noqa: S101 - made just now
        with folder:
            made = folder.create("prompt.md", _prompt(messages, asked).encode())
            made = folder.create("manifest.json", (json.dumps(document, indent=2) + "\n").encode()) and made
    except (FolderRefused, OSError) as error:
        raise Stop(str(error)) from error
    if not made:
        raise Stop(f"{folder.path} was written by somebody else this very second. Next: try again")
    return folder.path / "manifest.json"


def _prompt(messages: tuple[str, ...], asked: Asked) -> str:
    parts = ["\n\n".join(reversed(messages))]
    if asked.reason:
        parts.append(f"## Why this is worth learning\n\n{asked.reason}")
    if asked.commands:
        parts.append("\n".join(("## Verification", "", "```sh", *asked.commands, "```")))
    return "\n\n".join(part for part in parts if part) + "\n"
