"""A structural rule: YAML that somebody wrote, read as data, and written anew with nothing in it but the rule.

A rule of ast-grep cannot execute anything. What it can do is cost time, be vast, or carry text to whoever reads the
file beside the pattern; so it is bounded, YAML's ways to multiply text (anchors, aliases, merges) are refused, and of
its fields only those are kept that decide what matches and what takes its place. `message`, `note`, `url` and the like
are dropped: what learnd says of a match it says itself.

- `read(text, name).text` is what is verified, stored and run; `read` of it gives it back to the letter.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml

from learnd.rules.languages import known_language

MAX_BYTES = 8_192
MAX_DEPTH = 24
_KEPT = ("rule", "constraints", "transform", "fix")
_GRAMMAR = frozenset({"kind", "field", "stopBy", "strictness", "selector", "nthChild", "range", "source"})
"""Keys whose values are words of ast-grep's, or names of its grammars."""
_KEY = re.compile(r"[A-Za-z_]\w{0,23}")
_WORD = re.compile(r"[^\W\d]\w{3,}")
_METAVARIABLE = re.compile(r"\$+[A-Z_][A-Z0-9_]*")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")


class RuleRefused(Exception):
    """The text is no rule that learnd runs; the message says why."""


@dataclass(frozen=True)
class Rule:
    """`text` is the whole YAML; `name` is the id by which matches name it."""

    name: str
    language: str
    has_fix: bool
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def rule_name(pattern_id: str) -> str:
    """The id that a pattern's rule has in its text and in every match."""
    return f"pattern-{pattern_id[:16]}"


def read(text: str, name: str) -> Rule:
    """The rule in `text`, under the id `name`. Raises RuleRefused."""
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise RuleRefused(f"a rule has at most {MAX_BYTES:,} bytes")
    _plain_yaml(text)
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RuleRefused(f"it is no YAML: {_first_line(error)}") from error
    if not isinstance(found, dict):
        raise RuleRefused("it is no YAML mapping")
    return build(found, name)


def build(fields: Mapping[object, object], name: str) -> Rule:
    """The rule that these fields make. Raises RuleRefused."""
    if not _ID.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a rule")
    language = known_language(str(fields.get("language", "")))
    if language is None:
        raise RuleRefused(f"ast-grep has no language {str(fields.get('language'))[:40]!r} built in")
    if not isinstance(fields.get("rule"), dict) or not fields["rule"]:
        raise RuleRefused("it has no `rule`")
    for key in ("utils", "rewriters"):
        if key in fields:
            raise RuleRefused(f"rules with `{key}` are not run")
    kept = {key: fields[key] for key in _KEPT if fields.get(key) not in (None, {}, "")}
    whole = {"id": name, "language": language, "severity": "warning", **kept}
    text = yaml.dump(whole, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
    if len(text.encode("utf-8", "replace")) > 2 * MAX_BYTES:
        raise RuleRefused(f"a rule has at most {MAX_BYTES:,} bytes")
    return Rule(name, language, "fix" in kept, text)


def without_fix(rule: Rule) -> Rule:
    """The same rule, saying nothing of what should stand there instead."""
    fields = {key: value for key, value in yaml.safe_load(rule.text).items() if key not in ("fix", "transform")}
    return build(fields, rule.name)


def words(rule: Rule) -> frozenset[str]:
    """The words of code that a rule speaks of: all in its text but metavariables and its own grammar."""
    fields = yaml.safe_load(rule.text)
    return frozenset(word for key in _KEPT for word in _words(fields.get(key)))


def _words(value: object) -> Iterator[str]:
    match value:
        case dict():
            for key, inner in value.items():
                # The keys of constraints and transforms are metavariables; anything longer than a name is text.
                yield from () if _KEY.fullmatch(str(key)) else (str(key),)
                yield from () if key in _GRAMMAR else _words(inner)
        case list():
            for inner in value:
                yield from _words(inner)
        case str():
            yield from (word for word in _WORD.findall(_METAVARIABLE.sub(" ", value)))


def named(rule: Rule, name: str) -> Rule:
    """The same rule under another id."""
    return build(yaml.safe_load(rule.text), name)


def fix_as_rule(rule: Rule, name: str) -> Rule | None:
    """A rule that matches what `rule`'s fix leaves behind; None where its fix is no plain pattern."""
    fields = yaml.safe_load(rule.text)
    fix = fields.get("fix")
    if not isinstance(fix, str) or not fix.strip() or "transform" in fields:
        return None
    return build({"language": rule.language, "rule": {"pattern": fix.strip()}}, name)


class _Dumper(yaml.SafeDumper):
    """Code of several lines as a block, so that people can read it; never an alias."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # A block cannot hold trailing spaces, tabs or leading blanks unambiguously: YAML quotes those by itself.
    style = "|" if "\n" in text and text[:1].strip() and "\t" not in text and " \n" not in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _plain_yaml(text: str) -> None:
    """One document, no anchors, aliases or tags, not too deep. Raises RuleRefused."""
    depth = documents = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise RuleRefused("anchors and aliases are not read")
            if getattr(event, "tag", None):
                raise RuleRefused("YAML tags are not read")
            documents += isinstance(event, yaml.DocumentStartEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise RuleRefused(f"it is nested deeper than {MAX_DEPTH} levels")
    except (yaml.YAMLError, ValueError) as error:
        raise RuleRefused(f"it is no YAML: {_first_line(error)}") from error
    if documents != 1:
        raise RuleRefused(f"it has {documents} documents: one rule is one document")


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
