"""`learnd demo`: one completed run, from its manifest to a promoted pattern, in a folder of its own.

Nothing is staged: a real repository, a real run of its tests, the engine that the daemon uses, the desk that answers
people. Only the sample, the recorder and the person at the desk are the demo's. The user's own log, settings and
keys are never looked at; where the machine has no sandbox the demo says so and replays its own sample without one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from events import catalog as e
from events.log import EventLog
from learnd.demo import sample
from learnd.demo.recorder import Recorder
from learnd.demo.screen import BAD, GOOD, QUIET, Screen
from learnd.engine import Engine
from learnd.identity import user_name
from learnd.library.wanted import wanted
from learnd.repositories import register
from learnd.requests import PromotePattern
from learnd.settings import Settings
from learnd.verbs.terminal import USAGE, Stop
from learnd.views.queries import JobRow, PatternRow, WorkTreeRow

CATCH_UP_S = 30.0


class FolderTaken(Stop):
    """The folder asked for holds something already; the demo overwrites nothing."""


def run_demo(folder: Path | None, plain: bool) -> int:
    """Show the whole loop. `folder` must be absent or empty (default: a fresh one under the temporary folder).

    Returns 0 when the pattern ended active and proven, else 1. Raises FolderTaken.
    """
    place = _fresh(folder)
    repo = place / "shop"
    screen = Screen(repo, plain=plain)
    settings = _settings(place, screen)
    with _log_to(place / "learnd.log"), Engine.opened(settings) as engine:
        sample.build(repo)
        screen.line("learnd demo: a completed run becomes a proven, reviewed pattern", "bold")
        screen.part("A sample repository with a real defect")
        screen.line(f"  {repo}", QUIET)
        screen.line("  A query for every order, in shop/orders.py:")
        screen.code(sample.defect(repo), "python")
        tree = register(engine.door, engine.views(), repo, user_name(os.geteuid()))
        engine.start()
        try:
            with Timeline(engine.log.path, screen) as timeline:
                job = _learn(engine, tree, Recorder(repo, sample.TASK, sample.TITLE, sample.PROMPT), screen, timeline)
                pattern = _judge(engine, job, screen, timeline)
        finally:
            engine.stop(drained=True)
    return _farewell(screen, place, job, pattern)


def _fresh(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="learnd-demo-")).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderTaken(f"{folder} is not empty. Next: learnd demo --folder, with one that is not there", USAGE)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        step = "Next: learnd demo --folder, with another"
        raise Stop(f"{folder} cannot be made: {error.strerror}. {step}", USAGE) from error
    return folder.resolve()


def _settings(place: Path, screen: Screen) -> Settings:
    """Settings of the demo's own: neither the user's file nor their environment is read, so no key is used either."""
    from learnd.lab.sandbox import Sandbox  # noqa: PLC0415 - tried only once the demo begins

    with screen.busy("trying the sandbox"):
        report = Sandbox("bubblewrap").self_test()
    if report.ok:
        return Settings.model_construct(state_dir=place / "state")
    screen.banner(
        "NO SANDBOX: replays are NOT ISOLATED",
        [report.reason, f"To mend it: {report.mend}", "The demo runs its own sample without, and nothing else."],
        "bold red",
    )
    return Settings.model_construct(state_dir=place / "state", sandbox="none")


def _interpreter(settings: Settings) -> str:
    """A Python that can run the sample's tests: learnd's own, unless replays cannot reach it.

    Root's replays run as another user, and without a sandbox nothing shows that user what lies in root's home.
    """
    from learnd.lab.launcher import drop_argv, replay_user  # noqa: PLC0415 - beside the one that uses it

    if settings.sandbox == "bubblewrap":
        return sys.executable
    user = replay_user(os.geteuid(), os.getegid())
    for python in (sys.executable, "/usr/local/bin/python3", "/usr/bin/python3"):
        # Through a shell, as replays are: what gives up root could still open what nobody else can.
        argv = (*drop_argv(user), "/bin/sh", "-c", 'exec "$0" -c "import sqlite3, unittest"', python)
        if subprocess.run(argv, cwd="/", env={}, capture_output=True, check=False).returncode == 0:
            return python
    return sys.executable


@contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """learnd's own log lines go to a file while the demo shows what they are about."""
    before = structlog.get_config()
    with path.open("w") as file:
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(file))
        try:
            yield
        finally:
            structlog.configure(**before)


class Timeline:
    """Shows every event from the moment on that it is entered, as `learnd tail -f` does: from the log."""

    def __init__(self, path: Path, screen: Screen) -> None:
        self._screen = screen
        self._log = EventLog.open_readonly(path)
        self._shown = self._log.head()[0]
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="timeline", daemon=True)

    def __enter__(self) -> Timeline:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._log.close()

    def catch_up(self) -> None:
        """Wait until everything recorded so far is shown."""
        head = self._log.head()[0]
        with self._news:
            self._news.wait_for(lambda: self._shown >= head, CATCH_UP_S)

    def _follow(self) -> None:
        for record in self._log.follow(self._shown, stop=self._stop, poll_s=0.05):
            self._screen.event(record)
            with self._news:
                self._shown = record.position
                self._news.notify_all()


