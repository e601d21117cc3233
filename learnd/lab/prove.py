"""From a snapshot and a scenario to evidence.

    snapshot verified -> base with the change's tests -> both sides replayed -> judged -> each hunk reverted -> Evidence

Invariants: nothing is executed before the snapshot was verified; the two sides differ in nothing but what is no test; a
verdict other than `inconclusive` rests on the minimum of replays a side; what was not reached is `unknown`, never
guessed; free text in the evidence and in the log is redacted.
"""

from __future__ import annotations

import re
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from events.values import Evidence, FileRef, HunkEvidence, HunkVerdict, Scenario, SnapshotRecord
from learnd.assets import agent_dir
from learnd.harvest import places
from learnd.harvest.faults import PatchDoesNotApply, SnapshotError
from learnd.harvest.snapshot import verify_snapshot
from learnd.harvest.store import SnapshotStore
from learnd.lab.environment import discover
from learnd.lab.hunks import UNITS_MAX, AddedNames, DiffUnreadable, Unit, added_names, defined, split
from learnd.lab.probe import watched_modules
from learnd.lab.reading import Code, printable, redacted
from learnd.lab.replay import Laboratory, ReplayCancelled, ReplayLog
from learnd.lab.sandbox import RunRefused, Sandbox, prepare
from learnd.lab.templates import FOLDER, Stack, is_test_path, load
from learnd.lab.trees import Workspace, choose_root
from learnd.lab.verdict import Expected, Judgement, Replayed, flake_upper_bound, hunk_verdict, judge, with_hunks
from learnd.settings import Lab

LOG_NAME = "scenario-validation.log"
RUNNER_SETTINGS = re.compile(
    r"\.?pytest\.(ini|toml)|tox\.ini|setup\.cfg|pyproject\.toml|(jest|vitest|vite)\.config\.\w+|\.mocharc(\.\w+)?"
)
TURNED_MAX = 50
DETAIL_MAX = 2000
SMALLEST_HUNK_S = 1.0
"""With less than this (or less than twice a snapshot's replay) left, a hunk is not begun."""

__all__ = ["ProofRequest", "ReplayCancelled", "prove"]


@dataclass(frozen=True)
class ProofRequest:
    """What to prove, and where. Paths are absolute; `repo_path` is where the tree stands inside the sandbox.

    `stacks` are those of the base tree, beside learnd's own. `learning_dir` takes the log, as `log_name`. `work_dir`
    takes restored trees where memory has no room. `progress` is told, in short sentences, what goes on.
    """

    job_id: str
    repo_path: Path
    record: SnapshotRecord
    scenario: Scenario
    learning_dir: Path
    work_dir: Path
    lab: Lab
    owner_uid: int
    owner_gid: int
    stacks: tuple[Stack, ...] = ()
    log_name: str = LOG_NAME
    progress: Callable[[str], None] = field(default=lambda _: None)


@dataclass(frozen=True)
class Change:
    """A change as two trees that differ in source alone, and the units of that difference."""

    base: str
    snapshot: str
    base_files: frozenset[str]
    snapshot_files: frozenset[str]
    source_paths: tuple[str, ...]
    units: tuple[Unit, ...]
    names: AddedNames
    tree_bytes: int
    unreadable: str = ""


@dataclass(frozen=True)
class Sides:
    """The replays of both sides, in the order they were made."""

    base: tuple[Replayed, ...]
    snapshot: tuple[Replayed, ...]


def prove(request: ProofRequest, store: SnapshotStore, sandbox: Sandbox, cancel: threading.Event) -> Evidence:
    """Replay the scenario on both sides of the change and say what that shows.

    Raises ReplayCancelled when `cancel` is set, SnapshotDamaged when the snapshot no longer is what was taken,
    SandboxUnavailable when this machine cannot isolate, NoRoomForTrees when it has no room.
    """
    verify_snapshot(request.record, store)
    change = read_change(request, store)
    log = ReplayLog()
    log.write(_heading(request, change, sandbox))
    root = choose_root(request.work_dir, request.lab.work_dir, change.tree_bytes)
    with Workspace(root, request.job_id) as workspace:
        files = change.base_files | change.snapshot_files
        laboratory = Laboratory(
            store=store,
            sandbox=sandbox,
            scenario=request.scenario,
            environment=discover(
                request.repo_path, request.scenario, files, workspace.folder / "generated", request.lab.extra_binds
            ),
            workspace=workspace,
            mount_at=request.repo_path,
            owner=(request.owner_uid, request.owner_gid),
            lab=request.lab,
            cancel=cancel,
            tails=watched_modules(change.source_paths, change.snapshot_files | change.base_files),
            code=Code.of(change.names, files),
            git_folder=_git_folder(workspace, request),
            log=log,
        )
        evidence = _examine(request, laboratory, change)
    log.write(f"\n=== verdict: {evidence.verdict}{f' ({evidence.cause})' if evidence.cause else ''} {evidence.detail}")
    return evidence.model_copy(update={"log": write_log(request, log)})


