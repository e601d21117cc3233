"""Findings as SARIF 2.1.0, the exchange format of static analysers (OASIS, 2020).

A rule is a pattern. Regions count lines and columns from 1, columns in characters; the end is exclusive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from urllib.parse import quote

from learnd.rules.linting import Finding

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(findings: Sequence[Finding], evidence: Mapping[str, str], root: str, version: str) -> dict[str, object]:
    """The log of one run. `evidence` has a line for each pattern, `root` is the folder that paths are relative to."""
    rules = list({finding.rule.pattern: finding.rule for finding in findings}.values())
    place = {rule.pattern: number for number, rule in enumerate(rules)}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "learnd",
                        "version": version,
                        "rules": [
                            {
                                "id": rule.pattern,
                                "name": rule.slug,
                                "shortDescription": {"text": rule.title},
                                "fullDescription": {"text": f"{rule.title}. {evidence[rule.pattern]}"},
                                "properties": {"language": rule.language, "ruleSha256": rule.sha256},
                            }
                            for rule in rules
                        ],
                    }
                },
                "originalUriBaseIds": {"ROOT": {"uri": f"{PurePosixPath(root).as_uri().rstrip('/')}/"}},
                "columnKind": "unicodeCodePoints",
                "results": [_result(finding, place, evidence) for finding in findings],
            }
        ],
    }


def _result(finding: Finding, place: Mapping[str, int], evidence: Mapping[str, str]) -> dict[str, object]:
    rule, match = finding.rule, finding.match
    region = {
        "startLine": match.lines[0],
        "startColumn": match.column,
        "endLine": match.lines[1] + (match.end_column == 1 and match.lines[1] > match.lines[0]),
        "endColumn": match.end_column,
        "snippet": {"text": match.text},
    }
    where = {"artifactLocation": {"uri": quote(match.path), "uriBaseId": "ROOT"}}
    result: dict[str, object] = {
        "ruleId": rule.pattern,
        "ruleIndex": place[rule.pattern],
        "level": "warning",
        "message": {"text": f"{rule.title} (pattern {rule.pattern[:8]}: {evidence[rule.pattern]})"},
        "locations": [{"physicalLocation": {**where, "region": region}}],
    }
    if rule.has_fix and match.replacement is not None:
        start, end = match.replaces
        change = {
            "deletedRegion": {"byteOffset": start, "byteLength": end - start},
            "insertedContent": {"text": match.replacement},
        }
        said = f"as the pattern's change did ({rule.pattern[:8]})"
        result["fixes"] = [{"description": {"text": said}, "artifactChanges": [{**where, "replacements": [change]}]}]
    return result
