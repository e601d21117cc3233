"""What an author is asked and what it hands back.

A draft is text about a change, with where it came from and what it cost. It is not yet a pattern: the
library's gates judge it, and a person does.

Invariant: the text of a draft has been through `redact` and `generalise`, whoever wrote it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import yaml
from pydantic import Field, StringConstraints, ValidationError, field_validator

from events.values import Citations, Digest, Evidence, Scenario, Usage, Value
from learnd.crystalizer.redact import generalise, redact

TITLE_MAX: Final = 120
RULE_MAX: Final = 8_000
SLUG_MAX: Final = 60


class ReplyInvalid(Exception):
    """The reply is not the structured draft asked for; the message names the field."""


@dataclass(frozen=True)
class DraftRequest:
    """What an author may know of a run. `diff` is base to snapshot, as `git diff` wrote it.

    Of a group, `prompt` is that of its last run, and `earlier_prompts` are those of the others, in the order in which
    they completed; None where nothing is known of one.
    """

    prompt: str | None
    diff: bytes
    scenario: Scenario
    evidence: Evidence
    earlier_prompts: tuple[str | None, ...] = ()


_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]


class Reply(Value):
    """The reply of a model, field by field what `schema.json` asks for."""

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=TITLE_MAX)]
    problem: Annotated[str, StringConstraints(strip_whitespace=True, min_length=20, max_length=6_000)]
    solution: Annotated[str, StringConstraints(strip_whitespace=True, min_length=20, max_length=12_000)]
    rationale: Annotated[str, StringConstraints(strip_whitespace=True, min_length=20, max_length=6_000)]
    applies_when: Annotated[tuple[_Line, ...], Field(max_length=8)]
    does_not_apply_when: Annotated[tuple[_Line, ...], Field(max_length=8)]
    cited_files: Annotated[tuple[_Line, ...], Field(max_length=50)]
    cited_symbols: Annotated[tuple[_Line, ...], Field(max_length=50)] = ()
    cited_hunks: Annotated[tuple[_Line, ...], Field(max_length=50)] = ()
    tags: Annotated[tuple[_Line, ...], Field(max_length=8)]
    rule: Annotated[str, StringConstraints(strip_whitespace=True, max_length=RULE_MAX)] | None = None

    @field_validator("*", mode="after")
    @classmethod
    def _is_plain(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if value is None:
            return None
        return plain(value) if isinstance(value, str) else tuple(plain(item) for item in value)

    @field_validator("title", mode="after")
    @classmethod
    def _is_one_line(cls, value: str) -> str:
        return " ".join(value.split())

    @field_validator("rule", mode="after")
    @classmethod
    def _is_a_mapping(cls, value: str | None) -> str | None:
        """Empty is none; what is there must be YAML of one mapping. Whether it matches anything is for who runs it."""
        if not value:
            return None
        try:
            found = yaml.safe_load(value)
        except (yaml.YAMLError, RecursionError) as error:
            raise ValueError(f"the rule is no YAML: {str(error).splitlines()[0]}") from error
        if not isinstance(found, dict) or not {"language", "rule"} <= set(found):
            raise ValueError("the rule is no ast-grep rule: a YAML mapping with `language` and `rule` is")
        return value

    @field_validator("tags", mode="after")
    @classmethod
    def _are_slugs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(slug(tag)[:30] for tag in value))


class Draft(Value):
    """A pattern's text before any gate. Sections are Markdown without headings of their own rank.

    `prompt_pack` and its stamp are the author's: for `extractive` its own name and the sha256 of its code.
    `cost_assumed` says that the provider told no usage, or an impossible one, and the whole reservation counts as
    spent. `rule` is an ast-grep rule as YAML, not yet run by anybody.
    """

    title: Annotated[str, Field(min_length=1, max_length=TITLE_MAX)]
    problem: str
    solution: str
    rationale: str
    applies_when: str = ""
    does_not_apply_when: str = ""
    cited: Citations = Citations()
    tags: tuple[str, ...] = ()
    rule: str | None = None
    author: Literal["openai", "extractive"]
    model: str | None = None
    prompt_pack: str
    prompt_pack_stamp: Digest
    redactions: int = 0
    cost_usd: float = 0.0
    cost_assumed: bool = False
    usage: Usage | None = None

    @property
    def slug(self) -> str:
        return slug(self.title)


def read_reply(data: object) -> Reply:
    """A reply out of parsed JSON. Raises ReplyInvalid."""
    try:
        return Reply.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the reply"
        raise ReplyInvalid(f"{where}: {first['msg']}") from error


def plain(text: str) -> str:
    """`text` as it can be stored and shown: UTF-8, LF, no control characters but newline and tab."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
    return "".join(char for char in text if char in "\n\t" or unicodedata.category(char) != "Cc")


def safe(text: str) -> tuple[str, int]:
    """`text` plain, without secrets and without whose machine it came from; and how many lines were redacted."""
    redacted = redact(plain(text))
    return generalise(redacted.text), redacted.count


def slug(title: str) -> str:
    """`title` as part of a file name: a–z, 0–9 and single hyphens, at most SLUG_MAX, never empty."""
    ascii_only = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")
    if len(words) > SLUG_MAX:
        words = words[: SLUG_MAX + 1].rpartition("-")[0] or words[:SLUG_MAX]
    return words or "pattern"


def bullets(items: tuple[str, ...]) -> str:
    """A Markdown list, empty for nothing."""
    return "\n".join(f"- {' '.join(item.split())}" for item in items)
