"""Reserving and settling what a model call costs, on the job's account and on the day's and the month's.

Both accounts change in one append, so that neither ever knows of a call that the other does not. A call that costs
nothing (a local model, priced 0) is on the job's account alone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from events.values import Usage
from learnd.clock import iso, now, parse
from learnd.steps.faults import MachineFault
from state.commands import Caps, ReserveSpend, SettleModelCall, SettleSpend
from state.decide import Command
from state.job import Job
from state.refusal import Refused

if TYPE_CHECKING:
    from learnd.door import Door
    from learnd.settings import Settings
    from learnd.workplace import Workplace

CAPS: Final = ("day_cap", "month_cap")
"""Codes of the refusals that a cap answers with."""


def caps(settings: Settings) -> Caps:
    return Caps(settings.budget_day_usd, settings.budget_month_usd)


def month_of(at: str) -> str:
    """`2026-11` of a time in UTC."""
    return at[:7]


def day_of(at: str) -> str:
    return at[:10]


def reservation(about: str, number: int, model: str, usd: float, settings: Settings, at: str) -> ReserveSpend:
    """The command that reserves call `number` of the stream `about`, for the day and month of `at`."""
    return ReserveSpend(month_of(at), about, number, day_of(at), model, usd, caps(settings))


def settlement(job: Job, cost_usd: float | None, usage: Usage | None) -> list[Command]:
    """What settles the job's call in flight on all accounts; no `cost_usd` means that nobody can say."""
    settled: list[Command] = [SettleModelCall(job.id, job.model or "", cost_usd, usage)]
    if job.ledger is not None:
        settled.append(SettleSpend(job.ledger, job.stream, job.call, cost_usd))
    return settled


def no_room(refused: Refused, needed_usd: float, settings: Settings, at: str) -> MachineFault:
    """The fault that a cap's refusal is. It is over when the day or month turns, or the cap is raised."""
    name, cap = (
        ("budget_day_usd", settings.budget_day_usd)
        if refused.code == "day_cap"
        else ("budget_month_usd", settings.budget_month_usd)
    )
    if needed_usd > cap:
        return MachineFault("spend", f"{refused.reason}: no call ever fits. Next: raise {name}", needed_usd=needed_usd)
    turns = next_day(at) if refused.code == "day_cap" else next_month(at)
    return MachineFault(
        "spend",
        f"{refused.reason}; work with a model goes on at {turns}, or sooner with a higher {name}",
        until=turns,
        needed_usd=needed_usd,
    )


def has_room(door: Door, settings: Settings, needed_usd: float) -> bool:
    """Whether a call that costs at most `needed_usd` fits under both caps now."""
    at = now()
    return door.ledger(month_of(at)).short_of(needed_usd, day_of(at), caps(settings)) is None


def next_day(at: str) -> str:
    return iso(parse(f"{day_of(at)}T00:00:00Z") + timedelta(days=1))


def next_month(at: str) -> str:
    first = parse(f"{month_of(at)}-01T00:00:00Z")
    return iso((first + timedelta(days=31)).replace(day=1))


def settle_lost_calls(place: Workplace) -> None:
    """Count as spent, whole, what calls of jobs reserved that no process is making any more.

    Called at the start by the holder of the log's lock: whatever is in flight then, a crash cut off, whether its job
    still waits for it or was dismissed meanwhile. Calls for other streams are settled by whoever makes them.
    """
    at = now()
    last_month = month_of(iso(parse(f"{month_of(at)}-01T00:00:00Z") - timedelta(days=1)))
    for month in (last_month, month_of(at)):
        for about, number in place.door.ledger(month).in_flight():
            if not about.startswith("job-"):
                continue
            job = place.door.job(about.removeprefix("job-"))
            if (job.ledger, job.call) == (month, number):
                place.door.handle_together(settlement(job, None, None), "learnd:spending")
