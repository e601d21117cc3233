"""`init`: lay a repository out and register it, showing first what will be done."""

from __future__ import annotations

from pathlib import Path

from learnd.verbs.asking import settled, understood
from learnd.verbs.terminal import USAGE, Stop, confirm, say


def init(log: Path | None, repo: Path, *, yes: bool) -> int:
    """Plan, ask, apply, register. Run twice, the second does nothing new."""
    from learnd import layout  # brings pydantic
    from learnd.assets import AssetsMissing
    from learnd.library.folders import FolderRefused
    from learnd.requests import RegisterRepo

    root = work_tree(repo)
    with understood():
        request = RegisterRepo(path=str(root))
    try:
        planned = layout.plan(root)
    except (AssetsMissing, FolderRefused, OSError) as error:
        raise Stop(str(error)) from error
    say(f"learnd will do this in {root}:")
    for line in planned.describe():
        say(f"  {line}")
    say("  register it: runs that complete from now on are learned from")
    say("Nothing that is there is overwritten.")
    if not confirm("Do it?", yes=yes, instead=f"learnd init {repo} --yes"):
        raise Stop("nothing was done")
    try:
        applied = layout.apply(planned)
    except OSError as error:
        raise Stop(f"{root}: {error}. Next: mend it and type learnd init again") from error
    for left in applied.left:
        if left not in planned.left:
            say(f"  {left}")
    say(settled(log, request, may_make_log=True).message)
    say()
    if applied.done:
        say("Next: commit what was laid out, so that it is no part of the first run's change.")
    lead = "Then" if applied.done else "Next:"
    say(f"{lead} have an agent finish a run that leaves a manifest under .runs/, and")
    say("  learnd once           works on all that is there, and ends")
    say("  learnd daemon         keeps watching")
    say("  learnd doctor         says what this machine lacks")
    return 0


def work_tree(path: Path) -> Path:
    """The root of the git work tree that `path` is in. Raises Stop."""
    from learnd.harvest.gitfolder import NotARepository, find

    try:
        return find(path).work_tree
    except NotARepository as error:
        raise Stop(str(error), USAGE) from error
