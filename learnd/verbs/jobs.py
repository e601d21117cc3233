"""`jobs` and `show`: what learnd works on, and one job from its run to its pattern."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.ids import short
from learnd.verbs.groups import group_closes_at, group_facts, group_json
from learnd.verbs.reading import Reading, reading
from learnd.verbs.terminal import (
    USAGE,
    Column,
    Stop,
    ago,
    clock_time,
    duration,
    heading,
    note,
    print_facts,
    print_json,
    say,
    stamp,
    table,
)
from learnd.views.diagnosis import BLOCKED, HIDDEN, MEANING, next_command, reason, waits_until
from learnd.views.queries import JobRow, NotFound, PatternRow
from learnd.views.usage import usage_of

if TYPE_CHECKING:
    from events.recorded import Recorded
    from events.values import Evidence, ReplayOutcome

FIELDS = (
    "id", "repo", "task_id", "run_id", "manifest_path", "status", "evidence", "isolation", "scenario_source",
    "pattern", "service", "group", "lead", "opened_at", "updated_at",
)  # fmt: skip


def as_json(job: JobRow) -> dict[str, object]:
    """A job as `jobs --json` shows it; `repo` is the path of its work tree."""
    columns = {**asdict(job), "repo": job.repo_path, "group": job.group_id}
    return {name: columns[name] for name in FIELDS}


# --- jobs ---


def list_jobs(log: Path | None, statuses: list[str], repo: Path | None, *, everything: bool, as_json_: bool) -> int:
    """Print the jobs, oldest first. JSON leaves none out that was not asked to be."""
    wanted = _statuses(statuses)
    with reading(log) as book:
        rows = _of_repo(book, book.views.jobs(statuses=wanted, but_forgotten=not (everything or as_json_)), repo)
        if as_json_:
            print_json([as_json(row) for row in rows])
            return 0
        shown = rows if everything or wanted else [row for row in rows if row.status not in HIDDEN]
        _print(shown)
        if len(shown) < len(rows):
            note(f"{len(rows) - len(shown)} more that nothing is owed to. Next: learnd jobs --all")
    return 0


def _print(rows: list[JobRow]) -> None:
    if not rows:
        note("no jobs. They are opened when a run in a registered repository completes")
        return
    columns = [
        Column("JOB"), Column("STATUS"), Column("EVIDENCE"), Column("TASK", shrink=True), Column("RUN", shrink=True),
        Column("REPOSITORY", shrink=True), Column("UPDATED"),
    ]  # fmt: skip
    several = len({Path(row.repo_path).name for row in rows}) < len({row.repo_path for row in rows})
    table(
        columns,
        [
            (
                short(row.id), f"{row.status}, urgent" if row.urgent else row.status, row.evidence or "-",
                row.task_id, row.run_id,
                row.repo_path if several else Path(row.repo_path).name, ago(row.updated_at),
            )
            for row in rows
        ],
    )  # fmt: skip


def _of_repo(book: Reading, rows: list[JobRow], repo: Path | None) -> list[JobRow]:
    """The jobs of the repository that `repo` lies in. Raises Stop where learnd never knew one there."""
    if repo is None:
        return rows
    root = str(repo.resolve())
    found = [row for row in rows if row.repo_path == root or root.startswith(row.repo_path + "/")]
    if not found and not book.views.repositories_at(root):
        raise Stop(f"{repo} lies in no repository that learnd knows. Next: learnd init {repo}", USAGE)
    return found


def _statuses(given: list[str]) -> tuple[str, ...]:
    """Statuses as asked for; `blocked` stands for all that wait for a person."""
    found: list[str] = []
    for word in given:
        if word == "blocked":
            found += BLOCKED
        elif word in MEANING:
            found.append(word)
        else:
            near = difflib.get_close_matches(word, MEANING, 1)
            hint = f"did you mean {near[0]}?" if near else f"one of blocked, {', '.join(MEANING)}"
            raise Stop(f"{word!r} is no status of a job. Next: {hint}", USAGE)
    return tuple(dict.fromkeys(found))


# --- show ---


def show(log: Path | None, prefix: str, *, as_json_: bool) -> int:
    """Print one job: where it stands, its timeline, its evidence and its files."""
    with reading(log) as book:
        row = book.views.job(prefix)
        records = book.log.read(f"job-{row.id}")
        evidence = _evidence(records)
        if as_json_:
            print_json(
                {
                    "job": {**as_json(row), **_standing(book, row)},
                    "events": [record.envelope() for record in records],
                    "group": group_json(book, row),
                    "evidence": _evidence_json(evidence),
                    "files": _files(records),
                }
            )
            return 0
        _print_job(book, row, records, evidence)
    return 0


def pattern_of(book: Reading, row: JobRow) -> PatternRow | None:
    """The pattern that a job led to, where its stream has begun."""
    if row.pattern is None:
        return None
    try:
        return book.views.pattern(row.pattern)
    except NotFound:
        return None


def _standing(book: Reading, row: JobRow) -> dict[str, object]:
    return {
        "since": row.since,
        "because": row.because,
        "cause": row.cause,
        "detail": row.detail,
        "spent_usd": row.spent_usd,
        "urgent": bool(row.urgent),
        "waits_until": group_closes_at(book, row) or waits_until(row),
        "next": next_command(row, book.value, pattern_of(book, row), daemon=_daemon(book)),
    }


def _daemon(book: Reading) -> bool:
    daemon = book.views.daemon()
    return daemon is not None and daemon.pid is not None


def _evidence(records: Iterable[Recorded]) -> Evidence | None:
    """The evidence recorded last."""
    found = None
    for record in records:
        found = getattr(record.data, "evidence", None) or found
    return found


def _evidence_json(evidence: Evidence | None) -> dict[str, object] | None:
    if evidence is None:
        return None
    return {
        "verdict": evidence.verdict,
        "cause": evidence.cause,
        "base": [outcome.model_dump(mode="json") for outcome in evidence.base],
        "snapshot": [outcome.model_dump(mode="json") for outcome in evidence.snapshot],
        "hunks": [
            {"file": hunk.file, "lines": list(hunk.lines), "verdict": hunk.verdict, "turned": list(hunk.turned),
             "together": list(hunk.together)}
            for hunk in evidence.hunks
        ],
        "tests": evidence.transitions.model_dump(mode="json") if evidence.transitions else None,
        "flaky_tests": [flaky.model_dump(mode="json") for flaky in evidence.flaky_tests],
        "minimal": evidence.minimal.model_dump(mode="json") if evidence.minimal else None,
        "attestations": [file.path for file in evidence.attestations],
        "group": evidence.group.model_dump(mode="json") if evidence.group else None,
    }  # fmt: skip


def _files(records: Iterable[Recorded]) -> dict[str, str]:  # noqa: PLR0912 - one case an event, nothing nested
    """Paths of the job's files by what they are; the newest where one was made again."""
    from events import catalog as e  # brings pydantic

    files: dict[str, str] = {}
    for record in records:
        match record.data:
            case e.RunObserved() | e.RunEnded() | e.JobOpened():
                files["manifest"] = record.data.manifest_path
            case e.SnapshotTaken(snapshot=taken):
                files |= {"tarball": taken.tarball.path, "diff": taken.diff.path}
                if taken.storage_copy:
                    files["tarball_copy"] = taken.storage_copy.path
            case e.JobQueued():
                files |= {"payload": record.data.payload.path, "history": record.data.execution_history.path}
                if record.data.prompt:
                    files["prompt"] = record.data.prompt.path
            case e.GroupClosed(snapshot=joint) if joint:
                files["group_diff"] = joint.diff.path
            case e.SnapshotStalled(git_status=status, git_log=log_) if status and log_:
                files |= {"git_status": status.path, "git_log": log_.path}
            case e.ManualScenarioRequired():
                files |= {"scenario_partial": record.data.partial.path, "template": record.data.template.path}
            case e.ScenarioSynthesized() | e.ManualScenarioSupplied():
                files["scenario"] = record.data.file.path
            case e.ChangeValidated() | e.ValidationFailed():
                if record.data.file:
                    files["evidence"] = record.data.file.path
                if record.data.evidence.log:
                    files["replay_log"] = record.data.evidence.log.path
            case e.PatternDrafted():
                files["draft"] = record.data.draft.path
    return files