def _examine(request: ProofRequest, laboratory: Laboratory, change: Change) -> Evidence:
    """Replays, judgement, hunks."""
    environment = laboratory.environment
    if environment.missing:
        judgement = Judgement("inconclusive", "environment", f"no executable of this name: {environment.missing}")
        return _evidence(judgement, laboratory, Sides((), ()), (), change)
    sides, hunks = Sides((), ()), tuple[HunkEvidence, ...]()
    try:
        sides = replay_sides(laboratory, change, request.progress)
        judgement = _judged(sides, request, change)
        if judgement.verdict == "proven":
            hunks = ablate(laboratory, change, sides, request.progress)
    except RunRefused as error:
        return _evidence(Judgement("inconclusive", "environment", str(error)), laboratory, sides, hunks, change)
    loaded = any(replay.loaded for replay in sides.snapshot)
    probed = all(replay.probed for replay in sides.snapshot)
    judgement = with_hunks(judgement, hunks, probed=probed, loaded=loaded)
    return _evidence(judgement, laboratory, sides, hunks, change)


# --- the change ---------------------------------------------------------------------------------------


def read_change(request: ProofRequest, store: SnapshotStore) -> Change:
    """The change of a snapshot: base with the change's test files over it, snapshot, and source units between them.

    Test files are those whose path says so to any stack, the scenario's fixtures, and the runners' settings: these
    choose which tests run and what is loaded beside them, so both sides are judged under the same. A repository's own
    stacks can add to what learnd's call a test, never take from it: a test taken for source could prove a test-only
    change.
    """
    record = request.record
    before = {entry.path: entry for entry in store.list_files(record.base_tree)}
    after = {entry.path: entry for entry in store.list_files(record.tree)}
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    tree_bytes = sum(entry.size for entry in after.values())

    def is_test(path: str) -> bool:
        if is_test_path(path, stacks) or RUNNER_SETTINGS.fullmatch(path.rpartition("/")[2]):
            return True
        return any(path == name or path.startswith(f"{name}/") for name in fixtures)

    stacks = (*load(agent_dir() / FOLDER.removeprefix(".agent/")).stacks, *request.stacks)
    fixtures = tuple(name.rstrip("/") for name in request.scenario.fixtures)
    tests = [path for path in changed if is_test(path)]
    base = store.tree_with(record.base_tree, {path: after.get(path) for path in tests})
    source = tuple(path for path in changed if not is_test(path))
    units: tuple[Unit, ...] = ()
    unreadable = ""
    try:
        units = split(store.diff(base, record.tree), is_test)
    except DiffUnreadable as error:
        unreadable = str(error)
    names = added_names(units)
    return Change(base, record.tree, frozenset(before), frozenset(after), source, units, names, tree_bytes, unreadable)


# --- both sides ---------------------------------------------------------------------------------------


def replay_sides(laboratory: Laboratory, change: Change, progress: Callable[[str], None]) -> Sides:
    """Replay snapshot and base in turns: the minimum, then more while that is cheap and a proof is in reach.

    Ends early where nothing can follow: a replay that a limit or the environment ended, a snapshot that is red.
    """
    lab = laboratory.lab
    base: list[Replayed] = []
    snapshot: list[Replayed] = []
    both = change.base != change.snapshot and any(command.cls == "test" for command in laboratory.scenario.commands)
    for seed in range(lab.replays_max):
        if seed >= lab.replays_min and not _worth_more(base, snapshot, lab):
            break
        progress(f"replaying the snapshot ({seed + 1})")
        snapshot.append(laboratory.replay(change.snapshot, seed, f"snapshot {seed + 1}"))
        if snapshot[-1].unusable or snapshot[-1].outcome.cause == "no_tests":
            break
        if not both or not all(replay.outcome.ok for replay in snapshot):
            continue
        progress(f"replaying the base ({seed + 1})")
        base.append(laboratory.replay(change.base, seed, f"base {seed + 1}"))
        if base[-1].unusable:
            break
    return Sides(tuple(base), tuple(snapshot))


def _worth_more(base: Sequence[Replayed], snapshot: Sequence[Replayed], lab: Lab) -> bool:
    judged = judge(base, snapshot, source_changed=True, test_commands=True, minimum=lab.replays_min)
    spent = max(sum(replay.outcome.seconds for replay in side) for side in (base, snapshot))
    return judged.verdict == "proven" and spent + spent / len(snapshot) <= lab.cheap_seconds


def _judged(sides: Sides, request: ProofRequest, change: Change) -> Judgement:
    return judge(
        sides.base,
        sides.snapshot,
        source_changed=change.base != change.snapshot,
        test_commands=any(command.cls == "test" for command in request.scenario.commands),
        minimum=request.lab.replays_min,
    )


# --- hunks --------------------------------------------------------------------------------------------


