"""Skills kept in step by whoever holds the log: the folders of the setting `skills`, in each work tree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from learnd.serving.answers import NoRepository, library_at
from learnd.serving.skills import Skills
from learnd.workplace import Workplace


def keep_skills(place: Workplace, repo_path: str) -> Iterator[tuple[str, str]]:
    """Bring every folder of skills of a work tree up to date. Gives what was left there: absolute path and reason.

    Raises FolderRefused, OSError (disk full …).
    """
    if not place.settings.skills:
        return
    views = place.views()
    try:
        library = library_at(views, views.rows, Path(repo_path))
    except NoRepository:
        return  # it was forgotten meanwhile
    given, _ = library.everything()
    for folder in place.settings.skills:
        kept = Skills(Path(repo_path), PurePosixPath(folder).parts, library.has).keep(given)
        for left in kept.left:
            yield f"{repo_path}/{left.path}", f"{left.reason}. Next: move it away to get learnd's"
