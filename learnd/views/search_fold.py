"""The texts of patterns and the index by which active ones are found: read models like all others.

`pattern_texts` holds each pattern's text as it was judged last, and its number in the index; `pattern_search` is an
FTS5 index of those that are active now, and of nothing else: what is not in it cannot be found. Columns hold words as
`serving/words.py` makes them; the tokenizer only folds accents and takes endings off (Porter).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

from events.recorded import Recorded
from learnd.library.canonical import body, front_lines
from learnd.library.sections import SectionsUnreadable, split
from learnd.serving.words import words
from learnd.views.rows import Columns
from state.pattern import PatternStatus

ACTIVE = PatternStatus.ACTIVE.value

_PATH = re.compile(r"(?:[\w.@+-]+/)+[\w.@+-]+|\b[\w-]+\.[A-Za-z]{1,5}\b")
_ITEM = re.compile(r"[ \t]*-[ \t]+(.*)")


def is_active(row: Columns | None) -> bool:
    """Whether a pattern's row is that of one which is served."""
    return row is not None and row["status"] == ACTIVE


def follow(
    connection: sqlite3.Connection, record: Recorded, row: Columns | None, prefix: str, *, was_active: bool
) -> None:
    """Bring texts and index to what a pattern's event says. `row` is the pattern after it."""
    pattern_id = record.stream.removeprefix("pattern-")
    text = getattr(record.data, "text_body", None)
    if text:
        connection.execute(
            f"INSERT INTO {prefix}pattern_texts (id, text) VALUES (?, ?) "  # noqa: S608 - names of our own, as below
            "ON CONFLICT (id) DO UPDATE SET text = excluded.text",
            (pattern_id, text),
        )
    active = is_active(row)
    if active == was_active and not (active and text):
        return
    found = connection.execute(
        f"SELECT number, text, indexed FROM {prefix}pattern_texts WHERE id = ?",  # noqa: S608
        (pattern_id,),
    ).fetchone()
    if found is None:
        return
    number = found[0]
    if found[2]:
        connection.execute(f"DELETE FROM {prefix}pattern_search WHERE rowid = ?", (number,))  # noqa: S608
    if active and row is not None:
        columns = (number, *indexed(str(row["title"]), found[1]))
        connection.execute(
            f"INSERT INTO {prefix}pattern_search (rowid, title, problem, applies_when, tags, paths) "  # noqa: S608
            "VALUES (?, ?, ?, ?, ?, ?)",
            columns,
        )
    connection.execute(f"UPDATE {prefix}pattern_texts SET indexed = ? WHERE id = ?", (int(active), pattern_id))  # noqa: S608


def indexed(title: str, text: str) -> tuple[str, str, str, str, str]:
    """What is indexed of a pattern: words of its title, problem, applies-when, tags and paths."""
    plain = body(text)
    try:
        _, sections = split(plain)
        problem, applies_when = sections.problem, sections.applies_when
    except SectionsUnreadable:
        problem, applies_when = "", ""  # no gate lets such a text through; its title and tags still find it
    paths = dict.fromkeys(_PATH.findall(plain))
    columns = (title, problem, applies_when, " ".join(_tags(text)), " ".join(paths))
    title_words, *rest = (" ".join(words(column)) for column in columns)
    return title_words, rest[0], rest[1], rest[2], rest[3]


def _tags(text: str) -> Iterator[str]:
    """The values of `tags:` in the front matter, in either of YAML's forms of a list."""
    inside = False
    for line in front_lines(text):
        if line.startswith("tags:"):
            inside = True
            yield line.removeprefix("tags:").strip("[] \t")
        elif inside and (item := _ITEM.fullmatch(line)):
            yield item[1]
        else:
            inside = False
