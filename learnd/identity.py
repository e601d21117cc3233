"""Who somebody is, by the kernel's word."""

from __future__ import annotations

import os
import pwd

from learnd.settings import Settings


def user_name(uid: int) -> str:
    """The account's name, or `uid:<n>` where the machine has none for it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid:{uid}"


def approvers(settings: Settings) -> frozenset[str]:
    """Who may approve: whom the operator named, else the user that runs learnd."""
    return frozenset(settings.approvers) or frozenset({user_name(os.geteuid())})


def may_ask(uid: int, settings: Settings) -> bool:
    """Whether this user may have learnd work: look at a repository, take a run in, make its views again.

    The socket of a system service is open to every user of the machine, so that approvers reach it. Root and learnd's
    own user could write the log itself; approvers are trusted with more.
    """
    return uid in {0, os.geteuid()} or user_name(uid) in approvers(settings)
