"""From a snapshot and a scenario to evidence.

    snapshot verified -> base with the change's tests -> both sides replayed -> judged -> each hunk reverted
    -> smallest change -> Evidence

Invariants: nothing is executed before the snapshot was verified; the two sides differ in nothing but what is no test; a
verdict other than `inconclusive` rests on the minimum of replays a side; what was not reached is `unknown`, never
guessed; free text in the evidence and in the log is redacted.
"""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from events.values import Evidence, FileRef, HunkEvidence, MinimalChange, Scenario, SnapshotRecord, Variant
from learnd.harvest import places
from learnd.harvest.faults import SnapshotError
from learnd.harvest.restoring import Restorer
from learnd.harvest.snapshot import verify_snapshot
from learnd.harvest.store import SnapshotStore
from learnd.lab.ablation import ablate
from learnd.lab.attest import LogHead, Side, statement
from learnd.lab.change import Change, read_change
from learnd.lab.environment import discover
from learnd.lab.environments import FOLDER as ENVIRONMENTS
from learnd.lab.environments import Setup, held_back
from learnd.lab.hunks import UNITS_MAX
from learnd.lab.launcher import given_to
from learnd.lab.minimal import Smallest, minimize
from learnd.lab.outcomes.order import shufflers
from learnd.lab.probe import watched_modules
from learnd.lab.reading import Code, redacted
from learnd.lab.replay import Laboratory, ReplayCancelled, ReplayLog
from learnd.lab.sandbox import RunRefused, Sandbox, prepare
from learnd.lab.sides import Sides, judged, replay_sides
from learnd.lab.templates import Stack
from learnd.lab.transitions import flaky_tests, transitions
from learnd.lab.trees import Workspace, choose_root
from learnd.lab.trials import SMALLEST_TRIAL_S, Trials
from learnd.lab.variants import diagnose
from learnd.lab.verdict import Expected, Judgement, Replayed, flake_upper_bound, with_hunks
from learnd.settings import Lab

DETAIL_MAX = 2000

__all__ = ["ProofRequest", "ReplayCancelled", "prove"]


