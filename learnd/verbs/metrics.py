"""`metrics`: is learning safe, then whether it is worth it. Everything from the log, for a window and a repository."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from learnd.clock import iso
from learnd.ids import short
from learnd.verbs.reading import Reading, reading
from learnd.verbs.terminal import USAGE, Column, Stop, duration, heading, print_facts, print_json, say, stamp, table
from learnd.verbs.when import moment
from learnd.views.measures.safety import Blocked, Hygiene, Regressions, Resolution, Reviewing, Validation
from learnd.views.measures.use import Use
from learnd.views.measures.window import Window, milliseconds
from learnd.views.measures.work import Alerting, Spend, Throughput
from learnd.views.metrics import Metrics, metrics

NOTHING = "—"
"""A number that nobody can know."""
OPEN_JOBS = 10
"""Still blocked jobs that are listed; `jobs --status blocked` has all."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The options as typed."""

    since: str | None
    until: str | None
    repo: Path | None


def show_metrics(log: Path | None, asked: Asked, *, as_json: bool) -> int:
    """Print the metrics. JSON: the fields of `views/metrics.py`, then `window` `{since, until, now}` and `repo`.

    Times are in seconds, money in dollars; null is a number that nobody can know.
    """
    now = datetime.now(UTC)
    since = moment("--since", asked.since, now) if asked.since is not None else None
    until = moment("--until", asked.until, now) if asked.until is not None else None
    if since is not None and since >= (until or now):
        raise Stop("the window is empty. Next: --since that lies before --until, and before now", USAGE)
    shown = {"since": iso(since) if since else None, "until": iso(until) if until else None, "now": iso(now)}
    window = Window(milliseconds(shown["now"]) or 0, milliseconds(shown["since"]), milliseconds(shown["until"]))
    with reading(log) as book:
        found = metrics(book.views.rows, window, _repos(book, asked.repo))
    repo = os.path.realpath(asked.repo) if asked.repo is not None else None
    if as_json:
        print_json({**asdict(found), "window": shown, "repo": repo})
    else:
        say(repo or "All repositories")
        say(_span(shown["since"], shown["until"]))
        _print(found)
    return 0


def _repos(book: Reading, repo: Path | None) -> tuple[str, ...] | None:
    """Ids of the repository that is asked for. Raises Stop where learnd never knew it."""
    if repo is None:
        return None
    found = book.views.repositories_at(os.path.realpath(repo))
    if not found:
        raise Stop(f"{repo} lies in no repository that learnd knows. Next: learnd init {repo}", USAGE)
    return found


def _span(since: str | None, until: str | None) -> str:
    begins = f"from {stamp(since)}" if since else "from the beginning"
    ends = f"before {stamp(until)}" if until else "until now"
    return f"{begins} {ends}"


def _print(found: Metrics) -> None:
    _validation(found.validation)
    _blocked(found.blocked)
    _reviewing(found.reviewing)
    _regressions(found.regressions)
    _hygiene(found.pattern_hygiene)
    _use(found.pattern_use)
    _throughput(found.throughput)
    _spend(found.model_spend, found.spent_usd)
    _alerts(found.alerts)


def _validation(found: Validation) -> None:
    heading("Validation")
    passed = f"{found.passed} ({found.proven} proven, {found.pass_only} pass only)"
    causes = [(f"  {group.replace('_', ' ')}", _counts(counts)) for group, counts in found.root_causes.items()]
    facts = [("passed", passed), ("failed", str(found.failed)), *causes, ("pass rate", _rate(found.pass_rate))]
    print_facts(facts, 2)


def _blocked(found: Blocked) -> None:
    heading("Blocked jobs, and the time to resolve them")
    stood = {
        status: times
        for status, times in found.by_status.items()
        if status == "stalled_snapshot" or times.resolved or times.open
    }
    titles = ("RESOLVED", "MEDIAN", "P95", "LONGEST", "OPEN", "OLDEST")
    rows = [_resolution(status, times) for status, times in stood.items()]
    if len(rows) > 1:
        rows.append(_resolution("all", found))
    table([Column("STATUS"), *(Column(title, right=True) for title in titles)], rows, indent=2)
    for job in found.open_jobs[:OPEN_JOBS]:
        say(f"  still open: {short(job.job)}  {job.status} for {_time(job.age_seconds)}")
    if len(found.open_jobs) > OPEN_JOBS:
        say(f"  and {len(found.open_jobs) - OPEN_JOBS} more. Next: learnd jobs --status blocked")


