"""Sound text passes; a path, line, or name that the evidence does not know is found."""

from __future__ import annotations

import pytest
from crystalizer_sample import HUNKS, SCENARIO, evidence_of
from hypothesis import given, settings
from hypothesis import strategies as st

from learnd.crystalizer.grounding import Grounding, grounded_only


@pytest.fixture(scope="module")
def grounding(sample_diff: bytes) -> Grounding:
    return Grounding.of(evidence_of(*HUNKS), sample_diff, SCENARIO)


SOUND = [
    "Use one statement and/or a join; it's read/write, 24/7, e.g. for N+1 (see i.e. the test).",
    "`totals` in `shop/report.py` returned `dict(rows)`; `db.execute` is called once.",
    "In shop/report.py:6-10 the loop over `order_id` went away.",
    "report.py, lines 6–10, and line 7.",
    "`python -m pytest -q tests` failed on `tests/test_report.py::test_one_query`.",
    "test_one_query failed in tests/test_report.py; `len(statements) == 1` did not hold.",
    "JavaScript, PostgreSQL, GitHub and SQLite are spelled like this. Node.js too.",
    "`None`, `len`, `TypeError`, `for`, `async` and `__init__` belong to a language.",
    "The rate is 4.5 %, 1.5 s, 10:30, 100x, A/B.",
    "```diff\n-    out = {}\n+    return dict(rows)\n```",
    "```python\nrows = db.execute(\n```",
    "> Replays: 5 of 5 passed.\n\n- a list\n- of things",
    "**Bold** and *italics*, _underlined_, _`totals`_, order\\_id.",
    '`"select id from orders"` is gone.',
    "```sql\nSELECT orders.id FROM orders -- one statement only\n```",
]
UNSOUND = [
    ("path", "See shop/util.py for more.", "shop/util.py"),
    ("hunk", "See `NOTES.md`.", "NOTES.md"),
    ("path", "The file src/server/handlers does it.", "src/server/handlers"),
    ("path", "Edit ./run.sh first.", "./run.sh"),
    ("path", "Read ~/.ssh/id_rsa.", "~/.ssh/id_rsa"),
    ("path", "Look into /etc/passwd.", "/etc/passwd"),
    ("path", "`other/thing`", "other/thing"),
    ("path", "Change Dockerfile.", "Dockerfile"),
    ("path", "```diff\n+++ b/shop/prices.py\n```", "b/shop/prices.py"),
    ("path", "Its twin xshop/report.py.", "xshop/report.py"),
    ("lines", "shop/report.py:22", "shop/report.py:22-22"),
    ("lines", "`shop/report.py:6-40`", "shop/report.py:6-40"),
    ("lines", "In `shop/report.py`, lines 20 to 24.", "lines 20 to 24"),
    ("symbol", "`legacy_discount` is wrong.", "legacy_discount"),
    ("symbol", "legacy_discount is wrong.", "legacy_discount"),
    ("symbol", "Call `unrelated()`.", "unrelated"),
    ("symbol", "Call unrelated() there.", "unrelated"),
    ("symbol", "The class OrderCache does it.", "OrderCache"),
    ("symbol", "Use db.executemany instead.", "db.executemany"),
    ("symbol", "Use `functools`.", "functools"),
    ("symbol", "`select price from ledger`", "ledger"),
    ("symbol", "```python\nrows = cache.fetch_all(db)\n```", "cache.fetch_all"),
    ("symbol", "```\nunknown_name = 1\n", "unknown_name"),
    ("symbol", "Set orderTotals to it.", "orderTotals"),
    ("symbol", "> ```\n> rows\n\nThen `leftpad` it.", "leftpad"),
    ("symbol", "Use _OrderCache_ or __OrderCache__.", "OrderCache"),
    ("symbol", "Use legacy\\_discount here.", "legacy_discount"),
    ("symbol", "Use legacy&#95;discount here.", "legacy_discount"),
    ("symbol", "Use `pip install leftpad`.", "leftpad"),
    ("hunk", "Open [the notes](NOTES.md).", "NOTES.md"),
    ("path", "Open shop\\\\util.py.", "util.py"),
    ("overclaim", "It cuts the time by 40 %.", "by 40 %"),
    ("overclaim", "It shrinks by more than 30 percent.", "by more than 30 percent"),
]


@pytest.mark.parametrize("text", SOUND)
def test_sound_text_is_grounded(text: str, grounding: Grounding) -> None:
    assert grounding.ungrounded(text) == []


@pytest.mark.parametrize(("kind", "text", "named"), UNSOUND)
def test_a_claim_beyond_the_evidence_is_found(kind: str, text: str, named: str, grounding: Grounding) -> None:
    claims = grounding.ungrounded(text)
    assert (kind, named) in [(claim.kind, claim.text) for claim in claims]
    assert all(claim.why for claim in claims)


@pytest.mark.parametrize("frame", ["{}", "> {}", "- {}", "**{}**", "# {}", "({})", "{}, and so on", "see: {};"])
@pytest.mark.parametrize("planted", ["shop/util.py", "`legacy_discount`", "legacy_discount", "shop/report.py:22"])
def test_a_planted_claim_is_found_in_any_markdown(frame: str, planted: str, grounding: Grounding) -> None:
    assert grounding.ungrounded(frame.format(planted))


def test_an_ungrounded_sentence_can_be_left_out(grounding: Grounding) -> None:
    kept, dropped = grounded_only(grounding, ["Use `totals`.", "Not `legacy_discount`.", "Fine."])
    assert (kept, dropped) == (["Use `totals`.", "Fine."], 1)


@settings(deadline=None)
@given(st.text(max_size=400))
def test_any_text_is_judged(text: str) -> None:
    Grounding(frozenset({"a/b.py"}), frozenset({"a"}), {"a/b.py": ((1, 2),)}, "a").ungrounded(text)


@pytest.mark.parametrize(
    "piece", ["a", "a.", "a/", "_a", "A-", "`", "a+", "~", "a@", ".", "x(", "'", "\\'", "aB", "-a.b/", "::a"]
)
def test_long_repetitions_are_judged_in_no_time_to_speak_of(piece: str, grounding: Grounding) -> None:
    """Finishing at all is the assertion: a pattern that backtracks without bound would not."""
    grounding.ungrounded(piece * (12_000 // len(piece)))
