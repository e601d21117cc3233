"""A library of active patterns in a log: as many as are asked for, each about something else.

Texts are put together from what goes wrong in services; two patterns share some words, as they do, and none is
another's copy. Nothing here is drawn by chance: the same number gives the same library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.lives import LEARNED, events
from events.catalog import (
    ChangeValidated,
    Event,
    JobLearned,
    JobOpened,
    PatternDrafted,
    PatternPromoted,
    PatternProposed,
    PatternStaged,
)
from events.log import EventLog
from events.values import Evidence, FileRef
from learnd.door import Door
from learnd.ids import job_id, pattern_id
from learnd.library.canonical import canonical_digest, safe_slug
from learnd.library.files import Library, reconcile
from learnd.library.patterns import EvidenceLine, FrontMatter, render
from learnd.library.sections import Sections
from learnd.library.wanted import wanted_of
from learnd.repositories import register
from learnd.views.queries import Views
from learnd.views.store import open_for_writing, read_connection
from state.pattern import PatternStatus

AT = "2026-01-31T12:00:00.000Z"
SHA = "c3" * 32
FILE = FileRef(path="/nowhere", sha256=SHA)
BATCH = 50
EVIDENCE = Evidence.model_validate(
    {
        "verdict": "proven",
        "isolation": "bubblewrap",
        "base": [{"ok": False, "seconds": 0.1, "hash_seed": seed, "source": "pytest"} for seed in range(3)],
        "snapshot": [{"ok": True, "seconds": 0.1, "hash_seed": seed, "source": "pytest"} for seed in range(3)],
        "hunks": [{"file": "app/a.py", "lines": (1, 2), "verdict": "exercised"}],
        "transitions": {"fail_to_pass": {"count": 2, "ids": ("t::a", "t::b")}},
    }
)

THINGS = ("orders", "invoices", "sessions", "uploads", "webhooks", "tenants", "shipments", "reports", "tokens",
          "avatars", "comments", "refunds", "calendars", "tickets", "ledgers", "messages", "playlists", "contracts",
          "sensors", "vouchers", "recipes", "surveys", "backups", "devices", "articles")  # fmt: skip
TROUBLES = (
    ("N+1 queries on the {0} page", "Listing {0} runs one query per row, so a page of 200 {0} takes 201 round trips."),
    (
        "{0} cache never expires",
        "Stale {0} are shown for hours: the cache key has no version and no time to live.",
    ),
    (
        "{0} pagination skips a row",
        "The last row of each page of {0} is lost when rows are inserted meanwhile.",
    ),
    (
        "Race when two workers claim {0}",
        "Two workers claim the same {0} for its status is read before it is locked.",
    ),
    ("Unicode names break {0}", "Names with combining accents are compared byte by byte, so {0} are stored twice."),
    ("{0} time zone off by one", "Dates of {0} are cut at midnight UTC, so evenings in America fall on the next day."),
    ("Retry storm on {0}", "A failed call for {0} is retried at once by every client, which keeps the server down."),
    ("{0} leak file handles", "Exports of {0} open a temporary file per row and close none before the end."),
    ("Decimal rounding of {0}", "Totals of {0} are added as floats, and cents are lost in the sum."),
    ("{0} import is quadratic", "Importing {0} looks every row up in a list, and 50,000 rows take an hour."),
)
PLACES = ("api/{0}_view.py", "services/{0}/store.ts", "internal/{0}/handler.go", "src/{0}.rs")


@dataclass(frozen=True, slots=True)
class Written:
    """What an author wrote, to be promoted."""

    title: str
    problem: str
    solution: str
    applies_when: str = ""
    tags: tuple[str, ...] = ()
    run: str = "run-1"


def texts(count: int) -> Iterator[Written]:
    """`count` texts, no two alike."""
    for number in range(count):
        thing = THINGS[number % len(THINGS)]
        title, problem = TROUBLES[number // len(THINGS) % len(TROUBLES)]
        place = PLACES[number // (len(THINGS) * len(TROUBLES)) % len(PLACES)].format(thing)
        yield Written(
            title.format(thing).capitalize(),
            problem.format(thing),
            f"In `{place}`, `load{thing.capitalize()}` was changed.\n\n```diff\n-old {number}\n+new {number}\n```",
            f"A change touches `{place}` or how {thing} are kept.",
            (thing.rstrip("s"), place.rpartition(".")[2]),
            f"run-{number}",
        )


def make_library(state: Path, repo: Path, written: Iterable[Written]) -> list[str]:
    """A log in `state` in which every text is an active pattern of `repo`, a git repository, whose files stand there.

    Returns their ids.
    """
    ids: list[str] = []
    with open_for_writing(state / "events.db") as log:
        repo_id = register(Door(log), Views(read_connection(log)), repo, "anna").repo_id
        streams: dict[str, tuple[int, list[Event]]] = {}
        for each in written:
            job = job_id(repo_id, "task", each.run, AT)
            ids.append(pattern_id(job))
            streams |= {stream: (0, events) for stream, events in _life(repo_id, repo, job, each)}
            if len(streams) >= 2 * BATCH:
                _append(log, streams)
                streams = {}
        _append(log, streams)
        views = Views(read_connection(log))
        reconcile(Library(repo, state / "quarantine"), wanted_of(log, views, str(repo)))
    return ids


def _append(log: EventLog, streams: dict[str, tuple[int, list[Event]]]) -> None:
    if streams:
        log.append(streams, actor="bench", at=AT)


def _life(repo_id: str, repo: Path, job: str, each: Written) -> Iterator[tuple[str, list[Event]]]:
    manifest = str(repo / f".runs/task/cli/{each.run}/manifest.json")
    own = pattern_id(job)
    run = {"repo_id": repo_id, "repo_path": str(repo), "manifest_path": manifest, "task_id": "task", "run_id": each.run}
    changes: dict[type[Event], dict[str, object]] = {
        JobOpened: run,
        ChangeValidated: {"evidence": EVIDENCE},
        PatternDrafted: {"pattern_id": own},
        JobLearned: {"pattern_id": own},
    }
    yield f"job-{job}", [event.model_copy(update=changes.get(type(event), {})) for event in events(LEARNED)]
    text = text_of(own, job, manifest, each)
    yield f"pattern-{own}", [
        PatternStaged(
            pattern_id=own, repo_id=repo_id, repo_path=str(repo), job_id=job, manifest_path=manifest,
            title=each.title, slug=safe_slug(each.title), verdict="proven", text=FILE, text_body=text,
        ),
        PatternProposed(gates=("format",)),
        PatternPromoted(approver="anna", manifest_path=manifest, text_sha256=canonical_digest(text)),
    ]  # fmt: skip


def text_of(own: str, job: str, manifest: str, each: Written) -> str:
    """The pattern's file as it was judged."""
    front = FrontMatter(
        id=own, status=PatternStatus.STAGED, title=each.title, source_job=job, manifest_path=manifest,
        evidence=EvidenceLine.of(EVIDENCE), author="extractive", cost_usd=0.0, prompt_pack="crystalizer-v1",
        prompt_pack_stamp=SHA, snapshot_commit="1" * 40, created=AT, tags=each.tags,
    )  # fmt: skip
    sections = Sections(
        problem=each.problem, solution=each.solution, rationale="The test that shows it turned.",
        applies_when=each.applies_when,
    )  # fmt: skip
    return render(sections, front)
