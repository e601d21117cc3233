"""The lab itself: what a replay takes beyond its command, what restoring a tree takes, what reverting hunks takes.

A replay is a fresh tree, a sandbox, the command, its report read, everything thrown away. Its peer is the same command
in a plain checkout of the same files, over and over: caches warm, nothing isolated.
"""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.measuring import Line, in_turns, median, scaled, shown, timed
from bench.sample import git
from events.values import Scenario, ScenarioCommand
from learnd.harvest.restoring import Restorer
from learnd.harvest.store import SnapshotStore
from learnd.lab.ablation import ablate
from learnd.lab.change import Change
from learnd.lab.environment import discover
from learnd.lab.hunks import added_names, split
from learnd.lab.launcher import given_to
from learnd.lab.reading import Code
from learnd.lab.replay import Laboratory
from learnd.lab.sandbox import Sandbox, prepare
from learnd.lab.trees import Workspace, choose_root
from learnd.lab.trials import SMALLEST_TRIAL_S, Trials
from learnd.lab.verdict import Expected
from learnd.settings import Lab

REPLAYS = 30
ADDED_S = 0.15
FILES = 5000
RESTORES = 15
HUNKS = 10
ABLATIONS = 5
LEEWAY = 1.2
COMMAND = (sys.executable, "-m", "unittest", "-q", "test_parts")
GAP = "\n".join(f"# part of no change: {line}" for line in range(8))
BUSY_S = 0.3
"""How long the tests of the sample work: about as long as starting their interpreter takes."""


def measure(folder: Path, scale: float) -> list[Line]:
    with _workshop(folder / "lab", scaled(HUNKS, scale, 2)) as shop:
        return [*_replays(shop, scale), *_ablation(shop, scale), *_restores(folder / "lab/large", shop, scale)]


class Workshop:
    """A repository with a change of so many hunks, each of which one test needs, and a laboratory for it."""

    def __init__(self, folder: Path, workspace: Workspace, hunks: int) -> None:
        self.repo = _repository(folder / "repo", hunks)
        self.store = SnapshotStore(folder / "state", "bench", self.repo)
        base = self.store.take_tree().tree
        (self.repo / "parts.py").write_text(_parts(hunks, mended=True))
        tree = self.store.take_tree().tree
        files = frozenset(entry.path for entry in self.store.list_files(tree))
        units = split(self.store.diff(base, tree), lambda path: path.startswith("test_"))
        self.change = Change(
            base=base, snapshot=tree, base_files=files, snapshot_files=files, source_paths=("parts.py",),
            test_paths=("test_parts.py",), units=units, names=added_names(units), tree_bytes=1 << 20,
        )  # fmt: skip
        scenario = Scenario(
            source="execution_history", commands=(ScenarioCommand(argv=COMMAND, cls="test", runner="unittest"),)
        )
        own_git = workspace.folder / "git"
        own_git.mkdir()
        self.laboratory = Laboratory(
            store=self.store,
            sandbox=Sandbox("bubblewrap"),
            scenario=scenario,
            environment=discover(self.repo, scenario, files, workspace.folder / "generated"),
            workspace=workspace,
            mount_at=self.repo,
            owner=(os.getuid(), os.getgid()),
            lab=Lab(),
            cancel=threading.Event(),
            tails={"parts.py": "parts.py"},
            code=Code.of(self.change.names, files),
            git_folder=own_git,
            restorer=Restorer(self.store, given_to(os.getuid(), os.getgid())),
        )

    def replay(self, tree: str) -> None:
        replayed = self.laboratory.replay(tree, 0, "measured")
        if not replayed.outcome.ok:
            raise RuntimeError(f"the sample fails: {replayed.outcome}")

    def by_hand(self) -> None:
        subprocess.run(COMMAND, cwd=self.repo, capture_output=True, check=True)


@contextmanager
def _workshop(folder: Path, hunks: int) -> Iterator[Workshop]:
    folder.mkdir(parents=True)
    with Workspace(choose_root(folder / "work", None, 1 << 20), f"bench-{os.getpid()}") as workspace:
        yield Workshop(folder, workspace, hunks)


def _repository(repo: Path, hunks: int) -> Path:
    repo.mkdir()
    git(repo, "init", "-q", "-b", "main", ".")
    cases = "".join(
        f"    def test_part_{number}(self):\n        self.assertEqual(parts.part_{number}(), {number})\n\n"
        for number in range(hunks)
    )
    busy = (
        f"import time\nimport unittest\nimport parts\n\ntime.sleep({BUSY_S})\n\n\nclass PartsTest(unittest.TestCase):\n"
    )
    (repo / "test_parts.py").write_text(busy + cases)
    (repo / "parts.py").write_text(_parts(hunks, mended=False))
    (repo / ".gitignore").write_text("__pycache__/\n")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "base")
    return repo


def _parts(hunks: int, *, mended: bool) -> str:
    return "".join(
        f"def part_{number}():\n    return {number if mended else -1}\n\n\n{GAP}\n\n\n" for number in range(hunks)
    )


# --- replays ----------------------------------------------------------------------------------------