@dataclass(frozen=True)
class ProofRequest:
    """What to prove, and where. Paths are absolute; `repo_path` is where the tree stands inside the sandbox.

    `stacks` are those of the base tree, beside learnd's own. `learning_dir`, below `root`, takes the log, the smallest
    change and the attestations, under names that end in `suffix`. `work_dir` takes restored trees where memory has no
    room. What is not `stored` has trees in the store and no files that could be held against them. `log_head` is the
    event of the log that the attestations are bound to. `known_flaky` are tests, by id as evidence has them, that
    flaked on the base of earlier jobs, each with the latest such job. `progress` is told, in short sentences, what goes
    on.
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
    root: Path
    log_head: LogHead
    stacks: tuple[Stack, ...] = ()
    suffix: str = ""
    stored: bool = True
    known_flaky: Mapping[str, str] = field(default_factory=dict)
    progress: Callable[[str], None] = field(default=lambda _: None)


def prove(request: ProofRequest, store: SnapshotStore, sandbox: Sandbox, cancel: threading.Event) -> Evidence:
    """Replay the scenario on both sides of the change and say what that shows.

    Raises ReplayCancelled when `cancel` is set, SnapshotDamaged when the snapshot no longer is what was taken,
    SandboxUnavailable when this machine cannot isolate, NoRoomForTrees when it has no room.
    """
    if request.stored:
        verify_snapshot(request.record, store)
    change = read_change(request.record, request.scenario, request.stacks, store)
    log = ReplayLog()
    log.write(_heading(request, change, sandbox))
    root = choose_root(request.work_dir, request.lab.work_dir, change.tree_bytes)
    files = change.base_files | change.snapshot_files
    with (
        Workspace(root, request.job_id) as workspace,
        _setup(request, store, sandbox, cancel).installed(request.scenario.installations, files) as installed,
    ):
        environment = installed.over(
            discover(
                request.repo_path,
                request.scenario,
                files,
                workspace.folder / "generated",
                request.lab.extra_binds,
                installed.folders,
                frozenset(name for stack in request.stacks for name in stack.environment),
            )
        )
        laboratory = Laboratory(
            store=store,
            sandbox=sandbox,
            scenario=request.scenario,
            environment=environment,
            workspace=workspace,
            mount_at=request.repo_path,
            owner=(request.owner_uid, request.owner_gid),
            lab=request.lab,
            cancel=cancel,
            tails=watched_modules(change.source_paths, change.snapshot_files | change.base_files),
            code=Code.of(change.names, files),
            git_folder=_git_folder(workspace, request),
            restorer=Restorer(store, given_to(request.owner_uid, request.owner_gid)),
            known_flaky=request.known_flaky,
            shufflers=shufflers(environment.folders_called("node_modules"), environment.env.get("PATH", "")),
            log=log,
        )
        evidence = _examine(request, laboratory, change)
    log.write(f"\n=== verdict: {evidence.verdict}{f' ({evidence.cause})' if evidence.cause else ''} {evidence.detail}")
    return evidence.model_copy(update={"log": write_log(request, log)})


def _setup(request: ProofRequest, store: SnapshotStore, sandbox: Sandbox, cancel: threading.Event) -> Setup:
    return Setup(
        repo=request.repo_path,
        read=lambda path: store.read_file(request.record.tree, path),
        root=request.work_dir.parent / ENVIRONMENTS,
        sandbox=sandbox,
        lab=request.lab,
        owner=(request.owner_uid, request.owner_gid),
        cancel=cancel,
        progress=request.progress,
    )


def _examine(request: ProofRequest, laboratory: Laboratory, change: Change) -> Evidence:
    """Replays, judgement, hunks."""
    environment = laboratory.environment
    if environment.missing:
        judgement = Judgement("inconclusive", "environment", f"no executable of this name: {environment.missing}")
        return _evidence(judgement, laboratory, Sides((), ()), (), change)
    sides, hunks, minimal, variants = Sides((), ()), tuple[HunkEvidence, ...](), None, tuple[Variant, ...]()
    try:
        sides = replay_sides(laboratory, change, request.progress)
        judgement = judged(laboratory, change, sides)
        variants = diagnose(laboratory, change.snapshot, sides, judgement, request.progress)
        if judgement.verdict == "proven" and change.units:
            hunks, minimal = _taken_apart(request, laboratory, change, sides)
    except RunRefused as error:
        return _evidence(Judgement("inconclusive", "environment", str(error)), laboratory, sides, hunks, change)
    loaded = any(replay.loaded for replay in sides.snapshot)
    probed = all(replay.probed for replay in sides.snapshot)
    judgement = held_back(with_hunks(judgement, hunks, probed=probed, loaded=loaded), environment.unmet)
    evidence = _evidence(judgement, laboratory, sides, hunks, change)
    return evidence.model_copy(
        update={
            "minimal": minimal if evidence.verdict == "proven" else None,
            "variants": variants,
            "attestations": _attested(request, evidence, sides, change),
        }
    )


def _taken_apart(
    request: ProofRequest, laboratory: Laboratory, change: Change, sides: Sides
) -> tuple[tuple[HunkEvidence, ...], MinimalChange | None]:
    """What each hunk is good for, and the smallest change that does the same as all."""
    lab = request.lab
    settled = sides.settled(change, laboratory.known_flaky)
    longest = max(replay.outcome.seconds for replay in sides.snapshot)
    trials = Trials(
        laboratory,
        change,
        change.units[:UNITS_MAX],
        Expected.of(settled.base, settled.snapshot),
        sides.forgiven(change, laboratory.known_flaky),
        max(SMALLEST_TRIAL_S, 2 * longest),
    )
    with trials.within(lab.hunk_seconds):
        hunks = ablate(trials, lab.hunks_at_once, request.progress)
    if len(change.units) > UNITS_MAX or all(hunk.verdict == "unexercised" for hunk in hunks):
        return hunks, None  # what is not listed cannot be said to be needed; without a needed hunk there is no proof
    smallest = minimize(trials, hunks, lab.minimal_seconds, lab.replays_min, request.progress)
    laboratory.log.write(f"--- smallest change: {trials.named(smallest.kept)}")
    return hunks, _written(request, laboratory, change, smallest)


def _written(request: ProofRequest, laboratory: Laboratory, change: Change, smallest: Smallest) -> MinimalChange | None:
    """The smallest change as a patch on the base, beside the run; None where nothing can be written there."""
    file = _put(request, f"minimal{request.suffix}.diff", laboratory.store.diff(change.base, smallest.tree))
    if file is None:
        return None
    kept = [change.units[number] for number in smallest.kept]
    return MinimalChange(
        file=file,
        hunks=smallest.kept,
        lines_added=sum(len(unit.added) for unit in kept),
        lines_removed=sum(len(unit.removed) for unit in kept),
        tried=smallest.tried,
        complete=smallest.complete,
        verified=smallest.verified,
    )


# --- what comes out -----------------------------------------------------------------------------------


def _evidence(
    judgement: Judgement, laboratory: Laboratory, sides: Sides, hunks: tuple[HunkEvidence, ...], change: Change
) -> Evidence:
    left_out = len(change.units) - len(hunks) if hunks else 0
    details = (
        judgement.detail,
        change.unreadable,
        laboratory.environment.unmet,
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
        transitions=transitions(sides.base, sides.snapshot),
        flaky_tests=flaky_tests(sides.base, sides.snapshot, laboratory.known_flaky),
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
    """Write the log beside the run. Raises DiskFull."""
    return _put(request, f"scenario-validation{request.suffix}.log", log.text().encode())


def _attested(request: ProofRequest, evidence: Evidence, sides: Sides, change: Change) -> tuple[FileRef, ...]:
    """A statement about each side that was replayed, written beside the evidence."""
    files = []
    sided: tuple[tuple[Side, tuple[Replayed, ...], str], ...] = (
        ("base", sides.base, change.base),
        ("snapshot", sides.snapshot, change.snapshot),
    )
    for side, replays, tree in sided:
        if replays:
            said = statement(
                side, replays, tree, record=request.record, scenario=request.scenario, evidence=evidence,
                head=request.log_head, learnd=version("learnd"),
            )  # fmt: skip
            files.append(_put(request, f"attestation-{side}{request.suffix}.json", said.text().encode()))
    return tuple(file for file in files if file is not None)


def _put(request: ProofRequest, name: str, content: bytes) -> FileRef | None:
    """Write a file beside the run; None where that cannot be, as when the run's folder leads out of the repository.

    Raises DiskFull.
    """
    try:
        return places.put(request.root, request.learning_dir / name, content)
    except SnapshotError:
        return None
