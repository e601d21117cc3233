"""The embedded author quotes what was exercised, says what it left out, and always says the same."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from crystalizer_sample import HUNKS, PROMPT, SCENARIO, TEST_ID, diff_between, evidence_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.values import Evidence
from learnd.crystalizer.draft import Draft, DraftRequest
from learnd.crystalizer.extractive import NothingExercised, stamp, write
from learnd.crystalizer.grounding import Grounding
from learnd.library.gates import hidden, run_gates
from learnd.library.patterns import EvidenceLine, FrontMatter, render
from learnd.library.sections import Sections

Requests = Callable[..., DraftRequest]


def whole(draft: Draft) -> str:
    return "\n\n".join((draft.title, draft.problem, draft.solution, draft.rationale))


def fences(text: str, info: str) -> list[list[str]]:
    return [found.splitlines() for found in re.findall(rf"^```{info}\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL)]


def test_the_draft_says_what_was_asked_what_failed_what_changed_and_what_turned(request_of: Requests) -> None:
    draft = write(request_of())
    assert draft.title == "Make the order report fast"
    assert "> `totals` sends one query per order. Use a single query with a join." in draft.problem
    assert "failed in all 3 replays, each time on an assertion or an error in a test" in draft.problem
    assert f"- `{TEST_ID}`" in draft.problem
    assert "E   assert 101 == 1" in draft.problem
    assert "`shop/report.py`, lines 4–10 after the change:" in draft.solution
    assert "Changed, but not shown to be exercised: 2 hunks." in draft.solution
    assert "failed in all 3 replays; with the change it passed in all 5 replays (2 tests passed)" in draft.rationale
    assert "at 95 % confidence, for a flake rate of up to 45 %" in draft.rationale
    assert "extractive author" in draft.rationale
    assert draft.tags == ("python", "pytest")
    assert draft.cited.files == ("shop/report.py",)
    assert (draft.author, draft.model, draft.cost_usd, draft.usage) == ("extractive", None, 0.0, None)
    assert (draft.prompt_pack, draft.prompt_pack_stamp) == ("extractive-v1", stamp())


def test_every_quoted_line_is_exercised_or_its_context(request_of: Requests, sample_diff: bytes) -> None:
    (quoted,) = fences(write(request_of()).solution, "diff")
    hunk = sample_diff.decode().split("@@")[4]  # the one over totals()
    assert quoted
    for line in quoted:
        assert line in hunk.splitlines()


def test_what_was_not_exercised_is_counted_and_never_named(request_of: Requests) -> None:
    prompt = PROMPT + "\nAlso clean up `legacy_discount` and NOTES.md. Keep `unrelated()` as it is.\n"
    said = write(request_of(prompt=prompt)).model_dump_json()
    for name in ("legacy_discount", "NOTES", "unrelated", "padding", "farewell"):
        assert name not in said
    assert "2 sentences left out" in said


def test_the_text_is_grounded_in_its_own_evidence(request_of: Requests) -> None:
    request = request_of()
    grounding = Grounding.of(request.evidence, request.diff, request.scenario)
    assert grounding.ungrounded(whole(write(request))) == []


def test_the_same_request_gives_the_same_text_in_another_process(request_of: Requests, tmp_path: Path) -> None:
    request = request_of()
    (tmp_path / "diff").write_bytes(request.diff)
    script = f"""
