"""One replay: the whole scenario, once, on a freshly restored tree, and what its runners reported.

    restore -> setup commands -> commands -> reports read -> probe read -> Replayed

Every command of the scenario runs, in order, whatever the one before it said (a failed set-up ends it): both sides must
have run the same. The outcome is the first bad one in the order limits, set-up, tests, others. Nothing of a replay's
output is believed to be more than text; outcomes come from `outcomes`, which reads the runners' own reports.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from events.values import Scenario, ScenarioCommand
from learnd.harvest.restoring import Restorer
from learnd.harvest.store import SnapshotStore
from learnd.lab.environment import Environment
from learnd.lab.outcomes import REPORTER_AT, Ended, instrument, read_outcome, reporter_dir
from learnd.lab.probe import PROBE_AT, Loaded, read_probe, write_probe
from learnd.lab.reading import Code, Done, combined, never_begun, paragraph, said_limit, summary, without_service
from learnd.lab.room import NoLongerWanted
from learnd.lab.sandbox import Limits, Sandbox, SandboxResult, SandboxRun
from learnd.lab.services import Down, Step, run_served
from learnd.lab.trees import Place, Workspace
from learnd.lab.verdict import Replayed
from learnd.settings import Lab

LOG_MAX = 1 << 20
PROBE = "probe"
SHORTEST_S = 0.1
MORE = 2
DISK_MB = 4096
"""What a replay may write into its tree, or half of what is free where that is less: it may stand in memory."""


class ReplayCancelled(Exception):
    """The replay was stopped from outside (drain, dismissal); what it would have shown is not known."""


class ReplayLog:
    """The text of `scenario-validation.log`: bounded, the beginning kept, what does not fit counted."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._size = 0
        self._left_out = 0

    def write(self, text: str) -> None:
        """Add a paragraph, or count it where the log is full."""
        if self._size + len(text) > LOG_MAX:
            self._left_out += 1
            return
        self._parts.append(text.rstrip("\n") + "\n")
        self._size += len(text)

    def take(self, other: ReplayLog) -> None:
        """Add what another log holds, in one piece."""
        for part in other._parts:
            self.write(part)
        self._left_out += other._left_out

    def text(self) -> str:
        """The whole log, redacted."""
        from learnd.crystalizer.redact import redact  # noqa: PLC0415 - its detectors are slow to import

        left_out = f"({self._left_out} further entries left out: the log is full)\n" if self._left_out else ""
        return redact("".join(self._parts)).text + left_out


@dataclass(frozen=True)
class _Step:
    """A command as it is run: what is started, and the host's side of the folder that it reports into."""

    command: ScenarioCommand
    argv: tuple[str, ...]
    env: dict[str, str]
    report: Path
    setup: bool = False


@dataclass(frozen=True)
class _Ran:
    """What was seen of a replay: its commands, what they loaded, the service that was not there."""

    done: list[Done]
    loaded: Loaded
    down: Down | None


