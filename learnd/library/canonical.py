"""What of a pattern's file is the text that was judged, and which name the file has; read without YAML and pydantic.

Four lines of the front matter are learnd's own (`status`, `approver`, `approved_at`, `reason`): they change when the
file moves. `canonical_digest` covers everything else, so that it shows a person's edit and nothing but that. It looks
at lines, not at parsed YAML: a comment or a second `title:` smuggled into the front matter is an edit too.

Whoever serves patterns reads their files by this module alone: a verb that agents wait for starts without pydantic.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container

SLUG_LENGTH = 60
ID = re.compile(r"[0-9a-f]{16,64}")
STANDING = re.compile(r"(?:status|approver|approved_at|reason)[ \t]*:")
BOUNDARY = re.compile(r"^---[ \t]*$", re.MULTILINE)
_FILE_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*-([0-9a-f]{8,64})\.md")


def canonical_digest(text: str) -> str:
    """sha256 of what a person may edit: the text without the standing, LF, one final newline."""
    normal = text.replace("\r\n", "\n").removeprefix("\ufeff")
    lines = normal.rstrip("\n").split("\n")
    front = len(front_lines(normal))
    kept = [line for at, line in enumerate(lines) if not (0 < at <= front and STANDING.match(line))]
    return hashlib.sha256("\n".join(kept).encode("utf-8", "surrogatepass")).hexdigest()


def claimed_id(text: str) -> str | None:
    """The id that a text's front matter gives, however broken the rest of it is."""
    front = front_lines(text)
    found = [line.partition(":")[2].strip().strip("'\"") for line in front if line.startswith("id:")]
    return found[0] if found else None


def front_lines(text: str) -> list[str]:
    """The lines between the two boundaries, empty where a text has no front matter."""
    lines = text.removeprefix("\ufeff").split("\n")
    if not BOUNDARY.fullmatch(lines[0].rstrip("\r")):
        return []
    for at, line in enumerate(lines[1:], 1):
        if BOUNDARY.fullmatch(line.rstrip("\r")):
            return lines[1:at]
    return []


def body(text: str) -> str:
    """`text` without its front matter, LF."""
    normal = text.replace("\r\n", "\n").removeprefix("\ufeff")
    front = front_lines(normal)
    return "\n".join(normal.split("\n")[len(front) + 2 :]).lstrip("\n") if front else normal


def safe_slug(text: str) -> str:
    """`text` as part of a file name: a–z, 0–9 and single hyphens, at most SLUG_LENGTH, never empty."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:SLUG_LENGTH].rstrip("-")
    return slug or "pattern"


def file_name(slug: str, pattern_id: str, taken: Container[str] = ()) -> str:
    """`<slug>-<id8>.md`, with more of the id where another pattern already has that name.

    `taken` are the names of the repository's older patterns, so that a name never changes. Raises ValueError
    for an id that is not 16 to 64 hexadecimal digits.
    """
    if not ID.fullmatch(pattern_id):
        raise ValueError(f"pattern id {pattern_id!r} is not 16 to 64 hexadecimal digits")
    stem = safe_slug(slug)
    for length in range(8, len(pattern_id)):
        name = f"{stem}-{pattern_id[:length]}.md"
        if name not in taken:
            return name
    return f"{stem}-{pattern_id}.md"


def is_file_name(name: str) -> bool:
    """Whether learnd could have given this name."""
    return len(name) <= SLUG_LENGTH + 68 and _FILE_NAME.fullmatch(name) is not None
