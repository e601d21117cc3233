"""Which rules tell a change's base from its snapshot: by the real ast-grep, in the real sandbox, on real git trees."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from rules_place import changed

from learnd.rules.astgrep import AstGrepFailed
from learnd.rules.generate import propose
from learnd.rules.rule import read
from learnd.rules.verify import NotVerified, Verified, judge

pytestmark = pytest.mark.sandbox

BEFORE = """import json
import yaml


def load(path):
    with open(path) as handle:
        data = yaml.load(handle)
    return data


def other(text):
    return json.load(text)
"""
AFTER = BEFORE.replace("yaml.load(handle)", "yaml.safe_load(handle)")


GO = """package m

func f(xs []int) (n int) {
	for i := 0; i <= len(xs); i++ {
		n += xs[i]
	}
	return n
}
"""


def proposed(folder: Path, before: str, after: str, name: str = "a.py", language: str = "Python") -> Verified | None:
    with changed(folder, {name: before}, {name: after}, language) as (bench, spots):
        return propose(bench, spots, language, "pattern-1")


def said(verified: Verified | None) -> dict[str, object]:
    assert verified is not None
    fields = yaml.safe_load(verified.rule.text)
    return {key: fields[key] for key in ("rule", "fix") if key in fields}


def test_what_was_replaced_becomes_a_rule_and_what_stands_there_now_its_fix(tmp_path: Path) -> None:
    found = proposed(tmp_path, BEFORE, AFTER)
    assert said(found) == {"rule": {"pattern": "yaml.load($A)"}, "fix": "yaml.safe_load($A)"}
    assert found is not None
    assert [(match.path, match.lines) for match in found.matches] == [("a.py", (7, 7))]
    assert found.fix_as_tested
    assert found.engine.startswith("ast-grep ")


@pytest.mark.parametrize(
    ("language", "name", "before", "after", "rule"),
    [
        (
            "JavaScript", "m.js",
            "export function has(list, x) {\n  for (const y of list) {\n    if (same(y) == x) return true\n  }\n}\n",
            "export function has(list, x) {\n  for (const y of list) {\n    if (same(y) === x) return true\n  }\n}\n",
            {"rule": {"pattern": "same($A) == $B"}, "fix": "same($A) === $B"},
        ),
        (
            "Go", "m.go",
            GO,
            GO.replace("i <= len", "i < len"),
            {"rule": {"pattern": "$A <= len($B)"}, "fix": "$A < len($B)"},
        ),
        (
            "Python", "a.py",
            "def top(values):\n    return max(values) / len(values)\n",
            "def top(values):\n    if not values:\n        return 0.0\n    return max(values) / len(values)\n",
            {
                "rule": {
                    "pattern": "return max($A) / len($A)",
                    "not": {"follows": {"pattern": "if not $A:\n    return 0.0"}},
                },
                "fix": "if not $A:\n    return 0.0\nreturn max($A) / len($A)",
            },
        ),
    ],
)  # fmt: skip
def test_rules_of_several_languages_and_shapes(
    tmp_path: Path, language: str, name: str, before: str, after: str, rule: dict[str, object]
) -> None:
    assert said(proposed(tmp_path, before, after, name, language)) == rule


def test_names_that_would_match_elsewhere_stay_as_they_are(tmp_path: Path) -> None:
    """`loose($A)` would match what the change left alone."""
    before = "def one(first):\n    return loose(first)\n\n\ndef two(second):\n    return loose(second)\n"
    after = before.replace("loose(first)", "strict(first)")
    assert said(proposed(tmp_path, before, after)) == {
        "rule": {"pattern": "loose(first)"}, "fix": "strict(first)",
    }  # fmt: skip


def test_hunks_of_one_shape_share_a_rule_with_metavariables_where_their_names_differ(tmp_path: Path) -> None:
    before = "FIRST, SECOND = 1, 2\nprint(old(FIRST))\nprint(3)\nprint(old(SECOND))\n"
    after = before.replace("old(FIRST)", "new(FIRST)").replace("old(SECOND)", "new(SECOND)")
    found = proposed(tmp_path, before, after)
    assert said(found) == {"rule": {"pattern": "old($A)"}, "fix": "new($A)"}
    assert found is not None
    assert found.covers == 2


def test_code_that_was_only_moved_gives_no_rule(tmp_path: Path) -> None:
    before = "def one(a):\n    return a + 1\n\n\ndef two(b):\n    return b + 2\n"
    after = "def two(b):\n    return b + 2\n\n\ndef one(a):\n    return a + 1\n"
    assert proposed(tmp_path, before, after) is None


@pytest.fixture
def judged(tmp_path: Path):  # type: ignore[no-untyped-def] # a function of one test
    with changed(tmp_path, {"a.py": BEFORE}, {"a.py": AFTER}, "Python") as (bench, spots):

        def verdict(text: str) -> Verified | str:
            rule = read(f"language: Python\n{text}", "pattern-1")
            try:
                return judge(rule, bench.scan([rule.text]), bench, spots)
            except (NotVerified, AstGrepFailed) as error:
                return str(error)

        yield verdict


def test_an_authors_rule_is_held_to_both_sides(judged) -> None:  # type: ignore[no-untyped-def] # as above
    assert judged("rule: {pattern: 'yaml.$F($A)'}\n") == "it matches the snapshot at a.py:7"
    assert judged("rule: {pattern: '$M.load($A)'}\n") == "it matches the snapshot at a.py:12"
    assert judged("rule: {pattern: yaml.full_load($A)}\n") == "it matches nothing in the base"
    assert "ast-grep refused" in str(judged("rule: {nonsense: 1}\n"))
    right = judged("rule: {pattern: yaml.load($A)}\nfix: yaml.safe_load($A)\n")
    assert isinstance(right, Verified)
    assert right.rule.has_fix
    wrong = judged("rule: {pattern: yaml.load($A)}\nfix: yaml.unsafe_load($A)\n")
    assert isinstance(wrong, Verified)
    assert not wrong.rule.has_fix
    assert "unsafe" not in wrong.rule.text
    odd = judged("rule: {pattern: yaml.load($A)}\nfix: 'yaml.safe_load( $A )'\n")
    assert isinstance(odd, Verified)
    assert odd.rule.has_fix, "Python reads the same from it"
    assert not odd.fix_as_tested


def test_a_rule_that_matches_beside_the_change_is_none(tmp_path: Path) -> None:
    """Also where the snapshot has what it matches no more."""
    after = AFTER.replace("json.load(text)", "json.loads(text)")
    with changed(tmp_path, {"a.py": BEFORE}, {"a.py": after}, "Python") as (bench, spots):
        rule = read("language: Python\nrule: {pattern: $M.load($A)}\n", "pattern-1")
        found = bench.scan([rule.text])
        judge(rule, found, bench, spots)
        with pytest.raises(NotVerified, match=r"matches the base at a\.py:12, which no exercised hunk changed"):
            judge(rule, found, bench, spots[:-1])


def test_a_comment_that_tells_ast_grep_to_look_away_hides_nothing(tmp_path: Path) -> None:
    """Else an agent could have any rule pass for one that matches nothing in the snapshot."""
    after = AFTER.replace("    return json", "    # ast-grep-ignore\n    yaml.load(text)\n    return json")
    with changed(tmp_path, {"a.py": BEFORE}, {"a.py": after}, "Python") as (bench, spots):
        rule = read("language: Python\nrule: {pattern: yaml.load($A)}\n", "pattern-1")
        with pytest.raises(NotVerified, match=r"matches the snapshot at a\.py:13"):
            judge(rule, bench.scan([rule.text]), bench, spots)
