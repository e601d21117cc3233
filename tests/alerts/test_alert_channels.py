"""One attempt through the real SDKs: what is sent, what every way of failing is called, and that it is one request."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from alert_servers import CHANNEL_ID, KEY, NAME, TOKEN, PagerDutyServer, SlackServer
from pydantic import SecretStr

from learnd.alerts import channel as channels
from learnd.alerts.channel import Failed, Notice, Told, retry_after
from learnd.alerts.config import PagerDutySettings, SlackSettings
from learnd.alerts.pagerduty import PagerDuty
from learnd.alerts.slack import Slack
from learnd.clock import now

MESSAGE = (
    "job 7f3a2c1e is stalled_snapshot: <!channel> & <https://evil.example|click> @here `x`\n"
    "task t, run r, in /src/shop\nsince 2026-01-31 12:00:00 UTC\nNext: learnd approve 7f3a2c1e"
)
NOTICE = Notice("7f3a-stalled_snapshot-1", "7f3a-stalled_snapshot-1", "stalled_snapshot", "P2", MESSAGE, now())


def to(slack: SlackServer, channel: str = NAME) -> Slack:
    return Slack(SlackSettings(token=SecretStr(TOKEN), base_url=slack.url, channel=channel))


def to_pagerduty(pagerduty: PagerDutyServer) -> PagerDuty:
    return PagerDuty(PagerDutySettings(routing_key=SecretStr(KEY), base_url=pagerduty.url))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("learnd.alerts.slack", "learnd.alerts.pagerduty"):
        monkeypatch.setattr(f"{module}.TIMEOUT_S", 1.0)


def test_slack_is_told_once_with_the_command_and_without_mentions_or_links(slack: SlackServer) -> None:
    told = to(slack).tell(NOTICE, in_doubt=False)
    (message,) = slack.messages
    assert told == Told(f"{CHANNEL_ID}/{message.ts}")
    assert slack.calls == ["chat.postMessage"]
    assert message.alert_id == NOTICE.id
    assert "<" not in message.text
    assert "&lt;!channel&gt; &amp;" in message.text
    assert (message.body["parse"], message.body["link_names"]) == ("none", False)
    what, command, _ = message.body["blocks"]
    assert (what["text"]["type"], what["text"]["emoji"]) == ("plain_text", False)
    assert "<!channel>" in what["text"]["text"], "in plain text nothing is parsed, so nothing is escaped"
    assert command["text"] == {"type": "mrkdwn", "text": "Next: `learnd approve 7f3a2c1e`", "verbatim": True}


def test_a_message_in_slack_is_changed_when_it_is_over_and_changing_it_again_is_no_other(slack: SlackServer) -> None:
    told = to(slack).tell(NOTICE, in_doubt=False)
    assert isinstance(told, Told)
    over = replace(NOTICE, over_at=now(), receipt=told.receipt)
    assert to(slack).end(over) == to(slack).end(over) == told
    (message,) = slack.messages
    assert message.edits[0]["text"].startswith("Over since ")
    assert "<" not in message.edits[0]["text"]


@pytest.mark.parametrize(("word", "replies"), [("edit_window_closed", 1), ("message_not_found", 0)])
def test_a_message_that_cannot_be_changed_is_replied_to_and_one_that_is_gone_is_left(
    slack: SlackServer, word: str, replies: int
) -> None:
    told = to(slack).tell(NOTICE, in_doubt=False)
    assert isinstance(told, Told)
    slack.cannot_update = word
    assert isinstance(to(slack).end(replace(NOTICE, over_at=now(), receipt=told.receipt)), Told)
    assert [message.thread for message in slack.messages[1:]] == [slack.messages[0].ts] * replies


@pytest.mark.parametrize("channel", [NAME, CHANNEL_ID])
def test_in_doubt_slack_is_searched_before_it_is_told_again(slack: SlackServer, channel: str) -> None:
    slack.plan.steps.append("taken reset")
    sender = to(slack, channel)
    failed = sender.tell(NOTICE, in_doubt=False)
    assert isinstance(failed, Failed)
    assert failed.unknown
    assert isinstance(sender.tell(NOTICE, in_doubt=True), Told)
    assert len(slack.messages) == 1
    assert ("conversations.list" in slack.calls) is (channel == NAME)
    assert slack.calls.count("conversations.history") == 2, "the alert stands on the second page"


@pytest.mark.parametrize("scope", ["channels:read", "channels:history"])
def test_in_doubt_slack_is_told_again_where_nobody_may_look(slack: SlackServer, scope: str) -> None:
    slack.scopes.remove(scope)
    slack.plan.steps.append("taken 503")
    sender = to(slack)
    sender.tell(NOTICE, in_doubt=False)
    assert isinstance(sender.tell(NOTICE, in_doubt=True), Told)
    assert len(slack.messages) == 2


def test_in_doubt_nothing_is_sent_while_slack_cannot_be_searched_for_a_moment(slack: SlackServer) -> None:
    sender = to(slack)
    for failure in ("503", "429 7", "reset"):
        slack.plan.steps.append(failure)
        assert isinstance(sender.tell(NOTICE, in_doubt=True), Failed)
    assert slack.messages == []


def test_the_end_of_what_slack_may_never_have_had_ends_quietly(slack: SlackServer) -> None:
    assert to(slack).end(replace(NOTICE, over_at=now())) == Told()
    assert slack.messages == []


def test_pagerduty_is_triggered_and_resolved_under_one_key(pagerduty: PagerDutyServer) -> None:
    channel = to_pagerduty(pagerduty)
    assert channel.tell(NOTICE, in_doubt=False) == channel.tell(NOTICE, in_doubt=True) == Told(NOTICE.key)
    assert pagerduty.incidents == {NOTICE.key: "triggered"}
    payload = pagerduty.sent[0]["payload"]
    assert (payload["severity"], payload["component"], payload["class"]) == ("error", "learnd", "stalled_snapshot")
    assert payload["custom_details"]["next"] == "learnd approve 7f3a2c1e"
    assert channel.end(replace(NOTICE, over_at=now())) == Told(NOTICE.key)
    assert pagerduty.incidents == {NOTICE.key: "resolved"}


def test_resolving_what_pagerduty_never_had_does_nothing(pagerduty: PagerDutyServer) -> None:
    assert isinstance(to_pagerduty(pagerduty).end(replace(NOTICE, over_at=now())), Told)
    assert pagerduty.incidents == {}


FAILURES = [
    ("500", Failed("HTTP 500", unknown=True)),
    ("503", Failed("HTTP 503", unknown=True)),
    ("403", Failed("HTTP 403")),
    ("429 7", Failed("rate limited (HTTP 429)", retry_after_s=7.0)),
    ("429 ", Failed("rate limited (HTTP 429)")),
    ("hang", Failed("no answer within 10 s", unknown=True)),
]


@pytest.mark.parametrize(("step", "failed"), [*FAILURES, ("refuse", Failed("Slack said invalid_auth"))])
def test_a_failing_slack_gets_one_request_and_its_failure_a_word(slack: SlackServer, step: str, failed: Failed) -> None:
    slack.plan.steps.append(step)
    assert to(slack).tell(NOTICE, in_doubt=False) == failed
    assert len(slack.times) == 1


@pytest.mark.parametrize(
    ("step", "failed"), [*FAILURES, ("401", Failed("HTTP 401")), ("refuse", Failed("HTTP 400", whole=False))]
)
def test_a_failing_pagerduty_gets_one_request_and_its_failure_a_word(
    pagerduty: PagerDutyServer, step: str, failed: Failed
) -> None:
    pagerduty.plan.steps.append(step)
    assert to_pagerduty(pagerduty).tell(NOTICE, in_doubt=False) == failed
    assert len(pagerduty.times) == 1


def test_a_reset_connection_leaves_both_in_doubt(slack: SlackServer, pagerduty: PagerDutyServer) -> None:
    slack.plan.steps.append("reset")
    pagerduty.plan.steps.append("reset")
    for outcome in (to(slack).tell(NOTICE, in_doubt=False), to_pagerduty(pagerduty).tell(NOTICE, in_doubt=False)):
        assert isinstance(outcome, Failed)
        assert outcome.unknown
        assert outcome.error.startswith("connection failed (")
    assert (len(slack.times), len(pagerduty.times)) == (1, 1)


def test_nobody_listening_means_that_nothing_arrived(slack: SlackServer, pagerduty: PagerDutyServer) -> None:
    slack.stop()
    pagerduty.stop()
    refused = Failed("connection refused")
    assert to(slack).tell(NOTICE, in_doubt=False) == to_pagerduty(pagerduty).tell(NOTICE, in_doubt=False) == refused


def test_no_failure_says_what_the_secret_is(
    slack: SlackServer, pagerduty: PagerDutyServer, capfd: pytest.CaptureFixture[str]
) -> None:
    slack.plan.always = pagerduty.plan.always = "500"
    slack.refusal = f"no such token: {TOKEN}"
    slack.plan.steps.extend(["refuse", "reset"])
    said = [to(slack).tell(NOTICE, in_doubt=False) for _ in range(3)]
    said += [to_pagerduty(pagerduty).tell(NOTICE, in_doubt=False)]
    captured = capfd.readouterr()
    everything = (
        f"{said}{captured.out}{captured.err}{json.dumps(SlackSettings(token=SecretStr(TOKEN)).model_dump_json())}"
    )
    assert TOKEN not in everything
    assert KEY not in everything
    assert captured.err == "", "the SDKs' own logging is silent"


def test_retry_after_is_seconds_or_a_date_and_bounded() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after({"retry-after": "12"}) == 12.0
    assert 0 < (retry_after({"Retry-After": soon}) or 0) <= 30
    assert retry_after({"Retry-After": "999999"}) == channels.LONGEST_RETRY_AFTER_S
    assert retry_after({"Retry-After": "soon"}) is retry_after({}) is None
