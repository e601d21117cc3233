"""`why`: where a job or a file stands, since when, because of which event, and the command that moves it on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.ids import short
from learnd.verbs.beside import in_short
from learnd.verbs.beside import pattern_of as pattern_as_told
from learnd.verbs.groups import group_closes_at
from learnd.verbs.jobs import pattern_of
from learnd.verbs.reading import Reading, place_of, reading
from learnd.verbs.status import DaemonState, daemon_state
from learnd.verbs.terminal import USAGE, Stop, ago, print_facts, print_json, say, stamp
from learnd.verbs.unknown import standing_of
from learnd.views.diagnosis import MEANING, next_command, reason, waits_until
from learnd.views.queries import JobRow, NotFound, PatternRow, WorkTreeRow

if TYPE_CHECKING:
    from learnd.manifest.runs import NotARun, Run, Unreadable


@dataclass(frozen=True, slots=True)
class Because:
    """The event that brought a job where it is."""

    type: str
    position: int


@dataclass(frozen=True, slots=True)
class Answer:
    """`stands` in a few words, `reason` in a sentence. `way` are the stubs and links that a path led over.

    `files` are what a person looks into; `waits_until` is when the next attempt comes by itself.
    """

    subject: str
    stands: str
    reason: str
    since: str | None = None
    because: Because | None = None
    next: str | None = None
    job: str | None = None
    pattern: str | None = None
    path: str | None = None
    way: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    waits_until: str | None = None
    urgent: bool = False


def why(log: Path | None, what: str, *, as_json: bool) -> int:
    """Answer for a job, a pattern, a file under `.runs/`, or one that lies in `active/`, or was taken out of it.

    JSON: `{subject, stands, reason, since, because: {type, position}, next, job, pattern, path, way, files,
    waits_until, urgent}`; a file whose run had several jobs (it was resumed) answers for the last.
    """
    answer = _answer(log, what)
    if as_json:
        print_json(asdict(answer))
        return 0
    say(f"{answer.subject}: {answer.stands}", "bold")
    facts = [("why", answer.reason)]
    facts += [("led over", step) for step in answer.way]
    if answer.since:
        facts.append(("since", f"{stamp(answer.since)} ({ago(answer.since)})"))
    if answer.because:
        facts.append(("because of", f"{answer.because.type}, event {answer.because.position}"))
    if answer.path and answer.path != answer.subject:
        facts.append(("run", answer.path))
    if answer.job and not answer.subject.startswith("job"):
        facts.append(("job", short(answer.job)))
    if answer.waits_until:
        facts.append(("waits until", stamp(answer.waits_until)))
    if answer.urgent:
        facts.append(("urgent", "goes before all others"))
    facts += [("look into", path if Path(path).exists() else f"{path} (gone)") for path in answer.files]
    facts.append(("next", answer.next or "nothing"))
    print_facts(facts)
    return 0


def _answer(log: Path | None, what: str) -> Answer:
    path = Path(what)
    if not place_of(log).has_log() and path.exists():
        return _of_file(None, path)
    with reading(log) as book:
        if path.exists() or path.is_symlink() or "/" in what:
            return _of_active(book, path) or _of_file(book, path)
        try:
            return _of_job(book, book.views.job(what), daemon_state(book))
        except NotFound:
            try:
                return _of_pattern(book, book.views.pattern(what))
            except NotFound:
                raise Stop(f"there is no job, pattern or file {what}. Next: learnd jobs --all") from None


def _of_job(book: Reading, row: JobRow, daemon: DaemonState) -> Answer:
    pattern = pattern_of(book, row)
    held = _held(book, row)
    return Answer(
        subject=f"job {short(row.id)}",
        stands=row.status,
        reason=f"{MEANING.get(row.status, row.status)}{_cause(row)}{held}{_undone(pattern)}",
        since=row.since,
        because=Because(row.because, row.because_position),
        next="learnd doctor" if held else next_command(row, book.value, pattern, daemon=daemon.answers),
        job=row.id,
        pattern=row.pattern,
        path=row.manifest_path,
        files=_files_of(book, row),
        waits_until=group_closes_at(book, row) or waits_until(row),
        urgent=bool(row.urgent),
    )


LOOKED_INTO = {
    "needs_manual_scenario": ("$.template.path", "$.partial.path"),
    "stalled_snapshot": ("$.git_status.path", "$.git_log.path"),
    "validation_failed": ("$.evidence.log.path", "$.file.path"),
}
"""Of the event that blocked a job, the files that a person looks into."""


def _files_of(book: Reading, row: JobRow) -> tuple[str, ...]:
    found = (book.value(row.because_position, path) for path in LOOKED_INTO.get(row.status, ()))
    return tuple(str(path) for path in found if path)


def _cause(row: JobRow) -> str:
    said = reason(row)
    return "" if said == MEANING.get(row.status) else f" ({said})"


def _held(book: Reading, row: JobRow) -> str:
    """The fault of the machine that keeps the job from going on, if one does."""
    from state.effects import STOPPED_BY, WORK  # brings pydantic
    from state.job import JobStatus

    effect = WORK.get(JobStatus(row.status))
    stopping = STOPPED_BY[effect] if effect else ()
    fault = next((fault for fault in book.views.faults() if fault.kind in stopping), None)
    return f"; the machine is at fault since {ago(fault.since)}: {fault.kind}: {fault.detail}" if fault else ""


def _undone(pattern: PatternRow | None) -> str:
    """That the change behind a pattern came undone, if it did since it was promoted."""
    if pattern is None or not pattern.regressions:
        return ""
    times = "once" if pattern.regressions == 1 else f"{pattern.regressions} times"
    return f"; its change came undone {times} since it was promoted"


def _standing(book: Reading, row: PatternRow) -> str:
    """What brought a pattern where it is."""
    match row.status:
        case "candidate":
            said = in_short(pattern_as_told(book, row))
            return f"waits for a person's word: {row.title}{f' ({said})' if said else ''}"
        case "quarantined":
            return f"stopped by gate {row.gate}: {row.detail}"
        case "edited":
            return "its file was edited after it had been judged; nobody is served it until somebody decides"
        case "stale":
            pattern = pattern_as_told(book, row)
            held = f"; {pattern.freshness.why}" if pattern.freshness.why else ""
            return f"what it cites changed: {pattern.detail}{held}"
        case "expired":
            return "nobody decided on it in time"
    return f"decided by {row.approver}{f': {row.reason}' if row.reason else ''}" if row.approver else row.title


def _of_pattern(book: Reading, row: PatternRow) -> Answer:
    from learnd.views.diagnosis import next_for_pattern

    last = book.log.read(f"pattern-{row.id}")[-1]
    return Answer(
        subject=f"pattern {short(row.id)}",
        stands=row.status,
        reason=_standing(book, row) + _undone(row),
        since=last.at,
        because=Because(last.type, last.position),
        next=next_for_pattern(row),
        job=row.job_id,
        pattern=row.id,
        path=row.manifest_path,
    )


# --- a file ---


def _of_active(book: Reading, path: Path) -> Answer | None:
    """Of a file in `active/`, and of one that was taken out of it; None of any other."""
    found = standing_of(book, path)
    if found is None or found.pattern is not None:
        return _of_pattern(book, found.pattern) if found and found.pattern else None
    because = Because("UnknownFilesSetAside", found.position) if found.position is not None else None
    return Answer(str(path), found.stands, found.reason, since=found.since, because=because, next=found.next)


def _of_file(book: Reading | None, path: Path) -> Answer:
    from learnd.manifest.find import MANIFEST
    from learnd.manifest.read import read_run  # brings pydantic
    from learnd.manifest.runs import NotARun
    from learnd.repositories import registered

    if path.is_dir():
        path = path / MANIFEST
    if not path.exists() and not path.is_symlink():
        raise Stop(f"{path} is not there. Next: name a manifest.json, a run's folder, or a job", USAGE)
    path = path.absolute()
    tree = registered(book.views, path.parent) if book else None
    root = Path(tree.path) if tree else _repository(path)
    if root is None:
        return Answer(str(path), "no repository", "it lies in no git work tree", next="git init, then learnd init")
    found = read_run(path, root)
    way: tuple[str, ...] = ()
    while isinstance(found, NotARun) and found.leads_to is not None and len(way) < 8:
        way = (*way, f"{found.reason}")
        found = read_run(found.leads_to, root)
    return _of_found(book, path, found, tree, root, way)


def _repository(path: Path) -> Path | None:
    from learnd.harvest.gitfolder import NotARepository, find

    try:
        return find(path.parent).work_tree
    except NotARepository:
        return None


def _of_found(
    book: Reading | None,
    path: Path,
    found: Run | NotARun | Unreadable,
    tree: WorkTreeRow | None,
    root: Path,
    way: tuple[str, ...],
) -> Answer:
    from learnd.manifest.runs import NotARun, Unreadable

    if isinstance(found, NotARun):
        why_not = f"{found.kind}: {found.reason}; no job is opened for it"
        return Answer(str(path), "not a run", why_not, path=str(found.path), way=way)
    if isinstance(found, Unreadable):
        why_not = f"{found.reason}; looked at again when it changes"
        return Answer(str(path), "unreadable", why_not, path=str(found.path), way=way)
    if book is None or tree is None:
        why_not = f"{root} is not registered with learnd: its runs are not looked at"
        return Answer(str(path), "not registered", why_not, next=f"learnd init {root}", path=str(found.path), way=way)
    jobs = book.views.jobs_of_run(tree.repo_id, found.task_id, found.run_id)
    current = [job for job in jobs if job.completed_at == found.completed_at or not found.over]
    if not current:
        return _unknown_run(book, path, found, tree, way)
    told = _of_job(book, current[-1], daemon_state(book))
    return replace(told, subject=str(path), stands=f"job {short(current[-1].id)} is {told.stands}", way=way)


def _unknown_run(book: Reading, path: Path, run: Run, tree: WorkTreeRow, way: tuple[str, ...]) -> Answer:
    """A run that the log knows nothing of, and why that is."""
    daemon = daemon_state(book)
    since = run.completed_at
    if not run.over:
        said = f"the run is {run.status}; a job is opened when it succeeds"
        if run.status in ("succeeded", "failed", "cancelled"):
            said = f"the run says {run.status} but has no completed_at: it is not over"
        return Answer(str(path), "in progress", said, since=run.started_at, path=str(run.path), way=way)
    if run.completed_at and run.completed_at < tree.since:
        said = f"it completed before {tree.path} was registered ({stamp(tree.since)}); such runs are left alone"
        step = f"learnd learn {run.path}" if run.status == "succeeded" else None
        return Answer(str(path), "older than registration", said, since, None, step, path=str(run.path), way=way)
    if daemon.learning_enabled is False:
        said = "learning is off (LEARNING_PIPELINE_ENABLED=0): runs are not looked at"
        return Answer(str(path), "not looked at", said, since, None, None, path=str(run.path), way=way)
    ended = "" if run.status == "succeeded" else f"; the run {run.status}: it will be recorded, never learned from"
    said = "the daemon has not looked at it yet: it does at the next sweep" if daemon.answers else "no daemon runs"
    step = f"learnd learn {run.path}" if daemon.answers and run.status == "succeeded" else "learnd once"
    return Answer(str(path), "not seen yet", said + ended, since, None, step, path=str(run.path), way=way)