def _resolution(status: str, times: Resolution) -> tuple[str, ...]:
    lengths = (times.median_seconds, times.p95_seconds, times.longest_seconds)
    resolved, open_ = str(times.resolved), str(times.open)
    return (status, resolved, *(_time(length) for length in lengths), open_, _time(times.oldest_open_seconds))


def _reviewing(found: Reviewing) -> None:
    heading("Review of candidates")
    titles = ("PROMOTED", "REJECTED", "REJECTION RATE", "MEDIAN LATENCY")
    decided = [*found.by_reviewer.items(), *([] if len(found.by_reviewer) == 1 else [("all", found)])]
    rows = [
        (
            reviewer, str(one.promoted), str(one.rejected), _rate(one.rejection_rate),
            _time(one.median_latency_seconds),
        )
        for reviewer, one in decided
    ]  # fmt: skip
    table([Column("REVIEWER", shrink=True), *(Column(title, right=True) for title in titles)], rows, indent=2)
    oldest = f", the oldest for {_time(found.oldest_waiting_seconds)}" if found.waiting else ""
    say(f"  waiting: {found.waiting}{oldest}")


def _regressions(found: Regressions) -> None:
    heading("Regressions of promoted changes")
    rows = [
        ("caught by learnd", str(found.caught), _time(found.median_seconds_to_catch)),
        ("escaped, reported", str(found.escaped), _time(found.median_seconds_to_report)),
        ("all", str(found.caught + found.escaped), _time(found.median_seconds_to_detect)),
    ]
    table([Column(""), Column("COUNT", right=True), Column("MEDIAN TIME TO DETECT", right=True)], rows, indent=2)


def _hygiene(found: Hygiene) -> None:
    heading("Patterns")
    cycle = found.median_cycle_seconds
    out = f"{found.deprecated} deprecated, {found.superseded} superseded, {found.expired} expired"
    print_facts(
        [
            ("now", NOTHING if found.now is None else _counts(found.now)),
            ("taken out", out),
            ("came back", f"{found.reintroduced} reintroduced"),
            ("held back", f"{found.quarantined} quarantined, {found.edited} edited, {found.stale} went stale"),
            ("verified again", str(found.reverified)),
            ("median cycle", f"{_time(cycle.candidate_to_active)} candidate to active"),
            ("", f"{_time(cycle.active_to_deprecated)} active to deprecated"),
            ("", f"{_time(cycle.stale_to_reverified)} stale to reverified"),
        ],
        2,
    )


def _use(found: Use) -> None:
    heading("Use by agents")
    reports = {"helped": found.helped, "did not help": found.did_not_help, "wrong": found.wrong}
    times = f"{found.served} time{'' if found.served == 1 else 's'}, {found.patterns} different patterns"
    said = _counts({said: count for said, count in reports.items() if count})
    print_facts([("served", times), ("reported by agents", said)], 2)


def _throughput(found: Throughput) -> None:
    heading("Throughput")
    facts = [
        ("jobs opened", str(found.opened)),
        ("learned", _of(found.learned, found.learned_by_outcome)),
        ("skipped", _of(found.skipped, found.skipped_by_cause)),
        ("dismissed", str(found.dismissed)),
        ("candidates", str(found.candidates)),
        ("run to candidate", f"median {_time(found.median_seconds_to_candidate)}"),
    ]
    print_facts(facts, 2)


def _spend(days: tuple[Spend, ...], spent_usd: float) -> None:
    heading(f"Model spend  ${spent_usd:.4f}")
    if days:
        numbers = [Column(title, right=True) for title in ("CALLS", "ASSUMED", "COST")]
        rows = [(day.day, day.model, str(day.calls), str(day.assumed), f"${day.cost_usd:.4f}") for day in days]
        table([Column("DAY"), Column("MODEL", shrink=True), *numbers], rows, indent=2)


def _alerts(found: Mapping[str, Alerting]) -> None:
    heading("Alerts" if found else "Alerts  none")
    if found:
        numbers = [Column(title, right=True) for title in ("RAISED", "RESOLVED", "MEDIAN", "OPEN")]
        rows = [
            (kind, str(one.raised), str(one.resolved), _time(one.median_seconds_to_resolve), str(one.open))
            for kind, one in found.items()
        ]
        table([Column("KIND"), *numbers], rows, indent=2)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _of(count: int, parts: Mapping[str, int]) -> str:
    return f"{count} ({_counts(parts)})" if parts else str(count)


def _rate(rate: float | None) -> str:
    return NOTHING if rate is None else f"{rate:.0%}"


def _time(seconds: float | None) -> str:
    return NOTHING if seconds is None else duration(seconds)
