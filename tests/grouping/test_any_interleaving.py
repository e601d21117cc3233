"""Whatever happens to the jobs of a group, in whatever order, and wherever a crash comes between: the same end.

A real log, the real rules, and what follows from them; who belongs together is given, so that no trees are needed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.histories import ANNA, AT, FILE, ORIGIN, RUN, SCENARIO, SHA, evidence, snapshot

from events.catalog import GroupClosed, GroupDissolved, JobDismissed, ReplayStarted, RunReopened
from events.values import Group, GroupMember
from learnd.door import Door
from learnd.grouping.following import left, settle, take_up
from learnd.ids import group_id, pattern_id
from learnd.settings import Settings, Validation
from learnd.views.store import open_for_writing, rebuild
from learnd.workplace import Workplace
from state import commands as c
from state.decide import Command
from state.job import AT_REST, BLOCKED, Job, JobStatus
from state.refusal import Refused

S = JobStatus
JOBS = ["a1" * 32, "b2" * 32, "c3" * 32]
VERDICTS = st.sampled_from(["proven", "pass_only", "flaky"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["dismiss", "reopen", "approve", "expedite"]), st.integers(0, 2)),
        st.tuples(st.just("close"), st.just(0)),
        st.tuples(st.just("lead"), VERDICTS),
        st.tuples(st.just("crash"), st.just(0)),
    ),
    max_size=14,
)


class Three:
    """Three jobs that wait for a group; `heard` is false where the process dies before anybody hears of an append."""

    def __init__(self, place: Workplace) -> None:
        self.place = place
        self.heard = True
        for number, job in enumerate(JOBS):
            run = dataclasses.replace(
                RUN, run_id=f"r{number}", manifest_path=f"/repo/.runs/t/cli/r{number}/manifest.json"
            )
            opened = c.OpenJob(job, run, "cli-v1", None, AT, "2026-01-01T00:00:00.000Z", "completed", 0.5)
            terms = c.GroupTerms(group_id("api/", [job]), ("api/",), AT, 24)
            queued = c.RecordQueued(job, "5f0c", FILE, FILE, "prompt.md", FILE, terms)
            self.tell(opened, c.RecordSnapshot(job, snapshot()), queued)

    def job(self, job_id: str) -> Job:
        return self.place.door.job(job_id)

    def tell(self, *commands: Command) -> bool:
        """Put commands through the door; what the engine does when it hears of them follows, unless it died."""
        if not commands or isinstance(self.place.door.handle_together(commands, "test"), Refused):
            return False
        for job_id in JOBS if self.heard else ():
            settle(job_id, self.place)
        return True

    def close(self) -> None:
        """All that wait, in one group."""
        waiting = [job for job in map(self.job, JOBS) if job.status is S.WAITING_FOR_GROUP and job.group is None]
        if not waiting:
            return
        ids = [job.id for job in waiting]
        members = tuple(GroupMember(job=job.id, task_id=job.task_id, run_id=job.run_id) for job in waiting)
        group = Group(id=group_id("api/", ids), service="api/", members=members, window_hours=24)
        joint = snapshot(base_tree="4" * 40) if group.several else None
        joined = [c.JoinGroup(job_id, group) for job_id in ids[:-1]]
        assert self.tell(*joined, c.CloseGroup(ids[-1], group, "window", snapshot=joint))

    def lead(self, verdict: str) -> bool:
        """One step of the first job that has something to do."""
        return any(self._step(job, verdict) for job in map(self.job, JOBS))

    def _step(self, job: Job, verdict: str) -> bool:
        if job.status in (S.QUEUED, S.SCENARIO_READY):
            dissolved = left(job, self.place)
            if dissolved:
                return self.tell(*dissolved)
        match job.status:
            case S.QUEUED:
                return self.tell(c.RecordScenario(job.id, SCENARIO, FILE))
            case S.SCENARIO_READY:
                return self.tell(c.StartReplay(job.id, "boot", "bubblewrap", 9))
            case S.REPLAYING:
                cause = {"pass_only": "base_passes", "flaky": "disagreement"}.get(verdict)
                return self.tell(c.RecordEvidence(job.id, evidence(verdict, cause), FILE))
            case S.VALIDATED:
                return self.tell(c.StartCrystalization(job.id, "boot", "extractive", None, 0.0, 9, "p", SHA))
            case S.CRYSTALIZING:
                pattern = pattern_id(job.id)
                return self.tell(c.RecordDraft(job.id, pattern, "T", "t", "extractive", None, "p", SHA, 0.0, FILE, 0))
            case S.DRAFTED:
                pattern = pattern_id(job.id)
                judged = c.JudgeDraft(pattern, dataclasses.replace(ORIGIN, job_id=job.id), ("format",))
                return self.tell(judged, c.FinishJob(job.id, pattern, "new"))
        return False

    def happens(self, what: str, who: int | str) -> None:
        match what:
            case "dismiss":
                self.tell(c.Dismiss(JOBS[int(who)], ANNA))
            case "reopen":
                self.tell(c.ReopenRun(JOBS[int(who)], "/repo/manifest.json"))
            case "approve":
                job = self.job(JOBS[int(who)])
                self.tell(c.Approve(job.id, ANNA, accept_unproven=job.status is S.SKIPPED))
            case "expedite":
                self.tell(c.Approve(JOBS[int(who)], ANNA, now=True))
            case "close":
                self.close()
            case "lead":
                self.lead(str(who))
            case "crash":
                self.heard = False


@contextmanager
def three() -> Iterator[Three]:
    with TemporaryDirectory() as folder, open_for_writing(Path(folder) / "events.db") as log:
        settings_ = Settings(state_dir=Path(folder), validation=Validation(mode="grouped"))
        yield Three(Workplace(settings_, Door(log), "boot"))


@settings(max_examples=30, deadline=None)
@given(STEPS)
@example([("close", 0), ("lead", "proven"), ("lead", "proven"), ("lead", "pass_only"), ("approve", 2)])
@example([("close", 0), ("lead", "proven"), ("dismiss", 0), ("lead", "proven"), ("close", 0), ("crash", 0)])
def test_in_the_end_every_job_rests_with_its_lead_or_waits_for_a_person(steps: list[tuple[str, int | str]]) -> None:
    with three() as jobs:
        for what, who in steps:
            jobs.happens(what, who)
        jobs.heard = True
        take_up(jobs.place)
        for _ in range(60):  # what a daemon does that nobody disturbs
            if not jobs.lead("proven"):
                jobs.close()
                if not jobs.lead("proven"):
                    break
        for job in map(jobs.job, JOBS):
            ends_truly(job, jobs)
        nobody_was_replayed_without_its_members(jobs)
        before = jobs.place.views().jobs()
        rebuild(jobs.place.door.log)
        assert jobs.place.views().jobs() == before


def nobody_was_replayed_without_its_members(jobs: Three) -> None:
    """Whenever a group's replays began, nobody of the group had left it."""
    gone: set[str] = set()
    led: dict[str, Group] = {}
    for record in jobs.place.door.log.read_all():
        job_id = record.stream.removeprefix("job-")
        match record.data:
            case GroupClosed(group=group):
                led[job_id] = group
            case GroupDissolved():
                led.pop(job_id, None)
            case JobDismissed() | RunReopened():
                gone.add(job_id)
            case ReplayStarted() if job_id in led:
                assert gone.isdisjoint(member.job for member in led[job_id].members)


def ends_truly(job: Job, jobs: Three) -> None:
    """A job that another validates ended as that one did, or waits for it; everything else is at rest or blocked."""
    assert job.group is None or job.id in {member.job for member in job.group.members}
    if not job.joined:
        assert job.status in (*AT_REST, *BLOCKED)
        return
    assert job.group is not None
    lead = jobs.job(job.group.lead)
    match job.status:
        case S.LEARNED:
            assert (lead.status, job.pattern_id, job.cause) == (S.LEARNED, lead.pattern_id, "grouped")
        case S.SKIPPED:
            assert lead.status not in (S.LEARNED, S.DISMISSED), "it follows its lead, wherever that goes"
            assert job.cause == "grouped"
        case S.WAITING_FOR_GROUP:
            assert lead.status in BLOCKED
            assert lead.group == job.group
        case _:
            assert job.status in (S.DISMISSED, S.SUPERSEDED)
