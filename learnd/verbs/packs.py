"""`packs`: the prompt packs that the operator may choose, each validated as it would be before a call."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from learnd.verbs.asking import settings_for
from learnd.verbs.reading import place_of, reading
from learnd.verbs.terminal import Column, note, print_json, say, table

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
    """Print every pack; 1 when the one that is chosen cannot be used.

    JSON: an array of `{name, source, folder, chosen, version, stamp, wrong}`.
    """
    rows = _rows(log)
    chosen = next((row for row in rows if row.chosen), None)
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        columns = [Column("NAME"), Column("VERSION"), Column("STAMP"), Column("FROM"), Column("STATE", shrink=True)]
        table(columns, [_cells(row) for row in rows])
        if chosen is None:
            say("the pack that the setting prompt_pack names is not there. Next: set it to one of these")
        note("chosen by the setting prompt_pack; own ones go into prompt-packs/ beside config.toml")
    return 0 if chosen is not None and chosen.wrong is None else 1


def _rows(log: Path | None) -> list[PackRow]:
    from learnd.crystalizer.pack import PackInvalid, load_pack
    from learnd.crystalizer.packs import Found, listed, written_by_agents

    place = place_of(log)
    settings = settings_for(place)
    trees: list[str] = []
    if place.has_log():
        with reading(log) as book:
            trees = [tree.path for tree in book.views.work_trees()]

    def row(found: Found) -> PackRow:
        start = (found.name, found.source, str(found.folder), found.name == settings.prompt_pack and not found.hidden)
        inside = written_by_agents(found.folder, trees)
        if inside is not None:
            return PackRow(*start, wrong=f"lies in {inside}, which agents write. Next: move it")
        try:
            pack = load_pack(found.folder)
        except PackInvalid as error:
            return PackRow(*start, wrong=str(error).removeprefix(f"prompt pack {found.folder}: "))
        return PackRow(*start, pack.version, pack.stamp)

    return [row(found) for found in listed()]


def _cells(row: PackRow) -> tuple[str, ...]:
    state = row.wrong or ("chosen" if row.chosen else "")
    return row.name, row.version or "-", (row.stamp or "-")[:STAMP], row.source, state
