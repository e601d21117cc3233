"""The command line: one function per verb, no logic. Each verb's module is imported when it is typed.

Exit codes: 0 ok; 1 something failed, was refused or (for `once`) is blocked; 2 usage or configuration.
Errors are one line on stderr: what, where, what next. `LEARND_DEBUG=1` shows the traceback of an error that
nobody foresaw.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Annotated

import typer

from learnd.verbs.grouping import Verbs
from learnd.verbs.terminal import USAGE, Stop, clean

WORK, LOOK, SERVE, DECIDE, KEEP = "Work", "Look", "Serve", "Decide", "Keep"
INTERRUPTED = 130

app = typer.Typer(
    name="learnd",
    help="Turns completed coding-agent runs into proven, reviewed patterns.",
    epilog="Start with: learnd init   |   Watch the whole loop on a sample: learnd demo",
    no_args_is_help=True,
    add_completion=False,
    cls=Verbs,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Log = Annotated[
    Path | None, typer.Option("--log", metavar="PATH", help="The log, or its folder; found by itself otherwise.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Job = Annotated[str, typer.Argument(metavar="JOB", help="A job's id, or its first 8 digits or more.")]
Pattern = Annotated[str, typer.Argument(metavar="PATTERN", help="A pattern's id, or its first 8 digits or more.")]
Repos = Annotated[list[Path] | None, typer.Argument(metavar="REPO…", help="Repositories to register first.")]
Approver = Annotated[
    str | None,
    typer.Option("--approver", metavar="NAME", help="A name to record beside the user that the kernel proves."),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; recorded with the decision.")]


class Diagram(StrEnum):
    JOB = "job"
    PATTERN = "pattern"


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"learnd {version('learnd')}")
        raise typer.Exit


@app.callback()
def learnd(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Turns completed coding-agent runs into proven, reviewed patterns."""


# --- Work ---


@app.command(rich_help_panel=WORK, epilog="Example: learnd init ~/src/shop")
def init(
    repo: Annotated[Path, typer.Argument(metavar="REPO", help="A git work tree.")] = Path(),
    yes: Yes = False,
    log: Log = None,
) -> int:
    """Lay a repository out and register it, showing that first."""
    from learnd.verbs import start

    return start.init(log, repo, yes=yes)


@app.command(rich_help_panel=WORK, epilog="Example: learnd daemon ~/src/shop")
def daemon(repos: Repos = None, log: Log = None) -> int:
    """Watch the registered repositories and learn from their runs."""
    from learnd.verbs import serve

    return serve.daemon(log, repos or [])


@app.command(rich_help_panel=WORK, epilog="Example: learnd once . && echo everything is at rest")
def once(repos: Repos = None, log: Log = None) -> int:
    """Work on all that is pending, then exit.

    Exits 0 when all is at rest, 1 when something is blocked.
    """
    from learnd.verbs import once as verb

    return verb.once(log, repos or [])


@app.command(
    rich_help_panel=WORK, epilog='Example: learnd learn --range main..HEAD --command "pytest -q tests/test_orders.py"'
)
def learn(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A manifest, a run's folder, or a repository (its last commit).")
    ] = Path(),
    task: Annotated[str | None, typer.Option("--task", metavar="TASK", help="The latest run of this task.")] = None,
    span: Annotated[str | None, typer.Option("--range", metavar="A..B", help="Commits after A up to HEAD.")] = None,
    commands: Annotated[
        list[str] | None, typer.Option("--command", metavar="LINE", help="What verifies a commit range; repeatable.")
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", "--why", metavar="TEXT", help="Why it is worth learning; goes into the prompt.")
    ] = "",
    approver: Approver = None,
    json: Json = False,
    log: Log = None,
) -> int:
    """Ask for a run, or for the last commits, to be learned from."""
    from learnd.verbs import learn as verb

    asked = verb.Asked(task, span, tuple(commands or ()), reason, approver)
    return verb.learn(log, path, asked, as_json=json)


