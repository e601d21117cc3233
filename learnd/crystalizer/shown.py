"""What the replays can vouch for of a change besides its text: what it rests on, where it held and where it did not.

Nothing here generalises. A change was shown to matter where the replaced lines stood and these commands failed; it was
shown not to do where a replay in another environment failed with it. More than that nobody tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from events.values import Citations, Evidence
from learnd.crystalizer.change import Change
from learnd.crystalizer.draft import DraftRequest
from learnd.crystalizer.vocabulary import LANGUAGE

_SYMBOLS_MAX: Final = 50
_DEFINED = re.compile(
    r"\b(?:def|class|func|function|fn|struct|interface|trait|enum|type|const|let|var)\s+(?:\([^)]*\)\s*)?(?P<name>[A-Za-z_$][\w$]*)"
)
_CALLED = re.compile(r"(?P<name>[A-Za-z_$][\w$]*)\(")
_BY_CAUSE: Final = {
    "missing_symbol": "the name that the change adds is missing",
    "exit_code": "it ends with an exit code other than 0",
}


def cited(change: Change) -> Citations:
    """The quotable files, places, and the names that their changed lines define or call."""
    symbols = dict.fromkeys(name for name in _symbols(change) if len(name) > 1 and name not in LANGUAGE)
    return Citations(
        files=tuple(dict.fromkeys(quote.name for quote in change.quotes)),
        symbols=tuple(symbols)[:_SYMBOLS_MAX],
        hunks=tuple(f"{quote.name}:{quote.first}-{quote.last}" for quote in change.quotes),
    )


def _symbols(change: Change) -> Iterator[str]:
    for quote in change.quotes:
        for line in quote.lines:
            yield from (match["name"] for match in _DEFINED.finditer(line))
            if line[:1] in ("+", "-"):
                yield from (match["name"] for match in _CALLED.finditer(line))


def applies_when(request: DraftRequest, change: Change, command: str) -> str:
    """Where the change was shown to matter, as a Markdown list; empty when no failure was shown.

    `command` is the verification as Markdown code.
    """
    if change.basis == "unproven":
        return ""
    causes = {replay.cause for replay in request.evidence.base if not replay.ok}
    (cause,) = causes if len(causes) == 1 else (None,)
    fails = f"{command} fails as described under Problem"
    items = [f"- {fails}: {_BY_CAUSE[cause]}." if cause in _BY_CAUSE else f"- {fails}."]
    if any(line.startswith("-") for quote in change.quotes for line in quote.lines):
        items.append("- The lines marked `-` under Solution, or their like, stand there.")
    return "\n".join(items)


def does_not_apply_when(evidence: Evidence) -> str:
    """Where a replay failed with the change although it holds elsewhere, as a Markdown list; mostly empty."""
    failed = [variant.name for variant in evidence.variants if not variant.ok]
    return "\n".join(f"- Under `{name}`: a replay with the change failed there." for name in failed)