@dataclass
class Laboratory:
    """Everything that is the same in all replays of one job. `known_flaky`: as in the request; `shufflers`: runners
    beside the Python ones that can be asked for an order.

    `own_words` are those that name a limit and are said with more room as well, so that they are the tests' own.
    `more`: how many times what the settings allow of memory, processes and disk.
    """

    store: SnapshotStore
    sandbox: Sandbox
    scenario: Scenario
    environment: Environment
    workspace: Workspace
    mount_at: Path
    owner: tuple[int, int]
    lab: Lab
    cancel: threading.Event
    tails: dict[str, str]
    code: Code
    git_folder: Path
    restorer: Restorer
    known_flaky: Mapping[str, str] = field(default_factory=dict)
    shufflers: frozenset[str] = frozenset()
    own_words: set[str] = field(default_factory=set)
    more: int = 1
    log: ReplayLog = field(default_factory=ReplayLog)

    def replay(
        self, tree: str, seed: int, label: str, wall_s: float | None = None, order_seed: int | None = None
    ) -> Replayed:
        """Run the scenario once on `tree` under hash seed `seed`, in at most `wall_s` seconds (default: the limit).

        With `order_seed` tests run in another order, where their runner can. Waits until the machine has room for it,
        which is no part of its time.

        Raises ReplayCancelled, SandboxUnavailable.
        """
        ran = self._placed(tree, seed, label, wall_s, order_seed)
        replayed, said = self._read(ran, seed)
        if said is not None and said not in self.own_words:
            # Nobody but the program knows that it was refused something. With twice as much it would get further.
            with_more = replace(self, more=MORE)
            again, said_again = with_more._read(
                with_more._placed(tree, seed, f"{label}, with more room", wall_s, order_seed),
                seed,
            )
            if said_again is not None and again.outcome.cause == replayed.outcome.cause:
                self.own_words.add(said)
                replayed, _ = self._read(ran, seed)
        self.log.write(f"--- {summary(replayed.outcome)}")
        return replayed

    def _placed(self, tree: str, seed: int, label: str, wall_s: float | None, order_seed: int | None) -> _Ran:
        try:
            with self.sandbox.room.place(self.lab.memory_mb * self.more, self.cancel):
                return self._run(tree, seed, label, wall_s, order_seed)
        except NoLongerWanted as error:
            raise ReplayCancelled("the replay was cancelled while it waited for room") from error

    def _read(self, ran: _Ran, seed: int) -> tuple[Replayed, str | None]:
        """What a replay came to, and the words by which alone a limit is known, where they are believed."""
        if not ran.done:
            replayed, said = never_begun(seed), None
        else:
            replayed = combined(ran.done, ran.loaded, seed, self.code, self.own_words)
            said = said_limit(ran.done, self.own_words)
        if ran.down is not None:
            return without_service(replayed, ran.down.name, ran.down.why), None
        return replayed, said

    def _run(self, tree: str, seed: int, label: str, wall_s: float | None, order_seed: int | None) -> _Ran:
        deadline = time.monotonic() + min(wall_s or self.lab.timeout_seconds, self.lab.timeout_seconds)
        place = self.workspace.fresh(lambda folder: self.restorer.restore(tree, folder))
        try:
            inside = self.sandbox.tree_inside(place.tree, self.mount_at)
            write_probe(place.folder / PROBE, inside, self.tails, self.sandbox.report_inside(place.report))
            self.log.write(f"\n=== {label} · tree {tree[:12]} · hash seed {seed}")
            run = self._beside_services if self.scenario.served else self._commands
            done, down = run(place, (seed, order_seed), deadline)
            loaded = read_probe(place.report)
        finally:
            self.workspace.discard(place)
        return _Ran(done, loaded, down)

    def _steps(self, place: Place, seeds: tuple[int, int | None]) -> list[_Step]:
        """All commands in order, each with a folder for its report: made before the first runs, for who owns the
        place's report folder is settled then."""
        setup = [
            self._step(place, command, (seeds[0], None), f"setup-{n}") for n, command in enumerate(self.scenario.setup)
        ]
        return [replace(step, setup=True) for step in setup] + [
            self._step(place, command, seeds, str(n)) for n, command in enumerate(self.scenario.commands)
        ]

    def _commands(self, place: Place, seeds: tuple[int, int | None], deadline: float) -> tuple[list[Done], None]:
        """Each command in a sandbox of its own."""
        done: list[Done] = []
        for step in self._steps(place, seeds):
            left = max(SHORTEST_S, deadline - time.monotonic())
            spec = self._spec(place, left, step)
            done.append(self._done(place, step, self.sandbox.run(spec, self.cancel)))
            if done[-1].result.limit or (step.setup and not done[-1].green):
                break
        return done, None

    def _beside_services(
        self, place: Place, seeds: tuple[int, int | None], deadline: float
    ) -> tuple[list[Done], Down | None]:
        """All commands in one sandbox, with the services in it; and the service that was not there, if one was not."""
        left = max(SHORTEST_S, deadline - time.monotonic())
        steps = self._steps(place, seeds)
        commands = [
            Step(step.argv, step.command.cwd, step.env, min(left, step.command.timeout_s or left), must=step.setup)
            for step in steps
        ]
        plain = {**self.environment.env, **self.scenario.env}
        services = [one.model_copy(update={"env": plain | one.env}) for one in self.scenario.served]
        served = run_served(self.sandbox, self._spec(place, left), services, commands, self.cancel)
        if served.cancelled:
            raise ReplayCancelled("the replay was cancelled")
        for text in served.paragraphs(services):
            self.log.write(text)
        return [
            self._done(place, step, result) for step, result in zip(steps, served.results, strict=False)
        ], served.down

    def _step(self, place: Place, command: ScenarioCommand, seeds: tuple[int, int | None], name: str) -> _Step:
        """The command as it is run to write a report."""
        report = place.report / name
        report.mkdir()
        isolated = self.sandbox.isolation == "bubblewrap"
        env = {**self.environment.env, **self.scenario.env, **command.env}
        instrumented = instrument(
            command,
            f"{self.sandbox.report_inside(place.report)}/{report.name}",
            env=env,
            reporter_dir_inside=REPORTER_AT if isolated else str(reporter_dir()),
            order_seed=seeds[1],
            shufflers=self.shufflers,
        )
        env |= instrumented.env
        # The probe comes first: it runs the reporter's sitecustomize, and that the interpreter's own.
        env["PYTHONPATH"] = f"{PROBE_AT if isolated else place.folder / PROBE}:{env['PYTHONPATH']}"
        env["PYTHONHASHSEED"] = str(seeds[0])
        return _Step(command, instrumented.argv, env, report)

    def _spec(self, place: Place, left: float, step: _Step | None = None) -> SandboxRun:
        """What a sandbox is given for one command, or for all of them."""
        return SandboxRun(
            argv=step.argv if step else (),
            tree=place.tree,
            mount_at=self.mount_at,
            report_dir=place.report,
            limits=self._limits(min(left, step.command.timeout_s or left) if step else left),
            owner_uid=self.owner[0],
            owner_gid=self.owner[1],
            cwd=step.command.cwd if step else ".",
            env=step.env if step else None,
            read_only_binds=self.environment.binds,
            own_binds=self._own_binds(place),
            overlays=self.environment.overlays,
        )

    def _done(self, place: Place, step: _Step, result: SandboxResult) -> Done:
        """What a command came to, written to the log."""
        if result.cancelled or self.cancel.is_set():
            raise ReplayCancelled("the replay was cancelled")
        ended = Ended(result.exit_code, result.signal, result.output)
        root = str(self.sandbox.tree_inside(place.tree, self.mount_at))
        done = Done(step.command, step.setup, result, read_outcome(step.command, step.report, ended, root=root))
        self.log.write(paragraph(done))
        return done

    def _limits(self, wall_s: float) -> Limits:
        lab = self.lab
        return Limits(
            wall_s=wall_s,
            cpu_s=lab.cpu_seconds,
            memory_mb=lab.memory_mb * self.more,
            processes=lab.processes * self.more,
            file_mb=lab.file_mb * self.more,
            output_mb=lab.output_mb,
            disk_mb=min(DISK_MB * self.more, shutil.disk_usage(self.workspace.folder).free // 2 >> 20),
        )

    def _own_binds(self, place: Place) -> tuple[tuple[Path, Path], ...]:
        binds: tuple[tuple[Path, Path], ...] = ()
        if self.sandbox.isolation == "bubblewrap":
            binds = ((place.folder / PROBE, Path(PROBE_AT)), (reporter_dir(), Path(REPORTER_AT)))
        return (*binds, *self.environment.made, (self.git_folder, self.mount_at / ".git"))
