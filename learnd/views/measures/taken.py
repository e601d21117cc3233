"""What each event adds to the metrics: a row of the table `measures`, or none. Pure.

- A row is a fact at a moment: counted by `label` and `about`, with `began` where something ended that had begun.
  Windows cut on `at`; a length of time belongs to the window in which it ended.
- Moments are whole milliseconds since 1970, so that the edges of a window are exact.
- What an event does not say (when the status before it began, when the run completed) comes with `JobStood` and
  `PatternStood`, which the read models keep; folding a whole stream here gives the same rows.

Every append passes here, and a rebuild once for each event: tables of types instead of chains of cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import NamedTuple

from events import catalog as e
from events.recorded import Recorded
from learnd.views.measures.window import milliseconds
from state import job as jobs
from state import pattern as patterns

BLOCKED = frozenset(status.value for status in jobs.BLOCKED)
CANDIDATE = patterns.PatternStatus.CANDIDATE.value


class Measure(NamedTuple):
    """A row of the table, in the order of its columns.

    | kind | label | about | began |
    | --- | --- | --- | --- |
    | opened, dismissed | | | |
    | validated | verdict | | |
    | failed | root cause's group | cause | |
    | unblocked | blocked status | job | when it was blocked |
    | learned | outcome | | |
    | skipped | cause | | |
    | spent (`amount`: dollars) | model | `assumed` or nothing | |
    | regression | `caught`, `escaped` | pattern | the commit, else the promotion |
    | proposed | | | when the run completed |
    | reviewed | `promoted`, `rejected`, `expired`, `quarantined` | reviewer | when it became a candidate |
    | served (`amount`: times) | | pattern | |
    | reported | `helped`, `did_not_help`, `wrong` | pattern | |
    | hygiene | what became of a pattern | | promotion or going stale, where one ends |

    A review of what was no candidate (a quarantined text that a person rejects) began nowhere.
    """

    kind: str
    at: int
    position: int
    repo_id: str
    label: str = ""
    about: str = ""
    began: int | None = None
    amount: float = 0.0


class JobStood(NamedTuple):
    """A job just before an event: its status, and since when."""

    status: str = jobs.JobStatus.NEW.value
    since: str = ""
    repo_id: str = ""


class PatternStood(NamedTuple):
    """A pattern just before an event. `promoted_at` is when it was last made active from a candidate."""

    status: str = patterns.PatternStatus.NEW.value
    since: str = ""
    promoted_at: str | None = None
    repo_id: str = ""

    def after(self, record: Recorded) -> PatternStood:
        """How it stands after the event. Raises UnexpectedEvent."""
        following = patterns.TABLE.follow(record.stream, self.status, record.data)
        return PatternStood(
            following,
            record.at if following != self.status else self.since,
            record.at if is_promotion(record.type, self.status) else self.promoted_at,
            self.repo_id or getattr(record.data, "repo_id", None) or "",
        )


def is_promotion(event_type: str, status: str) -> bool:
    """Whether a candidate becomes active; an edited text that is promoted again was judged as a candidate before."""
    return event_type == "PatternPromoted" and status == CANDIDATE


# --- jobs ---

Says = Callable[[e.Event], tuple[str, str]]
"""Label and what it is about, from an event."""


def _says(label: str = "") -> Says:
    """By the attribute of that name, about nothing."""
    if not label:
        return lambda _: ("", "")
    read = attrgetter(label)
    return lambda event: (read(event), "")


def _in_group(group: str) -> Says:
    cause = attrgetter("cause")
    return lambda event: (group, cause(event))


def _verdict(event: e.Event) -> tuple[str, str]:
    verdict, cause = attrgetter("evidence.verdict", "cause")(event)
    return ("inconclusive" if verdict == "inconclusive" else "test_failures"), cause


def _spent(event: e.Event) -> tuple[str, str]:
    model, assumed = attrgetter("model", "assumed")(event)
    return model, "assumed" if assumed else ""


def _regression(event: e.Event) -> tuple[str, str]:
    escaped, pattern = attrgetter("escaped", "pattern_id")(event)
    return ("escaped" if escaped else "caught"), pattern or ""


_JOB: Mapping[str, tuple[str, Says]] = {
    "JobOpened": ("opened", _says()),
    "ChangeValidated": ("validated", _says("evidence.verdict")),
    "ValidationFailed": ("failed", _verdict),
    "SnapshotFailed": ("failed", _in_group("snapshot_integrity")),
    "SnapshotStalled": ("failed", _in_group("snapshot_integrity")),
    "ManualScenarioRequired": ("failed", _in_group("scenario_synthesis")),
    "ModelCallSettled": ("spent", _spent),
    "JobLearned": ("learned", _says("outcome")),
    "JobSkipped": ("skipped", _says("cause")),
    "JobDismissed": ("dismissed", _says()),
    "RegressionDetected": ("regression", _regression),
}
JOB_TYPES = frozenset(_JOB)
"""Types of a job's events that add a row in any status; any other adds one only when it ends a blocked status."""


