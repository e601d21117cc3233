"""Given: one run to learn from, a daemon that is killed at a chosen point, and what must be there in the end.

The end of a run that was disturbed is held against the end of one that was not: events that may be there once only,
statuses, the verdict, tags, the pattern's text, the manifest's block, and the name of every file that is left.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from daemon.daemon_process import Daemon, block, events, left_behind, processes, recorded, registered, until
from pytest_httpserver import HTTPServer
from support.repos import CALC, CALC_TESTS, git, make_repo, manifest, put_manifest, write

from events.catalog import CrystalizationStarted, JobLearned, ModelCallSettled
from learnd.engine import Engine
from learnd.settings import Settings
from learnd.views.store import rebuild
from state.effects import Effect
from state.job import AT_REST, BLOCKED

LAUNCHER = Path(__file__).with_name("kill_points.py")
ONCE = (
    "JobOpened", "SnapshotTaken", "JobQueued", "ScenarioSynthesized", "ChangeValidated", "PatternDrafted", "JobLearned",
    "PatternStaged", "PatternProposed",
)  # fmt: skip
BUDGET_USD = 1.0
FIXED = CALC.replace(
    "    return sum(values) / len(values)",
    "    if not values:\n        return 0.0\n    return sum(values) / len(values)",
)
FIXED_TESTS = f"{CALC_TESTS}\n    def test_mean_of_nothing(self):\n        self.assertEqual(mean([]), 0.0)\n"
REPLY = {
    "title": "Answer zero for the mean of nothing",
    "problem": "`mean` divides by the number of values, which is zero when there are none.",
    "solution": "Return early in `calc.py` when there are no values: `if not values`.",
    "rationale": "The replays failed without the change and passed with it.",
    "applies_when": ["A mean is taken of values that may be none."],
    "does_not_apply_when": [],
    "cited_files": ["calc.py"],
    "tags": ["python"],
}
COMPLETION = json.dumps({
    "id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o",
    "usage": {"prompt_tokens": 2_000, "completion_tokens": 400, "total_tokens": 2_400},
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": json.dumps(REPLY)}}],
})  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One moment to die at; `event` and `detail` say what was about to happen there."""

    name: str
    event: str
    detail: str

    @property
    def place(self) -> str:
        return self.name.rpartition(":")[2].split("|", 1)[0]

    @property
    def during(self) -> Point:
        return Point(f"during:{self.name}", self.event, self.detail)


def kill_points(trace: Path) -> list[Point]:
    """Every point that a traced daemon came by, in order: changes, and reads of those effects that change nothing."""
    lines = trace.read_text(errors="replace").splitlines()
    points = [Point(*line.split("\t", 2)) for line in lines]
    changing = {point.place for point in points if "|read " not in point.name}
    effects = {effect.value for effect in Effect}
    return [p for p in points if "|read " not in p.name or (p.place in effects and p.place not in changing)]


@contextmanager
def model() -> Iterator[HTTPServer]:
    """A model behind a real endpoint on loopback that always gives the same usable reply."""
    with HTTPServer(port=0) as server:
        server.expect_request("/v1/chat/completions", method="POST").respond_with_data(
            COMPLETION, content_type="application/json"
        )
        server.expect_request("/v1/models").respond_with_json({"object": "list", "data": []})
        yield server


AUTHORS = ("extractive", "openai")


@contextmanager
def author(name: str) -> Iterator[HTTPServer | None]:
    """The endpoint that an author of that name asks: none for the embedded one."""
    if name == "extractive":
        yield None
        return
    with model() as server:
        yield server


def uncovered(points: Sequence[Point]) -> list[str]:
    """Effects inside of which no point was found: each is a hole in the crash test."""
    return sorted({effect.value for effect in Effect} - {point.place for point in points})


