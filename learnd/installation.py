"""Do `events` and `state` come from learnd's own installation?

The names are generic, and another distribution ships a package `events` as well. Importing that one would
fail late and strangely, or not at all; so whoever is about to write checks first.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import Distribution, distributions
from pathlib import Path

NAMES = ("events", "state")


class ForeignPackages(Exception):
    """A package that learnd needs is another distribution's. The message says which and what to do."""


def assert_own_packages() -> None:
    """Raises ForeignPackages unless `events` and `state` lie beside `learnd` and nobody else claims them there."""
    root = _folder("learnd").parent
    for name in NAMES:
        found = _folder(name)
        if found.parent != root:
            raise ForeignPackages(f"the package {name} is taken from {found}, not from {root / name}. {_MEND}")
    for distribution in distributions():
        if distribution.metadata["Name"] == "learnd":
            continue
        for name in _claimed(distribution):
            if Path(str(distribution.locate_file(name))).resolve() == root / name:
                owner = distribution.metadata["Name"]
                raise ForeignPackages(f"{root / name} is also a package of the distribution {owner}. {_MEND}")


_MEND = "Next: install learnd into an environment of its own (pipx install learnd, or a fresh venv)"


def _folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ForeignPackages(f"the package {name} is missing or has no files. {_MEND}")
    return Path(spec.origin).resolve().parent


def _claimed(distribution: Distribution) -> list[str]:
    listed = (distribution.read_text("top_level.txt") or "").split()
    files = {str(file).partition("/")[0] for file in distribution.files or ()} if not listed else set()
    return [name for name in NAMES if name in listed or name in files]
