"""Verbs that look after what learnd keeps: the log, its copies, its proofs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from learnd.commandline.options import Approver, Job, Json, Log, OfJob, OfTypes, Reason, Yes
from learnd.commandline.panels import Panel

panel = Panel("Keep")


@panel.verb("learnd backup /mnt/backups/learnd")
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


@panel.verb("learnd restore-backup /mnt/backups/learnd-20260131T120000Z", name="restore-backup")
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


@panel.verb("learnd verify --anchors /mnt/backups/learnd-20260131T120000Z")
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


@panel.verb("learnd replay 7f3a2c1e")
def replay(job: Job, json: Json = False, log: Log = None) -> int:
    """Replay a job's evidence: does it still show the same?

    From its snapshot, and held against what was recorded. Nothing is changed.
    """
    from learnd.verbs import evidence

    return evidence.replay(log, job, as_json=json)


@panel.verb("learnd export --format cloudevents -o log.jsonl")
def export(
    form: Annotated[str, typer.Option("--format", metavar="jsonl|cloudevents", help="What a line is.")] = "jsonl",
    after: Annotated[int, typer.Option("--after", metavar="POSITION", min=0, help="Only what came later.")] = 0,
    types: OfTypes = None,
    job: OfJob = None,
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


@panel.verb('learnd forget ~/src/old-shop --reason "archived"')
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


@panel.verb("learnd rebuild")
def rebuild(log: Log = None) -> int:
    """Make the read models anew from the log."""
    from learnd.verbs import chain

    return chain.rebuild(log)


@panel.verb("learnd packs")
def packs(json: Json = False, log: Log = None) -> int:
    """List the prompt packs, and say of each if it can be used."""
    from learnd.verbs import packs as verb

    return verb.packs(log, as_json=json)


@panel.verb("learnd doctor")
def doctor(json: Json = False, log: Log = None) -> int:
    """Check this machine, and say how to mend what is missing."""
    from learnd.verbs import doctor as verb

    return verb.doctor(log, as_json=json)
