"""The caps of the day and the month: who waits, who is told, and what lets the work go on."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from model_server import COST, Model, says
from money_place import Opened, settings_in
from support.repos import fix, make_repo, put_manifest
from test_model_calls import SECRET, work

from events.catalog import AlertRaised, FaultCleared, FaultRaised, SpendReserved, SpendSettled
from events.log import EventLog
from learnd.clock import now
from learnd.door import Door
from learnd.engine import Engine
from learnd.repositories import register
from learnd.spending import day_of, month_of, next_day, next_month
from learnd.views.measures.window import Window, milliseconds
from learnd.views.metrics import metrics
from state import commands as c

pytestmark = pytest.mark.usefixtures("no_pauses")


def machine(engine: Engine) -> list[object]:
    kinds = (FaultRaised, FaultCleared, AlertRaised)
    return [record.data for record in engine.log.read("machine") if isinstance(record.data, kinds)]


def spent(engine: Engine, usd: float, day: str) -> None:
    """Another job's call, made on `day`."""
    month = month_of(now())
    engine.door.handle(c.ReserveSpend(month, "job-other", 1, day, "gpt-4o", usd, c.Caps(99, 99)), "test")
    engine.door.handle(c.SettleSpend(month, "job-other", 1, usd), "test")


@pytest.mark.sandbox
def test_a_cap_that_is_reached_raises_one_alert_and_blocks_nobody(endpoint: Model, opened: Opened) -> None:
    endpoint.plays(says())
    with opened(budget_day_usd=1.0) as engine:
        spent(engine, 0.99, day_of(now()))
        job = work(engine)
        engine.alerts.settle(0, lambda: False)
        work(engine)  # the same again, as after another sweep
        engine.alerts.settle(0, lambda: False)
        assert (job.status, job.attempts, endpoint.requests) == ("validated", 0, [])
        raised, alert = machine(engine)[-2:]
        assert isinstance(raised, FaultRaised)
        assert (raised.kind, raised.until) == ("spend", next_day(now()))
        assert "$0.9900 of $1.00 are spent or reserved" in raised.detail
        assert "budget_day_usd" in raised.detail
        assert isinstance(alert, AlertRaised)
        assert (alert.about, alert.kind, alert.severity) == ("spend", "machine_fault", "P3")
        assert engine.waiting_for_faults() == [job.id]


@pytest.mark.sandbox
def test_work_goes_on_when_the_day_turns(endpoint: Model, opened: Opened) -> None:
    endpoint.plays(says())
    with opened(budget_day_usd=1.0) as engine:
        spent(engine, 0.99, f"{month_of(now())}-00")  # the fault is of an earlier day, and learnd was off since
        engine.door.handle(c.RaiseFault("spend", "full", "2026-01-01T00:00:00.000Z", 0.13), "test")
        assert work(engine).status == "learned"
        assert engine.views().faults() == []


@pytest.mark.sandbox
def test_work_goes_on_when_the_cap_is_raised_and_not_before(endpoint: Model, opened: Opened) -> None:
    endpoint.plays(says())
    with opened(budget_month_usd=0.01) as engine:
        assert work(engine).status == "validated"
        (fault,) = engine.views().faults()
        assert "no call ever fits. Next: raise budget_month_usd" in fault.detail
    with opened(budget_month_usd=0.02) as engine:
        assert work(engine).status == "validated"
        assert engine.views().faults() == [fault], "the same fault, told once"
    with opened(budget_month_usd=2.0) as engine:
        assert work(engine).status == "learned"
        assert engine.views().faults() == []


