"""Arguments and options that several verbs have, each with one meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Log = Annotated[
    Path | None, typer.Option("--log", metavar="PATH", help="The log, or its folder; found by itself otherwise.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Job = Annotated[str, typer.Argument(metavar="JOB", help="A job's id, or its first 8 digits or more.")]
Pattern = Annotated[str, typer.Argument(metavar="PATTERN", help="A pattern's id, or its first 8 digits or more.")]
Repos = Annotated[list[Path] | None, typer.Argument(metavar="REPO…", help="Repositories to register first.")]
OfRepo = Annotated[Path | None, typer.Option("--repo", metavar="PATH", help="Only this repository's.")]
InRepo = Annotated[Path, typer.Option("--repo", metavar="PATH", help="The repository whose patterns count.")]
OfJob = Annotated[str | None, typer.Option("--job", metavar="JOB", help="Only this job and its pattern.")]
OfTypes = Annotated[list[str] | None, typer.Option("--type", metavar="TYPE", help="Only these; repeatable.")]
Tree = Annotated[Path, typer.Argument(metavar="PATH", help="A folder or a file.")]
Approver = Annotated[
    str | None,
    typer.Option("--approver", metavar="NAME", help="A name to record beside the user that the kernel proves."),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; recorded with the decision.")]
