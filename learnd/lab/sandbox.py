"""Run one replay, isolated: the only place from which code of a repository is executed.

    spec -> mounts checked -> launched by the launching thread -> attended -> SandboxResult

`binds.py` and `isolation.py` say what a replay sees, `launcher.py` how it starts, `limits.py` what it may use up,
`watch.py` how it ends, `plain.py` what is left of all that when the operator chose no sandbox, `selftest.py` whether
isolation holds on this machine.

Invariants: code of a repository never runs as host uid 0; what a machine cannot isolate is not run (SandboxUnavailable)
unless the operator's own settings say `sandbox = "none"`; nothing outside tree and report folder is written; when `run`
returns, nothing it started is alive.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from events.values import Isolation
from learnd.lab.binds import REPORT_INSIDE, RunRefused, SandboxRun, make_mount_points, mounts_of
from learnd.lab.cgroups import Delegated, NotDelegated, ReplayCgroup, claim
from learnd.lab.isolation import bubblewrap, host_argv, inside_argv, isolation_args, staged_sources
from learnd.lab.launcher import SandboxUnavailable, User, launch, prepare, replay_user
from learnd.lab.limits import LimitName, Limits, limit_of_signal
from learnd.lab.plain import kill_marked, lay_binds, new_mark, plain_argv, working_folder
from learnd.lab.room import of_this_machine
from learnd.lab.watch import Ended, Watched, attend
from learnd.settings import Settings

SIGNAL_CODES: Final = range(129, 193)
"""Exit codes by which a shell, and bwrap, say `killed by signal n`: 128 + n."""


@dataclass(frozen=True)
class SandboxResult:
    """What came of a replay.

    exit_code: the command's own, None when it was killed. signal: which signal killed it, None when it exited. (Exit
    codes 129 to 192 are read as signals, as a shell reports them.) seconds: from launch to the last process's end.
    output: stdout and stderr as written, at most `output_mb`. limit: the limit that ended it, where one did.
    """

    exit_code: int | None
    signal: int | None
    seconds: float
    output: bytes
    limit: LimitName | None
    cancelled: bool


@dataclass(frozen=True)
class SandboxReport:
    """Whether replays are isolated here. `reason` and `mend` are empty when all is well."""

    ok: bool
    isolation: Isolation
    reason: str = ""
    mend: str = ""


class NotStarted(Exception):
    """bubblewrap, or what runs before it, gave up before the command ran; `said` is its last line."""

    def __init__(self, output: str) -> None:
        self.said = output.splitlines()[-1]
        super().__init__(self.said)


class Sandbox:
    """How replays are run on this machine, as the operator chose."""

    def __init__(self, isolation: Isolation) -> None:
        self.isolation: Isolation = isolation
        self.cgroup: Delegated | None = None
        self.room = of_this_machine(lambda: self.cgroup.room() if self.cgroup else None)

    @classmethod
    def choose(cls, settings: Settings) -> Sandbox:
        """As the operator's settings say; a repository has no say. Whether it works is `self_test`'s to tell."""
        return cls(settings.sandbox)

    def claim_cgroup(self) -> str | None:
        """Bound replays by cgroups from now on, where this process was given one; else why not, in words."""
        try:
            self.cgroup = claim() if self.isolation == "bubblewrap" else None
        except NotDelegated as error:
            return str(error)
        return None

    def tree_inside(self, tree: Path, mount_at: Path) -> Path:
        """Where the replay sees its tree: to be used in argv and environment."""
        return tree if self.isolation == "none" else mount_at

    def report_inside(self, report_dir: Path) -> str:
        """Where the replay sees its report folder."""
        return str(report_dir) if self.isolation == "none" else str(REPORT_INSIDE)

    def self_test(self) -> SandboxReport:
        """Try it, and say what does not hold and how to mend it."""
        from learnd.lab.selftest import examine  # noqa: PLC0415 - it runs a sandbox itself

        return examine(self.isolation)

    def run(self, spec: SandboxRun, cancel: threading.Event) -> SandboxResult:
        """Execute one command on a restored tree and wait for its end.

        Raises RunRefused when this run cannot be set up, SandboxUnavailable when none can on this machine. A command
        that is not there is a result (exit code 127), no error.
        """
        if ".." in PurePosixPath(spec.cwd).parts or PurePosixPath(spec.cwd).is_absolute():
            raise RunRefused(spec.cwd, "the working directory must lie in the tree")
        if cancel.is_set():
            return SandboxResult(None, None, 0.0, b"", None, cancelled=True)
        user = replay_user(spec.owner_uid, spec.owner_gid)
        prepare(spec.tree, spec.owner_uid, spec.owner_gid)
        prepare(spec.report_dir, spec.owner_uid, spec.owner_gid)
        if self.isolation == "none":
            return _run_plain(spec, user, cancel)
        try:
            if self.cgroup is None:
                return run_isolated(spec, user, cancel)
            with self.cgroup.replay(spec.limits) as cgroup:
                return run_isolated(spec, user, cancel, cgroup)
        except NotStarted as refused:
            # The machine's fault or this run's: the self-test, which binds nothing, tells them apart.
            report = self.self_test()
            if report.ok:
                raise RunRefused("bubblewrap", refused.said) from refused
            raise SandboxUnavailable(report.reason, report.mend) from refused


def run_isolated(
    spec: SandboxRun, user: User, cancel: threading.Event, cgroup: ReplayCgroup | None = None
) -> SandboxResult:
    """One run in bubblewrap, in `cgroup`. Raises NotStarted with bwrap's own words when it could not be set up."""
    bwrap = bubblewrap()
    mounts = mounts_of(spec)
    make_mount_points(spec, mounts, user)
    enter = cgroup.argv() if cgroup else []
    with ExitStack() as stack:
        passed: list[int] = []

        def file(content: bytes) -> int:
            passed.append(_memory_file(content, stack))
            return passed[-1]

        args = isolation_args(spec, mounts, staged_sources(mounts, user), user, bwrap=bwrap, file=file)
        # Through a file, not argv: any local user may read a command line, and its length is bounded.
        arguments = file(b"".join(os.fsencode(argument) + b"\0" for argument in args))
        read_status, write_status = os.pipe()
        stack.callback(os.close, write_status)
        inner = [bwrap.path, "--args", str(arguments), "--json-status-fd", str(write_status)]
        argv = [*enter, *host_argv(mounts, user), *inner]
        stdin = subprocess.DEVNULL if spec.stdin is None else _memory_file(spec.stdin, stack)
        process = launch([*argv, "--", *inside_argv(spec)], pass_fds=(*passed, write_status), stdin=stdin)
    watched = Watched(process, read_status, kill=process.kill)
    ended = attend(watched, spec.limits, cancel, (spec.tree, spec.report_dir))
    if (
        ended.inside is None
        and ended.limit is None
        and not ended.cancelled
        and ended.returncode > 0
        and not (cgroup and cgroup.limit())
    ):
        raise NotStarted(ended.output.decode(errors="replace").strip() or f"exit code {ended.returncode}")
    result = _result(ended, ended.returncode if ended.inside is None else ended.inside)
    limit = cgroup.limit() if cgroup and result.exit_code != 0 and not result.cancelled else None
    return replace(result, limit=result.limit or limit)


