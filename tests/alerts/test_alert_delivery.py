"""The real daemon, the real SDKs, and channels that fail: every alert arrives, once, and its end too."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from alert_place import Place, about
from alert_servers import KEY, TOKEN, PagerDutyServer, SlackServer
from daemon.daemon_process import Daemon, until
from support import histories as h
from support.cases import thorough

from learnd.requests import ApproveJob, DismissJob
from state import commands as c
from state.job import JobStatus as S

MANY = (S.SNAPSHOT_FAILED, S.STALLED_SNAPSHOT, S.NEEDS_MANUAL_SCENARIO, S.OVER_BUDGET, S.SNAPSHOT_FAILED)
TO_PAGERDUTY = 3


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def dismiss(daemon: Daemon, *job_ids: str) -> None:
    for job_id in job_ids:
        reply = daemon.ask(DismissJob(job=job_id, reason="seen"))
        assert reply.ok, reply


def test_each_kind_goes_where_it_belongs_and_is_resolved_when_the_job_moves_on(
    place: Place, slack: SlackServer, pagerduty: PagerDutyServer
) -> None:
    ids = place.blocked(*MANY, S.VALIDATION_FAILED)
    with place.daemon(slack, pagerduty) as daemon:
        daemon.ready()
        place.until_delivered("slack", 5)
        place.until_delivered("pagerduty", TO_PAGERDUTY)
        place.until_delivered("journal", 1)
        raised = place.raised()
        assert {a.kind: a.severity for a in raised.values()} == {
            "snapshot_failed": "P2", "stalled_snapshot": "P2", "needs_manual_scenario": "P3", "over_budget": "P3",
            "validation_failed": "P4",
        }  # fmt: skip
        assert pagerduty.incidents == {
            alert: "triggered"
            for alert, event in raised.items()
            if event.kind in ("snapshot_failed", "stalled_snapshot")
        }
        assert f"Next: learnd approve {ids[1][:8]}" in about(slack.messages, ids[1]).text
        assert daemon.said().count('"event": "alert",') == 1, "only what no channel wants goes to the journal"
        dismiss(daemon, *ids)
        place.until_delivered("slack", 5, resolved=True)
        place.until_delivered("pagerduty", TO_PAGERDUTY, resolved=True)
        place.until_delivered("journal", 1, resolved=True)
        assert daemon.end() == 0
    assert [len(message.edits) for message in slack.messages] == [1] * 5
    assert set(pagerduty.incidents.values()) == {"resolved"}
    assert len(pagerduty.sent) == 2 * TO_PAGERDUTY
    assert slack.calls == ["chat.postMessage"] * 5 + ["chat.update"] * 5, "without a failure nothing is looked for"


@pytest.mark.parametrize(
    "plan",
    [
        ("500", "reset", "taken 503", "taken reset", "429 1"),
        *thorough((("500",),), (("503", "reset", "500", "429 1"),)),
    ],
    ids=["many", "one", "some"],
)
def test_nothing_is_lost_and_nothing_comes_twice_however_often_both_channels_fail(
    place: Place, slack: SlackServer, pagerduty: PagerDutyServer, plan: tuple[str, ...]
) -> None:
    ids = place.blocked(*MANY)
    slack.plan.steps.extend(plan)
    pagerduty.plan.steps.extend(plan)
    with place.daemon(slack, pagerduty) as daemon:
        daemon.ready()
        place.until_delivered("slack", 5)
        place.until_delivered("pagerduty", TO_PAGERDUTY)
        slack.plan.steps.extend(plan[:2])
        pagerduty.plan.steps.extend(plan[:2])
        dismiss(daemon, *ids)
        place.until_delivered("slack", 5, resolved=True)
        place.until_delivered("pagerduty", TO_PAGERDUTY, resolved=True)
        assert daemon.end() == 0
    assert sorted(message.alert_id for message in slack.messages) == sorted(place.raised())
    assert all(message.over for message in slack.messages)
    assert sorted(pagerduty.incidents) == sorted(place.delivered("pagerduty"))
    assert set(pagerduty.incidents.values()) == {"resolved"}
    assert len(place.failures("slack")) >= 1


def test_a_channel_that_asks_to_wait_is_left_alone_for_so_long(place: Place, slack: SlackServer) -> None:
    place.blocked(S.SNAPSHOT_FAILED)
    slack.plan.steps.append("429 3")
    with place.daemon(slack) as daemon:
        daemon.ready()
        place.until_delivered("slack", 1)
    first, *later = slack.times
    assert min(later) - first >= 3.0
    assert place.failures("slack") == ["rate limited (HTTP 429)"]


def test_a_channel_that_hangs_holds_up_neither_the_other_one_nor_people_nor_the_end(
    place: Place, slack: SlackServer, pagerduty: PagerDutyServer
) -> None:
    (first, second) = place.blocked(S.SNAPSHOT_FAILED, S.OVER_BUDGET)
    slack.plan.always = "hang"
    with place.daemon(slack, pagerduty) as daemon:
        daemon.ready()
        until(lambda: slack.times, "a request that hangs")
        place.until_delivered("pagerduty", 1)
        assert daemon.ask(ApproveJob(job=second, grant_usd=0.5)).ok
        dismiss(daemon, first)
        place.until_delivered("pagerduty", 1, resolved=True)
        assert daemon.end() == 0, "it ends while the request still hangs"
        assert not slack.plan.released.is_set()
        assert slack.plan.always == "hang"


@pytest.mark.parametrize("may_look", [True, *thorough(False)])
def test_killed_between_the_message_and_its_record_the_next_daemon_looks_first(
    place: Place, slack: SlackServer, pagerduty: PagerDutyServer, may_look: bool
) -> None:
    """The servers took both, and the daemon died before it heard so."""
    place.blocked(S.STALLED_SNAPSHOT)
    slack.plan.steps.append("taken hang")
    pagerduty.plan.steps.append("taken hang")
    if not may_look:
        slack.scopes.remove("channels:read")
    with place.daemon(slack, pagerduty) as daemon:
        daemon.ready()
        until(lambda: slack.messages and pagerduty.sent, "both to have taken it")
        daemon.kill()
    assert place.delivered("slack") == []
    slack.plan.released.set()
    pagerduty.plan.released.set()
    with place.daemon(slack, pagerduty) as daemon:
        daemon.ready()
        place.until_delivered("slack", 1)
        place.until_delivered("pagerduty", 1)
        assert daemon.end() == 0
    assert len(slack.messages) == (1 if may_look else 2), "without the scope: at least once"
    assert list(pagerduty.incidents.values()) == ["triggered"]


def test_what_was_sent_before_a_kill_and_was_over_before_the_restart_is_resolved_all_the_same(
    place: Place, slack: SlackServer, pagerduty: PagerDutyServer
) -> None:
    (job_id,) = place.blocked(S.STALLED_SNAPSHOT)
    slack.plan.steps.append("taken hang")
    pagerduty.plan.steps.append("taken hang")
    with place.daemon(slack, pagerduty) as daemon:
        daemon.ready()
        until(lambda: slack.messages and pagerduty.sent, "both to have taken it")
        daemon.kill()
    slack.plan.released.set()
    pagerduty.plan.released.set()
    place.record(c.Dismiss(job_id, h.ANNA))
    with place.daemon(slack, pagerduty) as daemon:
        daemon.ready()
        place.until_delivered("slack", 1, resolved=True)
        place.until_delivered("pagerduty", 1, resolved=True)
        assert daemon.end() == 0
    (message,) = slack.messages
    assert message.over
    assert list(pagerduty.incidents.values()) == ["resolved"]


def test_what_was_over_before_any_channel_had_it_is_told_to_none(
    place: Place, slack: SlackServer, pagerduty: PagerDutyServer
) -> None:
    (job_id,) = place.blocked(S.SNAPSHOT_FAILED)
    with place.daemon() as daemon:  # no channel: the journal has it
        daemon.ready()
        place.until_delivered("journal", 1)
        dismiss(daemon, job_id)
        place.until_delivered("journal", 1, resolved=True)
        assert daemon.end() == 0
    (other,) = place.blocked(S.OVER_BUDGET)
    with place.daemon(slack, pagerduty) as daemon:
        daemon.ready()
        place.until_delivered("slack", 1)
        assert daemon.end() == 0
    assert [message.alert_id[:16] for message in slack.messages] == [other[:16]]
    assert pagerduty.sent == []


def test_retries_go_on_after_a_restart(place: Place, slack: SlackServer, pagerduty: PagerDutyServer) -> None:
    place.blocked(*MANY)
    slack.plan.always = pagerduty.plan.always = "503"
    with place.daemon(slack, pagerduty) as daemon:
        daemon.ready()
        until(lambda: place.failures("slack") and place.failures("pagerduty"), "both to fail")
        daemon.kill()
    slack.plan.always = pagerduty.plan.always = ""
    with place.daemon(slack, pagerduty) as daemon:
        daemon.ready()
        place.until_delivered("slack", 5)
        place.until_delivered("pagerduty", TO_PAGERDUTY)
        assert daemon.end() == 0
    assert len(slack.messages) == 5
    assert len(pagerduty.sent) == TO_PAGERDUTY
    assert place.failures("slack") == ["HTTP 503"], "the same failure again is no news"


def test_a_channel_that_is_configured_later_hears_of_what_is_still_open(
    place: Place, slack: SlackServer, pagerduty: PagerDutyServer, tmp_path: Path
) -> None:
    """SIGHUP reads the settings again."""
    place.blocked(S.SNAPSHOT_FAILED)
    config = tmp_path / "config/learnd/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("")
    with place.daemon() as daemon:
        daemon.ready()
        place.until_delivered("journal", 1)
        config.write_text(
            f'[alerts.slack]\ntoken = "{TOKEN}"\nbase_url = "{slack.url}"\n'
            f'[alerts.pagerduty]\nrouting_key = "{KEY}"\nbase_url = "{pagerduty.url}"\n'
        )
        daemon.signal(signal.SIGHUP)
        place.until_delivered("slack", 1)
        place.until_delivered("pagerduty", 1)
        assert daemon.end() == 0
    everything = daemon.said() + (place.state / "events.db").read_bytes().decode("latin-1")
    assert TOKEN not in everything
    assert KEY not in everything
