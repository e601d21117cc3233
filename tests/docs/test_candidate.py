"""The candidate in the documentation is what learnd writes of that fix today, and every gate lets it through."""

from __future__ import annotations

import json

import pytest

from bench.candidate import PAGE, SOURCE, page
from events.values import Evidence, Scenario
from learnd.crystalizer import extractive
from learnd.crystalizer.change import exercised_change
from learnd.crystalizer.draft import DraftRequest
from learnd.crystalizer.grounding import Grounding
from learnd.library.gates import run_gates
from learnd.library.patterns import PatternText, parse, sections_of

MARK = "`" * 5


@pytest.fixture(scope="module")
def source() -> dict[str, object]:
    found: dict[str, object] = json.loads(SOURCE.read_text())
    return found


@pytest.fixture(scope="module")
def request_(source: dict[str, object]) -> DraftRequest:
    prompt = source["prompt"]
    return DraftRequest(
        prompt=str(prompt) if prompt else None,
        diff=str(source["diff"]).encode("utf-8", "surrogateescape"),
        scenario=Scenario.model_validate(source["scenario"]),
        evidence=Evidence.model_validate(source["evidence"]),
    )


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text().partition(f"{MARK}markdown\n")[2].partition(MARK)[0]


@pytest.fixture(scope="module")
def pattern(text: str) -> PatternText:
    return parse(text)


def test_the_page_is_made_of_the_candidate(source: dict[str, object], text: str) -> None:
    assert PAGE.read_text() == page(str(source["pair"]), text)


def test_learnd_writes_that_text_of_that_fix(request_: DraftRequest, pattern: PatternText) -> None:
    draft = extractive.write(request_)
    assert sections_of(draft).cleaned() == pattern.sections
    assert (draft.title, draft.tags) == (pattern.front.title, pattern.front.tags)


def test_every_gate_lets_it_through(request_: DraftRequest, text: str) -> None:
    grounding = Grounding.of(request_.evidence, request_.diff, request_.scenario)
    assert run_gates(text, grounding).failed is None


def test_every_quoted_line_is_exercised(request_: DraftRequest, pattern: PatternText) -> None:
    change = exercised_change(request_.diff, request_.evidence, request_.scenario)
    quoted = [
        line for part in pattern.sections.solution.split("```diff\n")[1:] for line in part.split("```")[0].splitlines()
    ]
    assert quoted
    assert set(quoted) <= {line for quote in change.quotes for line in quote.lines}
    exercised = {hunk.file for hunk in request_.evidence.hunks if hunk.verdict == "exercised"}
    assert set(change.paths) <= exercised