def _replays(shop: Workshop, scale: float) -> list[Line]:
    count = scaled(REPLAYS, scale, 2)
    tree = shop.change.snapshot
    alone = in_turns({"replay": lambda: shop.replay(tree), "hand": shop.by_hand}, count, warm_up=1)
    replay, hand = median(alone["replay"]), median(alone["hand"])
    cores = min(2, len(os.sched_getaffinity(0)))
    crowd = in_turns(
        {
            "replay": lambda: _side_by_side(lambda: shop.replay(tree), count, cores),
            "hand": lambda: _side_by_side(shop.by_hand, count, cores),
        },
        2 if scale >= 1 else 1,
    )
    rates = {name: 60 * count / median(seconds) for name, seconds in crowd.items()}
    return [
        Line(
            "one replay beyond its command",
            shown(replay - hand),
            f"the command in a plain checkout: {shown(hand)}",
            f"{replay / hand:.2f} × the time",
            f"< {shown(ADDED_S)}",
            replay - hand < ADDED_S,
            f"{count} each",
            f"a replay took {shown(replay)}; {_where_it_goes(shop, replay - hand)}",
        ),
        Line(
            f"replays a minute, {cores} at a time",
            f"{rates['replay']:.0f}",
            f"the command in a plain checkout: {rates['hand']:.0f}",
            f"{rates['replay'] / rates['hand']:.2f} × as many",
            "",
            None,
            f"{count} each",
        ),
    ]


def _side_by_side(work: Callable[[], None], count: int, workers: int) -> None:
    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work) for _ in range(count)]:
            done.result()


def _where_it_goes(shop: Workshop, added: float) -> str:
    """What of the added time is the replay's own, whatever it runs; said where the aim is missed."""
    nothing = ScenarioCommand(argv=("/bin/true",), cls="build", runner="make")
    empty = replace(shop.laboratory, scenario=shop.laboratory.scenario.model_copy(update={"commands": (nothing,)}))
    own = median(in_turns({"": lambda: empty.replay(shop.change.snapshot, 0, "empty")}, 10, 1)[""])
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    return (
        f"of the {shown(added)} a replay that runs nothing takes {shown(own)} (tree, namespaces, sandbox), the rest is "
        f"Python's start with probe and reporter, without byte code; the load was {load:.1f} on {cores} cores"
    )


# --- ablation ---------------------------------------------------------------------------------------


def _ablation(shop: Workshop, scale: float) -> list[Line]:
    count = scaled(ABLATIONS, scale, 1)
    tree, units = shop.change.snapshot, shop.change.units
    base = shop.laboratory.replay(shop.change.base, 0, "base")
    snapshot = shop.laboratory.replay(tree, 0, "snapshot")
    expected = Expected.of((base,), (snapshot,))

    def ten() -> None:
        trials = Trials(shop.laboratory, shop.change, units, expected, frozenset(), SMALLEST_TRIAL_S)
        with trials.within(600):
            found = {hunk.verdict for hunk in ablate(trials, 1, lambda _: None)}
        if found != {"exercised"}:
            raise RuntimeError(f"every hunk of the sample is needed, yet: {found}")

    taken = in_turns({"ten": ten, "replay": lambda: shop.replay(tree)}, count)
    replay = median(taken["replay"])
    times = median(taken["ten"]) / replay
    aim = LEEWAY * len(units)
    return [
        Line(
            f"{len(units)} hunks reverted, one at a time",
            shown(median(taken["ten"])),
            f"one replay: {shown(replay)}",
            f"{times:.1f} × the time",
            f"≤ {aim:.0f} × ({len(units)} replays and 20 %)",
            times <= aim,
            f"{count}",
            f"each hunk took {shown(median(taken['ten']) / len(units) - replay)} more than a replay: its tree is made "
            "by git, and a failing test is read and judged",
        )
    ]


# --- restoring --------------------------------------------------------------------------------------


def _restores(place: Path, shop: Workshop, scale: float) -> list[Line]:
    store, tree = _large(place, scaled(FILES, scale, 20))
    laboratory = shop.laboratory
    tar = place / "tree.tar"
    with tar.open("wb") as out:
        store.archive(tree, out)
    plain, restorer = itertools.count(), Restorer(store, given_to(*laboratory.owner))
    workspace = laboratory.workspace

    def restore() -> None:
        place = workspace.fresh(lambda folder: restorer.restore(tree, folder))
        prepare(place.tree, *laboratory.owner)

    def extract() -> None:
        folder = workspace.folder / f"tar-{next(plain)}"
        folder.mkdir()
        subprocess.run(["tar", "-x", "-C", str(folder), "-f", str(tar)], check=True)

    count = scaled(RESTORES, scale, 2)
    first = timed(restore)
    taken = in_turns({"restore": restore, "tar": extract}, count, 1)
    learnd, peer = median(taken["restore"]), median(taken["tar"])
    return [
        Line(
            f"restoring {scaled(FILES, scale, 20):,} files for one replay",
            shown(learnd),
            f"tar x, same file system: {shown(peer)}",
            f"{learnd / peer:.2f} × the time",
            "≤ 1 ×",
            learnd <= peer,
            f"{count} each",
            f"it takes {shown(_processor(restore))} of processor time, tar {shown(_processor(extract))}, and what is "
            f"beyond that is waiting; the first restore, which reads the objects from git, took {shown(first)}",
        )
    ]


def _processor(work: Callable[[], None]) -> float:
    """Seconds that all cores together are busy for `work`, its child processes included."""

    def used() -> float:
        found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in found)

    before = used()
    work()
    return used() - before


def _large(place: Path, count: int) -> tuple[SnapshotStore, str]:
    repo = place / "repo"
    repo.mkdir(parents=True)
    git(repo, "init", "-q", "-b", "main", ".")
    for number in range(count):
        file = repo / f"pkg{number % 50}/part{number % 7}/module_{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# module {number}\n" + f"value_{number} = {number}\n" * 100)
    store = SnapshotStore(place / "state", "large", repo)
    return store, store.take_tree().tree