def _print_job(book: Reading, row: JobRow, records: list[Recorded], evidence: Evidence | None) -> None:
    pattern = pattern_of(book, row)
    say(f"job {short(row.id)}  {row.status}", "bold")
    print_facts(_facts(book, row, pattern))
    heading("Timeline")
    _print_timeline(records)
    if pattern is not None:
        heading(f"Pattern {short(pattern.id)}  {pattern.status}")
        _print_timeline(book.log.read(f"pattern-{pattern.id}"))
        if line := usage_of(book.views.rows, pattern.id).line:
            say(f"  {line}")
    if evidence is not None:
        _print_evidence(evidence)
    files = _files(records)
    if files:
        heading("Files")
        print_facts([(name, path if Path(path).exists() else f"{path} (gone)") for name, path in files.items()], 2)


def _facts(book: Reading, row: JobRow, pattern: PatternRow | None) -> list[tuple[str, str]]:
    step = next_command(row, book.value, pattern, daemon=_daemon(book))
    facts = [
        ("id", row.id),
        ("repository", row.repo_path),
        ("run", f"{row.run_id} of task {row.task_id}"),
        ("since", f"{stamp(row.since)} ({ago(row.since)}), because of {row.because}"),
        ("reason", reason(row)),
    ]
    if row.urgent:
        facts.append(("urgent", "goes before all others"))
    facts += group_facts(book, row)
    if until := group_closes_at(book, row) or waits_until(row):
        facts.append(("waits until", stamp(until)))
    if row.spent_usd:
        facts.append(("spent", f"${row.spent_usd:.4f}"))
    if step:
        facts.append(("next", step))
    return facts


