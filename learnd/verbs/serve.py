"""`daemon`: the same as `once`, without an end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from learnd.installation import ForeignPackages, assert_own_packages
from learnd.verbs import diagnostics
from learnd.verbs.asking import locked, settings_for
from learnd.verbs.reading import place_of
from learnd.verbs.start import work_tree
from learnd.verbs.terminal import Stop


def daemon(log: Path | None, repos: Sequence[Path]) -> int:
    """Serve until SIGTERM or SIGINT, which drain."""
    own_packages()
    settings = settings_for(place_of(log))
    roots = [work_tree(repo) for repo in repos]
    diagnostics.configure(quiet=False)
    from events.log import LogLocked, LogUnusable  # brings pydantic
    from learnd.daemon import Daemon  # brings all that works
    from learnd.harvest.gitfolder import NotARepository
    from learnd.repositories import RegistrationRefused

    try:
        Daemon(settings, roots).run()
    except LogLocked as error:
        raise Stop(locked(error)) from error
    except (LogUnusable, NotARepository, RegistrationRefused) as error:
        raise Stop(str(error)) from error
    return 0


def own_packages() -> None:
    """Raises Stop when `events` or `state` are somebody else's."""
    try:
        assert_own_packages()
    except ForeignPackages as error:
        raise Stop(str(error)) from error