@app.command(rich_help_panel=WORK, epilog="Example: learnd demo")
def demo(
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="DIR", help="Build the sample here and keep it.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="No pauses, no colours.")] = False,
) -> int:
    """Show the whole loop on a sample: from a run to a pattern."""
    from learnd.demo.tour import run_demo

    return run_demo(folder, plain)


# --- Look ---


@app.command(rich_help_panel=LOOK, epilog="Example: learnd status")
def status(json: Json = False, log: Log = None) -> int:
    """Is learnd at work, and what waits for a person?"""
    from learnd.verbs import status as verb

    return verb.status(log, as_json=json)


@app.command(rich_help_panel=LOOK, epilog="Example: learnd jobs --status blocked")
def jobs(
    statuses: Annotated[
        list[str] | None, typer.Option("--status", metavar="STATUS", help="Only these; `blocked` for all that wait.")
    ] = None,
    repo: Annotated[Path | None, typer.Option("--repo", metavar="PATH", help="Only this repository's.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also recorded, dismissed and superseded ones.")] = False,
    json: Json = False,
    log: Log = None,
) -> int:
    """List jobs, oldest first. JSON has them all."""
    from learnd.verbs import jobs as verb

    return verb.list_jobs(log, statuses or [], repo, everything=everything, as_json_=json)


@app.command(rich_help_panel=LOOK, epilog="Example: learnd show 7f3a2c1e")
def show(job: Job, json: Json = False, log: Log = None) -> int:
    """Show one job: timeline, evidence, files."""
    from learnd.verbs import jobs as verb

    return verb.show(log, job, as_json_=json)


@app.command(rich_help_panel=LOOK, epilog="Example: learnd tail -f --type JobLearned --since 2h")
def tail(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with every event that is recorded.")] = False,
    job: Annotated[str | None, typer.Option("--job", metavar="JOB", help="Only this job and its pattern.")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", metavar="TYPE", help="Only these; repeatable.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help="After a position, an age (10m, 2h, 1d) or a time.")
    ] = None,
    json: Json = False,
    log: Log = None,
) -> int:
    """Print the last events, and follow the log."""
    from learnd.verbs import tail as verb

    return verb.tail(log, follow=follow, job=job, types=types or [], since=since, as_json=json)


@app.command(rich_help_panel=LOOK, epilog="Example: learnd why .runs/fix-f/cli/2026-01-31/manifest.json")
def why(
    what: Annotated[str, typer.Argument(metavar="JOB|PATH", help="A job, or a file under .runs/.")],
    json: Json = False,
    log: Log = None,
) -> int:
    """Say where a job or a file stands, why, and what moves it on."""
    from learnd.verbs import why as verb

    return verb.why(log, what, as_json=json)


@app.command(rich_help_panel=LOOK, epilog="Example: learnd metrics --since 30d --repo ~/src/shop")
def metrics(
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help="From an age (12h, 30d) or a time on (2026-01-31).")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="Up to, not including, an age or a time.")
    ] = None,
    repo: Annotated[Path | None, typer.Option("--repo", metavar="PATH", help="Only this repository's.")] = None,
    json: Json = False,
    log: Log = None,
) -> int:
    """Show numbers: safety first, then throughput and spend.

    Also hygiene, reviews and alerts; from the log alone.
    """
    from learnd.verbs import metrics as verb

    return verb.show_metrics(log, verb.Asked(since, until, repo), as_json=json)