def _print_timeline(records: Iterable[Recorded]) -> None:
    from learnd.views.timeline import timeline  # brings pydantic

    entries = timeline(list(records))
    day = ""
    rows = []
    for entry in entries:
        now = stamp(entry.at)[:10]
        rows.append(
            (
                now if now != day else "",
                clock_time(entry.at),
                f"+{duration(entry.seconds)}" if entry.seconds is not None else "",
                entry.type,
                entry.text,
            )
        )
        day = now
    table(
        [Column("DAY"), Column("TIME"), Column("AFTER", right=True), Column("EVENT"), Column("FACTS", shrink=True)],
        rows,
        indent=2,
    )


def _print_evidence(evidence: Evidence) -> None:
    verdict = f"{evidence.verdict}{f' ({evidence.cause})' if evidence.cause else ''}"
    heading(f"Evidence  {verdict}, isolation {evidence.isolation}")
    if evidence.detail:
        say(f"  {evidence.detail}")
    if evidence.flake_upper_bound is not None:
        say(f"  flake rate below {evidence.flake_upper_bound:.0%} with 95 % confidence")
    for line in (*_became(evidence), *_smallest(evidence)):
        say(f"  {line}")
    if evidence.group is not None:
        runs = ", ".join(member.run_id for member in evidence.group.members)
        say(f"  about {len(evidence.group.members)} runs together: {runs}")
    replays = [*_side("base", evidence.base), *_side("snapshot", evidence.snapshot)]
    if replays:
        columns = [
            Column("SIDE"),
            Column("REPLAYS", right=True),
            Column("RESULT"),
            Column("TESTS"),
            Column("TIME EACH"),
        ]
        table([*columns, Column("SAID BY"), Column("WHY", shrink=True)], replays, indent=2)
    if evidence.hunks:
        say()
        hunks = sorted(evidence.hunks, key=lambda hunk: hunk.verdict != "exercised")
        rows = [(hunk.verdict, f"{hunk.file}:{hunk.lines[0]}-{hunk.lines[1]}", _turned(hunk.turned)) for hunk in hunks]
        table([Column("HUNK ALONE"), Column("WHERE", shrink=True), Column("TURNED", shrink=True)], rows, indent=2)


def _became(evidence: Evidence) -> Iterator[str]:
    """What became of the tests, and which flake."""
    if evidence.transitions is not None:
        kinds = {
            "fail to pass": evidence.transitions.fail_to_pass,
            "pass to pass": evidence.transitions.pass_to_pass,
            "fail to fail": evidence.transitions.fail_to_fail,
            "pass to fail": evidence.transitions.pass_to_fail,
        }
        yield "tests: " + ", ".join(f"{tests.count} {kind}" for kind, tests in kinds.items())
    for flaky in evidence.flaky_tests:
        yield f"flaky on the {flaky.side}: {flaky.test}, failed {flaky.failed} of {flaky.runs}"
    for variant in evidence.variants:
        if not variant.ok:
            yield f"fails with {variant.name}: {', '.join(variant.failing) or 'see the log'}"


def _smallest(evidence: Evidence) -> Iterator[str]:
    """The smallest change that was shown to do the same."""
    minimal = evidence.minimal
    if minimal is None:
        return
    size = f"{len(minimal.hunks)} of {len(evidence.hunks)} hunks, +{minimal.lines_added} -{minimal.lines_removed}"
    doubts = [
        *(() if minimal.complete else ("the time was up before it was the smallest",)),
        *(() if minimal.verified else ("it did not pass every time",)),
    ]
    doubted = f" ({'; '.join(doubts)})" if doubts else ""
    yield f"smallest proven change: {size}, {minimal.file.path}{doubted}"


def _side(side: str, outcomes: Sequence[ReplayOutcome]) -> list[tuple[str, ...]]:
    """The replays of one side, those that came out alike in one row."""
    alike: dict[tuple[str, ...], list[float]] = {}
    for outcome in outcomes:
        counts = outcome.counts
        if counts:
            tests = f"{counts.passed} passed, {counts.failed + counts.errors} failed"
        else:
            tests = f"exit {outcome.exit_code}" if outcome.signal is None else f"signal {outcome.signal}"
        why = ": ".join(part for part in (outcome.cause or "", ", ".join(outcome.failing)) if part)
        key = ("passes" if outcome.ok else "fails", tests, outcome.source, why)
        alike.setdefault(key, []).append(outcome.seconds)
    return [
        (side, str(len(times)), result, tests, _span_of(times), source, why)
        for (result, tests, source, why), times in alike.items()
    ]


def _span_of(seconds: list[float]) -> str:
    low, high = duration(min(seconds)), duration(max(seconds))
    return low if low == high else f"{low} to {high}"


def _turned(tests: tuple[str, ...]) -> str:
    return ", ".join(tests)
