"""Whether the channels' configuration can work, as far as that shows without sending anything."""

from __future__ import annotations

import re
from collections.abc import Iterator

from learnd.alerts.config import AlertSettings
from learnd.verbs.check import Check, ok

TOKEN = re.compile(r"xox[a-z]-\S{8,}")
ROUTING_KEY = re.compile(r"[A-Za-z0-9]{32}")
CHANNEL = re.compile(r"#[^\s#]{1,79}|[CG][A-Z0-9]{6,}")


def channel_checks(settings: AlertSettings) -> Iterator[Check]:
    """A check for each channel."""
    yield _slack(settings)
    yield _pagerduty(settings)


def _slack(settings: AlertSettings) -> Check:
    slack = settings.slack
    if slack.token is None:
        return _missing("slack", "alerts.slack.token (or SLACK_BOT_TOKEN)")
    if not TOKEN.fullmatch(slack.token.get_secret_value()):
        return Check("slack", "fail", "the token is not of Slack's form (xoxb-…)", "correct alerts.slack.token")
    if not CHANNEL.fullmatch(slack.channel):
        found = f"{slack.channel} is neither #name nor a channel's id"
        return Check("slack", "fail", found, "correct alerts.slack.channel")
    return ok("slack", f"token set (not shown), {slack.channel} at {slack.base_url}; learnd alerts test tries it")


def _pagerduty(settings: AlertSettings) -> Check:
    pagerduty = settings.pagerduty
    if pagerduty.routing_key is None:
        return _missing("pagerduty", "alerts.pagerduty.routing_key (or PAGERDUTY_ROUTING_KEY)")
    if not ROUTING_KEY.fullmatch(pagerduty.routing_key.get_secret_value()):
        found = "the routing key has not the 32 letters and digits of an Events API v2 integration key"
        return Check("pagerduty", "fail", found, "correct alerts.pagerduty.routing_key")
    return ok(
        "pagerduty",
        f"key set (not shown), service {pagerduty.service} at {pagerduty.base_url}; learnd alerts test tries it",
    )


def _missing(name: str, setting: str) -> Check:
    found = "not set: snapshot_failed and stalled_snapshot ought to be told there, and stand in the journal only"
    return Check(name, "warn", found, f"set {setting}, then learnd alerts test")