def of_job(record: Recorded, stood: JobStood, following: str, promoted_at: str | None = None) -> list[Measure]:
    """The rows of a job's event, which brings it to the status `following`.

    `promoted_at` is that of the pattern that a regression is about.
    """
    rows: list[Measure] = []
    event, at, position = record.data, milliseconds(record.at) or 0, record.position
    repo = stood.repo_id
    if stood.status in BLOCKED and following != stood.status:
        rows.append(
            Measure("unblocked", at, position, repo, stood.status, record.stream[4:], milliseconds(stood.since))
        )
    adds = _JOB.get(record.type)
    if adds is None:
        return rows
    kind, says = adds
    label, about = says(event)
    began, amount = None, 0.0
    match event:
        case e.RegressionDetected():
            began = milliseconds(event.committed_at or promoted_at)
        case e.ModelCallSettled():
            amount = event.cost_usd
        case e.JobOpened():
            repo = event.repo_id
    rows.append(Measure(kind, at, position, repo, label, about, began, amount))
    return rows


# --- patterns ---

_BECAME: Mapping[str, str] = {
    "PatternExpired": "expired",
    "PatternQuarantined": "quarantined",
    "PatternDeprecated": "deprecated",
    "PatternSuperseded": "superseded",
    "PatternEdited": "edited",
    "PatternWentStale": "stale",
    "PatternReverified": "reverified",
    "ReintroductionDetected": "reintroduced",
}
_REVIEWED: Mapping[str, str] = {
    "PatternPromoted": "promoted",
    "PatternRejected": "rejected",
    "PatternExpired": "expired",
    "PatternQuarantined": "quarantined",
}
PATTERN_TYPES = frozenset({"PatternProposed", "PatternReviewed", *_BECAME, *_REVIEWED})


def of_pattern(record: Recorded, stood: PatternStood, completed_at: str | None = None) -> list[Measure]:
    """The rows of a pattern's event. `completed_at` is that of the run that it came from, asked for a proposal."""
    rows: list[Measure] = []
    kind, at, position = record.type, milliseconds(record.at) or 0, record.position
    repo = stood.repo_id or getattr(record.data, "repo_id", None) or ""
    if isinstance(record.data, e.PatternReviewed):
        about = "assumed" if record.data.assumed else ""
        rows.append(Measure("spent", at, position, repo, record.data.model, about, amount=record.data.cost_usd))
    if kind == "PatternProposed":
        rows.append(Measure("proposed", at, position, repo, began=milliseconds(completed_at)))
    if kind in _REVIEWED and (stood.status == CANDIDATE or kind == "PatternRejected"):
        waited = milliseconds(stood.since) if stood.status == CANDIDATE else None
        reviewer = getattr(record.data, "approver", "")
        rows.append(Measure("reviewed", at, position, repo, _REVIEWED[kind], reviewer, waited))
    if kind in _BECAME:
        out = kind in ("PatternDeprecated", "PatternSuperseded")
        ends = stood.promoted_at if out else stood.since if kind == "PatternReverified" else None
        rows.append(Measure("hygiene", at, position, repo, _BECAME[kind], "", milliseconds(ends)))
    return rows


def pattern_measures(records: Iterable[Recorded]) -> list[Measure]:
    """The rows of a pattern's whole stream, in order."""
    stood, rows = PatternStood(), []
    for record in records:
        rows += of_pattern(record, stood)
        stood = stood.after(record)
    return rows
