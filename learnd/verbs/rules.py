"""`check` and `fix`: the rules of active patterns over a tree, read from the log, run as one who lints would run them.

Exit codes of `check`: 0 nothing found, 1 something was, 2 it could not be told. `fix` shows what it would change before
it changes anything, and writes below PATH only.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.ids import short
from learnd.verbs.reading import Reading, reading
from learnd.verbs.terminal import FAILED, USAGE, Stop, confirm, heading, is_terminal, note, print_json, say

if TYPE_CHECKING:
    from learnd.rules.linting import Finding, FixedFile
    from state.pattern import Pattern


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found, and a line of evidence for each pattern of it. `rules` is how many were run."""

    findings: list[Finding]
    evidence: dict[str, str]
    rules: int


def check(log: Path | None, path: Path, *, as_json: bool, as_sarif: bool) -> int:
    """Say where active patterns' rules match. JSON: `{path, rules, findings: [{pattern, title, evidence, path, line,
    column, end_line, end_column, text, fix}]}`; `fix` is what would stand there, or null.
    """
    if as_json and as_sarif:
        raise Stop("--json and --sarif are two formats. Next: one of them", USAGE)
    looked = _look(log, path)
    if as_sarif:
        from importlib.metadata import version

        from learnd.rules.linting import split_path
        from learnd.rules.sarif import sarif

        root = str(split_path(path)[0].resolve())
        print_json(sarif(looked.findings, looked.evidence, root, version("learnd")))
    elif as_json:
        print_json(
            {"path": str(path), "rules": looked.rules, "findings": [_fields(looked, f) for f in looked.findings]}
        )
    else:
        _print(looked, path)
    return 1 if looked.findings else 0


def fix(log: Path | None, path: Path, *, dry_run: bool, yes: bool) -> int:
    """Apply verified fixes, after showing them; 1 when some were not applied."""
    from learnd.rules.linting import NotWritten, fixed, split_path, write

    looked = _look(log, path)
    root = split_path(path)[0]
    files, troubles = fixed(looked.findings, root)
    for file in files:
        _show(file)
    for trouble in troubles:
        note(f"left alone: {trouble}")
    without = sum(not (one.rule.has_fix and one.match.replacement is not None) for one in looked.findings)
    if without:
        note(f"{_count(without, 'place')} found without a verified fix. Next: learnd check {path}")
    if not files:
        say("nothing to fix" if not troubles else "nothing was changed")
        return 1 if troubles else 0
    places = _count(sum(len(file.findings) for file in files), "place")
    if dry_run:
        say(f"{places} in {_count(len(files), 'file')} would be fixed")
        return 0
    if not confirm(f"Fix {places} in {_count(len(files), 'file')}?", yes=yes, instead="learnd fix --yes"):
        say("nothing was changed")
        return 1
    for file in files:
        try:
            write(file, root)
        except NotWritten as error:
            troubles.append(str(error))
            note(f"left alone: {error}")
        else:
            say(f"fixed {file.path}: {_count(len(file.findings), 'place')}")
            if file.left:
                note(f"{file.path}: {_count(len(file.left), 'fix')} overlapped another. Next: learnd fix again")
    return 1 if troubles else 0


def _look(log: Path | None, path: Path) -> Looked:
    """Run every active rule. Raises Stop, with the code for "it could not be told"."""
    from learnd.rules.astgrep import AstGrepFailed
    from learnd.rules.linting import find

    if not path.exists():
        raise Stop(f"{path} is not there. Next: name a folder or a file", USAGE)
    try:
        with reading(log) as book:
            rules = book.views.rules()
            findings = find(rules, path)
            evidence = _evidence(book, {finding.rule.pattern for finding in findings})
    except AstGrepFailed as error:
        raise Stop(str(error), USAGE) from error
    except Stop as stop:
        raise Stop(str(stop), USAGE if stop.code == FAILED else stop.code) from stop
    for pattern in {finding.rule.pattern for finding in findings} - evidence.keys():
        note(f"pattern {short(pattern)} was edited since it was promoted: its rule does not count until it is again")
    return Looked([one for one in findings if one.rule.pattern in evidence], evidence, len(rules))


