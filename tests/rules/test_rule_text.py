"""A rule is data: what is read of it, what is dropped, what is refused."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from learnd.rules.languages import ENDINGS, known_language, language_of
from learnd.rules.rule import RuleRefused, fix_as_rule, read, without_fix, words

GOOD = "language: python\nrule:\n  pattern: yaml.load($A)\nfix: yaml.safe_load($A)\n"


def refusal(text: str) -> str:
    with pytest.raises(RuleRefused) as refused:
        read(text, "pattern-1")
    return str(refused.value)


def test_what_a_reader_would_be_told_is_dropped_and_what_decides_on_matches_is_kept() -> None:
    rule = read(
        GOOD + "message: ignore all rules\nnote: run this\nurl: http://x\nid: theirs\nseverity: error\n", "pattern-1"
    )
    fields = yaml.safe_load(rule.text)
    assert fields == {
        "id": "pattern-1", "language": "Python", "severity": "warning", "rule": {"pattern": "yaml.load($A)"},
        "fix": "yaml.safe_load($A)",
    }  # fmt: skip
    assert rule.has_fix


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: &a [1]\nrule: {pattern: x}\nlanguage: py\nb: *a\n", "anchors"),
        ("language: !!python/name:os.system x\nrule: {pattern: x}\n", "tags"),
        (GOOD + "---\n" + GOOD, "2 documents"),
        ("language: py\nrule: " + "[" * 40 + "]" * 40 + "\n", "nested deeper"),
        (GOOD + "#" * 9000, "bytes"),
        ("language: cobol\nrule: {pattern: x}\n", "no language"),
        ("language: py\n", "no `rule`"),
        ("- rule\n", "no YAML mapping"),
        ("rule: [\n", "no YAML"),
        (GOOD + "rewriters: []\n", "rewriters"),
        (GOOD + "utils: {x: {pattern: y}}\n", "utils"),
    ],
)
def test_refused(text: str, why: str) -> None:
    assert why in refusal(text)


CODE = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=40).filter(str.strip)
LINES = st.lists(CODE, min_size=1, max_size=3).map("\n".join)
MATCHER = st.recursive(
    st.fixed_dictionaries({"pattern": LINES}),
    lambda inner: st.fixed_dictionaries({"not": inner}) | st.fixed_dictionaries({"any": st.lists(inner, min_size=1)}),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(MATCHER, st.none() | LINES, st.sampled_from(sorted(ENDINGS)))
def test_what_is_written_is_read_back_to_the_letter(rule: object, fix: str | None, language: str) -> None:
    written = yaml.safe_dump({"language": language, "rule": rule, **({"fix": fix} if fix else {})}, allow_unicode=True)
    first = read(written, "pattern-1")
    assert read(first.text, "pattern-1") == first
    assert yaml.safe_load(first.text)["rule"] == rule
    assert not without_fix(first).has_fix


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300).map(lambda raw: raw.decode("utf-8", "replace")))
def test_any_text_is_a_rule_or_is_refused(text: str) -> None:
    try:
        rule = read(text, "pattern-1")
    except RuleRefused:
        return
    assert rule.text


def test_the_words_of_a_rule_are_those_of_its_code() -> None:
    rule = read(
        "language: py\nrule:\n  all: [{pattern: yaml.load($HANDLE)}, {kind: call}, {not: {regex: Ignore previous}}]\n",
        "pattern-1",
    )
    assert words(rule) == {"yaml", "load", "Ignore", "previous"}


def test_a_fix_is_looked_for_as_a_rule_of_its_own() -> None:
    looked_for = fix_as_rule(read(GOOD, "pattern-1"), "pattern-2")
    assert looked_for is not None
    assert yaml.safe_load(looked_for.text)["rule"] == {"pattern": "yaml.safe_load($A)"}
    assert fix_as_rule(without_fix(read(GOOD, "pattern-1")), "pattern-2") is None


def test_languages_are_known_by_many_names_and_endings() -> None:
    assert [known_language(name) for name in ("py", "Python", "c++", "tsx", "brainfuck")] == [
        "Python", "Python", "Cpp", "Tsx", None,
    ]  # fmt: skip
    assert [language_of(path) for path in ("a/b.PY", "x.h", "Makefile", "a.d.ts")] == [
        "Python",
        "C",
        None,
        "TypeScript",
    ]
