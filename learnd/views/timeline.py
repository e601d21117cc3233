"""A history as a person reads it: when, what, how long after the event before, and the few facts that matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from events import catalog as e
from events.recorded import Recorded
from events.values import Evidence, SnapshotRecord
from learnd.clock import seconds_between
from learnd.ids import short


@dataclass(frozen=True, slots=True)
class Entry:
    """One event. `seconds` is the time since the one before it in the same history, None for the first."""

    at: str
    type: str
    actor: str
    seconds: float | None
    text: str


def timeline(records: Sequence[Recorded]) -> list[Entry]:
    """Entries of `records`, which are in the log's order."""
    entries = []
    before: str | None = None
    for record in records:
        passed = seconds_between(before, record.at) if before else None
        entries.append(Entry(record.at, record.type, record.actor, passed, facts(record.data)))
        before = record.at
    return entries


def subject(record: Recorded) -> str:
    """What an event is about: `job 7f3a2c1e`, `pattern 91ab33f0`, `repository 5d…`, `machine`."""
    kind, _, identity = record.stream.partition("-")
    return f"{'repository' if kind == 'repo' else kind} {short(identity)}".strip()


def facts(event: e.Event) -> str:  # noqa: PLR0912 - one case an event, nothing nested
    """The facts of an event that a person wants to see in a line; empty where the name says it all."""
    match event:
        case e.RunObserved() | e.RunReopened() | e.JobOpened():
            return event.manifest_path
        case e.RunEnded():
            return f"{event.outcome}: {event.manifest_path}"
        case e.SnapshotTaken():
            return _snapshot(event.snapshot)
        case e.SnapshotAttemptFailed() | e.ScenarioAttemptFailed() | e.CrystalizationAttemptFailed():
            return f"attempt {event.attempt}: {event.cause}: {event.detail}"
        case e.SnapshotFailed() | e.ManualScenarioRequired() | e.CrystalizationFailed():
            return f"after {event.attempts} attempts: {event.cause}: {event.detail}"
        case e.JobQueued():
            return f"prompt from {event.prompt_source}" if event.prompt_source else "no prompt found"
        case e.GroupAwaited():
            return f"service {event.service}, until {event.closes_at}"
        case e.GroupClosed() | e.GroupJoined():
            return _group(event)
        case e.SnapshotStalled():
            return f"{event.cause}: expected {event.expected}, found {event.found}"
        case e.TarballRebuilt():
            return event.tarball.path
        case e.SnapshotPruned():
            return f"{event.freed_bytes} bytes freed"
        case e.ScenarioSynthesized():
            return f"from {event.scenario.source}: {_commands(event.scenario.commands)}"
        case e.ManualScenarioSupplied():
            return f"by {_who(event)}: {_commands(event.scenario.commands)}"
        case e.ReplayStarted():
            return f"attempt {event.attempt}, isolation {event.isolation}"
        case e.JobSkipped() | e.ReplayInterrupted() | e.ReverificationInterrupted():
            return ": ".join(part for part in (event.cause, event.detail) if part)
        case e.ChangeValidated() | e.ValidationFailed() | e.PatternReverified():
            return _evidence(event.evidence)
        case e.CrystalizationStarted():
            return f"author {event.model or event.author}, ${event.reserved_usd:.4f} reserved"
        case e.ModelCallSettled():
            return f"{event.model}: ${event.cost_usd:.4f}{' (assumed)' if event.assumed else ''}"
        case e.BudgetExhausted():
            return f"needs ${event.needed_usd:.4f}, ${event.available_usd:.4f} left"
        case e.PatternDrafted():
            return f"pattern {short(event.pattern_id)}: {event.title}"
        case e.JobLearned():
            return f"pattern {short(event.pattern_id)}: {event.outcome}"
        case e.JobRequeued():
            return _requeued(event)
        case e.PatternPromoted():
            return f"by {_who(event)}{', as edited' if event.text_body else ''}{_because(event.reason)}"
        case e.PatternSuperseded():
            return f"by {_who(event)}: {short(event.by)} takes its place{_because(event.reason)}"
        case e.PatternEndorsed() | e.EvidenceAdded() | e.PatternEdited() | e.ConflictFound():
            return _of_library(event)
        case e.PatternReviewStarted() | e.PatternReviewed():
            return _of_review(event)
        case e.PatternServed():
            runs = f" ({', '.join(event.runs)})" if event.runs else ""
            return f"{event.times} time{'' if event.times == 1 else 's'} on {event.day}{runs}"
        case e.UseReported():
            by = f" by run {event.run}" if event.run else ""
            return f"{event.outcome.replace('_', ' ')}{by}{f': {event.note}' if event.note else ''}"
        case e.Approval():
            return f"by {_who(event)}{_because(event.reason)}"
        case e.PatternStaged():
            return event.title
        case e.PatternQuarantined():
            return f"gate {event.gate}: {event.detail}"
        case e.PatternProposed():
            return f"passed {', '.join(event.gates)}"
        case e.AlertRaised():
            return event.message
        case e.AlertDelivered():
            return f"{'resolved, ' if event.resolved else ''}{event.channel}: {event.target}"
        case e.AlertFailed():
            return f"{event.channel}: {event.error}"
        case e.RegressionDetected():
            about = f"pattern {short(event.pattern_id)} " if event.pattern_id else ""
            return f"{about}{regression(event)}"
        case e.RepositoryRegistered() | e.RepositoryMoved() | e.WorkTreeAdded():
            return event.path
        case e.UnknownFilesSetAside():
            return f"out of {event.path}/.agent/patterns/active: {', '.join(file.name for file in event.files)}"
        case e.SpendReserved():
            return f"{event.about[:12]}, call {event.number}: ${event.usd:.4f} reserved for {event.model}"
        case e.SpendSettled():
            return f"{event.about[:12]}, call {event.number}: ${event.usd:.4f}"
        case e.DaemonStarted():
            off = "" if event.learning_enabled else ", learning is off"
            return f"pid {event.pid}, learnd {event.learnd_version}{off}"
        case e.DaemonStopped():
            return "drained" if event.drained else "not drained"
        case e.FaultRaised():
            return f"{event.kind}: {event.detail}"
        case e.FaultCleared():
            return event.kind
    return _upkeep(event) or _plainly(event)