from pathlib import Path
from events.values import Evidence, Scenario
from learnd.crystalizer.draft import DraftRequest
from learnd.crystalizer.extractive import write
evidence = Evidence.model_validate_json({request.evidence.model_dump_json()!r})
scenario = Scenario.model_validate_json({request.scenario.model_dump_json()!r})
diff = Path({str(tmp_path / "diff")!r}).read_bytes()
print(write(DraftRequest({request.prompt!r}, diff, scenario, evidence)).model_dump_json())
"""
    texts = {
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": seed}
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert texts == {write(request).model_dump_json()}


def test_it_needs_no_model_library() -> None:
    heavy = "{'openai', 'genai_prices', 'detect_secrets'}"
    script = f"import sys, learnd.crystalizer.extractive; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_nothing_exercised_is_nothing_to_write(request_of: Requests) -> None:
    none = evidence_of(*(hunk.model_copy(update={"verdict": "unexercised"}) for hunk in HUNKS))
    with pytest.raises(NothingExercised, match="no hunk"):
        write(request_of(evidence=none))


def test_an_unproven_change_is_called_unproven(request_of: Requests) -> None:
    draft = write(request_of(evidence=evidence_of(verdict="pass_only")))
    assert "**No failure was shown.**" in draft.problem
    assert "**They are not proven**" in draft.solution
    assert "This change is **unproven** (base passes)" in draft.rationale
    assert "From failing to passing" not in draft.rationale


def test_replays_without_a_sandbox_are_said_to_be_so(request_of: Requests) -> None:
    none: Evidence = evidence_of(*HUNKS).model_copy(update={"isolation": "none"})
    assert "**without a sandbox**" in write(request_of(evidence=none)).rationale


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        (None, "Make test_one_query pass"),
        ("", "Make test_one_query pass"),
        ("Fix `legacy_discount` everywhere.", "Make test_one_query pass"),
        ("Task: make it quick. Then rest.", "Make it quick"),
        ("## Goal: - Speed up `totals`!", "Speed up `totals`"),
        ("test_one_query is slow", "test_one_query is slow"),
        ("DB_PASSWORD=hunter2hunter2", "Make test_one_query pass"),
        ("w" * 500, "w" * 119 + "…"),
        ("many words " * 40, "Many words" + " many words" * 9 + " many…"),
    ],
)
def test_the_title_is_the_first_thing_asked_where_it_is_grounded(
    prompt: str | None, title: str, request_of: Requests
) -> None:
    made = write(request_of(prompt=prompt)).title
    assert made == title
    assert len(made) <= 120


def test_a_run_below_somebodys_home_is_told_without_it_and_stays_grounded(
    request_of: Requests, sample_diff: bytes
) -> None:
    test = "/home/alice/shop/tests/test_report.py::test_one_query"
    evidence = evidence_of(*HUNKS)
    base = tuple(replay.model_copy(update={"failing": (test,)}) for replay in evidence.base)
    draft = write(request_of(evidence=evidence.model_copy(update={"base": base})))
    assert "`~/shop/tests/test_report.py::test_one_query`" in draft.problem
    assert "alice" not in draft.model_dump_json()
    grounding = Grounding.of(evidence.model_copy(update={"base": base}), sample_diff, SCENARIO)
    assert grounding.ungrounded(whole(draft)) == []


def test_an_odd_file_name_is_told_and_stays_grounded(request_of: Requests, tmp_path: Path) -> None:
    name = 'we "ird\n\tname é.py'
    diff = diff_between(tmp_path / "r", {name: b"a = 1\n"}, {name: b"a = 2\n"})
    evidence = evidence_of(HUNKS[0].model_copy(update={"file": name, "lines": (1, 1)}))
    draft = write(request_of(diff=diff, evidence=evidence))
    assert 'we "ird?\tname é.py' in draft.solution
    assert Grounding.of(evidence, diff, SCENARIO).ungrounded(whole(draft)) == []


def test_lists_code_and_comments_of_a_prompt_are_told_as_prose(request_of: Requests) -> None:
    prompt = (
        "<!-- template: do not edit -->\nSlow report.\n\n1. Join the tables\n   in one statement.\n2) Fix NOTES.md.\n"
        "* Keep `totals`.\n\n```python\nlegacy_discount()\n```\nDone\u200b.\u202e\n"
    )
    draft = write(request_of(prompt=prompt))
    assert draft.title == "Slow report"
    lines = [line for line in draft.problem.splitlines() if line.startswith("> ")]
    assert lines == ["> Slow report.", "> - Join the tables in one statement.", "> - Keep `totals`.", "> Done."]
    assert "2 sentences left out" in draft.problem


def test_secrets_of_the_run_are_redacted_and_counted(request_of: Requests, tmp_path: Path) -> None:
    token = "ghp_" + "a1B2" * 9
    diff = diff_between(
        tmp_path / "r",
        {"m.py": b"def f():\n    return 1\n"},
        {"m.py": f'def f():\n    t = "{token}"\n    return 2\n'.encode()},
    )
    evidence = evidence_of(
        HUNKS[0].model_copy(update={"file": "m.py", "lines": (2, 3)}), detail=f"E  {token}\nE  1 == 2"
    )
    draft = write(request_of(prompt=f"Fix it for bob@corp-mail.com.\n{token}\n", diff=diff, evidence=evidence))
    assert token not in draft.model_dump_json()
    assert "bob@" not in draft.model_dump_json()
    assert "+    [redacted: github token]" in draft.solution
    assert draft.redactions == 3


def test_backticks_in_the_change_do_not_break_its_fence(request_of: Requests, tmp_path: Path) -> None:
    after = b"def f():\n    '''\n```\n````\n'''\n    return 2\n"
    diff = diff_between(tmp_path / "r", {"m.py": b"def f():\n    return 1\n"}, {"m.py": after})
    evidence = evidence_of(HUNKS[0].model_copy(update={"file": "m.py", "lines": (2, 6)}))
    solution = write(request_of(diff=diff, evidence=evidence)).solution
    assert "`````diff" in solution
    assert solution.count("`````") == 2


def test_a_large_change_is_cut_and_says_so(request_of: Requests, tmp_path: Path) -> None:
    lines = "".join(f"value_{n} = {n}\n" for n in range(900))
    diff = diff_between(tmp_path / "r", {"m.py": b"x = 1\n"}, {"m.py": b"x = 1\n", "n.py": lines.encode()})
    evidence = evidence_of(HUNKS[0].model_copy(update={"file": "n.py", "lines": (1, 900)}))
    draft = write(request_of(diff=diff, evidence=evidence))
    assert "(820 further lines of this place not quoted.)" in draft.solution
    assert len(draft.solution) < 6_000


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=st.text(max_size=300), detail=st.text(max_size=200))
def test_whatever_the_run_said_the_draft_is_grounded_and_storable(
    prompt: str, detail: str, request_of: Requests
) -> None:
    request = request_of(prompt=prompt, evidence=evidence_of(*HUNKS, detail=detail))
    draft = write(request)
    grounding = Grounding.of(request.evidence, request.diff, request.scenario)
    assert grounding.ungrounded(whole(draft)) == []
    assert hidden(whole(draft)) is None
    assert Draft.model_validate_json(draft.model_dump_json().encode()) == draft


@pytest.mark.parametrize("verdict", ["proven", "pass_only"])
def test_the_draft_passes_every_gate_of_the_library(verdict: str, request_of: Requests) -> None:
    evidence = evidence_of(*(HUNKS if verdict == "proven" else ()), verdict=verdict)
    request = request_of(evidence=evidence)
    draft = write(request)
    sections = Sections(problem=draft.problem, solution=draft.solution, rationale=draft.rationale)
    front = FrontMatter(
        id="0123456789abcdef", status="staged", title=draft.title, source_job="ab" * 32, author=draft.author,
        manifest_path=".runs/t/cli/r/manifest.json", evidence=EvidenceLine.of(evidence), cost_usd=draft.cost_usd,
        prompt_pack=draft.prompt_pack, prompt_pack_stamp=draft.prompt_pack_stamp, snapshot_commit="c" * 40,
        created="2026-01-01T00:00:00.000Z", tags=draft.tags,
    )  # fmt: skip
    report = run_gates(render(sections, front), Grounding.of(evidence, request.diff, SCENARIO))
    assert report.failed is None
