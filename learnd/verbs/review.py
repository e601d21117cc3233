"""`review`: patterns that wait for a person, and one of them in full with what speaks for it; `diff`: its edit."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.ids import short
from learnd.verbs import beside, rules
from learnd.verbs.groups import together, together_facts
from learnd.verbs.reading import Reading, reading
from learnd.verbs.terminal import Column, ago, heading, markdown, note, print_facts, print_json, say, stamp, table
from learnd.views.queries import PatternRow
from learnd.views.usage import usage_of

if TYPE_CHECKING:
    from events.values import Evidence

WAITING = ("candidate", "edited", "quarantined")


def review(log: Path | None, prefix: str | None, *, everything: bool, as_json: bool) -> int:
    """List the patterns that wait for a person, or show one.

    JSON: an array of `{id, title, slug, status, promoted_at, regressions, verdict, repo, job_id, manifest_path, file,
    gate, detail, approver, reason, evidence, evidence_count, last_seen, use, staged_at, updated_at}`, `evidence`
    being one line, `use` `{served, served_on, helped, did_not_help, wrong}`, `regressions` counted since the
    promotion; with a pattern's id an array of one, which also has its `text`, `validated_together` (`{job,
    manifest_path, lead}` of each run of its group, empty of none), `rule` (as PatternRuleVerified has it), `conflicts`,
    `superseded_by`, `consents`, `librarian` (what a model recommended) and `diff` (what was edited in
    its file), null where there is none.
    """
    with reading(log) as book:
        rows = [book.views.pattern(prefix)] if prefix else _rows(book, everything=everything)
        if as_json:
            print_json([_as_json(book, row, whole=prefix is not None) for row in rows])
        elif prefix:
            _print_one(book, rows[0])
        else:
            _print_all(book, rows, everything=everything)
    return 0


def _rows(book: Reading, *, everything: bool) -> list[PatternRow]:
    return book.views.patterns() if everything else book.views.patterns(statuses=WAITING, but_forgotten=True)


def file_of(book: Reading, row: PatternRow) -> Path | None:
    """Where the pattern's file stands by its status, None for one that has no file in the repository."""
    from learnd.library.files import FOLDER_OF  # brings pydantic
    from learnd.library.wanted import wanted
    from state.pattern import PatternStatus

    folder = FOLDER_OF.get(PatternStatus(row.status))
    known = wanted(book.log, book.views, row.id) if folder else None
    return Path(row.repo_path) / ".agent/patterns" / str(folder) / known.file_name if known else None


def _evidence(book: Reading, row: PatternRow) -> Evidence | None:
    found = None
    for record in book.log.read(f"job-{row.job_id}"):
        found = getattr(record.data, "evidence", None) or found
    return found


def evidence_line(evidence: Evidence | None) -> str:
    """What speaks for a pattern, in a line: `proven: base fails 3/3, fix passes 3/3, 2 of 2 hunks, bubblewrap`."""
    if evidence is None:
        return "no evidence"
    base = sum(not outcome.ok for outcome in evidence.base)
    snapshot = sum(outcome.ok for outcome in evidence.snapshot)
    hunks = sum(hunk.verdict == "exercised" for hunk in evidence.hunks)
    parts = [f"base fails {base}/{len(evidence.base)}", f"fix passes {snapshot}/{len(evidence.snapshot)}"]
    if evidence.hunks:
        parts.append(f"{hunks} of {len(evidence.hunks)} hunks")
    parts.append("bubblewrap" if evidence.isolation == "bubblewrap" else "NOT ISOLATED")
    return f"{evidence.verdict}: {', '.join(parts)}"


def _as_json(book: Reading, row: PatternRow, *, whole: bool) -> dict[str, object]:
    told = asdict(row)
    told["repo"] = told.pop("repo_path")
    del told["version"], told["repo_id"]
    file = file_of(book, row)
    told |= {"file": str(file) if file else None, "evidence": evidence_line(_evidence(book, row))}
    told["use"] = asdict(usage_of(book.views.rows, row.id))
    if whole:
        pattern = beside.pattern_of(book, row)
        edit = beside.edit_of(book, row)
        advice = pattern.review.told if pattern.review else None
        told |= {
            "text": pattern.text,
            "validated_together": [asdict(one) for one in together(book, row.job_id)],
            "conflicts": list(pattern.conflicts),
            "superseded_by": pattern.superseded_by,
            "consents": [consent.user for consent in pattern.consents],
            "rule": pattern.rule.model_dump(mode="json", exclude={"type"}) if pattern.rule else None,
            "librarian": advice.model_dump(mode="json", exclude={"type"}) if advice else None,
            "diff": edit[1] if edit else None,
        }
    return told


def diff(log: Path | None, prefix: str, *, as_json: bool) -> int:
    """Show what was edited in a pattern's file since it was judged.

    JSON: `{id, status, file, sha256, diff}`; the last three are null where nothing was edited.
    """
    with reading(log) as book:
        row = book.views.pattern(prefix)
        found = beside.edit_of(book, row)
        if as_json:
            edit = found[0] if found else None
            print_json(
                {
                    "id": row.id, "status": row.status, "file": str(edit.path) if edit else None,
                    "sha256": edit.digest if edit else None, "diff": found[1] if found else None,
                }
            )  # fmt: skip
        elif found is None:
            note(f"pattern {short(row.id)} ({row.status}): its file is what was judged")
        else:
            _print_diff(found[1])
            note(f"Next: {_next(row)}" if row.status == "edited" else f"Next: learnd review {short(row.id)}")
    return 0


def _print_diff(text: str) -> None:
    for line in text.splitlines():
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1]) if not line.startswith(("+++", "---")) else "bold"
        say(line, style)


def _print_all(book: Reading, rows: list[PatternRow], *, everything: bool) -> None:
    if not rows:
        note("no patterns" if everything else "nothing to review. All patterns: learnd review --all")
        return
    table(
        [
            Column("PATTERN"), Column("STATUS"), Column("TITLE", shrink=True), Column("EVIDENCE", shrink=True),
            Column("JOB"), Column("SINCE"),
        ],
        [
            (
                short(row.id), row.status, row.title, evidence_line(_evidence(book, row)), short(row.job_id),
                ago(row.updated_at),
            )
            for row in rows
        ],
    )  # fmt: skip
    for row in rows:
        said = beside.in_short(beside.pattern_of(book, row)) if row.status in WAITING else ""
        if said:
            say(f"{short(row.id)}  {said}")
    if not everything:
        note(f"Next: learnd review {short(rows[0].id)}")


def _print_one(book: Reading, row: PatternRow) -> None:
    say(f"pattern {short(row.id)}  {row.status}", "bold")
    file = file_of(book, row)
    facts = [
        ("id", row.id),
        ("evidence", evidence_line(_evidence(book, row))),
        ("job", f"{short(row.job_id)} (learnd show {short(row.job_id)})"),
        ("run", row.manifest_path),
        *together_facts(together(book, row.job_id)),
        ("repository", row.repo_path),
    ]
    if file is not None:
        facts.append(("file", str(file)))
    if row.gate:
        facts.append(("stopped by", f"gate {row.gate}: {row.detail}"))
    if row.approver:
        facts.append(("decided by", f"{row.approver}{f': {row.reason}' if row.reason else ''}"))
    pattern = beside.pattern_of(book, row)
    facts += beside.facts(book, row, pattern)
    facts += [("came undone", line) for line in _regressions(book, row)]
    facts += rules.facts(pattern)
    if line := usage_of(book.views.rows, row.id).line:
        facts.append(("use", line))
    facts += [("reported", line) for line in _reports(book, row)]
    facts.append(("next", _next(row)))
    print_facts(facts)
    heading("Text")
    say()
    markdown(beside.without_front_matter(pattern.text))
    rules.print_rule(pattern)
    edit = beside.edit_of(book, row)
    if edit is not None:
        heading(f"Edited since it was judged: {edit[0].path}")
        _print_diff(edit[1])
    beside.print_contradicted(book, row, pattern)


def _regressions(book: Reading, row: PatternRow) -> list[str]:
    """Each time that the change behind the pattern came undone, in a line."""
    from events.catalog import RegressionDetected  # brings pydantic
    from learnd.views.timeline import regression

    found = [record for record in book.log.read(f"job-{row.job_id}") if isinstance(record.data, RegressionDetected)]
    return [
        f"{stamp(record.at)}  {regression(record.data)}"
        for record in found
        if isinstance(record.data, RegressionDetected) and record.data.pattern_id == row.id
    ]


def _reports(book: Reading, row: PatternRow) -> list[str]:
    """What agents said of the pattern and why, the last ten."""
    from events.catalog import UseReported  # brings pydantic
    from learnd.views.timeline import facts

    said = [record for record in book.log.read(f"usage-{row.id}") if isinstance(record.data, UseReported)]
    return [f"{stamp(record.at)}  {facts(record.data)}" for record in said[-10:]]


def _next(row: PatternRow) -> str:
    name = short(row.id)
    match row.status:
        case "candidate":
            return f"learnd promote {name}   or   learnd reject {name} --reason TEXT"
        case "edited":
            return (
                f"learnd promote {name} --as-edited   or   learnd promote {name} --as-judged   or   "
                f"learnd deprecate {name} --reason TEXT"
            )
        case "quarantined":
            return f"learnd reject {name} --reason TEXT   or   learnd release {name} --reason TEXT"
        case "active" | "stale":
            return f"learnd deprecate {name} --reason TEXT"
        case "deprecated" | "rejected" | "expired":
            return f"learnd restore {name}"
    return f"learnd show {short(row.job_id)}"
