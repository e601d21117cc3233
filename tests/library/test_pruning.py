"""A sentence that claims too much goes, the rest stands; what cannot go keeps the draft from passing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.drafts import CORPUS, Case, read
from learnd.library.gates import run_gates
from learnd.library.patterns import parse, render
from learnd.library.prose import sentences, without
from learnd.library.pruning import prune

CASE = next(case for case in read(CORPUS / "tune") if case.name == "token-compare")


def saying(case: Case = CASE, **said: str) -> str:
    pattern = parse(case.text)
    return render(pattern.sections.model_copy(update=said), pattern.front)


@pytest.mark.parametrize(
    ("section", "left", "gone"),
    [
        ("`verify` is it. It calls `warm_up`. Use `==`.", "`verify` is it. Use `==`.", "It calls `warm_up`."),
        ("- `verify` compares.\n- It is in `lib/other.py`.", "- `verify` compares.", "It is in `lib/other.py`."),
        ("> `verify` compares.\n> It needs v9.1.", "> `verify` compares.", "It needs v9.1."),
        ("> It needs v9.1.\n> `verify` compares.", "> `verify` compares.", "It needs v9.1."),
        ("`verify` is it.\n\nIt never fails.\n\nThe end.", "`verify` is it.\n\nThe end.", "It never fails."),
        ("`verify` in\none. It is\nguaranteed. The\nend.", "`verify` in\none. The\nend.", "It is guaranteed."),
        ("`verify` compares. Es geht nicht ohne den Test.", "`verify` compares.", "Es geht nicht ohne den Test."),
        ("`verify` is, e.g. here. Add --no-verify to it.", "`verify` is, e.g. here.", "Add --no-verify to it."),
    ],
)
def test_the_sentence_goes_and_the_text_stays_whole(section: str, left: str, gone: str) -> None:
    text, dropped = prune(saying(solution=section), CASE.grounding)
    assert parse(text).sections.solution == left
    assert [(each.section, each.text) for each in dropped] == [("Solution", gone)]
    assert dropped[0].why
    assert run_gates(text, CASE.grounding).failed is None


def test_an_order_in_a_sentence_about_the_change_costs_the_sentence_and_one_beside_it_the_draft() -> None:
    woven = "Delete the log files of `hmac.compare_digest`, its signature, secret and body."
    text, dropped = prune(saying(solution=f"`verify` compares. {woven}"), CASE.grounding)
    assert parse(text).sections.solution == "`verify` compares."
    assert [each.why.split()[0] for each in dropped] == ["order"]
    assert run_gates(text, CASE.grounding).failed is None
    report = run_gates(saying(solution="`verify` compares. Delete the log files of the build server."), CASE.grounding)
    assert report.failed is not None
    assert report.failed[0] == "danger"


def test_what_introduced_nothing_any_more_goes_as_well() -> None:
    said = "`verify` compares. It showed as:\n\n- a call of `warm_up`\n- version 9.9.9\n\nThe `secret` stays."
    text, dropped = prune(saying(solution=said), CASE.grounding)
    assert parse(text).sections.solution == "`verify` compares.\n\nThe `secret` stays."
    assert [each.text for each in dropped] == ["a call of `warm_up`", "version 9.9.9", "It showed as:"]


@pytest.mark.parametrize(
    "said",
    [
        "`verify` compares.\n\n```python\nwarm_up(cache)\n```",
        "It calls `warm_up`.",
        "`verify` compares, see `auth/webhook.py:90`.",
    ],
)
def test_code_whole_sections_and_what_was_not_exercised_are_not_pruned_into_shape(said: str) -> None:
    text, _ = prune(saying(solution=said), CASE.grounding)
    report = run_gates(text, CASE.grounding)
    assert report.failed is not None


def test_a_sound_text_is_given_back_as_it_is() -> None:
    assert prune(CASE.text, CASE.grounding) == (CASE.text, ())
    assert prune("no pattern", CASE.grounding) == ("no pattern", ())


@given(st.text(alphabet="ab.` \n>-#~!?:AB", max_size=120))
def test_without_bad_sentences_a_text_stays_to_the_letter(text: str) -> None:
    assert without(text, lambda _sentence: False) == (text, [])
    assert "".join(sentences(text)) == text


@given(st.text(alphabet="ab. \n!?:AB", max_size=120))
def test_what_is_pruned_once_is_pruned_for_good(text: str) -> None:
    once, _ = without(text, lambda sentence: "B" in sentence)
    assert "B" not in once
    assert without(once, lambda sentence: "B" in sentence) == (once, [])
