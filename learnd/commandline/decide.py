"""Verbs by which a person decides: about a job, about a pattern."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from learnd.commandline.options import Approver, Job, Json, Log, Pattern, Reason, Yes
from learnd.commandline.panels import Panel
from learnd.verbs.terminal import USAGE, Stop

panel = Panel("Decide")


@panel.verb("learnd approve 7f3a2c1e --grant-usd 0.50")
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


@panel.verb('learnd dismiss 7f3a2c1e --reason "an experiment"')
def dismiss(job: Job, approver: Approver = None, reason: Reason = "", yes: Yes = False, log: Log = None) -> int:
    """Give a job up, for good."""
    from learnd.verbs import decide

    return decide.dismiss(log, job, decide.Word(approver, reason), yes=yes)


@panel.verb("learnd review 91ab33f0")
def review(
    pattern: Annotated[str | None, typer.Argument(metavar="PATTERN", help="Show this one in full.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Patterns of every status.")] = False,
    json: Json = False,
    log: Log = None,
) -> int:
    """List the patterns that wait for a person, or read one."""
    from learnd.verbs import review as verb

    return verb.review(log, pattern, everything=everything, as_json=json)


@panel.verb("learnd diff 91ab33f0")
def diff(pattern: Pattern, json: Json = False, log: Log = None) -> int:
    """Show what was edited in a pattern since it was judged."""
    from learnd.verbs import review as verb

    return verb.diff(log, pattern, as_json=json)


@panel.verb('learnd promote 91ab33f0 --reason "read it, tried it"')
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


@panel.verb('learnd reject 91ab33f0 --reason "true of this file only"')
def reject(pattern: Pattern, approver: Approver = None, reason: Reason = "", log: Log = None) -> int:
    """Turn a pattern down; its change is not learned from again."""
    from learnd.verbs import decide

    return decide.reject(log, pattern, decide.Word(approver, reason))


@panel.verb('learnd deprecate 91ab33f0 --reason "the library changed"')
def deprecate(pattern: Pattern, approver: Approver = None, reason: Reason = "", log: Log = None) -> int:
    """Serve an active pattern no longer."""
    from learnd.verbs import decide

    return decide.deprecate(log, pattern, decide.Word(approver, reason))


@panel.verb('learnd restore 91ab33f0 --reason "it holds again"')
def restore(pattern: Pattern, approver: Approver = None, reason: Reason = "", log: Log = None) -> int:
    """Make a pattern that was put away a candidate again.

    One that was deprecated or rejected, or that expired.
    """
    from learnd.verbs import decide

    return decide.restore(log, pattern, decide.Word(approver, reason))


@panel.verb('learnd supersede 91ab33f0 --by 5d02c7be --reason "covers joins as well"')
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


@panel.verb('learnd release 91ab33f0 --reason "the word is a column, no credential"')
def release(pattern: Pattern, approver: Approver = None, reason: Reason = "", log: Log = None) -> int:
    """Overrule the gate that quarantined a pattern.

    The other gates judge it again.
    """
    from learnd.verbs import decide

    return decide.release(log, pattern, decide.Word(approver, reason))


@panel.verb("learnd regression 91ab33f0 --commit 4f2c81d")
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
