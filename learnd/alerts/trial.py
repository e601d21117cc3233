"""`learnd alerts test`: each configured channel is sent something that is marked as a test, and what came back is told.

Whoever holds the log does it, for it is the daemon's settings and the daemon's network that count. Nothing is recorded.
"""

from __future__ import annotations

from pydantic import JsonValue

from learnd.alerts.channel import Channel, Failed, configured
from learnd.alerts.line import DEADLINE_S, Attempt, Outcome
from learnd.identity import approvers
from learnd.requests import Reply
from learnd.settings import Settings


def try_alerts(settings: Settings, only: str | None, actor: str) -> Reply:
    """Ok, whatever the channels said; `data` is `{channels: [{channel, target, ok, said}]}`, one for each tried."""
    if actor not in approvers(settings):
        return Reply(code="not_an_approver", message=f"{actor} may not send tests: approvers may")
    chosen = [channel for channel in configured(settings.alerts) if only in (None, channel.name)]
    attempts = [Attempt(f"test-{channel.name}", channel.test, lambda: None) for channel in chosen]
    for attempt in attempts:
        attempt.finished.wait(DEADLINE_S)
    told: list[JsonValue] = [
        _told(channel, attempt.outcome if attempt.finished.is_set() else None)
        for channel, attempt in zip(chosen, attempts, strict=True)
    ]
    return Reply(code="ok", message=f"{len(told)} tested", data={"channels": told})


def _told(channel: Channel, outcome: Outcome | None) -> JsonValue:
    if outcome is None:
        outcome = Failed(f"no end within {DEADLINE_S:.0f} s")
    good = {"slack": "posted", "pagerduty": "triggered and resolved"}[channel.name]
    wish = getattr(outcome, "retry_after_s", None)
    later = f", asks to wait {wish:.0f} s" if wish else ""
    said = f"{outcome.error}{later}" if isinstance(outcome, Failed) else good
    return {"channel": channel.name, "target": channel.target, "ok": not isinstance(outcome, Failed), "said": said}