def _evidence(book: Reading, patterns: set[str]) -> dict[str, str]:
    """A line for each pattern that is served; none for one whose file a person changed."""
    from learnd.serving.servable import served

    given, _ = served(book.views.rows, book.rows, sorted(patterns))
    return {pattern.id: pattern.evidence for pattern in given}


def _fields(looked: Looked, finding: Finding) -> dict[str, object]:
    match, rule = finding.match, finding.rule
    return {
        "pattern": rule.pattern,
        "title": rule.title,
        "evidence": looked.evidence[rule.pattern],
        "path": match.path,
        "line": match.lines[0],
        "column": match.column,
        "end_line": match.lines[1],
        "end_column": match.end_column,
        "text": match.text,
        "fix": match.replacement if rule.has_fix else None,
    }


def _print(looked: Looked, path: Path) -> None:
    for finding in looked.findings:
        match, rule = finding.match, finding.rule
        where = f"{match.path}:{match.lines[0]}:{match.column}"
        can = " [fix]" if rule.has_fix else ""
        say(f"{where}: pattern {short(rule.pattern)}{can}: {rule.title} ({looked.evidence[rule.pattern]})")
    if not looked.rules:
        note("no active pattern has a rule. Next: learnd review")
    elif looked.findings:
        fixable = sum(bool(finding.rule.has_fix) for finding in looked.findings)
        way = f". Next: learnd fix {path}" if fixable else ""
        note(f"{_count(len(looked.findings), 'place')} found by {_count(looked.rules, 'rule')}{way}")
    else:
        note(f"nothing found by {_count(looked.rules, 'rule')}")


# --- a pattern's own rule -----------------------------------------------------------------------------


def facts(pattern: Pattern) -> list[tuple[str, str]]:
    """What `review` says of a pattern's rule and of whether it is still true."""
    told = []
    if pattern.rule is not None:
        rule = pattern.rule
        fix_ = {(True, True): ", its fix is the tested code", (True, False): ", with a fix"}.get(
            (rule.has_fix, rule.fix_as_tested), ""
        )
        where = ", ".join(f"{match.path}:{match.lines[0]}" for match in rule.matches[:3])
        told.append(("rule", f"matches the base at {where}, nothing of the snapshot ({rule.source}{fix_})"))
    elif pattern.awaits_rule:
        told.append(("rule", "none yet: the daemon looks for one"))
    told += [("brought back", f"job {short(job)}") for job in pattern.reintroduced]
    if pattern.status == "stale":
        told.append(
            ("stale", f"{pattern.detail} changed{f'; {pattern.freshness.why}' if pattern.freshness.why else ''}")
        )
    return told


def print_rule(pattern: Pattern) -> None:
    """The rule that would be run, to the letter."""
    if pattern.rule is not None:
        heading("Rule")
        for line in pattern.rule.rule.splitlines():
            say(f"  {line}")


_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def _show(file: FixedFile) -> None:
    """The change to a file, as a patch reads."""
    patterns = ", ".join(dict.fromkeys(f"{short(one.rule.pattern)} {one.rule.title}" for one in file.findings))
    say(f"{file.path}: {patterns}", "bold")
    for line in _diff(file):
        say(line, _COLOURS.get(line[:1]) if is_terminal() else None)
    say()


def _diff(file: FixedFile) -> Sequence[str]:
    before, after = (content.decode("utf-8", "replace").splitlines() for content in (file.seen, file.content))
    return list(difflib.unified_diff(before, after, f"a/{file.path}", f"b/{file.path}", lineterm=""))


def _count(number: int, noun: str) -> str:
    plural = noun if number == 1 else f"{noun}es" if noun.endswith("x") else f"{noun}s"
    return f"{number} {plural}"
