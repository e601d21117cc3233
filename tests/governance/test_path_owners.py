"""Who owns a path: rules as in CODEOWNERS, the last match counting, and never by the repository's own file."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from learnd.library.owners import owned, owners_of
from learnd.settings import Owner, Patterns, Settings

MATCHES = [
    ("*", "a/b.py"), ("*.js", "b.js"), ("*.js", "a/b.js"), ("/build/logs/", "build/logs/x/y"), ("docs/*", "docs/a.md"),
    ("apps/", "x/apps/y"), ("apps/", "apps/y"), ("/docs/", "docs/x"), ("**/logs", "a/b/logs/x"), ("**/logs", "logs/x"),
    ("/apps/github", "apps/github/x"), ("/apps/github", "apps/github"), ("docs/**/x.md", "docs/x.md"),
    ("docs/**/x.md", "docs/a/b/x.md"), ("/a/**", "a/b/c"), ("foo?.py", "food.py"), ("calc.py", "sub/calc.py"),
    ("src/*.py", "src/a.py"), ("**", "a/b"), ("/*", "a"), ("a b.py", "a b.py"), ("x+(y).py", "x+(y).py"),
]  # fmt: skip
MISSES = [
    ("*.js", "b.jsx"), ("/build/logs/", "a/build/logs/x"), ("docs/*", "docs/b/a.md"), ("/docs/", "x/docs/y"),
    ("/calc.py", "sub/calc.py"), ("src/*.py", "src/x/a.py"), ("src/*.py", "y/src/a.py"), ("/*", "a/b"),
    ("calc.py", "mycalc.py"), ("apps/", "apps"), ("a.py", "aXpy"), ("foo?.py", "foo/.py"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "path"), MATCHES)
def test_a_rule_owns_what_github_says_it_does(rule: str, path: str) -> None:
    assert owners_of([Owner(path=rule, users=("anna",))], path) == {"anna"}


@pytest.mark.parametrize(("rule", "path"), MISSES)
def test_a_rule_owns_nothing_else(rule: str, path: str) -> None:
    assert not owners_of([Owner(path=rule, users=("anna",))], path)


def test_the_last_rule_that_matches_counts_and_one_without_users_takes_owners_away() -> None:
    rules = [Owner(path="*", users=("anna",)), Owner(path="/pay/", users=("berta",)), Owner(path="/pay/docs/")]
    assert [owners_of(rules, path) for path in ("a.py", "pay/b.py", "pay/docs/c.md")] == [{"anna"}, {"berta"}, set()]


def test_a_rule_may_be_for_one_repository_only() -> None:
    rules = [Owner(path="*", users=("anna",), repository="/srv/pay*")]
    assert owned(rules, "/srv/payments", ("a.py",)).paths == (("a.py", frozenset({"anna"})),)
    assert owned(rules, "/srv/shop", ("a.py",)).paths == ()


def test_cited_paths_without_owners_are_told_apart() -> None:
    rules = [Owner(path="/pay/", users=("anna",))]
    assert not owned(rules, "/r", ("pay/a.py",)).others
    assert owned(rules, "/r", ("pay/a.py", "b.py")).others
    assert owned(rules, "/r", ()).others, "what cites nothing has no owner"


@pytest.mark.parametrize("path", ["", "/", "!a", "# a", " a", "a\nb"])
def test_a_rule_that_codeowners_has_not_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        Owner(path=path)


def test_more_consents_than_approvers_are_refused_by_the_settings() -> None:
    with pytest.raises(ValidationError, match="nothing could ever be promoted"):
        Settings(patterns=Patterns(approvals=2), approvers=("anna",))
    assert Settings(patterns=Patterns(approvals=2), approvers=("anna", "berta")).patterns.approvals == 2


def test_a_reminder_that_comes_too_late_is_refused_by_the_settings() -> None:
    with pytest.raises(ValidationError, match="less than expire_days"):
        Patterns(remind_days=30, expire_days=30)
