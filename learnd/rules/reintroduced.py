"""Did a run bring back what a pattern warns of? Its diff is held against the rules of this repository's patterns.

- Of an active pattern its rule, which matches what the pattern's change took out. Of a deprecated one what its fix
  leaves behind: advice that was taken out of service and is followed again.
- What counts is in lines that the run put in, and more of it than stood in those files before: code that was moved is
  not brought back.
- An alert about it is over when a later snapshot of the work tree lacks it, or its pattern says so no more.

ast-grep runs in the sandbox: while that is out of order the job waits, and nothing is missed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import structlog

from events.catalog import ReintroductionDetected
from events.values import SnapshotRecord
from learnd.alerts.message import NAME, NEXT, plain
from learnd.alerts.policy import Subject, severity_of
from learnd.harvest.faults import SnapshotError
from learnd.ids import short
from learnd.lab.binds import RunRefused
from learnd.lab.hunks import DiffUnreadable, Unit, split
from learnd.lab.launcher import SandboxUnavailable
from learnd.lab.trees import NoRoomForTrees
from learnd.rules.astgrep import AstGrepFailed, Match
from learnd.rules.bench import Side, TooLarge, Where, code_of, laid_out
from learnd.rules.rule import fix_as_rule, read, rule_name
from learnd.rules.verify import split as by_side
from learnd.steps.faults import MachineFault
from learnd.views.queries import RuleRow
from learnd.workplace import Workplace
from state.commands import EndReintroduction, RaiseReintroduction, RecordReintroduction
from state.job import Job

WATCHED = ("active", "deprecated")

Lines = Mapping[str, Sequence[tuple[int, int]]]
Command = RecordReintroduction | RaiseReintroduction | EndReintroduction

log = structlog.get_logger("learnd.rules")


@dataclass(frozen=True)
class _Standing:
    """An open alert: the job whose run brought something back, the pattern, and the file where that stood."""

    job: str
    pattern: str
    path: str


def brought_back(job: Job, record: SnapshotRecord, place: Workplace) -> list[Command]:
    """What to record of a harvested run. Raises MachineFault."""
    rows = {row.pattern: row for row in place.views().rules(statuses=WATCHED, repo_id=job.repo_id)}
    standing = list(_standing(job, place))
    if not rows and not standing:
        return []
    texts = {row.pattern: text for row in rows.values() if (text := _watched_for(row)) is not None}
    try:
        found = _found(job, record, place, rows, texts, frozenset(one.path for one in standing))
    except (SnapshotError, DiffUnreadable, TooLarge, AstGrepFailed, RunRefused, OSError) as error:
        log.warning("not held against the rules", job=job.id[:8], reason=str(error))
        return []
    except SandboxUnavailable as error:
        raise MachineFault("sandbox", str(error)) from error
    except NoRoomForTrees as error:
        raise MachineFault("disk", str(error)) from error
    new = {pattern: match for pattern, match in _new(found).items() if job.id not in _known(place, pattern)}
    return [*_ended(standing, found.now, texts), *(one for row in new.items() for one in _told(job, place, rows, *row))]


def _watched_for(row: RuleRow) -> str | None:
    """The rule to look for: None for a deprecated pattern whose advice cannot be looked for."""
    if row.status == "active":
        return row.text
    advice = fix_as_rule(read(row.text, rule_name(row.pattern)), rule_name(row.pattern))
    return advice.text if advice else None


@dataclass(frozen=True)
class _Found:
    """Matches by pattern, before and now, and the lines that the run put in, by file."""

    before: Mapping[str, list[Match]]
    now: Mapping[str, list[Match]]
    added: Lines


def _found(
    job: Job,
    record: SnapshotRecord,
    place: Workplace,
    rows: Mapping[str, RuleRow],
    texts: Mapping[str, str],
    also: frozenset[str],
) -> _Found:
    store = place.store(job.repo_id, job.repo_path)
    units = split(store.diff(record.base_tree, record.tree), lambda _path: False)
    changed, added = frozenset(unit.file for unit in units), _added(units)
    files: dict[Side, dict[str, bytes]] = {"base": {}, "snapshot": {}}
    for language in {rows[pattern].language for pattern in texts}:
        files["base"] |= code_of(store, record.base_tree, language, changed)
        files["snapshot"] |= code_of(store, record.tree, language, changed | also)
    if not texts or not files["snapshot"]:
        return _Found({}, {}, added)
    with laid_out(Where.of(place, job.repo_path, f"reintroduced-{job.id}"), files) as bench:
        sides = by_side(bench.scan(list(texts.values())))
    names = {rule_name(pattern): pattern for pattern in texts}
    return _Found(_by_pattern(sides["base"], names), _by_pattern(sides["snapshot"], names), added)


def _by_pattern(matches: Sequence[Match], names: Mapping[str, str]) -> dict[str, list[Match]]:
    found: dict[str, list[Match]] = {}
    for match in matches:
        found.setdefault(names[match.name], []).append(match)
    return found


def _added(units: Iterable[Unit]) -> dict[str, list[tuple[int, int]]]:
    """The lines that the run put in, by file; a deletion has none."""
    lines: dict[str, list[tuple[int, int]]] = {}
    for unit in units:
        if unit.added:
            lines.setdefault(unit.file, []).append(unit.lines)
    return lines


def _new(found: _Found) -> dict[str, Match]:
    """The first match of each pattern that the run put in."""
    new: dict[str, Match] = {}
    for pattern, matches in found.now.items():
        before = Counter(match.text for match in found.before.get(pattern, ()))
        now = Counter(match.text for match in matches if match.path in found.added)
        for match in sorted(matches, key=lambda match: (match.path, match.start)):
            put_in = any(
                first <= match.lines[1] and match.lines[0] <= last for first, last in found.added.get(match.path, ())
            )
            if put_in and now[match.text] > before[match.text]:
                new.setdefault(pattern, match)
    return new


def _known(place: Workplace, pattern: str) -> tuple[str, ...]:
    return place.door.pattern(pattern).reintroduced


def _told(
    job: Job, place: Workplace, rows: Mapping[str, RuleRow], pattern: str, match: Match
) -> tuple[RecordReintroduction, RaiseReintroduction]:
    row = rows[pattern]
    what = "what it warns of" if row.status == "active" else "what it advised until it was deprecated"
    where = plain(f"{match.path}:{match.lines[0]}", NAME)
    message = "\n".join(
        [
            f"job {short(job.id)} brought back at {where} what pattern {short(pattern)} "
            + ("warns of" if row.status == "active" else "advised until it was deprecated"),
            f"pattern: {plain(row.title, NAME)}",
            f"task {plain(job.task_id, NAME)}, run {plain(job.run_id, NAME)}, in {plain(job.repo_path, NAME)}",
            f"{NEXT}learnd check {plain(job.repo_path, NAME)}",
        ]
    )
    subject = Subject("reintroduction", pattern, job.repo_path, job.task_id)
    severity = severity_of(subject, place.settings.alerts.policy)
    return (
        RecordReintroduction(pattern, job.id, match.path, f"{what}, at {where}", match.lines),
        RaiseReintroduction(job.id, pattern, message, severity),
    )


# --- alerts that may be over --------------------------------------------------------------------------

_OPEN = (
    "SELECT substr(alerts.stream, 5), alerts.about FROM alerts JOIN jobs ON jobs.id = substr(alerts.stream, 5) "
    "WHERE alerts.kind = 'reintroduction' AND alerts.over_at IS NULL AND jobs.repo_id = ? AND jobs.repo_path = ?"
)


def _standing(job: Job, place: Workplace) -> Iterator[_Standing]:
    """Open alerts of this work tree's earlier jobs, with the file that each is about."""
    for other, pattern in place.views().rows(_OPEN, (job.repo_id, job.repo_path)):
        if other == job.id:
            continue
        for told in place.door.log.read(f"pattern-{pattern}"):
            if isinstance(told.data, ReintroductionDetected) and told.data.job_id == other:
                yield _Standing(str(other), str(pattern), told.data.path)


def _ended(
    standing: Sequence[_Standing], now: Mapping[str, Sequence[Match]], texts: Mapping[str, str]
) -> list[EndReintroduction]:
    ended = []
    for one in standing:
        if one.pattern not in texts:
            ended.append(EndReintroduction(one.job, one.pattern, "the pattern is not in service any more"))
        elif not any(match.path == one.path for match in now.get(one.pattern, ())):
            ended.append(EndReintroduction(one.job, one.pattern, f"it is in {one.path} no more"))
    return ended