class Sample:
    """A repository and a completed run with a proven fix; with a `server`, the author is its model."""

    def __init__(self, folder: Path, server: HTTPServer | None = None) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.trace = folder / "points"
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        self.server = server
        self.module = f"test_{uuid.uuid4().hex}"
        self.repo = make_repo(folder / "repo", {f"{self.module}.py": CALC_TESTS})
        registered(self.state, self.repo)
        write(self.repo, {"calc.py": FIXED, f"{self.module}.py": FIXED_TESTS})
        content = manifest()
        (command,) = content["commands"]  # type: ignore[misc] # it has one
        line = f"{sys.executable} -m unittest -q {self.module}"
        self.manifest = put_manifest(self.repo, {**content, "commands": [{**command, "command": line}]})

    def daemon(self, point: str | None = None, *, traced: bool = False, prefix: Sequence[str] = ()) -> Daemon:
        """The daemon; with a point, behind the launcher that ends it there; `traced`, one that writes them down."""
        environ = {
            "LEARND_SWEEP_SECONDS": "3600", "LEARND_REPLAY_ATTEMPTS": "10", "LEARND_CRYSTALIZE_ATTEMPTS": "10",
            "LEARND_BUDGET_USD": str(BUDGET_USD), "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self.temporary),
            # Of one run whose window is over at once: it passes through every effect that there is.
            "LEARND_VALIDATION__MODE": "grouped", "LEARND_VALIDATION__WINDOW_HOURS": "0",
        }  # fmt: skip
        if self.server is not None:
            environ |= {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": self.server.url_for("/v1")}
        if point is not None or traced:
            prefix = [sys.executable, "-P", str(LAUNCHER)]
            environ |= {"KILL_TRACE": str(self.trace), "KILL_AT": point or ""}
        return Daemon(self.state, prefix=prefix, **environ)

    def finish(self, daemon: Daemon) -> int:
        """Until the job is learned; then SIGTERM, which has the rest of its files written. The exit code."""

        def at_rest() -> bool:
            ended = daemon.process.poll() is not None
            return ended or (daemon.boots() > 0 and bool(events(self.state, JobLearned)))

        until(at_rest, "the end of the job")
        return daemon.end() if daemon.process.poll() is None else daemon.process.returncode

    def dry_run(self) -> tuple[list[Point], End]:
        """The whole job undisturbed: every point on its way, and its end."""
        with self.daemon(traced=True) as daemon:
            assert self.finish(daemon) == 0, daemon.said()[-2000:]
        return kill_points(self.trace), End.of(self)

    def killed_at(self, *points: str) -> list[str]:
        """Killed at each point in turn, then finished by a daemon that nobody disturbs. Returns the points reached."""
        reached = []
        for point in points:
            with self.daemon(point) as daemon:
                code = self.finish(daemon)
                assert code in (0, -signal.SIGKILL), (point, daemon.said()[-2000:])
                if code:
                    reached.append(point)
            self.time_passes()
        with self.daemon() as daemon:
            code = self.finish(daemon)
            assert code == 0, f"the daemon ended with {code}: {daemon.said()[-2000:]}"
        return reached

    def time_passes(self) -> None:
        """Locks that a crash left in a run's folder are waited out by age, 30 s and 5 minutes: they get old at once."""
        for lock in (self.repo / ".runs").rglob("*.lock"):
            os.utime(lock, (time.time() - 600,) * 2)

    # --- what must hold ---

    def holds(self, expected: End) -> None:
        """Everything that a crash must not change."""
        until(lambda: not processes(self.module), "the end of every process of a replay")
        assert left_behind(self.state) == []
        found = End.of(self)
        assert found == expected, difference(found, expected)
        counts = Counter(record.type for record in recorded(self.state))
        assert {name: counts[name] for name in ONCE} == dict.fromkeys(ONCE, 1)
        self.money_holds()
        with Engine.opened(Settings(state_dir=self.state)) as engine:
            engine.log.verify()
            before = (engine.views().jobs(), engine.views().patterns())
            rebuild(engine.log)
            assert (engine.views().jobs(), engine.views().patterns()) == before

    def money_holds(self) -> None:
        """Every call was reserved before and settled after; together they stay within the budget."""
        reserved = [event.reserved_usd for event in events(self.state, CrystalizationStarted)]
        settled = events(self.state, ModelCallSettled)
        assert sum(reserved) <= BUDGET_USD
        asked = 0
        if self.server is not None:
            asked = sum(request.path == "/v1/chat/completions" for request, _ in self.server.log)
            assert len(settled) == len(reserved) >= 1
            assert all(event.cost_usd <= amount for event, amount in zip(settled, reserved, strict=True))
        else:
            assert not any(reserved)
        assert asked <= len(reserved), "a call that was not reserved"


@dataclass(frozen=True)
class End:
    """What a job leaves, with everything that differs from run to run (ids, times, digests) taken out."""

    job: tuple[str, ...]
    pattern: tuple[str, ...]
    tags: int
    text: str
    block: str
    files: tuple[str, ...]

    @classmethod
    def of(cls, sample: Sample) -> End:
        with Engine.opened(Settings(state_dir=sample.state)) as engine:
            (row,) = engine.views().jobs()
            assert row.status in (*AT_REST, *BLOCKED)
            job = engine.door.job(row.id)
            assert job.evidence is not None
            hunks = [f"{hunk.file}{hunk.lines}{hunk.verdict}" for hunk in job.evidence.hunks]
            (pattern,) = engine.views().patterns()
            store = engine.place.store(row.repo_id, row.repo_path).git_dir
            tags = len(git(store, "tag", "--list", "learning-snapshot-*").split())
        (file,) = (sample.repo / ".agent/patterns").rglob(f"*{pattern.id[:8]}.md")
        return cls(
            job=(row.status, job.cause, job.evidence.verdict, *hunks),
            pattern=(pattern.status, neutral(sample, pattern.title)),
            tags=tags,
            text=neutral(sample, file.read_text()),
            block=neutral(sample, json.dumps(block(sample.manifest), indent=1, sort_keys=True)),
            files=tuple(sorted(neutral(sample, name) for name in files(sample))),
        )


NEVER_THE_SAME = (
    re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    re.compile(r"\d{4}-\d\d-\d\d[T_ -]\d\d[:.-]\d\d[:.-]\d\d[.\d]*Z?"),
    re.compile(r"\b[0-9a-f]{8,64}\b"),
    re.compile(r"\b\d+\.\d+(?= s\b)"),
)
MONEY = re.compile(r"(cost_usd\"?: )[\d.e-]+")


_BEING_WRITTEN = re.compile(r"\.lock$|\.part$|^tmp")


def neutral(sample: Sample, text: str) -> str:
    """`text` without what is another one in every run."""
    text = text.replace(str(sample.folder), "FOLDER").replace(sample.module, "TESTS")
    for pattern in NEVER_THE_SAME:
        text = pattern.sub("#", text)
    return MONEY.sub(r"\1#", text)


def files(sample: Sample) -> Iterator[str]:
    """Every file and folder of repository, state and temporary folder.

    Left out: what git packs as it likes and when it did so, and the cache of stats, which holds only what was old
    enough. Of a store's own files those are looked at that something was being written to.
    """
    for root in (sample.repo, sample.state, sample.temporary):
        for path in root.rglob("*"):
            name = str(path.relative_to(sample.folder))
            packed = "/objects/" in name or ("/store.git/" in name and not _BEING_WRITTEN.search(path.name))
            if "/.git/" not in name and not packed and path.name not in ("stat-cache", "cleaned"):
                yield name


def difference(found: End, expected: End) -> str:
    """What differs, field by field, as lines that are in one and not in the other."""
    said = []
    for name in expected.__dataclass_fields__:
        one, other = lines(getattr(found, name)), lines(getattr(expected, name))
        if one != other:
            more, less = Counter(one) - Counter(other), Counter(other) - Counter(one)
            said += [f"{name}: {line!r} is there" for line in more] + [f"{name}: {line!r} is not" for line in less]
    return "\n".join(said)


def lines(value: object) -> Sequence[str]:
    return value.splitlines() if isinstance(value, str) else list(value) if isinstance(value, tuple) else [str(value)]
