"""Where prompt packs come from: the operator's own, beside the configuration file, before those that learnd ships.

A repository brings none. A folder of the operator's that lies inside of a watched work tree is refused, for whoever may
write there would write a model's instructions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from learnd.assets import AssetsMissing, agent_dir
from learnd.locate import config_file

FOLDER: Final = "prompt-packs"

Source = Literal["operator", "learnd"]


@dataclass(frozen=True)
class Found:
    """A pack's folder, not looked into yet. `hidden` is set where an operator's of the same name goes before it."""

    name: str
    folder: Path
    source: Source
    hidden: bool = False


def sources() -> Iterator[tuple[Source, Path]]:
    """The folders of packs, first come first served; they need not be there. Raises AssetsMissing."""
    config = config_file()
    if config is not None:
        yield "operator", config.parent / FOLDER
    yield "learnd", agent_dir() / FOLDER


def where(name: str) -> Path:
    """The folder of the pack `name`, there or not. Raises AssetsMissing."""
    folders = [folder / name for _, folder in sources()]
    return next((folder for folder in folders if folder.is_dir()), folders[-1])


def listed() -> list[Found]:
    """Every pack that can be chosen, and those that are hidden by one of the same name. Raises AssetsMissing."""
    found: list[Found] = []
    for source, root in sources():
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            if folder.is_dir():
                known = any(other.name == folder.name for other in found)
                found.append(Found(folder.name, folder, source, hidden=known))
    return found


def written_by_agents(folder: Path, work_trees: Iterable[str]) -> str | None:
    """The watched work tree that an operator's pack lies in, if it does; the shipped ones are learnd's own code."""
    try:
        own = folder.resolve().is_relative_to((agent_dir() / FOLDER).resolve())
    except AssetsMissing:
        own = False
    inside = (tree for tree in work_trees if folder.resolve().is_relative_to(Path(tree).resolve()))
    return None if own else next(inside, None)
