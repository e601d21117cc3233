"""`status`: is learnd at work, what waits for a person, and the command for each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from learnd.ids import short
from learnd.keeping.sizes import measure
from learnd.verbs import alerts as told
from learnd.verbs import room, unknown
from learnd.verbs.jobs import pattern_of
from learnd.verbs.reading import Reading, reading
from learnd.verbs.terminal import Column, ago, heading, print_facts, print_json, say, table
from learnd.views.diagnosis import BLOCKED, next_command, next_for_pattern, reason


@dataclass(frozen=True, slots=True)
class DaemonState:
    """`answers`: it replied at its socket just now. `since`: when it started, or the last one stopped."""

    answers: bool
    pid: int | None
    since: str | None
    learning_enabled: bool | None
    position: int | None
    troubles: dict[str, str]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that only a person moves, and the command that does."""

    id: str
    status: str
    since: str
    reason: str
    next: str | None


def status(log: Path | None, *, as_json: bool) -> int:
    """Print where everything stands.

    JSON: `{log, position, daemon: {answers, pid, since, learning_enabled, position, troubles}, faults: [{kind,
    detail, since}], jobs: {status: count}, blocked: [{id, status, since, reason, next}], review: [the same],
    repositories: [path], alerts: [as `learnd alerts --json`], backup: {at, path, position}|null, room: bytes by use,
    see `room.as_json`, set_aside: [see `unknown.as_json`]}`.
    """
    with reading(log) as book:
        daemon = daemon_state(book)
        counts: dict[str, int] = {}
        for row in book.views.jobs(but_forgotten=True):
            counts[row.status] = counts.get(row.status, 0) + 1
        blocked = _blocked(book, daemon)
        review = _review(book)
        trees = [tree.path for tree in book.views.work_trees()]
        faults = book.views.faults()
        alerts = told.shown(book)
        kept = last_backup(book)
        taken = measure(book.place.state_dir, book.views)
        aside = unknown.waiting_aside(book)
        if as_json:
            print_json(
                {
                    "log": str(book.place.log), "position": book.head(), "daemon": asdict(daemon),
                    "faults": [asdict(fault) for fault in faults], "jobs": counts,
                    "blocked": [asdict(item) for item in blocked], "review": [asdict(item) for item in review],
                    "repositories": trees, "alerts": [told.as_json_of(item) for item in alerts],
                    "backup": kept, "room": room.as_json(taken),
                    "set_aside": unknown.as_json(aside),
                }
            )  # fmt: skip
            return 0
        print_facts(
            [
                ("daemon", _daemon_line(daemon)),
                ("learning", _learning_line(daemon)),
                ("log", f"{book.place.log} at position {book.head()}"),
                ("watching", ", ".join(trees) or "nothing yet. Next: learnd init REPO"),
                ("jobs", ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"),
                ("backup", _backup_line(kept)),
                *room.lines(taken),
                ("alerts", told.summary(alerts)),
            ]
        )
        for fault in faults:
            say(f"FAULT     {fault.kind} since {ago(fault.since)}: {fault.detail}. Next: learnd doctor", "bold red")
        for failure in told.failing(alerts):
            failed = f"{failure.channel} ({failure.target}) failed {ago(failure.failed_at)}: {failure.error}"
            say(f"ALERTS    {failed}. Next: learnd alerts test", "bold red")
        unknown.print_waiting(aside)
        for path, trouble in daemon.troubles.items():
            say(f"trouble   {path}: {trouble}", "yellow")
        _print_waiting("Blocked: waiting for a person", blocked)
        _print_waiting("Patterns to review", review)
    return 0


def daemon_state(book: Reading) -> DaemonState:
    """What the daemon says of itself; where none answers, what the log says of the last one."""
    row = book.views.daemon()
    for folder in book.place.sockets:
        if not (folder / "control.sock").exists():
            continue
        from learnd.control import NoDaemon, health  # brings pydantic

        try:
            said = health(folder)
        except (NoDaemon, OSError):
            continue
        pid, position, troubles = said.get("pid"), said.get("position"), said.get("troubles")
        return DaemonState(
            answers=True,
            pid=pid if isinstance(pid, int) else None,
            since=row.since if row else None,
            learning_enabled=bool(said.get("learning_enabled")),
            position=position if isinstance(position, int) else None,
            troubles={str(k): str(v) for k, v in troubles.items()} if isinstance(troubles, dict) else {},
        )
    if row is None:
        return DaemonState(False, None, None, None, None, {})
    return DaemonState(False, row.pid, row.since, row.learning_enabled, None, {})


def last_backup(book: Reading) -> dict[str, object] | None:
    """`{at, path, position}` of the backup that the log was told of last, or that it was restored from since.

    A log that went on as it was (`verify --accept-loss`) was restored from no backup, and names itself.
    """
    rows = book.rows(
        "SELECT at, json_extract(data, '$.path') AS path, json_extract(data, '$.position') FROM events "
        "WHERE stream = 'machine' AND (type = 'LogBackedUp' OR type = 'LogRestored' AND path != ?) "
        "ORDER BY version DESC LIMIT 1",
        (str(book.place.log),),
    )
    return dict(zip(("at", "path", "position"), rows[0], strict=True)) if rows else None


def _backup_line(kept: dict[str, object] | None) -> str:
    return f"{ago(str(kept['at']))}, {kept['path']}" if kept else "none yet. Next: learnd backup DIR"


def _daemon_line(daemon: DaemonState) -> str:
    if daemon.answers:
        return f"up, pid {daemon.pid}, started {ago(daemon.since)}"
    if daemon.since is None:
        return "never ran. Next: learnd daemon, or learnd once"
    if daemon.pid is not None:
        return f"down, or busy starting or with learnd once (pid {daemon.pid}, {ago(daemon.since)})"
    return f"down (last seen {ago(daemon.since)}). Next: learnd daemon, or learnd once"


def _learning_line(daemon: DaemonState) -> str:
    if daemon.learning_enabled is False:
        return "OFF (LEARNING_PIPELINE_ENABLED=0): runs are not looked at, no job is worked on"
    return "on" if daemon.learning_enabled else "not started yet"


def _blocked(book: Reading, daemon: DaemonState) -> list[Waiting]:
    return [
        Waiting(
            row.id,
            row.status,
            row.since,
            reason(row),
            next_command(row, book.value, pattern_of(book, row), daemon=daemon.answers),
        )
        for row in book.views.jobs(statuses=BLOCKED)
    ]


def _review(book: Reading) -> list[Waiting]:
    return [
        Waiting(row.id, row.status, row.updated_at, row.title, next_for_pattern(row))
        for row in book.views.patterns(statuses=("candidate", "edited", "quarantined"), but_forgotten=True)
    ]


def _print_waiting(title: str, items: list[Waiting]) -> None:
    if not items:
        return
    heading(title)
    table(
        [Column("ID"), Column("STATUS"), Column("SINCE"), Column("WHY", shrink=True), Column("NEXT", below=True)],
        [(short(item.id), item.status, ago(item.since), item.reason, item.next or "-") for item in items],
        indent=2,
    )
