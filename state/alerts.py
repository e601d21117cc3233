"""Alerts about one job, or about the machine: what was raised, whom it reached, what is still owed.

An alert is raised once for each time that a job becomes blocked (or a fault stands), so its id follows from
what it is about and how many came before: PagerDuty can tell a repetition by it. It is *over* when the
job moved on; then every channel that it reached is told so, once. Nothing here reads a clock: when a failed
delivery is tried again is a matter of the one who delivers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from events import catalog as e
from state.refusal import Refused

Alerts = tuple["Alert", ...]
KEPT = 20


@dataclass(frozen=True, slots=True)
class Alert:
    """`delivered` are the channels that it reached, `resolved` those that heard of its end.

    `errors` has what each channel said last, where it said no.
    """

    id: str
    kind: e.AlertKind
    about: str
    severity: e.Severity
    message: str
    over: bool = False
    delivered: tuple[e.AlertChannel, ...] = ()
    resolved: tuple[e.AlertChannel, ...] = ()
    errors: tuple[tuple[e.AlertChannel, str], ...] = ()

    @property
    def to_resolve(self) -> tuple[e.AlertChannel, ...]:
        """Channels where it stands although it is over."""
        return tuple(channel for channel in self.delivered if channel not in self.resolved) if self.over else ()


def evolve(alerts: Alerts, event: e.AlertRaised | e.AlertDelivered | e.AlertFailed) -> Alerts:
    """`alerts` after `event`. What is said of an alert that nobody raised changes nothing."""
    match event:
        case e.AlertRaised():
            return (*alerts, Alert(event.alert_id, event.kind, event.about, event.severity, event.message))
        case e.AlertDelivered(resolved=True):
            return _changed(alerts, event.alert_id, lambda alert: replace(
                alert, resolved=(*alert.resolved, event.channel), errors=_without(alert, event.channel)
            ))  # fmt: skip
        case e.AlertDelivered():
            return _changed(alerts, event.alert_id, lambda alert: replace(
                alert, delivered=(*alert.delivered, event.channel), errors=_without(alert, event.channel)
            ))  # fmt: skip
        case e.AlertFailed():
            return _changed(alerts, event.alert_id, lambda alert: replace(
                alert, errors=(*_without(alert, event.channel), (event.channel, event.error))
            ))  # fmt: skip


def over(alerts: Alerts, about: str | None = None) -> Alerts:
    """`alerts` after what they are about is over; with `about`, only those about that.

    Of those that are over, only the last are kept, and those that a channel must still hear of: a fault may come and go
    for months.
    """
    now = tuple(replace(alert, over=True) if about in (None, alert.about) else alert for alert in alerts)
    return (*(alert for alert in now[:-KEPT] if not alert.over or alert.to_resolve), *now[-KEPT:])


def over_but(alerts: Alerts, kind: e.AlertKind) -> Alerts:
    """`alerts` after all but those of `kind` are over."""
    return tuple(alert if alert.kind == kind else replace(alert, over=True) for alert in alerts)


def standing(alerts: Alerts, about: str | None = None) -> Alert | None:
    """The alert that is not over; without `about`, of those that a blocked status or a fault raised."""
    return next((alert for alert in alerts if not alert.over and _is_about(alert, about)), None)


def _is_about(alert: Alert, about: str | None) -> bool:
    return alert.kind != "reintroduction" if about is None else alert.about == about


def raised(
    owner: str, alerts: Alerts, kind: e.AlertKind, about: str, message: str, severity: e.Severity
) -> e.AlertRaised:
    """The next alert of `owner`, with the id that follows from it."""
    number = int(alerts[-1].id.rpartition("-")[2]) + 1 if alerts else 1
    return e.AlertRaised(
        alert_id=f"{owner}-{kind}-{number}", kind=kind, message=message, severity=severity, about=about
    )


def told(
    alerts: Alerts,
    alert_id: str,
    channel: e.AlertChannel,
    target: str,
    *,
    resolved: bool,
    error: str | None,
    receipt: str = "",
) -> tuple[e.Event, ...] | Refused:
    """What a delivery is recorded as. The same failure twice in a row is one fact: streams stay short."""
    alert = next((alert for alert in alerts if alert.id == alert_id), None)
    if alert is None:
        return Refused("unknown_alert", f"there is no alert {alert_id}")
    if error is not None:
        if (channel, error) in alert.errors:
            return Refused("already_known", f"alert {alert_id}: {channel} said so before: {error}")
        return (e.AlertFailed(alert_id=alert_id, channel=channel, target=target, error=error),)
    if channel in (alert.resolved if resolved else alert.delivered):
        return Refused("already_delivered", f"alert {alert_id} was told to {channel} before")
    return (e.AlertDelivered(alert_id=alert_id, channel=channel, target=target, resolved=resolved, receipt=receipt),)


def _changed(alerts: Alerts, alert_id: str, change: Callable[[Alert], Alert]) -> Alerts:
    return tuple(change(alert) if alert.id == alert_id else alert for alert in alerts)


def _without(alert: Alert, channel: e.AlertChannel) -> tuple[tuple[e.AlertChannel, str], ...]:
    return tuple((known, error) for known, error in alert.errors if known != channel)
