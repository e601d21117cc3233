"""What a person sees of alerts: `alerts`, `alerts test`, `status`, `doctor`, `show`; and verbs without a daemon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from alert_place import Place
from alert_servers import KEY, NAME, TOKEN, PagerDutyServer, SlackServer
from cli.cli_place import CliPlace

from state.job import JobStatus as S


@pytest.fixture
def cli(tmp_path: Path) -> CliPlace:
    return CliPlace(tmp_path)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def env(*servers: SlackServer | PagerDutyServer) -> dict[str, str]:
    return {name: value for server in servers for name, value in server.env().items()}


def test_nothing_open_is_said_beside_the_data(cli: CliPlace, place: Place) -> None:
    place.blocked(S.LEARNED)
    plain, as_json = cli.learnd("alerts"), cli.learnd("alerts", "--json")
    assert (plain.code, plain.out, plain.err) == (0, "", "no open alerts\n")
    assert as_json.json == []
    assert "alerts    none" in cli.learnd("status").out


def test_without_a_channel_an_alert_stands_wherever_a_person_looks(cli: CliPlace, place: Place) -> None:
    (job_id,) = place.blocked(S.STALLED_SNAPSHOT)
    repo = cli.registered("shop")
    journal = cli.learnd("once", repo)
    assert journal.code == 1
    assert journal.err.count(f"warning: alert: job {job_id[:8]} is stalled_snapshot") == 1
    (alert,) = cli.learnd("alerts", "--json").json
    assert (alert["job"], alert["kind"], alert["severity"]) == (job_id, "stalled_snapshot", "P2")
    assert alert["next"] == f"learnd approve {job_id[:8]}"
    assert [(row["channel"], row["error"]) for row in alert["channels"]] == [("journal", None)]
    (line,) = cli.learnd("alerts").lines[1:]
    assert line.split()[:3] == [job_id[:8], "stalled_snapshot", "P2"]
    assert line.endswith(f"learnd approve {job_id[:8]}")
    assert "1 open, 1 of them in no channel. Next: learnd alerts" in cli.learnd("status").out
    assert cli.learnd("status", "--json").json["alerts"] == [alert]
    doctor = cli.learnd("doctor").out
    assert f"warn alert             job {job_id[:8]} is stalled_snapshot" in doctor
    assert "set alerts.slack.token (or SLACK_BOT_TOKEN)" in doctor
    shown = cli.learnd("show", job_id[:8]).out
    assert "AlertRaised" in shown
    assert "AlertDelivered" in shown
    again = cli.learnd("once", repo)
    assert "warning: alert" not in again.err, "the journal has it once"


def test_once_and_verbs_without_a_daemon_deliver_and_resolve(
    cli: CliPlace, place: Place, slack: SlackServer, pagerduty: PagerDutyServer
) -> None:
    (job_id,) = place.blocked(S.SNAPSHOT_FAILED)
    repo = cli.registered("shop")
    slack.plan.steps.append("500")
    assert cli.learnd("once", repo, env=env(slack, pagerduty)).code == 1
    assert [message.alert_id[:16] for message in slack.messages] == [job_id[:16]]
    assert list(pagerduty.incidents.values()) == ["triggered"]
    assert cli.learnd("dismiss", job_id[:8], "--yes", env=env(slack, pagerduty)).code == 0
    assert slack.messages[0].over
    assert list(pagerduty.incidents.values()) == ["resolved"]


def test_a_channel_that_fails_stands_in_status_and_doctor_until_it_works(
    cli: CliPlace, place: Place, slack: SlackServer
) -> None:
    (job_id,) = place.blocked(S.OVER_BUDGET)
    repo = cli.registered("shop")
    slack.refusal = "not_in_channel"
    slack.plan.always = "refuse"
    cli.learnd("once", repo, env=env(slack))
    assert f"ALERTS    slack ({NAME}) failed" in cli.learnd("status").out
    assert "Slack said not_in_channel. Next: learnd alerts test" in cli.learnd("status").out
    doctor = cli.learnd("doctor", env=env(slack))
    assert doctor.code == 1
    assert f"fail alert channel     slack ({NAME}) failed" in doctor.out
    assert f"token set (not shown), {NAME} at {slack.url}" in doctor.out
    assert "slack fails: Slack said not_in_channel" in cli.learnd("alerts").out
    slack.plan.always = ""
    cli.learnd("once", repo, env=env(slack))
    assert "failed" not in cli.learnd("status").out.replace(job_id, "").replace("snapshot_failed", "")
    assert len(slack.messages) == 1


def test_a_secret_of_the_wrong_form_is_named_by_doctor_and_not_shown(cli: CliPlace) -> None:
    wrong = {"SLACK_BOT_TOKEN": "hunter2-slack", "PAGERDUTY_ROUTING_KEY": "hunter2-duty"}
    doctor = cli.learnd("doctor", env=wrong)
    assert "the token is not of Slack's form" in doctor.out
    assert "has not the 32 letters and digits" in doctor.out
    assert "hunter2" not in doctor.out + doctor.err


def test_a_test_goes_through_each_channel_with_and_without_a_daemon(
    cli: CliPlace, place: Place, slack: SlackServer, pagerduty: PagerDutyServer
) -> None:
    told = [f"ok      slack  {NAME}: posted", "ok      pagerduty  learning-pipeline: triggered and resolved"]
    assert cli.learnd("alerts", "test", env=env(slack, pagerduty)).lines == told, "no log is needed"
    place.blocked(S.LEARNED)
    daemon = cli.daemon(env=env(slack, pagerduty))
    assert cli.learnd("alerts", "test").lines == told, "it is the daemon's channels that are tried"
    only = cli.learnd("alerts", "test", "--channel", "slack", "--json").json
    assert only == [{"channel": "slack", "target": NAME, "ok": True, "said": "posted"}]
    assert cli.stop(daemon) == 0
    assert len(slack.messages) == 3
    assert "nothing is wrong" in slack.messages[0].text
    assert [body["event_action"] for body in pagerduty.sent] == ["trigger", "resolve"] * 2
    assert set(pagerduty.incidents.values()) == {"resolved"}
    assert place.raised() == {}


def test_a_test_that_fails_says_what_came_back(cli: CliPlace, slack: SlackServer, pagerduty: PagerDutyServer) -> None:
    slack.plan.always, pagerduty.plan.always = "refuse", "429 9"
    failed = cli.learnd("alerts", "test", env=env(slack, pagerduty))
    assert failed.code == 1
    assert failed.lines == [
        f"FAILED  slack  {NAME}: Slack said invalid_auth",
        "FAILED  pagerduty  learning-pipeline: rate limited (HTTP 429), asks to wait 9 s",
    ]
    assert TOKEN not in failed.out + failed.err
    assert KEY not in failed.out + failed.err


def test_a_test_without_any_channel_is_a_wrong_configuration(cli: CliPlace) -> None:
    none = cli.learnd("alerts", "test")
    assert none.code == 2
    assert "no channel is configured" in none.err
    listed = cli.learnd("alerts", "--channel", "slack")
    assert listed.code == 2
    assert json.loads(cli.learnd("alerts", "test", "--json").out) == []