@app.command(rich_help_panel=SERVE, epilog='Example: learnd context --for "the orders page is slow"')
def context(
    question: Annotated[
        str | None, typer.Option("--for", metavar="PROMPT", help="What is to be done; `-`: from a hook's input.")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="What this run was asked: its id, or its manifest.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=20, help="At most so many.")] = 3,
    repo: Annotated[Path, typer.Option("--repo", metavar="PATH", help="The repository whose patterns count.")] = Path(),
    json: Json = False,
    log: Log = None,
) -> int:
    """Print the active patterns that matter for a task.

    Each comes with what was proven; nothing is printed where none matters. Without --for and --run: what there is.
    """
    from learnd.verbs import context as verb

    return verb.context(log, verb.Wanted(question, run, limit, repo), as_json=json)


@app.command(rich_help_panel=SERVE, epilog="Example: learnd mcp --repo ~/src/shop")
def mcp(
    repo: Annotated[Path, typer.Option("--repo", metavar="PATH", help="The repository whose patterns count.")] = Path(),
    log: Log = None,
) -> int:
    """Serve patterns to an agent: the Model Context Protocol.

    On standard input and output, until the client closes its end.
    """
    from learnd.verbs import mcp as verb

    return verb.serve(log, repo)


@app.command(rich_help_panel=SERVE, epilog="Example: learnd skills .claude/skills --dry-run")
def skills(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="The folder of skills, such as .claude/skills.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    pointer: Annotated[bool, typer.Option("--pointer", help="Print a line for AGENTS.md instead.")] = False,
    write: Annotated[bool, typer.Option("--write", help="--pointer: put the line into AGENTS.md.")] = False,
    repo: Annotated[Path, typer.Option("--repo", metavar="PATH", help="The repository whose patterns count.")] = Path(),
    json: Json = False,
    log: Log = None,
) -> int:
    """Keep a folder of Agent Skills in step with the patterns.

    Only what learnd wrote there is touched.
    """
    from learnd.verbs import skills as verb

    return verb.skills(log, verb.Wanted(folder, repo, dry_run, pointer, write), as_json=json)


@app.command(rich_help_panel=LOOK, epilog="Example: learnd diagram job")
def diagram(which: Annotated[Diagram, typer.Argument(help="Whose states.")]) -> int:
    """Print a state table as a Mermaid diagram."""
    from learnd.verbs import diagram as verb

    return verb.diagram(which.value)


class AlertAct(StrEnum):
    TEST = "test"


class AlertChannelName(StrEnum):
    SLACK = "slack"
    PAGERDUTY = "pagerduty"


@app.command(rich_help_panel=LOOK, epilog="Example: learnd alerts test --channel slack")
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


@app.command(rich_help_panel=SERVE, epilog="Example: learnd check src --sarif > learnd.sarif")
def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder or a file.")] = Path(),
    json: Json = False,
    sarif: Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0.")] = False,
    log: Log = None,
) -> int:
    """Run the rules of active patterns over a tree, as a linter.

    Exits 0 when nothing is found, 1 when something is, 2 when it could not be told.
    """
    from learnd.verbs import rules

    return rules.check(log, path, as_json=json, as_sarif=sarif)


@app.command(rich_help_panel=SERVE, epilog="Example: learnd fix src --dry-run")
def fix(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder or a file.")] = Path(),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    yes: Yes = False,
    log: Log = None,
) -> int:
    """Apply the fixes of active patterns, showing them first.

    Only verified ones, and only below PATH.
    """
    from learnd.verbs import rules

    return rules.fix(log, path, dry_run=dry_run, yes=yes)


# --- Decide ---


@app.command(rich_help_panel=DECIDE, epilog="Example: learnd approve 7f3a2c1e --grant-usd 0.50")
def approve(
    job: Job,
    scenario: Annotated[
        Path | None, typer.Option("--scenario", metavar="FILE", help="The completed template of a manual scenario.")
    ] = None,
    grant_usd: Annotated[
        float, typer.Option("--grant-usd", metavar="X", min=0, help="Dollars to add to the job's budget.")
    ] = 0.0,
    accept_unproven: Annotated[
        bool, typer.Option("--accept-unproven", help="Learn from a change without proof; its pattern says so.")
    ] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Let the job go before all others, and not wait for its next attempt.")
    ] = False,
    approver: Approver = None,
    reason: Reason = "",
    log: Log = None,
) -> int:
    """Move a blocked job on; --now lets any job go first."""
    from learnd.verbs import decide

    asked = decide.Asked(scenario, grant_usd, accept_unproven, now)
    return decide.approve(log, job, decide.Word(approver, reason), asked)


