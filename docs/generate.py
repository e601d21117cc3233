"""Write the generated parts of README.md and of the pages beside this file: diagrams, events, settings, results.

    python docs/generate.py           rewrites the pages that are stale
    python docs/generate.py --check   says which are, and exits 1

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`, each in one place of one page. The text around
it is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from events.catalog import JOB_EVENTS, MACHINE_EVENTS, PATTERN_EVENTS, USAGE_EVENTS, Event
from learnd.settings import Settings
from state import job, pattern
from state.machine import mermaid

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench/RESULTS.md"
EVIDENCE = ROOT / "bench/EVIDENCE.md"
CANDIDATE = ROOT / "docs/candidate.md"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PART = re.compile(r"(<!-- generated: (?P<name>[a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def events_table(kinds: tuple[type[Event], ...]) -> str:
    rows = [f"| `{kind.__name__}` | {' '.join((kind.__doc__ or '').split())} |" for kind in kinds]
    return "\n".join(["| event | says |", "| --- | --- |", *rows]) + "\n"


def settings_table() -> str:
    rows = _settings(Settings, "")
    return "\n".join(["| setting | default | bounds | use |", "| --- | --- | --- | --- |", *rows]) + "\n"


def _settings(model: type[BaseModel], prefix: str) -> list[str]:
    rows = []
    for name, field in model.model_fields.items():
        default = field.default
        if isinstance(default, BaseModel):
            rows += _settings(type(default), f"{prefix}{name}.")
            continue
        shown = "" if default in (None, PydanticUndefined, ()) else f"`{default}`"
        bounds = ", ".join(_bound(item) for item in field.metadata if _bound(item))
        alias = getattr(field.validation_alias, "choices", None)
        other = f" (`{alias[0]}`)" if alias else ""
        rows.append(f"| `{prefix}{name}`{other} | {shown} | {bounds} | {field.description} |")
    return rows


def _bound(item: object) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return " ".join(f"{sign} {getattr(item, name)}" for name, sign in signs.items() if hasattr(item, name))


def speed_table() -> str:
    """What `make bench` measured last: every aim that was missed in a row, the others in a line."""
    cells = [[cell.strip() for cell in line.split("|")] for line in RESULTS.read_text().splitlines() if "|" in line]
    aimed = [row for row in cells[2:] if row[6]]
    missed = [
        f"| {what} | {ours} | {peer} | {ratio} | {aim} |"
        for _, _, what, ours, peer, ratio, aim, met, *_ in aimed
        if met != "yes"
    ]
    met = [f"{what} {ours} ({aim})" for _, _, what, ours, _, _, aim, met, *_ in aimed if met == "yes"]
    return "\n".join(
        (
            f"{len(met)} of {len(aimed)} aims are met: {'; '.join(met)}. Missed:\n",
            "| | learnd | peer | ratio | aim |",
            "| --- | --- | --- | --- | --- |",
            *missed,
            "",
        )
    )


def evidence_table() -> str:
    """What `make bench-evidence` found last, a row for each pair."""
    shown = ("pair", "layout · runner", "verdict", "F→P", "exercised", "unexercised", "smallest")
    told = [f"| {' | '.join(row[name] for name in shown)} |" for row in _pairs()]
    return "\n".join((f"| {' | '.join(shown)} |", f"|{' --- |' * len(shown)}", *told, ""))


def evidence_gist() -> str:
    """The same in a paragraph: how many are proven, by how much of their changes, and what the others are."""
    rows = _pairs()
    smallest = [re.findall(r"\d+", row["smallest"])[:2] for row in rows if row["verdict"] == "**proven**"]
    kept, changed = (sum(int(counts[side]) for counts in smallest) for side in (0, 1))
    others = [f"{row['pair']} (`{row['verdict']}`)" for row in rows if row["verdict"] != "**proven**"]
    return f"**{len(smallest)} of {len(rows)} are proven**, by {kept} of the {changed} hunks of their changes.\n" + (
        f"Not proven: {', '.join(others)}.\n" if others else ""
    )


def _pairs() -> list[dict[str, str]]:
    """The rows of EVIDENCE.md by their columns' names."""
    lines = [line for line in EVIDENCE.read_text().splitlines() if line.startswith("| ")]
    names, _, *rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [dict(zip(names, row, strict=True)) for row in rows]


def candidate() -> str:
    """The candidate's page without its heading."""
    return CANDIDATE.read_text().split("\n\n", 2)[2]


PARTS: dict[str, Callable[[], str]] = {
    "speed": speed_table,
    "evidence": evidence_table,
    "evidence gist": evidence_gist,
    "candidate": candidate,
    "job diagram": lambda: f"```mermaid\n{mermaid(job.TABLE)}```\n",
    "pattern diagram": lambda: f"```mermaid\n{mermaid(pattern.TABLE)}```\n",
    "job events": lambda: events_table(JOB_EVENTS),
    "pattern events": lambda: events_table(PATTERN_EVENTS),
    "usage events": lambda: events_table(USAGE_EVENTS),
    "machine events": lambda: events_table(MACHINE_EVENTS),
    "settings": settings_table,
}


def generated(text: str) -> str:
    """`text` with every generated part as it must be now."""
    return PART.sub(lambda found: found[1] + PARTS[found["name"]]() + found[3], text)


def misplaced(texts: Iterable[str]) -> list[str]:
    """The parts that stand nowhere or twice, and the names that are none."""
    standing = Counter(found["name"] for text in texts for found in PART.finditer(text))
    return sorted(name for name in PARTS.keys() | standing if name not in PARTS or standing[name] != 1)


def main() -> int:
    texts = {page: page.read_text() for page in PAGES}
    if wrong := misplaced(texts.values()):
        print(f"unknown, or not in one place of README.md and docs/*.md: {', '.join(wrong)}. Next: mend the markers")
        return 1
    stale = {page: fresh for page, text in texts.items() if (fresh := generated(text)) != text}
    if "--check" in sys.argv:
        for page in stale:
            print(f"{page.relative_to(ROOT)} is stale. Next: python docs/generate.py")
        return 1 if stale else 0
    for page, fresh in stale.items():
        page.write_text(fresh)
    return 0


if __name__ == "__main__":
    sys.exit(main())
