"""Faults and their alerts; a repository's coming, going and coming back."""

from __future__ import annotations

from support.histories import ANNA

from events.catalog import UnknownFilesSetAside
from events.values import UnknownFile
from state import commands as c
from state.decide import Decided, Entity, decide
from state.effects import fault_alert_due
from state.host import Host
from state.refusal import Refused
from state.repository import Repository

REGISTER = c.RegisterRepository("repo-1", "/repo", "/repo/.git", 1, 2, None, "2026-01-01T00:00:00.000Z")
FORGET = c.ForgetRepository("repo-1", ANNA)


def after(entity: Entity, *commands: c.MachineCommand | c.RepositoryCommand) -> Entity:
    for command in commands:
        answer = decide(command, entity)
        assert isinstance(answer, Decided), answer
        entity = answer.entity
    return entity


def refusal(entity: Entity, command: c.MachineCommand | c.RepositoryCommand) -> str:
    answer = decide(command, entity)
    assert isinstance(answer, Refused)
    return answer.code


def test_a_fault_is_alerted_once_while_it_stands() -> None:
    host = after(Host(), c.RaiseFault("disk", "full"))
    assert isinstance(host, Host)
    assert fault_alert_due(host) == ("disk",)
    alerted = after(host, c.RaiseFaultAlert("disk", "full", "P2"))
    assert isinstance(alerted, Host)
    assert fault_alert_due(alerted) == ()
    assert refusal(alerted, c.RaiseFaultAlert("disk", "full", "P2")) == "already_raised"


def test_the_end_of_a_fault_is_told_where_its_alert_was() -> None:
    host = after(
        Host(),
        c.RaiseFault("disk", "full"),
        c.RaiseFault("model", "503"),
        c.RaiseFaultAlert("disk", "full", "P2"),
        c.RaiseFaultAlert("model", "503", "P3"),
        c.RecordFaultAlertDelivery("machine-machine_fault-1", "slack", "#learning-alerts"),
        c.ClearFault("disk"),
    )
    assert isinstance(host, Host)
    disk, model = host.alerts
    assert disk.to_resolve == ("slack",)
    assert not model.over


def test_no_alert_is_raised_about_a_fault_that_does_not_stand() -> None:
    assert refusal(Host(), c.RaiseFaultAlert("disk", "full", "P2")) == "not_due"


def test_a_forgotten_repository_is_unknown_until_it_is_registered_again() -> None:
    forgotten = after(Repository("repo-1"), REGISTER, FORGET)
    assert refusal(forgotten, FORGET) == "unknown"
    assert refusal(forgotten, c.AddWorkTree("repo-1", "/other", "2026-01-01T00:00:00.000Z")) == "unknown"
    again = after(forgotten, REGISTER)
    assert isinstance(again, Repository)
    assert not again.forgotten
    assert again.version == 3


def test_only_an_approver_has_a_repository_forgotten() -> None:
    stranger = c.Person("boris", frozenset({"anna"}))
    registered = after(Repository("repo-1"), REGISTER)
    assert refusal(registered, c.ForgetRepository("repo-1", stranger)) == "not_an_approver"


def test_a_file_that_was_set_aside_is_told_once_and_again_when_it_differs() -> None:
    file = UnknownFile(name="a.md", sha256="a" * 64, size=1, kept="/state/a.md")
    aside = c.RecordUnknownFiles("repo-1", "/repo", (file,))
    registered = after(Repository("repo-1"), REGISTER)
    told = after(registered, aside)
    assert refusal(told, aside) == "already_recorded"
    for other in ({"sha256": "b" * 64}, {"name": "b.md"}):
        changed = file.model_copy(update=other)
        answer = decide(c.RecordUnknownFiles("repo-1", "/repo", (file, changed)), told)
        assert isinstance(answer, Decided)
        assert [event.files for event in answer.events if isinstance(event, UnknownFilesSetAside)] == [(changed,)]
    assert refusal(Repository("repo-1"), aside) == "unknown"
    assert refusal(after(told, FORGET), aside) == "unknown"