def _upkeep(event: e.Event) -> str:
    """Of a pattern's rule, and of whether the pattern is still true."""
    match event:
        case e.PatternRuleVerified():
            fix = ", with a fix" if event.has_fix else ""
            return f"{event.language}, {event.source}, {len(event.matches)} of the base{fix}, by {event.engine}"
        case e.PatternRuleNotFound():
            return event.detail
        case e.PatternWentStale():
            return f"{', '.join(event.changed_paths)}{f' in {event.seen_in}' if event.seen_in else ''}"
        case e.ReverificationStarted():
            return f"attempt {event.attempt}, isolation {event.isolation}"
        case e.ReverificationFailed():
            return f"{event.cause}: {event.detail}"
        case e.ReintroductionDetected():
            return f"job {short(event.job_id)}: {event.detail or event.path}"
        case e.ReintroductionGone():
            return f"pattern {short(event.pattern_id)}: {event.detail}"
    return ""


def _of_library(event: e.PatternEndorsed | e.EvidenceAdded | e.PatternEdited | e.ConflictFound) -> str:
    """What happened to a pattern without moving it."""
    match event:
        case e.PatternEndorsed():
            return f"by {_who(event)}{_because(event.reason)}. Needed: {event.missing}"
        case e.EvidenceAdded():
            alike = f", {event.similarity:.0%} of the words" if event.similarity is not None else ""
            return f"job {short(event.job_id)}: {event.verdict}{_because(event.because)}{alike}"
        case e.PatternEdited():
            return f"by {event.by or 'somebody who did not commit it'}: text {short(event.found_sha256)}"
    return f"pattern {short(event.other)}: {event.detail}"