def ablate(
    laboratory: Laboratory, change: Change, sides: Sides, progress: Callable[[str], None]
) -> tuple[HunkEvidence, ...]:
    """Revert each source unit alone and replay once, as far as `hunk_seconds` reach; the rest is `unknown`."""
    deadline = time.monotonic() + laboratory.lab.hunk_seconds
    smallest = max(SMALLEST_HUNK_S, 2 * max(replay.outcome.seconds for replay in sides.snapshot))
    found: list[HunkEvidence] = []
    for number, unit in enumerate(change.units[:UNITS_MAX], start=1):
        left = deadline - time.monotonic()
        if left < smallest:
            found.append(_hunk(unit, "unknown"))
            continue
        progress(f"reverting hunk {number} of {len(change.units)}")
        found.append(_ablated(laboratory, change.snapshot, unit, sides, left))
    return tuple(found)


def _ablated(laboratory: Laboratory, snapshot: str, unit: Unit, sides: Sides, left: float) -> HunkEvidence:
    where = f"{unit.file}:{unit.lines[0]}"
    try:
        tree = laboratory.store.apply(snapshot, unit.patch, reverse=True)
    except PatchDoesNotApply:
        laboratory.log.write(f"\n=== without {where}: does not revert alone")
        return _hunk(unit, "inseparable")
    reverted = laboratory.replay(tree, 0, f"without {where}", wall_s=left)
    defines = defined(unit.added) | added_names([unit]).modules
    verdict, turned = hunk_verdict(reverted, Expected.of(sides.base, sides.snapshot), defines)
    laboratory.log.write(f"--- {where}: {verdict}")
    return _hunk(unit, verdict, turned)


def _hunk(unit: Unit, verdict: HunkVerdict, turned: frozenset[str] = frozenset()) -> HunkEvidence:
    tests = tuple(redacted(test) for test in sorted(turned)[:TURNED_MAX])
    return HunkEvidence(
        file=printable(unit.file), lines=unit.lines, header=redacted(unit.header), verdict=verdict, turned=tests
    )


# --- what comes out -----------------------------------------------------------------------------------


def _evidence(
    judgement: Judgement, laboratory: Laboratory, sides: Sides, hunks: tuple[HunkEvidence, ...], change: Change
) -> Evidence:
    left_out = len(change.units) - len(hunks) if hunks else 0
    details = (
        judgement.detail,
        change.unreadable,
        _probe_note(laboratory, sides),
        f"{left_out} hunks not tried" if left_out else "",
    )
    return Evidence(
        verdict=judgement.verdict,
        cause=judgement.cause,
        detail=redacted("; ".join(detail for detail in details if detail), DETAIL_MAX),
        isolation=laboratory.sandbox.isolation,
        base=tuple(replay.outcome for replay in sides.base),
        snapshot=tuple(replay.outcome for replay in sides.snapshot),
        hunks=hunks,
        flake_upper_bound=flake_upper_bound(len(sides.base), len(sides.snapshot)),
        environment=laboratory.environment.description,
        overlays=laboratory.environment.declared,
    )


def _probe_note(laboratory: Laboratory, sides: Sides) -> str:
    """What the foreign-code probe could not tell, in words; empty where it saw the changed modules."""
    if not sides.snapshot:
        return ""
    if not laboratory.tails:
        return "no foreign-code probe: no Python module changed"
    if not all(replay.probed for replay in sides.snapshot):
        return "the foreign-code probe was not loaded"
    unseen = sorted(laboratory.tails.keys() - frozenset[str]().union(*(replay.loaded for replay in sides.snapshot)))
    return f"changed modules never loaded: {', '.join(unseen[:5])}" if unseen else ""


def _git_folder(workspace: Workspace, request: ProofRequest) -> Path:
    """An empty repository, for tests that ask git where they are: no object, no hook, no configuration of theirs."""
    folder = workspace.folder / "git"
    for part in ("objects", "refs"):
        (folder / part).mkdir(parents=True)
    (folder / "HEAD").write_text("ref: refs/heads/replay\n")
    (folder / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = false\n")
    prepare(folder, request.owner_uid, request.owner_gid)
    return folder


def _heading(request: ProofRequest, change: Change, sandbox: Sandbox) -> str:
    lines = [
        f"job {request.job_id} · snapshot {request.record.snapshot_id} · isolation {sandbox.isolation}",
        f"base {request.record.base_tree} with the change's tests: {change.base}",
        f"snapshot {change.snapshot} · {len(change.units)} source hunks",
        *(f"set-up: {shlex.join(command.argv)} (in {command.cwd})" for command in request.scenario.setup),
        *(f"{command.cls}: {shlex.join(command.argv)} (in {command.cwd})" for command in request.scenario.commands),
    ]
    return "\n".join(lines)


def write_log(request: ProofRequest, log: ReplayLog) -> FileRef | None:
    """Write the log beside the run; None where that cannot be, as when the run's folder leads out of the repository.

    Raises DiskFull.
    """
    try:
        return places.put(request.repo_path, request.learning_dir / request.log_name, log.text().encode())
    except SnapshotError:
        return None