@app.command(rich_help_panel=DECIDE, epilog='Example: learnd dismiss 7f3a2c1e --reason "an experiment"')
def dismiss(job: Job, approver: Approver = None, reason: Reason = "", yes: Yes = False, log: Log = None) -> int:
    """Give a job up, for good."""
    from learnd.verbs import decide

    return decide.dismiss(log, job, decide.Word(approver, reason), yes=yes)


@app.command(rich_help_panel=DECIDE, epilog="Example: learnd review 91ab33f0")
def review(
    pattern: Annotated[str | None, typer.Argument(metavar="PATTERN", help="Show this one in full.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Patterns of every status.")] = False,
    json: Json = False,
    log: Log = None,
) -> int:
    """List the patterns that wait for a person, or read one."""
    from learnd.verbs import review as verb

    return verb.review(log, pattern, everything=everything, as_json=json)


@app.command(rich_help_panel=DECIDE, epilog="Example: learnd diff 91ab33f0")
def diff(pattern: Pattern, json: Json = False, log: Log = None) -> int:
    """Show what was edited in a pattern since it was judged."""
    from learnd.verbs import review as verb

    return verb.diff(log, pattern, as_json=json)


@app.command(rich_help_panel=DECIDE, epilog='Example: learnd promote 91ab33f0 --reason "read it, tried it"')
def promote(
    pattern: Pattern,
    as_edited: Annotated[bool, typer.Option("--as-edited", help="Vouch for the file as you edited it.")] = False,
    as_judged: Annotated[
        bool, typer.Option("--as-judged", help="Take an edit back: what the gates judged; the edit is set aside.")
    ] = False,
    approver: Approver = None,
    reason: Reason = "",
    log: Log = None,
) -> int:
    """Serve a candidate to agents."""
    from learnd.verbs import decide

    if as_edited and as_judged:
        raise Stop("--as-edited and --as-judged contradict each other. Next: learnd diff PATTERN; then one", USAGE)
    return decide.promote(log, pattern, decide.Word(approver, reason), as_edited=as_edited, as_judged=as_judged)


@app.command(rich_help_panel=DECIDE, epilog='Example: learnd reject 91ab33f0 --reason "true of this file only"')
def reject(pattern: Pattern, approver: Approver = None, reason: Reason = "", log: Log = None) -> int:
    """Turn a pattern down; its change is not learned from again."""
    from learnd.verbs import decide

    return decide.reject(log, pattern, decide.Word(approver, reason))


@app.command(rich_help_panel=DECIDE, epilog='Example: learnd deprecate 91ab33f0 --reason "the library changed"')
def deprecate(pattern: Pattern, approver: Approver = None, reason: Reason = "", log: Log = None) -> int:
    """Serve an active pattern no longer."""
    from learnd.verbs import decide

    return decide.deprecate(log, pattern, decide.Word(approver, reason))


@app.command(rich_help_panel=DECIDE, epilog='Example: learnd restore 91ab33f0 --reason "it holds again"')
def restore(pattern: Pattern, approver: Approver = None, reason: Reason = "", log: Log = None) -> int:
    """Make a pattern that was put away a candidate again.

    One that was deprecated or rejected, or that expired.
    """
    from learnd.verbs import decide

    return decide.restore(log, pattern, decide.Word(approver, reason))


@app.command(
    rich_help_panel=DECIDE, epilog='Example: learnd supersede 91ab33f0 --by 5d02c7be --reason "covers joins as well"'
)
def supersede(
    pattern: Pattern,
    by: Annotated[
        str, typer.Option("--by", metavar="PATTERN", help="What takes its place; promoted where it is a candidate.")
    ],
    as_edited: Annotated[
        bool, typer.Option("--as-edited", help="Vouch for the new one's file as you edited it.")
    ] = False,
    approver: Approver = None,
    reason: Reason = "",
    log: Log = None,
) -> int:
    """Serve another pattern in a pattern's place."""
    from learnd.verbs import decide

    return decide.supersede(log, pattern, by, decide.Word(approver, reason), as_edited=as_edited)


