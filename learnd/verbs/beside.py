"""What a reviewer sees beside a pattern's text: who consented, what a model recommends, what it contradicts, what was
edited.

All of it comes from the log, save the edit, which stands in the pattern's file.
"""

from __future__ import annotations

import difflib
import shutil
import textwrap
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.ids import short
from learnd.verbs.reading import Reading
from learnd.verbs.terminal import Stop, clean, heading, is_terminal, say, stamp
from learnd.views.queries import PatternRow

if TYPE_CHECKING:
    from learnd.library.files import Edited
    from state.pattern import Pattern

NARROWEST = 36
"""Characters of a column in which prose can be read."""
WIDTH_IN_A_PIPE = 160


def pattern_of(book: Reading, row: PatternRow) -> Pattern:
    """The pattern as the log has it."""
    from state import pattern as patterns  # brings pydantic

    return patterns.fold(row.id, (record.data for record in book.log.read(f"pattern-{row.id}")))


def in_short(pattern: Pattern) -> str:
    """What a list says of a pattern beside its evidence, empty of most."""
    told = pattern.review.told if pattern.review else None
    parts = [
        f"contradicts {', '.join(short(other) for other in pattern.conflicts)}" if pattern.conflicts else "",
        f"consent of {', '.join(consent.user for consent in pattern.consents)}" if pattern.consents else "",
        f"librarian: {told.recommendation}" if told and told.recommendation else "",
    ]
    return "; ".join(part for part in parts if part)


def facts(book: Reading, row: PatternRow, pattern: Pattern) -> list[tuple[str, str]]:
    """Name and value of each fact, in the order in which they are shown."""
    told = []
    if row.evidence_count > 1:
        told.append(("shown by", f"{row.evidence_count} jobs, the last one {stamp(row.last_seen)}"))
    if pattern.overruled:
        told.append(("overruled", f"gate {', '.join(pattern.overruled)}"))
    told += [("consent", consent) for consent in _consents(book, row, pattern)]
    if pattern.superseded_by:
        told.append(("superseded by", short(pattern.superseded_by)))
    told += [("contradicts", line) for line in _contradictions(book, row)]
    return told + _recommendation(pattern)


def _consents(book: Reading, row: PatternRow, pattern: Pattern) -> list[str]:
    from events.catalog import PatternEndorsed  # brings pydantic

    if not pattern.consents:
        return []
    standing = [r for r in book.log.read(f"pattern-{row.id}") if isinstance(r.data, PatternEndorsed)]
    lines = []
    for record in standing[-len(pattern.consents) :]:
        said = record.data
        assert isinstance(said, PatternEndorsed)  # noqa: S101 - chosen above
        who = f"{said.approver} (as {said.claimed})" if said.claimed else said.approver
        lines.append(f"{stamp(record.at)}  {who}{f': {said.reason}' if said.reason else ''}. Needed: {said.missing}")
    return lines


def _contradictions(book: Reading, row: PatternRow) -> list[str]:
    from events.catalog import ConflictFound  # brings pydantic

    found = []
    for record in book.log.read(f"pattern-{row.id}"):
        if isinstance(record.data, ConflictFound):
            other = book.views.pattern(record.data.other)
            found.append(f"{short(other.id)} ({other.status}): {other.title}: {_as_said_here(record.data)}")
    return found


def _as_said_here(event: object) -> str:
    words = {
        "reverse": "one change is the reverse of the other",
        "takes_back": "this one takes out what the other puts in",
        "brings_back": "this one puts in what the other takes out",
    }
    return words[str(getattr(event, "kind", "reverse"))]


def _recommendation(pattern: Pattern) -> list[tuple[str, str]]:
    review = pattern.review
    if review is None:
        return []
    if review.boot_id is not None:
        return [("librarian", "is reading it")]
    told = review.told
    if told is None:
        return []
    paid = f"{told.model}, ${told.cost_usd:.4f}{' (assumed)' if told.assumed else ''}"
    if told.recommendation is None:
        return [("librarian", f"no recommendation ({told.failure}); {paid}")]
    return [
        ("librarian", f"recommends: {told.recommendation} ({paid}); it decides nothing"),
        *(("", reason) for reason in told.reasons),
    ]


# --- two patterns side by side ---


def print_contradicted(book: Reading, row: PatternRow, pattern: Pattern) -> None:
    """Each pattern that advises the opposite, beside this one."""
    for other_id in pattern.conflicts:
        other = book.views.pattern(other_id)
        heading(f"Side by side: {short(row.id)} ({row.status}) and {short(other.id)} ({other.status})")
        mine, theirs = (without_front_matter(text) for text in (pattern.text, pattern_of(book, other).text))
        for line in side_by_side(mine, theirs, _width()):
            say(line)


def side_by_side(left: str, right: str, width: int) -> list[str]:
    """Two texts in two columns; one below the other where there is no room for two."""
    column = (width - 3) // 2
    if column < NARROWEST:
        return [*left.splitlines(), "-" * width, *right.splitlines()]
    wrapped = [
        [part for line in text.splitlines() for part in (textwrap.wrap(clean(line), column) or [""])]
        for text in (left, right)
    ]
    return [f"{one.ljust(column)} | {other}".rstrip() for one, other in zip_longest(*wrapped, fillvalue="")]


def _width() -> int:
    return shutil.get_terminal_size().columns if is_terminal() else WIDTH_IN_A_PIPE


def without_front_matter(text: str) -> str:
    """The Markdown of a pattern's text."""
    if not text.startswith("---\n"):
        return text
    _, _, rest = text.removeprefix("---\n").partition("\n---\n")
    return rest.lstrip("\n") or text


# --- edits ---


def edit_of(book: Reading, row: PatternRow) -> tuple[Edited, str] | None:
    """What stands in the pattern's file where it is not what was judged, and the difference. Raises Stop."""
    from learnd.library.files import Library, find_edit
    from learnd.library.folders import FolderRefused
    from learnd.library.patterns import with_standing
    from learnd.library.wanted import wanted

    known = wanted(book.log, book.views, row.id)
    if known is None:
        return None
    try:
        edit = find_edit(Library(Path(row.repo_path), book.place.state_dir / "quarantine"), known)
    except FolderRefused as error:
        raise Stop(str(error)) from error
    if edit is None:
        return None
    # learnd's own lines are no difference: they change with the folder.
    found = with_standing(edit.text, known.standing)
    lines = difflib.unified_diff(
        known.file_text.splitlines(), found.splitlines(), "as judged", str(edit.path), lineterm=""
    )
    return edit, "\n".join(lines)