def _learn(engine: Engine, tree: WorkTreeRow, run: Recorder, screen: Screen, timeline: Timeline) -> JobRow:
    """The run happens, and learnd works on it until nothing is left to do."""
    screen.part("A run begins; learnd sees it and takes the base at once")
    run.begin()
    _take_in(engine, tree)
    timeline.catch_up()
    screen.part("The run edits, tests and completes")
    sample.mend(run.repo)
    command = (_interpreter(engine.settings), *sample.TEST_ARGUMENTS)
    code = run.execute("Run the tests", command)
    run.finish()
    screen.line(f"  {sample.git(run.repo, 'diff', '--shortstat').strip()}")
    screen.line(f"  $ python {' '.join(sample.TEST_ARGUMENTS)}   exit code {code}", GOOD if code == 0 else BAD)
    screen.line(f"  {run.manifest.relative_to(run.repo)}", QUIET)
    screen.part("learnd: snapshot, scenario, replays, pattern")
    with screen.busy("working") as says:
        engine.place.progress = lambda _job, line: says(line)
        _take_in(engine, tree)
        while not engine.scheduler.idle():
            job_id = engine.scheduler.take(0.2)
            if job_id is not None:
                engine.work(job_id)
            elif engine.waiting_for_faults():
                break
        timeline.catch_up()
    return engine.views().jobs_of_manifest(str(run.manifest))[-1]


def _take_in(engine: Engine, tree: WorkTreeRow) -> None:
    for _ in engine.sweep(tree):
        pass


def _judge(engine: Engine, job: JobRow, screen: Screen, timeline: Timeline) -> PatternRow | None:
    """What was proven, the text it became, and a person's word on it. None when there is nothing to judge."""
    evidence = next(
        (r.data.evidence for r in reversed(engine.log.read(f"job-{job.id}"))
         if isinstance(r.data, e.ChangeValidated | e.ValidationFailed)),
        None,
    )  # fmt: skip
    if evidence is not None:
        screen.part("The evidence: fails without the change, passes with it")
        screen.evidence(evidence)
    if job.pattern is None:
        screen.banner(f"The job is {job.status}", [part for part in (job.cause, job.detail) if part], "bold red")
        return None
    known = wanted(engine.log, engine.views(), job.pattern)
    screen.part("The candidate: it may claim exercised hunks only")
    screen.markdown(_body(known.text) if known else "")
    screen.part("A person decides")
    request = PromotePattern(pattern=job.pattern, reason="one query instead of one a row; the evidence shows it")
    reply = engine.desk.answer(request.model_dump_json(), os.geteuid())
    timeline.catch_up()
    screen.line(f"  {reply.message}", GOOD if reply.ok else BAD)
    return engine.views().pattern(job.pattern)


def _body(text: str) -> str:
    """A pattern's text without its front matter, which repeats what the demo has shown."""
    parts = text.split("---\n", 2)
    return parts[2].strip() if len(parts) == 3 and not parts[0] else text


def _command() -> str:
    """The command as this one was typed, so that what is shown can be typed too."""
    typed = Path(sys.argv[0])
    return str(typed) if typed.name == "learnd" and shutil.which("learnd") != str(typed.resolve()) else "learnd"


def _farewell(screen: Screen, place: Path, job: JobRow, pattern: PatternRow | None) -> int:
    active = pattern is not None and pattern.status == "active" and pattern.verdict == "proven"
    repo, log, learnd = place / "shop", f"--log {place / 'state'}", _command()
    if pattern is not None and active:
        files = sorted((repo / ".agent/patterns/active").glob(f"*{pattern.id[:8]}*"))
        screen.line(f"  Agents now read {', '.join(str(file.relative_to(repo)) for file in files)}")
    screen.part("What to type next")
    screen.line("  Look around in what the demo made (delete the folder when you have seen enough):")
    screen.commands(
        [
            (f"{learnd} show {job.id[:8]} {log}", "the job: timeline, evidence, files"),
            (f"{learnd} tail {log}", "every event"),
            (f"{learnd} why {job.id[:8]} {log}", "where it stands and why"),
        ]
    )
    screen.line()
    screen.line("  Let it learn from your own runs:")
    screen.commands(
        [
            (f"{learnd} init .", "register a repository"),
            (f"{learnd} daemon", "watch its runs (or: learnd once)"),
            (f"{learnd} review", "what waits for your word"),
            (f"{learnd} doctor", "whether this machine has all it needs"),
        ]
    )
    return 0 if active else 1