@app.command(
    rich_help_panel=DECIDE, epilog='Example: learnd release 91ab33f0 --reason "the word is a column, no credential"'
)
def release(pattern: Pattern, approver: Approver = None, reason: Reason = "", log: Log = None) -> int:
    """Overrule the gate that quarantined a pattern.

    The other gates judge it again.
    """
    from learnd.verbs import decide

    return decide.release(log, pattern, decide.Word(approver, reason))


@app.command(rich_help_panel=DECIDE, epilog="Example: learnd regression 91ab33f0 --commit 4f2c81d")
def regression(
    pattern: Pattern,
    commit: Annotated[
        str, typer.Option("--commit", metavar="SHA", help="The commit that undid it, or its first digits.")
    ],
    detail: Annotated[str, typer.Option("--detail", metavar="TEXT", help="What came undone; recorded.")] = "",
    approver: Approver = None,
    log: Log = None,
) -> int:
    """Report that the change behind a pattern came undone."""
    from learnd.verbs import regression as verb

    return verb.report(log, pattern, commit, detail, approver)


# --- Keep ---


@app.command(rich_help_panel=KEEP, epilog="Example: learnd backup /mnt/backups/learnd")
def backup(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder for backups, each in one of its own.")],
    json: Json = False,
    log: Log = None,
) -> int:
    """Copy all that counts while learnd works, and check the copy.

    The log, the snapshot stores and the patterns.
    """
    from learnd.verbs import backup as verb

    return verb.backup(log, folder, as_json=json)


@app.command(
    name="restore-backup",
    rich_help_panel=KEEP,
    epilog="Example: learnd restore-backup /mnt/backups/learnd-20260131T120000Z",
)
def restore_backup(
    folder: Annotated[Path, typer.Argument(metavar="BACKUP", help="A folder that learnd backup made.")],
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Although later events are known to have existed.")
    ] = False,
    yes: Yes = False,
    json: Json = False,
    log: Log = None,
) -> int:
    """Put a backup in the log's place, after saying what is lost.

    The log that was there is set aside.
    """
    from learnd.verbs import restore as verb

    return verb.restore(log, folder, yes=yes, accept_loss=accept_loss, as_json=json)


@app.command(rich_help_panel=KEEP, epilog="Example: learnd verify --anchors /mnt/backups/learnd-20260131T120000Z")
def verify(
    job: Annotated[
        str | None, typer.Argument(metavar="[JOB]", help="Check this job's evidence: snapshot, attestations, log.")
    ] = None,
    anchors: Annotated[
        list[str] | None,
        typer.Option(
            "--anchors", metavar="WITNESS", help="A backup, a file of anchors, or POSITION:HASH of a head; repeatable."
        ),
    ] = None,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Go on with a log that is not what it was known to be.")
    ] = False,
    exported: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Check an exported file, by its own hashes.")
    ] = None,
    json: Json = False,
    log: Log = None,
) -> int:
    """Check the log, or what a job's evidence rests on.

    The whole log, and every head that was anchored outside of it.
    """
    if exported is not None:
        from learnd.verbs import export as written

        return written.verify_export(exported, as_json=json)
    if job is not None:
        from learnd.verbs import evidence

        return evidence.verify(log, job, as_json=json)
    if accept_loss:
        from learnd.verbs import restore as verb

        return verb.accept_loss(log, as_json=json)
    from learnd.verbs import chain

    return chain.verify(log, anchors or [], as_json=json)


@app.command(rich_help_panel=KEEP, epilog="Example: learnd replay 7f3a2c1e")
def replay(job: Job, json: Json = False, log: Log = None) -> int:
    """Replay a job's evidence: does it still show the same?

    From its snapshot, and held against what was recorded. Nothing is changed.
    """
    from learnd.verbs import evidence

    return evidence.replay(log, job, as_json=json)


