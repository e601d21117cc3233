"""What model calls of one month cost, or may still cost: the account that the day's and the month's caps are held to.

One stream a month (`spend-2026-11`, UTC). A call is reserved here in the append that starts it, and settled in the one
that records its cost; two workers that reserve at once meet in the stream's version, and the second is decided anew.
A call counts for the day on which it was reserved, with all that was reserved until it is settled.

Invariant: what a day and a month sum up to, reservations in flight included, was within the caps whenever one was made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from events import catalog as e
from state import commands as c
from state.machine import UnexpectedEvent
from state.refusal import Refused

PREFIX = "spend-"
CENT = 1e-9
"""Below this, sums of dollars are equal: floats add up with an error smaller than any price."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A call: what it counts for now, and whether it is still in flight."""

    day: str
    model: str
    usd: float
    open: bool


Call = tuple[str, int]
"""Which call: the stream it is made for, and its how manieth."""


@dataclass(frozen=True, slots=True)
class Ledger:
    month: str
    version: int = 0
    entries: dict[Call, Entry] = field(default_factory=dict)

    @property
    def stream(self) -> str:
        return f"{PREFIX}{self.month}"

    @property
    def month_usd(self) -> float:
        return sum(entry.usd for entry in self.entries.values())

    def day_usd(self, day: str) -> float:
        return sum(entry.usd for entry in self.entries.values() if entry.day == day)

    def in_flight(self) -> dict[Call, Entry]:
        return {call: entry for call, entry in self.entries.items() if entry.open}

    def short_of(self, usd: float, day: str, caps: c.Caps) -> Refused | None:
        """Why a call that costs at most `usd` cannot be made on `day`; None when it can."""
        for code, cap, spent, window in (
            ("month_cap", caps.month_usd, self.month_usd, f"this month ({self.month}, UTC)"),
            ("day_cap", caps.day_usd, self.day_usd(day), f"today ({day}, UTC)"),
        ):
            if spent + usd > cap + CENT:
                return Refused(
                    code,
                    f"a call may cost ${usd:.4f}, and {window} ${spent:.4f} of ${cap:.2f} are spent or reserved",
                )
        return None


def evolve(ledger: Ledger, event: e.Event) -> Ledger:
    """`ledger` after `event`. Raises UnexpectedEvent."""
    match event:
        case e.SpendReserved():
            entry = Entry(event.day, event.model, event.usd, open=True)
        case e.SpendSettled() if (event.about, event.number) in ledger.entries:
            entry = replace(ledger.entries[event.about, event.number], usd=event.usd, open=False)
        case _:
            raise UnexpectedEvent(f"the ledger of {ledger.month}", "open", event.type)
    return replace(ledger, version=ledger.version + 1, entries={**ledger.entries, (event.about, event.number): entry})


def fold(month: str, events: Iterable[e.Event]) -> Ledger:
    """The ledger that `events`, whole and in order, make."""
    ledger = Ledger(month)
    for event in events:
        ledger = evolve(ledger, event)
    return ledger


def decide(command: c.SpendCommand, ledger: Ledger) -> tuple[e.Event, ...] | Refused:
    """What `command` does to `ledger`."""
    call = (command.about, command.number)
    known = ledger.entries.get(call)
    match command:
        case c.ReserveSpend():
            if known is not None:
                return Refused("already_reserved", f"call {command.number} of {command.about} is reserved already")
            short = ledger.short_of(command.usd, command.day, command.caps)
            if short:
                return short
            return (
                e.SpendReserved(
                    about=command.about, number=command.number, model=command.model, day=command.day, usd=command.usd
                ),
            )
        case c.SettleSpend():
            if known is None or not known.open:
                return Refused("not_in_flight", f"call {command.number} of {command.about} is not in flight")
            cost = known.usd if command.cost_usd is None else min(command.cost_usd, known.usd)
            return (e.SpendSettled(about=command.about, number=command.number, usd=cost),)
    raise TypeError(f"no rule for {type(command).__name__}")
