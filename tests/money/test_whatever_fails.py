"""Whatever sequence of faults: no job pays more than its budget and grants, no day and no month more than its cap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_server import Behaviour, Model, fails, page, reset, says
from money_place import put_back, settings_in
from support import histories
from support.histories import ANNA, JOB
from test_model_calls import work

from events.catalog import ModelCallSettled
from learnd.clock import now
from learnd.engine import Engine
from learnd.spending import month_of
from state import commands as c
from state.decide import Decided, decide
from state.job import Job, JobStatus
from state.ledger import CENT, Ledger

FAULTS: dict[str, Behaviour] = {
    "good": says(),
    "no JSON": says("?"),
    "no usage": says("?", tokens=None),
    "a lie about usage": says("?", tokens=(1, 10**8)),
    "length": says("?", stop="length"),
    "refusal": says(refusal="no"),
    "page": page,
    "429": fails(429, headers={"Retry-After": "0"}),
    "500": fails(500),
    "reset": reset,
    "schema refused": fails(400, param="response_format"),
    "a rule that is none": says(rule="]["),
}


@pytest.mark.sandbox
@pytest.mark.usefixtures("no_pauses")
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(sorted(FAULTS)), min_size=3, max_size=14), st.sampled_from([0.06, 0.15, 5.0]))
def test_whatever_a_model_answers_its_calls_stay_within_budget_and_caps(
    endpoint: Model, proven: Path, names: list[str], cap: float
) -> None:
    endpoint.plays(*(FAULTS[name] for name in names))
    put_back(proven)
    for _ in range(3):  # as often as people let the job go on
        made = settings_in(proven, endpoint, budget_day_usd=cap, model="gpt-4.1-mini", model_price=[2.5, 10])
        with Engine.opened(made) as engine:
            for fault in list(engine.door.host().faults):
                engine.door.handle(c.ClearFault(fault), "test")
            job = work(engine)
            ledger = engine.door.ledger(month_of(now()))
            paid = sum(r.data.cost_usd for r in engine.log.read(job.stream) if isinstance(r.data, ModelCallSettled))
            assert paid <= job.budget_usd + job.granted_usd + CENT
            assert ledger.month_usd <= cap + CENT
            assert ledger.month_usd == pytest.approx(paid)
            assert (job.reserved_usd, ledger.in_flight()) == (0, {})
            engine.door.handle(c.Approve(job.id, ANNA, grant_usd=0.0), "test")


# --- the rules alone, with many jobs at once ---

MONEY = st.floats(0, 0.4)
DAYS = ("2026-01-01", "2026-01-02")
JOBS = (JOB, "d4" * 32, "e5" * 32)
STEPS = st.one_of(
    st.tuples(st.just("start"), MONEY),
    st.tuples(st.just("settle"), st.one_of(st.none(), st.floats(0, 2))),
    st.tuples(st.just("fail"), st.sampled_from(["fault", "final", "repairable", "plain"])),
    st.tuples(st.just("crash"), st.none()),
    st.tuples(st.just("grant"), MONEY),
    st.tuples(st.just("dismiss"), st.none()),
)


@dataclass
class Book:
    """Jobs and the ledger, changed together as the door does: all of it, or nothing."""

    jobs: dict[str, Job]
    ledger: Ledger
    caps: c.Caps

    def handle(self, *commands: c.JobCommand | c.SpendCommand) -> bool:
        jobs, ledger = dict(self.jobs), self.ledger
        for command in commands:
            target = jobs[command.job_id] if isinstance(command, c.JobCommand) else ledger
            answer = decide(command, target)
            if not isinstance(answer, Decided):
                return False
            if isinstance(answer.entity, Job):
                jobs[answer.entity.id] = answer.entity
            elif isinstance(answer.entity, Ledger):
                ledger = answer.entity
        self.jobs, self.ledger = jobs, ledger
        return True

    def settle(self, job: Job, cost: float | None) -> None:
        if job.ledger is not None:
            settled = c.SettleSpend(job.ledger, job.stream, job.call, cost)
            assert self.handle(c.SettleModelCall(job.id, "m", cost, None), settled)

    def step(self, job: Job, day: str, what: str, value: object) -> None:
        failed = c.RecordCrystalizationFailure(job.id, "draft_invalid", "", 9, now(), 0.1)
        match what, value:
            case "start", float(usd):
                start = c.StartCrystalization(job.id, "b", "openai", "m", usd, 9, "p", "c3" * 32, ledger="2026-01")
                number = job.call + 1
                self.handle(start, c.ReserveSpend("2026-01", job.stream, number, day, "m", usd, self.caps))
            case "settle", cost:
                self.settle(job, cost if isinstance(cost, float) else None)
            case "crash", _:
                self.settle(job, None)
                self.handle(failed)
            case "fail", str(kind) if job.ledger is None:
                marks = {kind: True} if kind != "plain" else {}
                self.handle(c.RecordCrystalizationFailure(job.id, "draft_invalid", "", 9, now(), 0.1, **marks))
            case "grant", float(usd):
                self.handle(c.Approve(job.id, ANNA, grant_usd=usd if job.status == JobStatus.OVER_BUDGET else 0.0))
            case "dismiss", _:
                self.handle(c.Dismiss(job.id, ANNA))


def validated(job_id: str) -> Job:
    given = (
        histories.open_job(), histories.taken, histories.queued, histories.scenario, histories.replay, histories.proven,
    )  # fmt: skip
    job = Job(job_id)
    for command in given:
        answer = decide(replace(command, job_id=job_id), job)
        assert isinstance(answer, Decided)
        assert isinstance(answer.entity, Job)
        job = answer.entity
    return job


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(JOBS), st.sampled_from(DAYS), STEPS), max_size=60), st.floats(0, 1), MONEY)
def test_whatever_happens_to_calls_of_many_jobs_every_account_holds(
    history: list[tuple[str, str, tuple[str, object]]], month_cap: float, day_cap: float
) -> None:
    caps = c.Caps(day_cap, month_cap)
    book = Book({job_id: validated(job_id) for job_id in JOBS}, Ledger("2026-01"), caps)
    for job_id, day, (what, value) in history:
        book.step(book.jobs[job_id], day, what, value)
        for job in book.jobs.values():
            assert job.spent_usd + job.reserved_usd <= job.budget_usd + job.granted_usd + CENT
        assert book.ledger.month_usd <= month_cap + CENT
        assert all(book.ledger.day_usd(of) <= day_cap + CENT for of in DAYS)
    paid = sum(job.spent_usd + job.reserved_usd for job in book.jobs.values())
    assert book.ledger.month_usd == pytest.approx(paid), "both accounts know of the same calls"
