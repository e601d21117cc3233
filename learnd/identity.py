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
