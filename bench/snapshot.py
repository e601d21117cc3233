"""A snapshot of a work tree of 5,000 files, 1 % of them changed, beside git's own plumbing for the same tree.

The peer is `git add -A && git write-tree` on a copy of the index, in the user's repository: what somebody would write
who trusts its filters, hooks, attributes and index. learnd's tree is exact and runs nothing of them. The whole snapshot
(tarball, diff, record, tag, everything synced) is shown as well.
"""

from __future__ import annotations

import itertools
import shutil
import uuid
from pathlib import Path

from bench.measuring import Line, in_turns, median, scaled, shown
from bench.sample import git
from learnd.clock import now
from learnd.harvest.snapshot import SnapshotRequest, take_snapshot
from learnd.harvest.store import SnapshotStore
from learnd.settings import Settings

FILES = 5000
CHANGED = 50
ROUNDS = 9
AIM = 2.0
WHY = "learnd lists the tree with git, reads changed files itself and lists again, to see that nothing moved"


def measure(folder: Path, scale: float) -> list[Line]:
    repo, state = folder / "snapshot/repo", folder / "snapshot/state"
    files = _repository(repo, scaled(FILES, scale, 20))
    store = SnapshotStore(state, "bench", repo)
    store.take_tree()
    rounds = itertools.count()
    changed = scaled(CHANGED, scale, 1)
    index = folder / "snapshot/index"

    def change() -> None:
        number = next(rounds)
        for file in files[number % 7 :: len(files) // changed][:changed]:
            file.write_text(f"{file.read_text()}changed {number}\n")

    def plumbing() -> None:
        shutil.copyfile(repo / ".git/index", index)
        git(repo, "add", "-A", index=index)
        git(repo, "write-tree", index=index)

    settings = Settings(state_dir=state)
    count = scaled(ROUNDS, scale, 2)
    taken: dict[str, list[float]] = {"plumbing": [], "tree": [], "whole": []}
    for _ in range(count):
        change()
        both = in_turns({"plumbing": plumbing, "tree": store.take_tree}, 1)
        taken["plumbing"] += both["plumbing"]
        taken["tree"] += both["tree"]
        change()
        taken["whole"] += in_turns({"": lambda: take_snapshot(_request(repo), store, settings)}, 1)[""]
    peer = median(taken["plumbing"])
    return [
        Line(
            f"snapshot of {len(files):,} files, {what}",
            shown(seconds),
            f"git add -A, write-tree: {shown(peer)}",
            f"{seconds / peer:.2f} × the time",
            f"≤ {AIM:.0f} ×" if aimed else "",
            seconds <= AIM * peer if aimed else None,
            f"{count}",
            WHY,
        )
        for what, seconds, aimed in (
            ("the tree", median(taken["tree"]), True),
            ("with tarball, diff and record", median(taken["whole"]), False),
        )
    ]


def _repository(repo: Path, count: int) -> list[Path]:
    """A repository of `count` files of about 2 KB, all committed."""
    repo.mkdir(parents=True)
    git(repo, "init", "-q", "-b", "main", ".")
    (repo / ".gitignore").write_text("/.runs/\n/learning-snapshots/\n")
    files = [repo / f"pkg{number % 50}/module_{number}.py" for number in range(count)]
    for number, file in enumerate(files):
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"# module {number}\n" + f"value_{number} = {number}\n" * 100)
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "base")
    return files


def _request(repo: Path) -> SnapshotRequest:
    job, moment = uuid.uuid4().hex * 2, now()
    run = repo / f".runs/bench/cli/{job[:8]}"
    (run / "learning").mkdir(parents=True)
    return SnapshotRequest(
        job_id=job, repo_id="bench", repo_path=repo, manifest_path=run / "manifest.json", task_id="bench",
        run_id=job[:8], started_at=moment, completed_at=moment, learning_dir=run / "learning", base_tree=None,
        base_commit=None, recorded_base_commit=None, overlapping_runs=(), retention_days=30, now=moment,
    )  # fmt: skip
