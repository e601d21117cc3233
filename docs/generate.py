"""Write the generated parts of README.md: diagrams, statuses, events, settings.

    python docs/generate.py           rewrites README.md where it is stale
    python docs/generate.py --check   says what is stale and exits 1

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`. The text around it is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from events.catalog import JOB_EVENTS, MACHINE_EVENTS, PATTERN_EVENTS, USAGE_EVENTS, Event
from learnd.settings import Settings
from state import job, pattern
from state.machine import mermaid

RESULTS = Path(__file__).resolve().parents[1] / "bench/RESULTS.md"
EVIDENCE = RESULTS.with_name("EVIDENCE.md")
README = Path(__file__).resolve().parent.parent / "README.md"
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
    """What `make bench` measured last, where something was aimed at."""
    cells = [[cell.strip() for cell in line.split("|")] for line in RESULTS.read_text().splitlines() if "|" in line]
    aimed = [row for row in cells[2:] if row[6]]
    rows = [
        f"| {what} | {ours} | {peer} | {ratio} | {aim} | {met} |"
        for _, _, what, ours, peer, ratio, aim, met, *_ in aimed
    ]
    return "\n".join(("| | learnd | peer | ratio | aim | met |", "| --- | --- | --- | --- | --- | --- |", *rows, ""))


def evidence_table() -> str:
    """What `make bench-evidence` found last, a row for each pair."""
    lines = [line for line in EVIDENCE.read_text().splitlines() if line.startswith("| ")]
    names, *rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    shown = ("pair", "layout · runner", "verdict", "F→P", "exercised", "unexercised", "smallest")
    at = [names.index(name) for name in shown]
    told = [f"| {' | '.join(row[column] for column in at)} |" for row in rows if not row[0].startswith("---")]
    return "\n".join((f"| {' | '.join(shown)} |", f"|{' --- |' * len(shown)}", *told, ""))


PARTS: dict[str, Callable[[], str]] = {
    "speed": speed_table,
    "evidence": evidence_table,
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


def main() -> int:
    text = README.read_text()
    fresh = generated(text)
    if fresh == text:
        return 0
    if "--check" in sys.argv:
        print("README.md is stale. Next: python docs/generate.py")
        return 1
    README.write_text(fresh)
    return 0


if __name__ == "__main__":
    sys.exit(main())