def _memory_file(content: bytes, stack: ExitStack) -> int:
    fd = os.memfd_create("learnd")
    stack.callback(os.close, fd)
    with open(fd, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _run_plain(spec: SandboxRun, user: User, cancel: threading.Event) -> SandboxResult:
    lay_binds(spec)
    home = Path(tempfile.mkdtemp(prefix="learnd-home-"))
    mark = new_mark()
    lifeline, held = os.pipe()
    try:
        prepare(home, spec.owner_uid, spec.owner_gid)
        process = launch(plain_argv(spec, user, home, mark), cwd=working_folder(spec), stdin=lifeline)
        watched = Watched(process, None, kill=lambda: kill_marked(mark, process))
        ended = attend(watched, spec.limits, cancel, (spec.tree, spec.report_dir))
    finally:
        os.close(lifeline)
        os.close(held)
        shutil.rmtree(home, ignore_errors=True)
    return _result(ended, ended.returncode)


def _result(ended: Ended, code: int) -> SandboxResult:
    """A replay that was ended from outside has no exit code."""
    exit_code, number = exit_and_signal(code)
    if ended.cancelled or ended.limit:
        return SandboxResult(None, number, ended.seconds, ended.output, ended.limit, ended.cancelled)
    return SandboxResult(exit_code, number, ended.seconds, ended.output, limit_of_signal(number), cancelled=False)


def exit_and_signal(code: int) -> tuple[int | None, int | None]:
    """Exit code and signal, one of them None, from `code` as bwrap or a shell (128 + n) or Popen (-n) says it."""
    number = -code if code < 0 else code - 128 if code in SIGNAL_CODES else None
    return (code if number is None else None), number


__all__ = [
    "Limits",
    "RunRefused",
    "Sandbox",
    "SandboxReport",
    "SandboxResult",
    "SandboxRun",
    "SandboxUnavailable",
    "exit_and_signal",
    "prepare",
]
