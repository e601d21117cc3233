"""Gates: a sound draft passes them all, each planted fault is stopped by its own gate and named."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pattern_samples import SECTIONS, front_matter, pattern_id

from events.values import Evidence, HunkEvidence, ReplayOutcome, Scenario, ScenarioCommand
from learnd.crystalizer import extractive
from learnd.crystalizer.draft import DraftRequest
from learnd.crystalizer.grounding import Grounding
from learnd.library.gates import GATES, MAX_TEXT, GateReport, hidden, run_gates
from learnd.library.patterns import EvidenceLine, render, sections_of
from learnd.library.sections import Sections

ID = pattern_id("gates")
DIFF = b"""\
diff --git a/shop/orders.py b/shop/orders.py
index 1111111111111111111111111111111111111111..2222222222222222222222222222222222222222 100644
--- a/shop/orders.py
+++ b/shop/orders.py
@@ -1,4 +1,4 @@
 def load_orders(db, page):
-    return [load_order(db, number) for number in page]
+    return fetch_page(db, tuple(page))


"""
SCENARIO = Scenario(
    source="execution_history",
    commands=(ScenarioCommand(argv=("python", "-m", "pytest", "tests/test_orders.py"), cls="test", runner="pytest"),),
)


def replay(ok: bool) -> ReplayOutcome:
    failing = () if ok else ("tests/test_orders.py::test_one_query_a_page",)
    cause = None if ok else "assertion"
    return ReplayOutcome(ok=ok, cause=cause, seconds=0.1, hash_seed=1, source="pytest", failing=failing)


EVIDENCE = Evidence(
    verdict="proven",
    isolation="bubblewrap",
    base=(replay(False),) * 3,
    snapshot=(replay(True),) * 3,
    hunks=(HunkEvidence(file="shop/orders.py", lines=(2, 2), verdict="exercised", turned=replay(False).failing),),
    flake_upper_bound=0.63,
)
GROUNDING = Grounding.of(EVIDENCE, DIFF, SCENARIO)
SOUND = SECTIONS.model_copy(
    update={"solution": "`load_orders` in `shop/orders.py` calls `fetch_page` once, not `load_order` for every row."}
)


def judge(sections: Sections = SOUND, **front: object) -> GateReport:
    return run_gates(render(sections, front_matter(ID, **front)), GROUNDING)


def saying(**said: str) -> Sections:
    return SOUND.model_copy(update=said)


def test_a_sound_text_passes_every_gate() -> None:
    assert judge() == GateReport(passed=GATES)


def test_what_the_embedded_author_writes_passes_every_gate() -> None:
    draft = extractive.write(
        DraftRequest(
            prompt="Load the orders of a page with one query.", diff=DIFF, scenario=SCENARIO, evidence=EVIDENCE
        )
    )
    front = front_matter(ID, title=draft.title, evidence=EvidenceLine.of(EVIDENCE), tags=draft.tags)
    text = render(sections_of(draft), front)
    assert run_gates(text, GROUNDING) == GateReport(passed=GATES), text
    assert "1 of 1 hunks exercised" in text


@pytest.mark.parametrize(
    ("said", "gate", "detail"),
    [
        ({"problem": "TODO"}, "format", "Problem says nothing"),
        ({"rationale": " \n\n x  y\n" * 2}, "format", "Rationale says nothing"),
        ({"problem": "row by row " * 4000}, "size", "at most 32,768"),
        ({"solution": "Do this.\u202e Really"}, "hidden", "U\\+202E"),
        ({"solution": "Fetch\u200ball rows at once."}, "hidden", "ZERO WIDTH SPACE"),
        ({"solution": "Fetch all rows at once." + "\U000e0041"}, "hidden", "TAG LATIN"),
        ({"solution": "Fetch all rows at once." + "\U000e0101"}, "hidden", "VARIATION SELECTOR"),
        ({"solution": "Fetch all rows. <!-- then run it -->"}, "hidden", "HTML comment"),
        ({"solution": "Log in with the key AKIAIOSFODNN7EXAMPLF first."}, "redaction", "1 secret would"),
        ({"applies_when": "-----BEGIN RSA PRIVATE KEY-----"}, "redaction", "secret"),
        ({"solution": "Change `shop/billing.py` in the same way."}, "grounding", "path `shop/billing.py`"),
        ({"rationale": "It is what `warm_the_cache` does as well."}, "grounding", "symbol `warm_the_cache`"),
        ({"does_not_apply_when": "Rows are read by `stream_rows`."}, "grounding", "stream_rows"),
    ],
)  # fmt: skip
def test_a_planted_fault_is_stopped_by_its_gate(said: dict[str, str], gate: str, detail: str) -> None:
    report = judge(saying(**said))
    assert report.failed is not None
    assert report.failed[0] == gate
    assert report.passed == GATES[: GATES.index(gate)]
    assert re.search(detail, report.failed[1])


@pytest.mark.parametrize(
    ("front", "gate"),
    [
        ({"title": "x" * 161}, "size"),
        ({"title": "Use `warm_the_cache`"}, "grounding"),
        ({"title": "Fetch\u200ball"}, "hidden"),
        ({"tags": ("AKIAIOSFODNN7EXAMPLF",)}, "redaction"),
        ({"tags": ("warm_the_cache",)}, "grounding"),
    ],
)
def test_title_and_tags_go_through_the_gates_as_well(front: dict[str, object], gate: str) -> None:
    report = judge(**front)
    assert report.failed is not None
    assert report.failed[0] == gate


def test_what_stands_above_the_first_section_is_judged_but_learnds_own_note_is_not() -> None:
    text = render(SOUND, front_matter(ID))
    assert run_gates(text, GROUNDING).failed is None
    planted = text.replace("\n## Problem", "\n> Call `warm_the_cache` first.\n\n## Problem")
    assert (run_gates(planted, GROUNDING).failed or ("",))[0] == "grounding"


def test_a_text_that_is_no_pattern_fails_the_first_gate() -> None:
    report = run_gates("Just run this.", GROUNDING)
    assert report.passed == ()
    assert (report.failed or ("",))[0] == "format"


def test_many_ungrounded_names_are_counted_not_listed() -> None:
    names = " ".join(f"`made_up_{number}`" for number in range(9))
    report = judge(saying(solution=f"It takes {names} to do so."))
    assert "and 4 more" in (report.failed or ("", ""))[1]


@pytest.mark.parametrize(
    "text",
    [
        "```html\n<!-- quoted from the change -->\n```",
        "a span: `<!-- x -->` and ``a ` <!-- b``",
        "naïve, 日本語, e\u0301, ❤️, tab\there",
    ],
)
def test_what_can_be_seen_is_not_hidden(text: str) -> None:
    assert hidden(text) is None


@given(st.characters(categories=["Cf", "Cc", "Co", "Zl", "Zp"], exclude_characters="\n\t"))
def test_no_invisible_character_passes(character: str) -> None:
    found = hidden(f"one\ntwo{character}x")
    assert found is not None
    assert "line 2" in found


@given(st.text())
def test_any_text_gets_an_answer(text: str) -> None:
    report = run_gates(text, GROUNDING)
    assert report.failed is not None
    assert report.failed[0] == "format"


def test_a_text_as_large_as_allowed_is_judged_quickly_enough() -> None:
    # One line of backticks of every length: the worst case of the code-span pattern.
    line = " ".join("`" * (1 + number % 40) for number in range(1500))[: MAX_TEXT - 4096]
    assert judge(saying(problem=f"It was slow. {line}")).passed[:3] == GATES[:3]
