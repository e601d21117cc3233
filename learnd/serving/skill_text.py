"""A pattern as an Agent Skill: the text of `<name>/SKILL.md`, and whether such a text is learnd's own.

What the format asks for (agentskills.io) and agents check: a name of 1 to 64 of a–z, 0–9 and single hyphens that is the
folder's, a description of at most 1,024 characters without tags, metadata of text only. The metadata carries the
pattern's id and a sha256 over all the rest of the file: what a person changed afterwards is no longer learnd's.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Container
from dataclasses import dataclass

from learnd.library.canonical import safe_slug
from learnd.serving.frame import one, visible
from learnd.serving.servable import Served

SKILL_FILE = "SKILL.md"
LONGEST_NAME = 64
LONGEST_DESCRIPTION = 1024
_PROBLEM = 400
_RESERVED = ("anthropic", "claude")
"""Words that an agent refuses in a skill's name."""
_DIGEST = re.compile(r'  learnd-digest: "([0-9a-f]{64})"\n')
_PATTERN = re.compile(r'^  learnd-pattern: "([0-9a-f]{16,64})"$', re.MULTILINE)
_NAME = re.compile(r"^name: ([a-z0-9]+(?:-[a-z0-9]+)*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a file says that learnd wrote: of which pattern, under which name, and whether it is as it was written."""

    pattern_id: str
    name: str
    intact: bool


def skill_name(title: str, pattern_id: str, taken: Container[str] = ()) -> str:
    """The folder's name: the title's words and as much of the id, 8 digits or more, as tells it from those `taken`."""
    parts = [part for part in safe_slug(title).split("-") if not any(word in part for word in _RESERVED)]
    stem = "-".join(parts) or "pattern"
    for digits in range(8, len(pattern_id) + 1):
        end = pattern_id[:digits][:LONGEST_NAME]
        room = LONGEST_NAME - len(end) - 1
        name = f"{stem[:room].rstrip('-')}-{end}" if room > 0 else end
        if name not in taken:
            return name
    raise ValueError(f"pattern {pattern_id} is there twice")


def skill_text(pattern: Served, name: str) -> str:
    """The whole file, marked as learnd's."""
    front = (
        f"---\nname: {name}\ndescription: {_quoted(description(pattern))}\nmetadata:\n"
        f'  learnd-pattern: "{pattern.id}"\n  learnd-evidence: {_quoted(pattern.evidence)}\n'
    )
    rest = f"---\n\n{one(pattern)}"
    digest = hashlib.sha256((front + rest).encode()).hexdigest()
    return f'{front}  learnd-digest: "{digest}"\n{rest}'


def description(pattern: Served) -> str:
    """What an agent reads before it decides to load the rest."""
    told = f"{pattern.title}. Seen when: {pattern.problem(_PROBLEM)}"
    if applies := pattern.applies_when(_PROBLEM):
        told += f" Applies when: {applies}"
    plain = " ".join(visible(told).replace("<", " ").replace(">", " ").split())
    return plain if len(plain) <= LONGEST_DESCRIPTION else f"{plain[: LONGEST_DESCRIPTION - 1]}…"


def mark_of(text: str) -> Mark | None:
    """The mark of a file that learnd wrote, however it was changed since; None of any other file."""
    front, boundary, _ = text.removeprefix("---\n").partition("\n---\n")
    pattern, name, digest = _PATTERN.search(front), _NAME.search(front), _DIGEST.search(text)
    if not text.startswith("---\n") or not boundary or pattern is None:
        return None
    intact = False
    if digest is not None and name is not None:
        rest = text[: digest.start()] + text[digest.end() :]
        intact = hashlib.sha256(rest.encode("utf-8", "surrogatepass")).hexdigest() == digest[1]
    return Mark(pattern[1], name[1] if name else "", intact)


def _quoted(text: str) -> str:
    """A double-quoted scalar of YAML: JSON's form is one, where all signs can be printed."""
    return json.dumps(visible(text).replace("\n", " ").replace("\t", " "), ensure_ascii=False)
