"""From a real run, or a machine without a sandbox, to a message in Slack, the manifest, and the end of both."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
from alert_place import Place
from alert_servers import NAME, PagerDutyServer, SlackServer
from daemon.daemon_process import block, events, registered, until
from support import histories as h
from support.hidden import own_mounts, without_bwrap
from support.repos import fix, git, make_repo, put_manifest
from support.repos import manifest as run

from events.catalog import AlertRaised, FaultRaised, JobLearned
from events.log import EventLog
from learnd.lab.launcher import tool
from learnd.requests import DismissJob
from learnd.views.learning import History, learning_block
from state import commands as c
from state.decide import Decided, decide
from state.job import BLOCKED, Job, JobStatus

POLICY = '[{"kind": "needs_manual_scenario", "repository": "*/notes", "task": "fix-*", "severity": "P1"}]'


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def notes(folder: Path) -> Path:
    """A repository in which nothing can be executed."""
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main", ".")
    (folder / "notes.txt").write_text("one\n")
    (folder / ".gitignore").write_text("/.runs/\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "base")
    return folder


def test_a_run_that_nothing_verifies_is_told_to_both_by_the_policy_and_stands_in_its_manifest(
    place: Place, tmp_path: Path, slack: SlackServer, pagerduty: PagerDutyServer
) -> None:
    repo = notes(tmp_path / "notes")
    registered(place.state, repo)
    with place.daemon(slack, pagerduty, LEARND_ALERTS__POLICY=POLICY) as daemon:
        daemon.ready()
        (repo / "notes.txt").write_text("one\ntwo\n")
        manifest = put_manifest(repo, run(commands=[]))
        place.until_delivered("slack", 1)
        place.until_delivered("pagerduty", 1)
        (raised,) = events(place.state, AlertRaised)
        assert (raised.kind, raised.severity) == ("needs_manual_scenario", "P1")
        assert raised.message.splitlines()[-1].startswith("Next: learnd approve ")
        assert " --scenario " in raised.message
        assert pagerduty.sent[0]["payload"]["severity"] == "critical"
        told = until(lambda: found if len(found := block(manifest)["alerts"]) == 2 else None, "both in the manifest")
        assert {(a["type"], a["channel"], a["target"], a["severity"]) for a in told} == {  # type: ignore[index]
            ("needs_manual_scenario", "slack", NAME, "P1"),
            ("needs_manual_scenario", "pagerduty", "learning-pipeline", "P1"),
        }
        job_id = raised.alert_id.partition("-")[0]
        assert daemon.ask(DismissJob(job=job_id, reason="notes")).ok
        place.until_delivered("slack", 1, resolved=True)
        place.until_delivered("pagerduty", 1, resolved=True)
        assert daemon.end() == 0
    assert slack.messages[0].over
    assert list(pagerduty.incidents.values()) == ["resolved"]


@pytest.mark.sandbox
@pytest.mark.skipif(not own_mounts(), reason="needs root and unshare, to hide bubblewrap from one daemon alone")
def test_a_machine_without_a_sandbox_is_told_once_and_its_end_too(
    place: Place, tmp_path: Path, slack: SlackServer, pagerduty: PagerDutyServer
) -> None:
    repo = make_repo(tmp_path / "repo")
    registered(place.state, repo)
    policy = '[{"kind": "machine_fault", "cause": "sandbox", "severity": "P2"}]'
    with place.daemon(slack, pagerduty, prefix=without_bwrap(tmp_path), LEARND_ALERTS__POLICY=policy) as daemon:
        daemon.ready()
        fix(repo)
        put_manifest(repo)
        daemon.waits_for(FaultRaised)
        place.until_delivered("slack", 1)
        place.until_delivered("pagerduty", 1)
        boots = daemon.boots()
        daemon.signal(signal.SIGHUP)  # who looks again finds it standing, and told
        until(lambda: daemon.boots() > boots, "a daemon that serves again")
        subprocess.run(["nsenter", "-t", str(daemon.pid), "-m", "umount", tool("bwrap")], check=True)
        daemon.signal(signal.SIGHUP)
        daemon.waits_for(JobLearned)
        place.until_delivered("slack", 1, resolved=True)
        place.until_delivered("pagerduty", 1, resolved=True)
        assert daemon.end() == 0
    (message,) = slack.messages
    assert "machine fault sandbox: " in message.text
    assert "Next: learnd doctor" in message.text
    assert message.over
    (raised,) = events(place.state, AlertRaised)
    (key,) = pagerduty.incidents
    assert key.startswith(f"{raised.alert_id}-"), "the faults of several machines stay apart"
    assert pagerduty.incidents == {key: "resolved"}


@pytest.mark.parametrize("status", BLOCKED)
def test_the_manifest_names_only_what_its_schema_has_a_word_for(status: JobStatus, tmp_path: Path) -> None:
    words = {"over_budget": "budget_exceeded"} | {
        kind: kind for kind in ("snapshot_failed", "stalled_snapshot", "needs_manual_scenario")
    }
    commands: list[c.JobCommand] = [*h.WAY_TO[status], c.RaiseAlert(h.JOB, status.value, "look", "P2")]  # type: ignore[arg-type]
    alert = f"{h.JOB[:16]}-{status.value}-1"
    commands += [c.RecordAlertDelivery(h.JOB, alert, channel, "there") for channel in ("slack", "pagerduty", "journal")]  # type: ignore[arg-type]
    job = Job(h.JOB)
    with EventLog.create_or_open(tmp_path / "events.db") as log:
        for command in commands:
            decided = decide(command, job)
            assert isinstance(decided, Decided)
            log.append({job.stream: (job.version, list(decided.events))}, actor="a", at=h.AT, correlation=None)
            assert isinstance(decided.entity, Job)
            job = decided.entity
        shown = learning_block(History(h.JOB, log.read(job.stream), [], None)).alerts
    word = words.get(status.value)
    assert [(a.type, a.channel) for a in shown] == ([(word, "slack"), (word, "pagerduty")] if word else [])