@pytest.mark.sandbox
def test_a_call_that_a_crash_cut_off_counts_as_spent_also_of_a_job_that_was_dismissed(
    endpoint: Model, opened: Opened
) -> None:
    endpoint.plays(says())
    with opened() as engine:
        (row,) = engine.views().jobs()
        month, person = month_of(now()), c.Person("anna", frozenset({"anna"}))
        start = c.StartCrystalization(row.id, "other", "openai", "gpt-4o", 0.2, 3, "p", "c3" * 32, ledger=month)
        reserve = c.ReserveSpend(month, f"job-{row.id}", 1, day_of(now()), "gpt-4o", 0.2, c.Caps(5, 50))
        engine.door.handle_together((start, reserve), "test")
        assert engine.door.ledger(month).month_usd == 0.2, "in flight, it counts already"
        engine.door.handle(c.Dismiss(row.id, person), "test")
        job = work(engine)
        assert (job.status, job.spent_usd, job.reserved_usd) == ("dismissed", 0.2, 0.0)
        assert engine.door.ledger(month).in_flight() == {}
        assert engine.door.ledger(month).month_usd == 0.2
        (day,) = metrics(engine.views().rows, Window(milliseconds(now()) or 0)).model_spend
        assert (day.model, day.calls, day.assumed, day.cost_usd) == ("gpt-4o", 1, 1, 0.2)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with EventLog.create_or_open(tmp_path / "events.db") as log:
        yield Door(log)


def test_many_who_reserve_at_once_never_reserve_more_than_the_cap(door: Door) -> None:
    at = now()
    outcomes: list[object] = []

    def reserve(number: int) -> None:
        command = c.ReserveSpend(month_of(at), f"job-{number}", 1, day_of(at), "m", 0.3, c.Caps(1.0, 50))
        outcomes.append(door.handle(command, "test"))

    threads = [threading.Thread(target=reserve, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    types = [record.type for record in door.log.read_all()]
    assert (len(outcomes), types) == (8, ["SpendReserved"] * 3)
    assert door.ledger(month_of(at)).day_usd(day_of(at)) == pytest.approx(0.9)


def test_what_was_reserved_and_not_spent_is_free_again(door: Door) -> None:
    caps = c.Caps(1.0, 1.0)
    door.handle(c.ReserveSpend("2026-01", "job-a", 1, "2026-01-31", "m", 0.9, caps), "test")
    refused = door.handle(c.ReserveSpend("2026-01", "job-b", 1, "2026-01-31", "m", 0.9, caps), "test")
    assert getattr(refused, "code", "") == "month_cap"
    door.handle(c.SettleSpend("2026-01", "job-a", 1, 0.05), "test")
    door.handle(c.ReserveSpend("2026-01", "job-b", 1, "2026-01-31", "m", 0.9, caps), "test")
    assert door.ledger("2026-01").month_usd == pytest.approx(0.95)
    assert [type(record.data) for record in door.log.read_all()] == [SpendReserved, SpendSettled, SpendReserved]


@pytest.mark.parametrize(
    ("at", "day", "month"),
    [
        ("2026-01-31T23:59:59.999Z", "2026-02-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z"),
        ("2026-12-05T00:00:00.000Z", "2026-12-06T00:00:00.000Z", "2027-01-01T00:00:00.000Z"),
        ("2028-02-28T12:00:00.000Z", "2028-02-29T00:00:00.000Z", "2028-03-01T00:00:00.000Z"),
    ],
)
def test_the_windows_turn_at_midnight_utc(at: str, day: str, month: str) -> None:
    assert (next_day(at), next_month(at)) == (day, month)


@pytest.mark.sandbox
def test_secrets_of_a_run_reach_neither_the_model_nor_the_log(tmp_path: Path, endpoint: Model) -> None:
    endpoint.plays(says())
    with Engine.opened(settings_in(tmp_path, endpoint)) as engine:
        repo = make_repo(tmp_path / "repo")
        tree = register(engine.door, engine.views(), repo, "anna")
        fix(repo)
        path = put_manifest(repo)
        (path.parent / "prompt.md").write_text(f"Fix the mean. My token is {SECRET}, do not lose it.\n")
        list(engine.sweep(tree))
        while (job_id := engine.scheduler.take(0)) is not None:
            engine.work(job_id)
        job = engine.door.job(engine.views().jobs()[-1].id)
        assert (job.status, job.spent_usd) == ("learned", pytest.approx(COST))
        assert SECRET not in json.dumps(endpoint.requests)
        assert all(SECRET not in json.dumps(record.envelope()) for record in engine.log.read_all())
