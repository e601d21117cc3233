"""The gates against drafts made for the purpose, as `make bench-gates` tells: no fault passes, sound text does."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.drafts import CORPUS, KINDS, Case, CorpusUnreadable, read
from bench.gates import FIRST, PARTS, RESULTS, judge, table
from learnd.library.gates import run_gates
from learnd.library.patterns import parse, render


@pytest.mark.parametrize("part", PARTS)
def test_no_planted_fault_passes(part: str) -> None:
    judged = [judge(case) for case in read(CORPUS / part)]
    assert [each.case.name for each in judged if each.case.kind and each.outcome == "passed"] == []
    # At most two of a hundred sound drafts may be quarantined.
    sound = [each for each in judged if each.case.kind is None]
    refused = [f"{each.case.name}: {each.detail}" for each in sound if each.outcome == "quarantined"]
    assert len(refused) <= 0.02 * len(sound), refused
    # The kept page says what the gates do.
    assert "\n".join(table(judged)) in RESULTS.read_text()
    assert FIRST[part] in RESULTS.read_text()


def test_the_corpus_is_what_it_claims_to_be() -> None:
    cases = {part: read(CORPUS / part) for part in PARTS}
    for part in ("tune", "report"):
        assert [sum((case.kind is None) is sound for case in cases[part]) for sound in (True, False)] == [50, 50]
    every = [case for part in PARTS for case in cases[part]]
    assert len({case.name for case in every} | {case.diff for case in every}) == 2 * len(every)
    assert {case.kind for case in every} == {None, *KINDS}


@pytest.mark.parametrize("part", PARTS)
def test_what_is_planted_stands_in_the_draft_and_nowhere_in_its_change(part: str) -> None:
    for case in read(CORPUS / part):
        assert all(" ".join(said.split()) in " ".join(case.text.split()) for said in case.planted), case.name
        assert not any(said in case.diff.decode() for said in case.planted), case.name


def test_a_case_without_its_fault_marked_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("=== x fault:agent\n@ a.py:1\n-a\n+b\n$ pytest\n# T\ntags: a\n## Problem\nx\n")
    with pytest.raises(CorpusUnreadable, match="x: what is planted is not marked"):
        read(tmp_path)


FAULTS = [case for case in read(CORPUS / "tune") if case.kind in ("agent", "command", "url", "pipeline", "credential")]


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.name)
@pytest.mark.parametrize("where", ["applies_when", "does_not_apply_when", "rationale", "quoted", "listed", "fenced"])
def test_a_fault_is_found_wherever_it_stands(case: Case, where: str) -> None:
    planted = case.planted[0]
    pattern = parse(case.text.replace(planted, "The test shows it."))
    dressed = {"quoted": f"> {planted}", "listed": f"- it holds\n- {planted}", "fenced": f"```text\n# {planted}\n```"}
    name = where if where not in dressed else "rationale"
    sections = pattern.sections.model_copy(update={name: f"`{case.hunks[0].path}`\n\n{dressed.get(where, planted)}"})
    report = run_gates(render(sections, pattern.front), case.grounding)
    assert report.failed is not None
    assert report.failed[0] == "danger", report.failed