@app.command(rich_help_panel=KEEP, epilog="Example: learnd export --format cloudevents -o log.jsonl")
def export(
    form: Annotated[str, typer.Option("--format", metavar="jsonl|cloudevents", help="What a line is.")] = "jsonl",
    after: Annotated[int, typer.Option("--after", metavar="POSITION", min=0, help="Only what came later.")] = 0,
    types: Annotated[list[str] | None, typer.Option("--type", metavar="TYPE", help="Only these; repeatable.")] = None,
    job: Annotated[str | None, typer.Option("--job", metavar="JOB", help="Only this job and its pattern.")] = None,
    repo: Annotated[
        str | None, typer.Option("--repo", metavar="REPO", help="Only this repository's; a path or an id.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write this file, whole or not at all.")
    ] = None,
    log: Log = None,
) -> int:
    """Print the log's events, a JSON object a line.

    Envelopes as `tail --json` has them, or CloudEvents 1.0.
    """
    from learnd.verbs import export as verb

    return verb.export(log, form, verb.Chosen(after, types or [], job, repo), output)


@app.command(rich_help_panel=KEEP, epilog='Example: learnd forget ~/src/old-shop --reason "archived"')
def forget(
    repo: Annotated[str, typer.Argument(metavar="REPO", help="A path in it, where it stood, or its id.")],
    yes: Yes = False,
    approver: Approver = None,
    reason: Reason = "",
    log: Log = None,
) -> int:
    """Watch a repository no longer, and delete what is kept of it.

    What that is, is shown first.
    """
    from learnd.verbs import decide
    from learnd.verbs import forget as verb

    return verb.forget(log, repo, decide.Word(approver, reason), yes=yes)


@app.command(rich_help_panel=KEEP, epilog="Example: learnd rebuild")
def rebuild(log: Log = None) -> int:
    """Make the read models anew from the log."""
    from learnd.verbs import chain

    return chain.rebuild(log)


@app.command(rich_help_panel=KEEP, epilog="Example: learnd packs")
def packs(json: Json = False, log: Log = None) -> int:
    """List the prompt packs, and say of each if it can be used."""
    from learnd.verbs import packs as verb

    return verb.packs(log, as_json=json)


@app.command(rich_help_panel=KEEP, epilog="Example: learnd doctor")
def doctor(json: Json = False, log: Log = None) -> int:
    """Check this machine, and say how to mend what is missing."""
    from learnd.verbs import doctor as verb

    return verb.doctor(log, as_json=json)


# --- running it ---

UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""What typer raises for a command line that cannot be understood; it exports only this one kind of it."""


def main() -> None:
    """Run the command line and exit."""
    sys.excepthook = _unforeseen
    sys.unraisablehook = _left_behind
    for stream in (sys.stdout, sys.stderr):
        # A name that is not UTF-8 is shown, not raised.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    sys.exit(_run())


def _run() -> int:
    command = typer.main.get_command(app)
    try:
        code = command.main(prog_name="learnd", standalone_mode=False)
        sys.stdout.flush()
    except Stop as stop:
        return _fail(str(stop), stop.code)
    except UsageError as error:
        return _usage(error)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has heard enough. Python would complain when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code if isinstance(code, int) else 0


def _usage(error: Exception) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return USAGE  # the help that it carries was printed when it was made
    path = context.command_path if context else "learnd"
    told = getattr(error, "format_message", lambda: str(error))()
    return _fail(f"{' '.join(told.split()).rstrip('.')}. Next: {path} --help", USAGE)


def _fail(message: str, code: int) -> int:
    print(f"learnd: {clean(message)}", file=sys.stderr)
    return code


def _left_behind(what: sys.UnraisableHookArgs) -> None:
    """What breaks while Python tidies up, as a file does that Ctrl-C closed under its user: it changes nothing."""
    if os.environ.get("LEARND_DEBUG"):
        sys.__unraisablehook__(what)


def _unforeseen(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An error that no verb explains: one line, and the traceback on request."""
    if os.environ.get("LEARND_DEBUG"):
        sys.__excepthook__(kind, error, trace)
        return
    _fail(f"{kind.__name__}: {error}. Next: LEARND_DEBUG=1 shows where; learnd doctor may say why", 1)
