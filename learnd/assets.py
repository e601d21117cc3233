"""Where the files that learnd ships stand: task templates, prompt packs, SOPs, systemd units.

In a checkout they are its `.agent/` and `systemd/`; an installed learnd has them under `share/learnd`.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path


class AssetsMissing(Exception):
    """The installation is incomplete."""


def agent_dir() -> Path:
    """The folder of shipped `.agent` files. Raises AssetsMissing."""
    return _shipped(".agent", "agent", "task/templates")


def units_dir() -> Path:
    """The folder of shipped systemd units. Raises AssetsMissing."""
    return _shipped("systemd", "systemd", "learnd.service")


def _shipped(in_checkout: str, installed_as: str, holds: str) -> Path:
    checkout = Path(__file__).resolve().parent.parent / in_checkout
    installed = Path(sysconfig.get_path("data")) / "share/learnd" / installed_as
    for folder in (checkout, installed):
        if (folder / holds).exists():
            return folder
    raise AssetsMissing(f"no {holds} at {checkout} nor {installed}. Next: install learnd again")