def _of_review(event: e.PatternReviewStarted | e.PatternReviewed) -> str:
    """What a model was asked, or recommends."""
    if isinstance(event, e.PatternReviewStarted):
        return f"{event.model}, attempt {event.attempt}, ${event.reserved_usd:.4f} reserved"
    paid = f"{event.model}: ${event.cost_usd:.4f}{' (assumed)' if event.assumed else ''}"
    return f"{event.recommendation or f'no recommendation ({event.failure})'}, {paid}"


def _plainly(event: e.Event) -> str:
    """Every short field by name: for facts that nobody reads often."""
    told = event.model_dump(mode="json", exclude={"type"}, exclude_none=True)
    return ", ".join(f"{name} {value}" for name, value in told.items() if isinstance(value, str | int | float))


def _snapshot(record: SnapshotRecord) -> str:
    files = "1 file" if record.files_changed == 1 else f"{record.files_changed} files"
    line = f"{files}, +{record.insertions} -{record.deletions}, base {record.base_source}"
    return f"{line}; not attributable: {record.not_attributable}" if record.not_attributable else line


def _evidence(evidence: Evidence) -> str:
    replays = f"{len(evidence.base)}+{len(evidence.snapshot)} replays"
    hunks = sum(hunk.verdict == "exercised" for hunk in evidence.hunks)
    parts = [f"{evidence.verdict}{f' ({evidence.cause})' if evidence.cause else ''}", replays]
    if evidence.hunks:
        parts.append(f"{hunks} of {len(evidence.hunks)} hunks exercised")
    if evidence.isolation == "none":
        parts.append("NOT ISOLATED")
    return ", ".join(parts)


def _group(event: e.GroupClosed | e.GroupJoined) -> str:
    """Who is validated with whom, and who is not and why."""
    group = event.group
    if isinstance(event, e.GroupJoined):
        runs = f"{len(group.members)} runs of {group.service}"
        return f"group {short(group.id)}, {runs}; job {short(group.lead)} validates it"
    what = {"window": "", "expedited": ", closed early"}.get(event.cause, f", {event.cause}")
    if group.several:
        runs = ", ".join(member.run_id for member in group.members)
        told = f"group {short(group.id)}, {len(group.members)} runs of {group.service} together ({runs}){what}"
    else:
        told = f"alone, {group.service}{what}"
    return "; ".join((told, *([event.detail] if event.detail else ()), *event.apart))


def _commands(commands: Sequence[object]) -> str:
    first = commands[0] if commands else None
    argv = getattr(first, "argv", ())
    more = f" (+{len(commands) - 1} more)" if len(commands) > 1 else ""
    return " ".join(argv) + more


def _requeued(event: e.JobRequeued) -> str:
    grant = f", ${event.grant_usd:.2f} granted" if event.grant_usd else ""
    unproven = ", accepted as unproven" if event.accept_unproven else ""
    return f"by {_who(event)} from {event.from_status}{grant}{unproven}{_because(event.reason)}"


def regression(event: e.RegressionDetected) -> str:
    """At which commit a pattern's change came undone, and who noticed."""
    who = f" by {event.approver}{f' (as {event.claimed})' if event.claimed else ''}" if event.approver else ""
    noticed = f"escaped, reported{who}" if event.escaped else "caught"
    made = f", made {event.committed_at[:10]}" if event.committed_at else ""
    what = "undone" if event.pattern_id else "tests broken"
    return f"{what} at {event.commit[:12]}{made}: {noticed}{_because(event.detail)}"


def _who(event: e.Approval) -> str:
    return f"{event.approver} (as {event.claimed})" if event.claimed else event.approver


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
