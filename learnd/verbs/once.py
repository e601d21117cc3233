"""`once`: everything that can be done now, and then an end.

Registers, sweeps, drives every job until it rests, waits for a person, or waits for longer than a moment;
says one line a transition. What is recorded is what is said: the lines come from following the log.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.clock import now, seconds_between
from learnd.ids import short
from learnd.verbs import diagnostics
from learnd.verbs.asking import engine, locked, settings_for
from learnd.verbs.reading import no_log, place_of
from learnd.verbs.serve import own_packages
from learnd.verbs.start import work_tree
from learnd.verbs.terminal import Stop, clean, clock_time, is_terminal, note, say, stamp
from learnd.views.diagnosis import BLOCKED, next_command, reason

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from events.log import EventLog
    from events.recorded import Recorded
    from learnd.engine import Engine
    from learnd.settings import Settings
    from learnd.views.queries import JobRow

NEAR_SECONDS = 60.0
"""A retry that is due within this is waited for."""

LATE_TRIES = 10
ALERTS_SECONDS = 15.0
"""How long it stays for what Slack and PagerDuty must still hear; the next one goes on with what is left."""


def once(log: Path | None, repos: Sequence[Path]) -> int:
    """Work on all that is pending. 0: everything is at rest; 1: something is blocked, held by a fault, or waits."""
    own_packages()
    place = place_of(log)
    settings = settings_for(place)
    roots = [work_tree(repo) for repo in repos]
    if not roots and not place.has_log():
        raise Stop(no_log(place))
    diagnostics.configure(quiet=True)
    if not settings.learning_enabled:
        say("learning is off (LEARNING_PIPELINE_ENABLED=0): nothing was done")
        return 0
    from events.log import LogLocked  # brings pydantic

    try:
        with engine(settings) as opened:
            return _Drive(opened, settings).run(roots)
    except LogLocked as error:
        raise Stop(locked(error)) from error


@dataclass
class _Drive:
    """One pass over everything. `stopped_by` is the signal that ended it early."""

    engine: Engine
    settings: Settings
    stopped_by: int | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def run(self, roots: Sequence[Path]) -> int:
        known = {tree.path for tree in self.engine.views().work_trees()}
        statuses = {row.id: row.status for row in self.engine.views().jobs()}
        if not (roots or known or statuses):
            raise Stop("no repository is registered. Next: learnd init REPO")
        self._register(roots)
        head = self.engine.log.head()[0]
        with self._signals(), _told(self.engine, head, statuses):
            self.engine.start()
            self._sweep(known)
            self._work()
            self.engine.librarian.read_all(lambda: self.stopped_by is not None)
            self.engine.remind()
            self.engine.alerts.settle(ALERTS_SECONDS, lambda: self.stopped_by is not None)
            self._finish()
            self.engine.clear_forgotten(lambda: self.stopped_by is not None)
            self.engine.prune(lambda: self.stopped_by is not None)
        self.engine.stop(drained=True)
        return self._report()

    def _register(self, roots: Sequence[Path]) -> None:
        from learnd.harvest.gitfolder import NotARepository
        from learnd.identity import user_name
        from learnd.repositories import RegistrationRefused, register

        for root in roots:
            try:
                register(self.engine.door, self.engine.views(), root, user_name(os.geteuid()))
            except (NotARepository, RegistrationRefused) as error:
                raise Stop(str(error)) from error

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM drain: what runs is interrupted cleanly and goes on next time."""

        def drain(number: int, _frame: object) -> None:
            self.stopped_by = number
            self.done.set()

        before = {number: signal.signal(number, drain) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _sweep(self, known: set[str]) -> None:
        """Look at everything. What is left alone is said for the trees that are new to learnd; later it is no news."""
        old: list[Path] = []
        for tree in self.engine.views().work_trees():
            for seen in self.engine.sweep(tree):
                if seen.what == "unreadable":
                    note(f"{seen.path} cannot be read: {seen.reason}. It is looked at again when it changes")
                elif seen.what == "refused" and tree.path not in known:
                    old.append(seen.path)
                if self.done.is_set():
                    return
        if old:
            runs = "1 run" if len(old) == 1 else f"{len(old)} runs"
            note(f"{runs} from before the registration left alone. Next: learnd learn {max(old)}")

    def _work(self) -> None:
        threads = [
            threading.Thread(target=self._worker, name=f"worker-{number}") for number in range(self.settings.workers)
        ]
        threads.append(threading.Thread(target=self.engine.upkeep.run, args=(self.engine.draining,), name="upkeep"))
        for thread in threads:
            thread.start()
        died = False
        try:
            while not self.done.wait(0.05) and not died:
                died = any(not thread.is_alive() for thread in threads)
                self.engine.alerts.step()
                if self.engine.scheduler.idle() and not self._near() and self.engine.upkeep.idle():
                    break
        finally:  # workers that nobody tells to stop would keep the process for ever
            self.engine.drain()
            for thread in threads:
                thread.join()
        if died:
            raise Stop("a worker ended with an error that nobody foresaw (above). Next: learnd doctor, and report it")

    def _near(self) -> bool:
        """Whether a sleeping job wakes within a moment."""
        wake = self.engine.scheduler.next_wake()
        return wake is not None and seconds_between(now(), wake) < NEAR_SECONDS

    def _worker(self) -> None:
        while not self.engine.draining.is_set():
            job_id = self.engine.scheduler.take(0.2)
            if job_id is not None:
                self.engine.work(job_id)

    def _finish(self) -> None:
        """Write what could not be written while a producer held its manifest."""
        pause = threading.Event()
        for attempt in range(LATE_TRIES):
            self.engine.publisher.late()
            if not self.engine.publisher.troubles or self.stopped_by is not None:
                return
            if attempt < LATE_TRIES - 1:
                pause.wait(0.2)

    def _report(self) -> int:
        for path, trouble in self.engine.publisher.troubles.items():
            say(f"not written: {path}: {trouble}", "yellow")
        if self.stopped_by is not None:
            say("interrupted; what is left goes on next time")
            return 128 + self.stopped_by
        blocked = self._say_blocked()
        faults = self._say_faults()
        waiting = self.engine.scheduler.next_wake()
        closing = self._say_groups()
        if waiting is not None and not faults and waiting not in closing:
            say(f"some jobs wait until {clock_time(waiting)}. Next: learnd once, later")
        candidates = self.engine.views().patterns(statuses=("candidate",), but_forgotten=True)
        if len(candidates) == 1:
            say(f"1 pattern waits for a person. Next: learnd review {short(candidates[0].id)}")
        elif candidates:
            say(f"{len(candidates)} patterns wait for a person. Next: learnd review")
        return int(bool(blocked or faults or waiting))

    def _say_groups(self) -> set[str]:
        """Say what waits for its group, which time closes, or a person. Returns when the windows are over."""
        groups: dict[tuple[str, str | None], list[JobRow]] = {}
        for row in self.engine.views().waiting_for_group():
            groups.setdefault((row.repo_path, row.service), []).append(row)
        for (_, service), jobs in groups.items():
            count = "1 job waits" if len(jobs) == 1 else f"{len(jobs)} jobs wait"
            until = stamp(min(job.closes_at or "" for job in jobs))
            step = f"learnd approve {short(jobs[0].id)} --now, or learnd once, later"
            say(f"{count} for more runs of {service} until {until}. Next: {step}")
        return {job.closes_at for jobs in groups.values() for job in jobs if job.closes_at}

    def _say_blocked(self) -> bool:
        rows = self.engine.views().jobs(statuses=BLOCKED)
        for row in rows:
            step = next_command(row, self._value, daemon=True)
            say(f"job {short(row.id)} is {row.status}: {reason(row)}. Next: {step}", "bold yellow")
        return bool(rows)

    def _value(self, position: int, path: str) -> object:
        query = "SELECT json_extract(data, ?) FROM events WHERE position = ?"
        row = self.engine.log.connection.execute(query, (path, position)).fetchone()
        return row[0] if row else None

    def _say_faults(self) -> bool:
        held = self.engine.waiting_for_faults()
        for fault in self.engine.views().faults():
            waiting = "1 job waits" if len(held) == 1 else f"{len(held)} jobs wait"
            count = f"; {waiting} for it" if held else ""
            say(f"fault {fault.kind}: {fault.detail}{count}. Next: learnd doctor", "bold red")
        return bool(held)


# --- telling ---


@contextmanager
def _told(opened: Engine, after: int, statuses: dict[str, str]) -> Iterator[None]:
    """Say every transition that is recorded while the block runs; on a terminal also what is being done."""
    stop = threading.Event()
    with _progress(opened) as out:
        follower = threading.Thread(target=_follow, args=(opened.log, after, statuses, stop, out), name="teller")
        follower.start()
        try:
            yield
        finally:
            stop.set()
            follower.join()


def _follow(log: EventLog, after: int, statuses: dict[str, str], stop: threading.Event, out: _Say) -> None:
    position = after
    for record in log.follow(after, stop=stop, poll_s=0.05):
        _tell(record, statuses, out)
        position = record.position
    for record in log.read_all(after=position):
        _tell(record, statuses, out)


def _tell(record: Recorded, statuses: dict[str, str], out: _Say) -> None:
    from learnd.views.timeline import facts  # brings pydantic
    from state.job import TABLE, JobStatus

    kind, _, identity = record.stream.partition("-")
    if kind != "job":
        return
    before = statuses.get(identity, "new")
    after = TABLE.next[(before, record.type)]
    statuses[identity] = after
    told = facts(record.data)
    if after != JobStatus.REPLAYING:
        out.done(identity)
    if after != before:
        out.line(f"{clock_time(record.at)} job {short(identity)} {after}{f'  {told}' if told else ''}")
    elif "Failed" in record.type:
        out.line(f"{clock_time(record.at)} job {short(identity)} {record.type}  {told}")


class _Say:
    """Lines, and on a terminal one moving line for each job at work."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self.moving: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def line(self, text: str) -> None:
        if self._progress is None:
            print(clean(text), flush=True)
            return
        from rich.text import Text

        self._progress.console.print(Text(clean(text)))

    def doing(self, job_id: str, text: str) -> None:
        """Called from the workers' threads."""
        if self._progress is None:
            return
        with self._lock:
            told = f"job {short(job_id)}  {clean(text)}"
            if job_id in self.moving:
                self._progress.update(self.moving[job_id], description=told)
            else:
                self.moving[job_id] = self._progress.add_task(told, total=None)

    def done(self, job_id: str) -> None:
        """A job that is not replayed (any more) needs no moving line."""
        with self._lock:
            task = self.moving.pop(job_id, None)
            if task is not None and self._progress is not None:
                self._progress.remove_task(task)


@contextmanager
def _progress(opened: Engine) -> Iterator[_Say]:
    if not is_terminal():
        yield _Say(None)
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, transient=True, redirect_stdout=False, redirect_stderr=sys.stderr.isatty()) as progress:
        out = _Say(progress)
        opened.place.progress = out.doing
        yield out
