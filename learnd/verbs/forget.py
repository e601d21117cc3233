"""`forget`: watch a repository no longer and delete what learnd keeps of it, showing first what that is."""

from __future__ import annotations

import time
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from learnd.verbs.asking import settled, understood
from learnd.verbs.decide import Word
from learnd.verbs.reading import Reading, reading
from learnd.verbs.terminal import Stop, confirm, print_facts, say, size
from learnd.verbs.unknown import waiting_aside

if TYPE_CHECKING:
    from learnd.views.queries import RepositoryRow

DELETING_S = 10.0
"""How long the verb stays to see that everything is deleted; the daemon goes on without it."""

ENDED = ("recorded", "learned", "dismissed", "superseded")
KEPT_FILES = ("candidate", "active", "edited", "stale", "deprecated", "staged")


def forget(log: Path | None, repo: str, word: Word, *, yes: bool) -> int:
    """Show, ask, forget, and wait a moment for the deletion."""
    from learnd.keeping.forget import find  # brings all that works
    from learnd.requests import ForgetRepo

    with reading(log) as book:
        row = find(book.views, repo)
        home = book.place.state_dir / "repositories" / row.id
        _show(book, row)
    if not confirm("Forget it? It cannot be undone.", yes=yes, instead=f"learnd forget {repo} --yes"):
        raise Stop("nothing was forgotten")
    with understood():
        request = ForgetRepo(repo=row.id, claimed=word.approver, reason=word.reason)
    say(settled(log, request).message)
    if _is_gone(home):
        say("what learnd kept of it is deleted")
    else:
        say(f"{home} is deleted as soon as nobody works on it. Next: learnd status shows what is left")
    say(f"to take it up again: learnd init {row.path}")
    return 0


def _show(book: Reading, row: RepositoryRow) -> None:
    from learnd.keeping.sizes import measure

    room = next(
        (room for room in measure(book.place.state_dir, book.views, None).repositories if room.id == row.id), None
    )
    trees = [tree.path for tree in book.views.work_trees() if tree.repo_id == row.id]
    jobs: dict[str, int] = {}
    for job in book.views.jobs(repo_id=row.id):
        if job.status not in ENDED:
            jobs[job.status] = jobs.get(job.status, 0) + 1
    patterns = [pattern.status for pattern in book.views.patterns(repo_id=row.id)]
    files = sum(status in KEPT_FILES for status in patterns)
    quarantined = patterns.count("quarantined")
    aside = sum(each.repo_id == row.id for each in waiting_aside(book))
    skills = _skills(book, row, trees)
    print_facts(
        [
            ("repository", ", ".join(trees) or row.path),
            ("id", row.id),
            ("deleted", f"snapshots {size(room.store if room else 0)}, tarballs {size(room.tarballs if room else 0)}"),
            ("", f"{quarantined} quarantined texts, drafts and evidence in {book.place.state_dir}"),
            *([("", f"{aside} unknown files that were taken out of active/ and kept there")] if aside else []),
            ("dismissed", ", ".join(f"{count} {name}" for name, count in jobs.items()) or "no job is open"),
            ("left", f"all run folders and {files} pattern files in the repository; learnd looks after them no more"),
            *([("", _told_of(skills))] if skills else []),
            (
                "stays",
                "its events in the log, for ever: paths, task and run names, commands, evidence, pattern texts",
            ),
        ]
    )


def _skills(book: Reading, row: RepositoryRow, trees: list[str]) -> list[str]:
    """The Agent Skills of the repository's patterns, in the folders of the setting and those that agents look in."""
    from learnd.library.folders import FolderRefused
    from learnd.serving.skills import USUAL_FOLDERS, Skills
    from learnd.settings import SettingsInvalid, read_settings

    try:
        configured = read_settings().skills
    except SettingsInvalid:
        configured = ()  # `doctor` says so; what is left is only told of here
    ours = {pattern.id for pattern in book.views.patterns(repo_id=row.id)}
    found = []
    for tree in trees:
        for folder in dict.fromkeys((*configured, *USUAL_FOLDERS)):
            try:
                kept = Skills(Path(tree), PurePosixPath(folder).parts, ours.__contains__).written()
            except FolderRefused:
                continue  # a link, or nothing that may be read: learnd wrote none there
            found += [f"{tree}/{path}" for path in kept]
    return found


def _told_of(skills: list[str]) -> str:
    folders = ", ".join(dict.fromkeys(str(Path(path).parent.parent) for path in skills))
    many = "1 skill" if len(skills) == 1 else f"{len(skills)} skills"
    return f"{many} that learnd wrote in {folders}: agents load them until somebody deletes them"


def _is_gone(home: Path) -> bool:
    """Whether the store is deleted, waited for a moment. Who may not look is told that it is not known."""
    end = time.monotonic() + DELETING_S
    while True:
        try:
            if not home.exists():
                return True
        except OSError:
            return False
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
