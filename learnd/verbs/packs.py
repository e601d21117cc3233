"""`packs`: the prompt packs that the operator may choose, each validated as it would be before a call.

The setting `prompt_pack` chooses the author's, `patterns.librarian_pack` the librarian's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.verbs.asking import settings_for
from learnd.verbs.check import Check, ok
from learnd.verbs.reading import place_of, reading
from learnd.verbs.terminal import Column, note, print_json, say, table

if TYPE_CHECKING:
    from learnd.locate import Place
    from learnd.settings import Settings

STAMP = 12


@dataclass(frozen=True, slots=True)
class PackRow:
    """One pack. `wrong` says why it cannot be used; version and stamp are of one that can."""

    name: str
    source: str
    folder: str
    chosen: bool
    version: str | None = None
    stamp: str | None = None
    wrong: str | None = None


def packs(log: Path | None, *, as_json: bool) -> int:
    """Print every pack; 1 when one that is chosen cannot be used, or is not there.

    JSON: an array of `{name, source, folder, chosen, version, stamp, wrong}`.
    """
    place = place_of(log)
    wanted = _wanted(settings_for(place))
    rows = _rows(place, wanted)
    missing = _missing(rows, wanted)
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        columns = [Column("NAME"), Column("VERSION"), Column("STAMP"), Column("FROM"), Column("STATE", shrink=True)]
        table(columns, [_cells(row) for row in rows])
        for said in missing:
            say(f"{said}. Next: set it to one of these")
        note("own ones go into prompt-packs/ beside config.toml")
    return 1 if missing or any(row.wrong for row in rows if row.chosen) else 0


def pack_check(place: Place, settings: Settings) -> Check:
    """What `doctor` says of the packs that are chosen. Raises Stop where the log cannot be read."""
    wanted = _wanted(settings)
    rows = _rows(place, wanted)
    wrong = [*_missing(rows, wanted), *(f"{row.name}: {row.wrong}" for row in rows if row.chosen and row.wrong)]
    if wrong:
        return Check("prompt packs", "fail", "; ".join(wrong), "learnd packs lists those that can be chosen")
    return ok("prompt packs", f"{' and '.join(wanted.values())} can be used")


def _wanted(settings: Settings) -> dict[str, str]:
    """The chosen packs by the settings that name them."""
    return {"prompt_pack": settings.prompt_pack, "patterns.librarian_pack": settings.patterns.librarian_pack}


def _missing(rows: list[PackRow], wanted: dict[str, str]) -> list[str]:
    there = {row.name for row in rows if row.chosen}
    return [
        f"there is no pack {name}, which the setting {setting} names"
        for setting, name in wanted.items()
        if name not in there
    ]


def _rows(place: Place, wanted: dict[str, str]) -> list[PackRow]:
    from learnd.crystalizer.pack import DRAFT, PackInvalid, load_pack
    from learnd.crystalizer.packs import Found, listed, written_by_agents
    from learnd.library.librarian import FORM as LIBRARIAN

    trees: list[str] = []
    if place.has_log():
        with reading(place.log) as book:
            trees = [tree.path for tree in book.views.work_trees()]

    def row(found: Found) -> PackRow:
        chosen = found.name in wanted.values() and not found.hidden
        start = (found.name, found.source, str(found.folder), chosen)
        of_author = found.name == wanted["prompt_pack"] or not found.name.startswith("librarian-")
        inside = written_by_agents(found.folder, trees)
        if inside is not None:
            return PackRow(*start, wrong=f"lies in {inside}, which agents write. Next: move it")
        try:
            pack = load_pack(found.folder, DRAFT if of_author else LIBRARIAN)
        except PackInvalid as error:
            return PackRow(*start, wrong=str(error).removeprefix(f"prompt pack {found.folder}: "))
        return PackRow(*start, pack.version, pack.stamp)

    return [row(found) for found in listed()]


def _cells(row: PackRow) -> tuple[str, ...]:
    state = row.wrong or ("chosen" if row.chosen else "")
    return row.name, row.version or "-", (row.stamp or "-")[:STAMP], row.source, state
