"""A fault that comes and goes for months leaves a short memory, and no two alerts of one name."""

from __future__ import annotations

from state import commands as c
from state.alerts import KEPT
from state.decide import Decided, decide
from state.host import Host
from state.refusal import Refused


def after(host: Host, *commands: c.MachineCommand) -> Host:
    for command in commands:
        decided = decide(command, host)
        assert isinstance(decided, Decided), decided
        assert isinstance(decided.entity, Host)
        host = decided.entity
    return host


def test_the_memory_of_what_is_over_is_bounded_and_names_go_on_counting() -> None:
    host = Host()
    names = set()
    for _ in range(5 * KEPT):
        host = after(host, c.RaiseFault("rate_limit", "429"), c.RaiseFaultAlert("rate_limit", "look", "P4"))
        names.add(host.alerts[-1].id)
        host = after(host, c.ClearFault("rate_limit"))
    assert len(names) == 5 * KEPT
    assert len(host.alerts) <= KEPT + 1


def test_what_a_channel_must_still_hear_is_not_forgotten() -> None:
    host = after(Host(), c.RaiseFault("disk", "full"), c.RaiseFaultAlert("disk", "look", "P2"))
    first = host.alerts[0].id
    host = after(host, c.RecordFaultAlertDelivery(first, "slack", "#x"), c.ClearFault("disk"))
    for _ in range(2 * KEPT):
        host = after(
            host, c.RaiseFault("model", "503"), c.RaiseFaultAlert("model", "look", "P3"), c.ClearFault("model")
        )
    ended = c.RecordFaultAlertDelivery(first, "slack", "#x", resolved=True)
    assert isinstance(decide(ended, host), Decided)
    host = after(host, ended, c.RaiseFault("model", "503"), c.RaiseFaultAlert("model", "look", "P3"))
    host = after(host, c.ClearFault("model"))
    assert isinstance(decide(ended, host), Refused), "told once"
