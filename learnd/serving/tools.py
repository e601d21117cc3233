"""The tools that agents call over MCP: their arguments, and what they answer. No protocol here.

Searching tells which patterns there are and what speaks for them; only asking for one gives its text, and only that
counts as serving it. Errors are answers too: what stood in the way, and what to do next.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from events.catalog import UseOutcome
from learnd.ids import short
from learnd.requests import Reply, ReportUse
from learnd.serving.answers import MOST, Answer, Library, NoRepository
from learnd.serving.frame import NOTICE, one, visible
from learnd.serving.servable import Served
from learnd.verbs.terminal import Stop
from learnd.views.queries import Ambiguous, NotFound

LONGEST_QUESTION = 64_000
LONGEST_PROBLEM = 300
"""Characters of a pattern's problem in a list of hits."""


class ToolError(Exception):
    """The tool cannot answer; the message says why and what to do next."""


class Arguments(BaseModel):
    """`TOOL` is the name by which agents call it; the docstring is what they are told of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    TOOL: ClassVar[str]


class SearchPatterns(Arguments):
    """Find active patterns of this repository: changes that were proven by replaying their tests without and with them,
    and promoted by a person. Returns titles, evidence and ids of the few that share words with the question, or none.
    """

    TOOL = "search_patterns"
    question: str = Field(
        min_length=1, max_length=LONGEST_QUESTION, description="What is about to be done, in words, names and paths."
    )
    limit: int = Field(3, ge=1, le=MOST, description="At most so many.")


class GetPattern(Arguments):
    """Read one active pattern in full: problem, solution, rationale and the evidence behind them."""

    TOOL = "get_pattern"
    id: str = Field(min_length=8, max_length=64, description="The pattern's id, or its first 8 digits or more.")
    run: str | None = Field(
        None, min_length=1, max_length=200, description="The run that it is for, as task/run, where that is known."
    )


class ReportUseOfPattern(Arguments):
    """Say what came of using a pattern. People see it when they review; it changes nothing by itself."""

    TOOL = "report_use"
    id: str = Field(min_length=8, max_length=64, description="The pattern's id, or its first 8 digits or more.")
    outcome: UseOutcome = Field(description="helped, did_not_help, or wrong: what it says is not so here.")
    run: str | None = Field(None, min_length=1, max_length=200, description="The run that used it, as task/run.")
    note: str = Field("", max_length=4000, description="Why, in a sentence. Secrets in it are redacted.")


TOOLS: tuple[type[Arguments], ...] = (SearchPatterns, GetPattern, ReportUseOfPattern)


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: text for the model, and the same as data."""

    text: str
    data: dict[str, object]


@dataclass(frozen=True, slots=True)
class Doors:
    """What tools need of the world: the library as it is now, a way to report, and a way to note what was served."""

    library: Callable[[], AbstractContextManager[Library]]
    report: Callable[[ReportUse], Reply]
    note: Callable[[Sequence[str], str | None], bool]


def call(name: str, arguments: dict[str, object], doors: Doors) -> Told:
    """Call a tool. Raises ToolError."""
    tool = next((tool for tool in TOOLS if name == tool.TOOL), None)
    if tool is None:
        raise ToolError(f"there is no tool {name!r}. Next: {', '.join(each.TOOL for each in TOOLS)}")
    try:
        asked = tool.model_validate(arguments)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or name
        raise ToolError(f"{where}: {first['msg']}. Next: call {name} as its schema says") from error
    with answering():
        return _answer(asked, doors)


@contextmanager
def answering() -> Iterator[None]:
    """Whatever keeps the library from being asked becomes a ToolError."""
    try:
        yield
    except (Stop, NoRepository, NotFound, Ambiguous) as error:
        raise ToolError(str(error)) from error
    except sqlite3.Error as error:
        raise ToolError(f"the log cannot be read: {error}. Next: learnd doctor") from error


def _answer(asked: Arguments, doors: Doors) -> Told:
    match asked:
        case SearchPatterns():
            with doors.library() as library:
                return _hits(library.answer(asked.question, asked.limit))
        case GetPattern():
            return _read(asked.id, asked.run, doors)
        case ReportUseOfPattern():
            reply = doors.report(ReportUse(pattern=asked.id, outcome=asked.outcome, run=asked.run, note=asked.note))
            if not reply.ok:
                raise ToolError(reply.message)
            return Told(reply.message, {"pattern": reply.data.get("pattern")})
    raise AssertionError(f"{type(asked).__name__} is in TOOLS and not answered")


def _read(identity: str, run: str | None, doors: Doors) -> Told:
    """A pattern in full, which is noted as served."""
    with doors.library() as library:
        pattern = library.pattern(identity)
    noted = doors.note([pattern.id], run)
    data = {**_summary(pattern), "text": pattern.body, "digest": pattern.digest, "notice": NOTICE}
    return Told(one(pattern), {**data, "use": "noted" if noted else "not noted"})


def _hits(answer: Answer) -> Told:
    found = [{**_summary(each.pattern), "shared": list(each.shared)} for each in answer.given]
    data: dict[str, object] = {"patterns": found, "active": answer.active, "asked": list(answer.asked)}
    if not answer.given:
        none = f"None of {answer.active} active patterns shares enough with the question."
        return Told(none if answer.active else "This repository has no active pattern.", data)
    lines = [f"{len(found)} of {answer.active} active patterns share words with the question. {NOTICE}"]
    for each in answer.given:
        pattern = each.pattern
        lines += ["", visible(f"{short(pattern.id)}  {pattern.title}"), visible(f"  evidence: {pattern.evidence}")]
        lines.append(visible(f"  problem: {pattern.problem(LONGEST_PROBLEM)}"))
    return Told("\n".join(lines), data)


def _summary(pattern: Served) -> dict[str, object]:
    return {
        "id": pattern.id, "title": pattern.title, "evidence": pattern.evidence,
        "problem": pattern.problem(LONGEST_PROBLEM), "run": pattern.run, "job": pattern.job, "file": pattern.file,
    }  # fmt: skip
