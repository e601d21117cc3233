"""Verbs that set learnd to work: on a repository, on all that completes there, on one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from learnd.commandline.options import Approver, Json, Log, Repos, Yes
from learnd.commandline.panels import Panel

panel = Panel("Work")


@panel.verb("learnd init ~/src/shop")
def init(
    repo: Annotated[Path, typer.Argument(metavar="REPO", help="A git work tree.")] = Path(),
    yes: Yes = False,
    log: Log = None,
) -> int:
    """Lay a repository out and register it, showing that first."""
    from learnd.verbs import start

    return start.init(log, repo, yes=yes)


@panel.verb("learnd daemon ~/src/shop")
def daemon(repos: Repos = None, log: Log = None) -> int:
    """Watch the registered repositories and learn from their runs."""
    from learnd.verbs import serve

    return serve.daemon(log, repos or [])


@panel.verb("learnd once . && echo everything is at rest")
def once(repos: Repos = None, log: Log = None) -> int:
    """Work on all that is pending, then exit.

    Exits 0 when all is at rest, 1 when something is blocked.
    """
    from learnd.verbs import once as verb

    return verb.once(log, repos or [])


@panel.verb('learnd learn --range main..HEAD --command "pytest -q tests/test_orders.py"')
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


@panel.verb("learnd demo")
def demo(
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="DIR", help="Build the sample here and keep it.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="No pauses, no colours.")] = False,
) -> int:
    """Show the whole loop on a sample: from a run to a pattern."""
    from learnd.demo.tour import run_demo

    return run_demo(folder, plain)
