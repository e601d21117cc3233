"""What is the same lesson, what is the opposite, and what only reads alike."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.values import ChangeMarks
from learnd.library.likeness import Likeness, marks_of, mirrored_kind, most_alike, normal, opposing, symbols

TEXT = """---
id: {id}
status: candidate
title: Fetch the page's rows at once
---

# Fetch the page's rows at once

> **Proven** in a sandbox: the verification failed {n} times without the change.

## Problem

Loading orders ran one query per row: `load_orders` asked `fetch_one` {n} times.

## Solution

In `shop/orders.py`:

```diff
-    return [fetch_one(key) for key in keys]
+    return fetch_many(keys)
```

## Rationale

The number of queries no longer grows with the page.
"""
FIX = [("-", "    return [fetch_one(key) for key in keys]"), ("+", "    return fetch_many(keys)")]
PATHS = ("shop/orders.py",)


def text(**changes: object) -> str:
    return TEXT.format(**{"id": "a" * 64, "n": 3, **changes})


def reversed_(lines: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [("+" if sign == "-" else "-", line) for sign, line in lines]


def of(said: str, lines: list[tuple[str, str]] | None = None, paths: tuple[str, ...] = PATHS) -> Likeness:
    return Likeness.of(said, marks_of(lines, paths) if lines is not None else None)


def found(new: Likeness, known: Likeness) -> str | None:
    alike = most_alike(new, [("known", known)])
    return alike.because if alike else None


def test_a_second_draft_about_the_same_change_is_the_same_lesson_in_whatever_words() -> None:
    other = text().replace("Loading orders ran one query per row", "Each order of a page costs a query of its own")
    assert found(of(other, FIX), of(text(), FIX)) == "the same change"


def test_white_space_numbers_ids_and_the_note_on_evidence_make_no_difference() -> None:
    assert normal(text(n=3)) == normal(text(id="b" * 64, n=10).replace("\n", "\r\n"))
    indented = [(sign, f"    {line}  ") for sign, line in FIX]
    assert marks_of(indented) == marks_of(FIX)


def test_nearly_the_same_text_about_the_same_symbols_is_the_same_lesson() -> None:
    assert found(of(text().replace("no longer grows", "does not grow any more")), of(text())) is not None


def test_nearly_the_same_text_about_other_symbols_teaches_something_else() -> None:
    other = text().replace("load_orders", "load_users").replace("fetch_", "query_").replace("shop/orders", "crm/users")
    assert found(of(other), of(text())) is None


def test_two_fixes_of_one_function_that_read_alike_are_two_lessons() -> None:
    other = [("-", "    return sorted(keys)"), ("+", "    return sorted(set(keys))")]
    said = text().replace(FIX[0][1], other[0][1]).replace(FIX[1][1], other[1][1])
    assert found(of(said, other), of(text(), FIX)) is None


def test_the_same_rule_needs_no_more_than_a_similar_text() -> None:
    rule = "id: one\nlanguage: python\nrule:\n  pattern: '[fetch_one($K) for $K in $KS]'\n"
    renamed = rule.replace("id: one", "id: two\nmessage: fetch at once")
    other = text().replace("shop/orders.py", "crm/users.py").replace("load_orders", "load_users")
    new, known = Likeness.of(other, ChangeMarks(), renamed), Likeness.of(text(), ChangeMarks(), rule)
    assert found(new, known) == "nearly the same text and the same rule"
    assert found(Likeness.of("# Something else\n\nentirely", ChangeMarks(), renamed), known) is None


def test_the_same_change_elsewhere_is_no_repetition_without_anything_that_both_cite() -> None:
    assert found(of("# Another", FIX, ("other.py",)), of(text(), FIX)) is None


def test_the_most_alike_of_several_takes_the_evidence() -> None:
    further = text().replace("Loading orders ran one query per row", "The page of orders was slow")
    alike = most_alike(of(text(), FIX), [("far", of(further, FIX)), ("near", of(text(n=5), FIX))])
    assert alike is not None
    assert (alike.pattern_id, alike.similarity) == ("near", 1.0)


def test_a_change_and_its_reverse_contradict_each_other_and_are_never_the_same() -> None:
    new, known = of(text(), reversed_(FIX)), of(text(), FIX)
    assert found(new, known) is None
    (conflict,) = opposing(new, [("known", known)])
    assert conflict.kind == "reverse"


def test_taking_out_what_the_other_puts_in_contradicts_it() -> None:
    new = of(text(), [("-", "    return fetch_many(keys)"), ("+", "    return cache.get_many(keys)")])
    (conflict,) = opposing(new, [("known", of(text(), FIX))])
    assert (conflict.kind, mirrored_kind(conflict.kind)) == ("takes_back", "brings_back")
    assert "takes out 1 line" in conflict.detail


def test_there_is_no_contradiction_without_a_common_context() -> None:
    assert not opposing(of("# Another", reversed_(FIX), ("other.py",)), [("known", of(text(), FIX))])


@pytest.mark.parametrize("line", ["}", "    else:", "", "  ()  "])
def test_lines_that_say_nothing_have_no_mark(line: str) -> None:
    assert marks_of([("-", line)]) == ChangeMarks()


def test_a_line_that_was_only_moved_is_neither_taken_out_nor_put_in() -> None:
    moved = [*FIX, ("-", "import os.path"), ("+", "import os.path")]
    assert of(text(), moved) == of(text(), FIX)


def test_where_the_change_is_not_known_the_quoted_diff_tells_of_it() -> None:
    assert (of(text()).removed, of(text()).added) == (of(text(), FIX).removed, of(text(), FIX).added)


def test_symbols_are_what_stands_in_code_and_on_changed_lines() -> None:
    assert symbols(text()) >= {"load_orders", "fetch_one", "fetch_many", "shop/orders.py"}
    assert "Loading" not in symbols(text())


def test_two_changes_that_each_undo_a_part_of_the_other_are_reverses_from_either_side() -> None:
    one = of(text(), [("+", "call_0(value)"), ("+", "call_1(value)"), ("+", "call_3(value)"), ("-", "call_2(value)")])
    other = of(text(), [("+", "call_2(value)"), ("-", "call_0(value)")])
    for new, known in ((one, other), (other, one)):
        assert [conflict.kind for conflict in opposing(new, [("known", known)])] == ["reverse"]


lines = st.lists(st.tuples(st.sampled_from("+-"), st.sampled_from([f"call_{n}(value)" for n in range(6)])), max_size=8)


@settings(max_examples=150, deadline=None)
@given(lines, lines)
def test_what_contradicts_is_never_taken_for_the_same_change(
    one: list[tuple[str, str]], other: list[tuple[str, str]]
) -> None:
    new, known = of(text(), one), of(text(), other)
    if (found(new, known) or "") == "the same change":
        assert not [conflict for conflict in opposing(new, [("k", known)]) if conflict.kind == "reverse"]
    there, back = opposing(new, [("k", known)]), opposing(known, [("k", new)])
    assert [mirrored_kind(conflict.kind) for conflict in there] == [conflict.kind for conflict in back]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=400))
def test_any_text_can_be_compared(said: str) -> None:
    assert found(of(said), of(text())) is None or said
    assert normal(normal(said)) == normal(said)
