"""Where the files that learnd ships stand: task templates, prompt packs, SOPs.

In a checkout they are its `.agent/`; an installed learnd has them under `share/learnd/agent`.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path


class AssetsMissing(Exception):
    """The installation is incomplete."""


def agent_dir() -> Path:
    """The folder of shipped `.agent` files. Raises AssetsMissing."""
    checkout = Path(__file__).resolve().parent.parent / ".agent"
    installed = Path(sysconfig.get_path("data")) / "share/learnd/agent"
    for folder in (checkout, installed):
        if (folder / "task/templates").is_dir():
            return folder
    raise AssetsMissing(f"no agent files at {checkout} nor {installed}. Next: install learnd again")
