"""Verbs that show what is going on, why, and how much of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from learnd.commandline.options import Job, Json, Log, OfJob, OfRepo, OfTypes
from learnd.commandline.panels import Panel
from learnd.verbs.terminal import USAGE, Stop

panel = Panel("Look")


class Diagram(StrEnum):
    JOB = "job"
    PATTERN = "pattern"


class AlertAct(StrEnum):
    TEST = "test"


class AlertChannelName(StrEnum):
    SLACK = "slack"
    PAGERDUTY = "pagerduty"


@panel.verb("learnd status")
def status(json: Json = False, log: Log = None) -> int:
    """Is learnd at work, and what waits for a person?"""
    from learnd.verbs import status as verb

    return verb.status(log, as_json=json)


@panel.verb("learnd jobs --status blocked")
def jobs(
    statuses: Annotated[
        list[str] | None, typer.Option("--status", metavar="STATUS", help="Only these; `blocked` for all that wait.")
    ] = None,
    repo: OfRepo = None,
    everything: Annotated[bool, typer.Option("--all", help="Also recorded, dismissed and superseded ones.")] = False,
    json: Json = False,
    log: Log = None,
) -> int:
    """List jobs, oldest first. JSON has them all."""
    from learnd.verbs import jobs as verb

    return verb.list_jobs(log, statuses or [], repo, everything=everything, as_json_=json)


@panel.verb("learnd show 7f3a2c1e")
def show(job: Job, json: Json = False, log: Log = None) -> int:
    """Show one job: timeline, evidence, files."""
    from learnd.verbs import jobs as verb

    return verb.show(log, job, as_json_=json)


@panel.verb("learnd tail -f --type JobLearned --since 2h")
def tail(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with every event that is recorded.")] = False,
    job: OfJob = None,
    types: OfTypes = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help="After a position, an age (10m, 2h, 1d) or a time.")
    ] = None,
    json: Json = False,
    log: Log = None,
) -> int:
    """Print the last events, and follow the log."""
    from learnd.verbs import tail as verb

    return verb.tail(log, follow=follow, job=job, types=types or [], since=since, as_json=json)


@panel.verb("learnd why .runs/fix-f/cli/2026-01-31/manifest.json")
def why(
    what: Annotated[str, typer.Argument(metavar="JOB|PATH", help="A job, or a file under .runs/.")],
    json: Json = False,
    log: Log = None,
) -> int:
    """Say where a job or a file stands, why, and what moves it on."""
    from learnd.verbs import why as verb

    return verb.why(log, what, as_json=json)


@panel.verb("learnd metrics --since 30d --repo ~/src/shop")
def metrics(
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help="From an age (12h, 30d) or a time on (2026-01-31).")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="Up to, not including, an age or a time.")
    ] = None,
    repo: OfRepo = None,
    json: Json = False,
    log: Log = None,
) -> int:
    """Show numbers: safety first, then throughput and spend.

    Also hygiene, reviews and alerts; from the log alone.
    """
    from learnd.verbs import metrics as verb

    return verb.show_metrics(log, verb.Asked(since, until, repo), as_json=json)


@panel.verb("learnd diagram job")
def diagram(which: Annotated[Diagram, typer.Argument(help="Whose states.")]) -> int:
    """Print a state table as a Mermaid diagram."""
    from learnd.verbs import diagram as verb

    return verb.diagram(which.value)


@panel.verb("learnd alerts test --channel slack")
def alerts(
    act: Annotated[
        AlertAct | None, typer.Argument(metavar="test", help="Send a test through each configured channel.")
    ] = None,
    channel: Annotated[AlertChannelName | None, typer.Option("--channel", help="Test only this one.")] = None,
    json: Json = False,
    log: Log = None,
) -> int:
    """List open alerts and who was told, or try the channels."""
    from learnd.verbs import alerts as verb

    if act is AlertAct.TEST:
        return verb.test(log, channel.value if channel else None, as_json=json)
    if channel is not None:
        raise Stop("--channel goes with a test. Next: learnd alerts test --channel NAME", USAGE)
    return verb.alerts(log, as_json=json)
