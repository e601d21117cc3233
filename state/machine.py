"""One declarative table per entity, compiled once at import.

Theory: an entity's status is a fold of its events. A table row says from which statuses an event may
come and where it leads; nothing else may change a status. `transitions` holds the table, the names of
the rules that guard it and the diagram. It is not on the replay path: what replay needs is compiled
into `next`, a plain dictionary, because a trigger costs a hundred times a look-up and a model per job
kilobytes (transitions also keeps every model by strong reference).

Guards are names only. They run in `decide`, never on replay: a newer rule must not outlaw old history.
Incomplete tables fail at import: every event handled, every status reachable, terminal ones closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from transitions import Machine

from events.catalog import Event


class TableIncomplete(Exception):
    """A table leaves an event unhandled, a status unreachable or a terminal status open."""


class UnexpectedEvent(Exception):
    """An event that its entity's status does not allow: a bug, or a history of another program."""

    def __init__(self, entity: str, status: str, event: str) -> None:
        super().__init__(f"{entity} is {status}: {event} cannot happen to it")


@dataclass(frozen=True, slots=True)
class Row:
    """`event` leads from each of `sources` to `target`; no target means that the status stays.

    `rule` names what guards it, in words, for the diagram.
    """

    sources: tuple[StrEnum, ...]
    event: type[Event]
    target: StrEnum | None = None
    rule: str = ""


@dataclass(frozen=True)
class Table:
    """A compiled table. `next[(status, event type)]` is the status that follows."""

    name: str
    initial: StrEnum
    terminal: frozenset[StrEnum]
    blocked: frozenset[StrEnum]
    rows: tuple[Row, ...]
    machine: Machine
    next: Mapping[tuple[str, str], str]

    def follow(self, entity: str, status: str, event: Event) -> str:
        """The status after `event`. Raises UnexpectedEvent."""
        try:
            return self.next[(status, event.type)]
        except KeyError:
            raise UnexpectedEvent(entity, status, event.type) from None

    def allows(self, status: str, event: type[Event]) -> bool:
        return (status, event.__name__) in self.next


def compile_table(
    name: str,
    rows: Iterable[Row],
    *,
    initial: StrEnum,
    terminal: Iterable[StrEnum],
    blocked: Iterable[StrEnum] = (),
    events: Iterable[type[Event]],
) -> Table:
    """Build the Machine and the look-up from `rows`. Raises TableIncomplete."""
    rows = tuple(rows)
    machine = Machine(
        model=None,
        states=[status.value for status in type(initial)],
        initial=initial.value,
        auto_transitions=False,
        transitions=[
            {
                "trigger": row.event.__name__,
                "source": source.value,
                "dest": (row.target or source).value,
                "conditions": [row.rule] if row.rule else [],
            }
            for row in rows
            for source in row.sources
        ],
    )
    table = Table(name, initial, frozenset(terminal), frozenset(blocked), rows, machine, _look_up(name, machine))
    _assert_complete(table, events)
    return table


def _look_up(name: str, machine: Machine) -> dict[tuple[str, str], str]:
    following: dict[tuple[str, str], str] = {}
    for event in machine.events.values():
        for source, ways in event.transitions.items():
            if len(ways) != 1:
                raise TableIncomplete(f"{name}: {event.name} from {source} leads to {len(ways)} statuses")
            target = ways[0].dest
            if target is None:
                raise TableIncomplete(f"{name}: {event.name} from {source} leads nowhere")
            following[(source, event.name)] = target
    return following


def _assert_complete(table: Table, events: Iterable[type[Event]]) -> None:
    handled = {event for _, event in table.next}
    unhandled = {event.__name__ for event in events} - handled
    if unhandled:
        raise TableIncomplete(f"{table.name}: no row for {', '.join(sorted(unhandled))}")
    reachable = {table.initial.value}
    while True:
        found = {target for (source, _), target in table.next.items() if source in reachable} - reachable
        if not found:
            break
        reachable |= found
    lost = {status.value for status in type(table.initial)} - reachable
    if lost:
        raise TableIncomplete(f"{table.name}: nothing leads to {', '.join(sorted(lost))}")
    for (source, event), target in table.next.items():
        if source in table.terminal and target != source:
            raise TableIncomplete(f"{table.name}: {source} is terminal, yet {event} leaves it")


_MANY = 6


def mermaid(table: Table) -> str:
    """The table as a Mermaid state diagram: deterministic, rows in the order they were declared.

    Facts that change no status are left out: they would be a loop on every box. A row that holds for
    nearly every status is drawn once, from a box of its own.
    """
    lines = ["stateDiagram-v2"]
    if any(len(row.sources) > _MANY for row in table.rows if row.target):
        lines.append('    state "any not terminal" as any')
    for row in table.rows:
        if row.target is None:
            continue
        label = row.event.__name__ + (f" ({row.rule})" if row.rule else "")
        if len(row.sources) > _MANY:
            lines.append(f"    any --> {row.target.value}: {label}")
            continue
        for source in row.sources:
            if source != row.target:
                start = "[*]" if source == table.initial else source.value
                lines.append(f"    {start} --> {row.target.value}: {label}")
    lines.extend(f"    {status.value} --> [*]" for status in type(table.initial) if status in table.terminal)
    if table.blocked:
        lines.append("    classDef blocked stroke-width:3px,font-weight:bold")
        names = ",".join(status.value for status in type(table.initial) if status in table.blocked)
        lines.append(f"    class {names} blocked")
    return "\n".join(lines) + "\n"
