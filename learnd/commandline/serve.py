"""Verbs by which agents and people use active patterns."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from learnd.commandline.options import InRepo, Json, Log, Tree, Yes
from learnd.commandline.panels import Panel

panel = Panel("Serve")


@panel.verb('learnd context --for "the orders page is slow"')
def context(
    question: Annotated[
        str | None, typer.Option("--for", metavar="PROMPT", help="What is to be done; `-`: from a hook's input.")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="What this run was asked: its id, or its manifest.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=20, help="At most so many.")] = 3,
    repo: InRepo = Path(),
    json: Json = False,
    log: Log = None,
) -> int:
    """Print the active patterns that matter for a task.

    Each comes with what was proven; nothing is printed where none matters. Without --for and --run: what there is.
    """
    from learnd.verbs import context as verb

    return verb.context(log, verb.Wanted(question, run, limit, repo), as_json=json)


@panel.verb("learnd mcp --repo ~/src/shop")
def mcp(
    repo: InRepo = Path(),
    log: Log = None,
) -> int:
    """Serve patterns to an agent: the Model Context Protocol.

    On standard input and output, until the client closes its end.
    """
    from learnd.verbs import mcp as verb

    return verb.serve(log, repo)


@panel.verb("learnd skills .claude/skills --dry-run")
def skills(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="The folder of skills, such as .claude/skills.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    pointer: Annotated[bool, typer.Option("--pointer", help="Print a line for AGENTS.md instead.")] = False,
    write: Annotated[bool, typer.Option("--write", help="--pointer: put the line into AGENTS.md.")] = False,
    repo: InRepo = Path(),
    json: Json = False,
    log: Log = None,
) -> int:
    """Keep a folder of Agent Skills in step with the patterns.

    Only what learnd wrote there is touched.
    """
    from learnd.verbs import skills as verb

    return verb.skills(log, verb.Wanted(folder, repo, dry_run, pointer, write), as_json=json)


@panel.verb("learnd check src --sarif > learnd.sarif")
def check(
    path: Tree = Path(),
    json: Json = False,
    sarif: Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0.")] = False,
    log: Log = None,
) -> int:
    """Run the rules of active patterns over a tree, as a linter.

    Exits 0 when nothing is found, 1 when something is, 2 when it could not be told.
    """
    from learnd.verbs import rules

    return rules.check(log, path, as_json=json, as_sarif=sarif)


@panel.verb("learnd fix src --dry-run")
def fix(
    path: Tree = Path(),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    yes: Yes = False,
    log: Log = None,
) -> int:
    """Apply the fixes of active patterns, showing them first.

    Only verified ones, and only below PATH.
    """
    from learnd.verbs import rules

    return rules.fix(log, path, dry_run=dry_run, yes=yes)
