"""Whatever comes when: runs, sweeps, effects, people, resumptions, crashes. A real engine on a real repository.

Only what a replay or a model would say is told to the door by the test, in the words of the steps themselves:
a standing fault of the sandbox keeps the engine from replaying. All else is done by what does it in production.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.histories import FILE, SHA, evidence
from support.repos import fix, git, make_repo, manifest, put_manifest, write

from events.catalog import Approval, RunReopened
from events.values import HunkEvidence
from learnd.clock import now
from learnd.engine import Engine
from learnd.repositories import register
from learnd.requests import ApproveJob, DismissJob, PromotePattern, RejectPattern, Request
from learnd.settings import Settings
from learnd.views.queries import JobRow
from learnd.views.store import rebuild
from state import commands as c
from state import job as jobs
from state.decide import Command
from state.effects import lost_in_a_crash
from state.job import BLOCKED, TERMINAL, Job, JobStatus

RUNS = st.sampled_from(["run-a", "run-b", "run-c"])
CHANGES = st.sampled_from(["a fix", "a fix", "a note", "nothing", "a pattern", "a closed folder"])
VERDICTS = st.sampled_from(["proven", "proven", "pass_only", "failed", "flaky", "inconclusive"])
MOSTLY = st.sampled_from([True, True, True, False])
SELDOM = st.sampled_from([False, False, False, True])
MEMORY = Path("/dev/shm")
WHICH = st.integers(0, 5)
DOLLARS = st.floats(0, 0.4)


def said(job: Job, ends: str) -> Command:
    """What the replay step says at its end: a verdict, or why it was interrupted."""
    if ends in ("drain", "cancelled", "fault"):
        return c.InterruptReplay(job.id, ends)  # type: ignore[arg-type] # one of the literals
    hunk = HunkEvidence(file="calc.py", lines=(2, 4), verdict="exercised", turned=("test_calc.CalcTest.test_mean",))
    found = evidence(ends, None if ends == "proven" else ends)
    return c.RecordEvidence(job.id, found.model_copy(update={"hunks": (hunk,)}), FILE)


class Interleavings(RuleBasedStateMachine):
    """One log and one repository; the engine comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="learnd-interleavings-", dir=MEMORY if MEMORY.is_dir() else None))
        self.repo = make_repo(self.folder / "repo")
        self.settings = Settings(
            state_dir=self.folder / "state", snapshot_backoff_seconds=0, replay_attempts=2, crystalize_attempts=2
        )
        self.holding = ExitStack()
        self.changes = 0

    @initialize(trigger=st.sampled_from(["completed", "completed", "approved"]))
    def begin(self, trigger: str) -> None:
        self.settings = self.settings.model_copy(update={"trigger": trigger})
        self.open()
        for run, change in (("run-a", "a fix"), ("run-b", "a note")):
            self.a_run_completes(run, change, True, True)  # type: ignore[arg-type, call-arg] # a rule is callable

    def open(self) -> None:
        self.engine = self.holding.enter_context(Engine.opened(self.settings))
        self.tree = register(self.engine.door, self.engine.views(), self.repo, "anna")
        self.engine.start()
        for row in self.engine.views().jobs():
            assert not lost_in_a_crash(self.engine.door.job(row.id), self.engine.boot_id)
        self.engine.door.handle(c.RaiseFault("sandbox", "replays are told of by the test"), "test")

    def teardown(self) -> None:
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder)
            stack.push(self.holding)
            self.engine.log.verify()
            self.rebuilt_models_are_the_same()
            self.blocked_jobs_were_moved_by_people_alone()

    # --- runs ---

    @rule(run=RUNS, change=CHANGES, heard=MOSTLY, worked=MOSTLY)
    def a_run_completes(self, run: str, change: str, heard: bool, worked: bool) -> None:
        self.changes += 1
        commands: list[object] = []
        if change == "a fix":
            fix(self.repo)
            commands = manifest()["commands"]  # type: ignore[assignment] # it is a list
        elif change == "a note":
            write(self.repo, {"note.txt": f"{self.changes}\n"})
        elif change == "a pattern":
            git(self.repo, "add", "-A")
            git(self.repo, "commit", "-q", "--allow-empty", "-m", "work so far")
            write(self.repo, {".agent/patterns/active/own.md": f"{self.changes}\n"})
        path = put_manifest(self.repo, manifest(run=run, commands=commands))
        if change == "a closed folder" and not (path.parent / "learning").exists():
            (path.parent / "learning").write_text("where learnd would write")
        if heard:
            self.look(run)
        if worked:
            self.work()

    @rule(run=RUNS, outcome=st.sampled_from(["failed", "cancelled"]), sure=SELDOM)
    def a_run_ends_badly(self, run: str, outcome: str, sure: bool) -> None:
        if sure:
            put_manifest(self.repo, manifest(run=run, status=outcome))

    @rule(run=RUNS, sure=SELDOM)
    def a_run_begins_or_goes_on(self, run: str, sure: bool) -> None:
        if sure:
            put_manifest(self.repo, manifest(run=run, status="in_progress", started_at=now(), completed_at=None))

    @rule(run=RUNS, sure=SELDOM)
    def a_run_is_deleted(self, run: str, sure: bool) -> None:
        if sure:
            shutil.rmtree(self.repo / ".runs/fix-mean/cli" / run, ignore_errors=True)

    # --- the daemon ---

    @rule()
    def sweep(self) -> None:
        list(self.engine.sweep(self.tree))

    @rule(run=RUNS)
    def a_save_is_heard(self, run: str) -> None:
        self.look(run)

    def look(self, run: str) -> None:
        self.engine.look(self.repo / ".runs/fix-mean/cli" / run / "manifest.json", self.tree)

    @rule()
    def jobs_are_worked_on(self) -> None:
        self.work()

    def work(self) -> None:
        while (job_id := self.engine.scheduler.take(0)) is not None:
            self.engine.work(job_id)

    @rule()
    def publish(self) -> None:
        self.engine.publisher.late()

    @rule(clean=st.booleans())
    def restart(self, clean: bool) -> None:
        if clean:
            self.engine.drain()
            self.engine.stop(drained=True)
        self.holding.close()
        self.open()

    @rule()
    def rebuild(self) -> None:
        rebuild(self.engine.log)

    # --- what replays and models say ---

    @rule(which=WHICH, ends=st.none() | VERDICTS | st.sampled_from(["drain", "cancelled", "fault"]))
    def a_replay_starts(self, which: int, ends: str | None) -> None:
        """It ends at once as `ends` says, or is under way when the next thing happens."""
        boot, attempts = self.engine.boot_id, self.settings.replay_attempts
        self.told(which, JobStatus.SCENARIO_READY, lambda job: c.StartReplay(job.id, boot, "bubblewrap", attempts))
        if ends is not None:
            self.a_replay_ends(which, ends)

    @rule(which=WHICH, ends=VERDICTS | st.sampled_from(["drain", "cancelled", "fault"]))
    def a_late_replay_ends(self, which: int, ends: str) -> None:
        """Of any job, whatever became of it meanwhile."""
        self.told(which, None, lambda job: said(job, ends))

    def a_replay_ends(self, which: int, ends: str) -> None:
        self.told(which, JobStatus.REPLAYING, lambda job: said(job, ends))

    @rule(which=WHICH, worst=DOLLARS)
    def a_model_call_starts(self, which: int, worst: float) -> None:
        boot, attempts = self.engine.boot_id, self.settings.crystalize_attempts
        self.told(which, JobStatus.VALIDATED, lambda job: c.StartCrystalization(
            job.id, boot, "openai", "m", worst, attempts, "p", SHA))  # fmt: skip

    @rule(which=WHICH, share=st.floats(0, 1), fault=st.booleans())
    def a_model_call_fails(self, which: int, share: float, fault: bool) -> None:
        def failed(job: Job) -> Command:
            paid = c.SettleModelCall(job.id, "m", share * job.reserved_usd, None)
            if job.reserved_usd > 0:
                self.engine.door.handle(paid, "test")
            attempts = self.settings.crystalize_attempts
            return c.RecordCrystalizationFailure(job.id, "invalid", "no", attempts, now(), fault=fault)

        self.told(which, JobStatus.CRYSTALIZING, failed)

    def told(self, which: int, status: JobStatus | None, command: Callable[[Job], Command]) -> None:
        """Tell the door of one job what a step would; `status` is where the step begins, None where it may be late."""
        rows = self.engine.views().jobs(statuses=(status,) if status else ())
        if rows:
            job = self.engine.door.job(rows[which % len(rows)].id)
            self.engine.door.handle(command(job), "test")

    # --- people ---

    @precondition(lambda self: self.rows())
    @rule(which=WHICH, grant=st.sampled_from([0.0, 0.3]), unproven=st.booleans())
    def somebody_approves(self, which: int, grant: float, unproven: bool) -> None:
        blocked = self.engine.views().jobs(statuses=tuple(status.value for status in BLOCKED)) or self.rows()
        job = blocked[which % len(blocked)].id
        self.ask(ApproveJob(job=job, grant_usd=grant, accept_unproven=unproven, reason="go"))

    @precondition(lambda self: self.rows())
    @rule(which=WHICH)
    def somebody_completes_the_form(self, which: int) -> None:
        row = self.pick(which)
        form = Path(row.manifest_path).parent / "learning/manual-scenario.md"
        if form.is_file():
            text = form.read_text()
            for name, value in (("entrypoint", "python -m unittest"), ("approver", "ada"), ("date", "2026-05-01")):
                text = re.sub(rf"^{name} = .*$", f'{name} = "{value}"', text, flags=re.MULTILINE)
            self.ask(ApproveJob(job=row.id, scenario=text))

    @precondition(lambda self: self.rows())
    @rule(which=WHICH, sure=SELDOM)
    def somebody_dismisses(self, which: int, sure: bool) -> None:
        if sure:
            self.ask(DismissJob(job=self.pick(which).id, reason="no"))

    @rule(which=WHICH, promote=st.booleans())
    def somebody_reviews(self, which: int, promote: bool) -> None:
        patterns = self.engine.views().patterns()
        if patterns:
            identity = patterns[which % len(patterns)].id
            self.ask(PromotePattern(pattern=identity) if promote else RejectPattern(pattern=identity, reason="no"))

    def rows(self) -> list[JobRow]:
        return self.engine.views().jobs()

    def pick(self, which: int) -> JobRow:
        return self.rows()[which % len(self.rows())]

    def ask(self, request: Request) -> None:
        reply = self.engine.desk.answer(request.model_dump_json(), os.getuid())
        assert reply.message

    # --- what holds ---

    @invariant()
    def the_read_model_says_what_the_log_says(self) -> None:
        for row in self.rows():
            job = self.engine.door.job(row.id)
            assert (row.status, row.version) == (job.status, job.version)

    @invariant()
    def no_job_spends_more_than_it_was_given(self) -> None:
        for row in self.rows():
            assert self.engine.door.job(row.id).available_usd > -1e-6

    @invariant()
    def a_run_has_one_job_at_a_time(self) -> None:
        alive = Counter((row.task_id, row.run_id) for row in self.rows() if row.status not in TERMINAL)
        assert set(alive.values()) <= {1}

    def rebuilt_models_are_the_same(self) -> None:
        views = self.engine.views()
        before = (views.jobs(), views.patterns(), views.work_trees(), views.faults())
        rebuild(self.engine.log)
        views = self.engine.views()
        assert (views.jobs(), views.patterns(), views.work_trees(), views.faults()) == before

    def blocked_jobs_were_moved_by_people_alone(self) -> None:
        for row in self.rows():
            job = Job(row.id)
            for record in self.engine.log.read(job.stream):
                moved = jobs.evolve(job, record.data)
                if job.status in BLOCKED and moved.status != job.status:
                    assert isinstance(record.data, Approval | RunReopened), (job.status, record.data)
                job = moved


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(
    max_examples=6, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
