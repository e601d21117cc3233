"""The manual scenario's form as learnd hands it out: filled with what is known, so that little is left to be done.

Texts of the run (commands, paths, causes) go into Markdown and into a TOML block: each is put on one line and quoted
for where it stands, so that none of them can end the block or open another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

TEMPLATE = "manual-scenario-template.md"


def fill(template: str, partial: Mapping[str, object], *, job: str, today: str) -> str:
    """The form for a job: what was tried, proposals, and the first fields.

    `partial` is `NoScenario.partial`, with `suggested` as a list of `{line, why}`. `today` is YYYY-MM-DD.
    """
    tried = [
        f"- {_quoted(entry.get('line'))} ({entry.get('source')}): {entry.get('why_not')}"
        for entry in _entries(partial.get("tried"))[:20]
    ]
    tried += [
        f"- {_quoted(entry.get('line'))} (no test, build or lint command): {entry.get('why_not')}"
        for entry in _entries(partial.get("refused"))[:10]
    ]
    suggested = _entries(partial.get("suggested"))[:5]
    changed = partial.get("changed_paths")
    paths = [str(path) for path in changed[:10]] if isinstance(changed, list) else []
    more = len(changed) - len(paths) if isinstance(changed, list) else 0
    packages = partial.get("packages")
    places = {
        "{job}": job,
        "{short}": job[:8],
        "{cause}": f"> {_flat(partial.get('detail') or partial.get('cause'))}",
        "{tried}": "\n".join(map(_flat, tried)) or "- nothing: the run left no commands",
        "{suggested}": "\n".join(_flat(f"- {_quoted(one.get('line'))}: {one.get('why')}") for one in suggested)
        or "- none: neither the run nor the snapshot names anything that checks",
        "{entrypoints}": "".join(f'# entrypoint = "{_in_toml(one.get("line"))}"\n' for one in suggested),
        "{changed}": (", ".join(_quoted(path) for path in paths) or "none") + (f" and {more} more" if more else ""),
        "{cwd}": _in_toml(packages[0]) if isinstance(packages, list) and packages else ".",
        "{today}": today,
    }
    return re.sub("|".join(map(re.escape, places)), lambda place: places[place.group()], template)


def _entries(value: object) -> list[dict[object, object]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _quoted(value: object) -> str:
    return f"`{_flat(value).replace('`', chr(39))}`"


def _flat(value: object) -> str:
    return " ".join(str(value).split())[:500].encode("utf-8", "backslashreplace").decode()


def _in_toml(value: object) -> str:
    """A text as the inside of a TOML string; JSON's escapes are TOML's."""
    return json.dumps(_flat(value), ensure_ascii=False)[1:-1].replace("\x7f", "")
