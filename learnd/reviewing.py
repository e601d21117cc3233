"""Has a model read candidates before people do: reserve, call, settle, each in the log before the next begins.

Off unless the operator asks for it, and only where a key is set. A review counts against what is left of its job's
budget and against the day's and the month's caps; where there is no money it is not made, and nothing waits for it.
What a crash cut off between reserving and settling counts as spent, whole.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import structlog

from learnd.clock import iso, now, parse
from learnd.crystalizer.budget import UnknownPrice
from learnd.crystalizer.failures import CallFailed
from learnd.crystalizer.pack import Pack, PackInvalid, find_pack
from learnd.crystalizer.packs import where, written_by_agents
from learnd.library.canonical import body, canonical_digest
from learnd.library.librarian import FORM, Advice, Neighbour, NoRoom, Request, call, estimate
from learnd.library.patterns import EvidenceLine
from learnd.spending import CAPS, month_of, reservation
from learnd.steps.known import STANDING
from learnd.views.likeness_fold import known
from learnd.views.queries import PatternRow
from learnd.views.store import read_connection
from learnd.workplace import Workplace
from state import commands as c
from state.decide import Command
from state.job import Job
from state.pattern import Pattern, PatternStatus
from state.refusal import Refused

ACTOR: Final = "learnd:librarian"
ATTEMPTS: Final = 3
FAULTS: Final = frozenset({"model", "rate_limit", "spend", "disk"})
NEIGHBOURS: Final = 3
NEAR: Final = 40.0
"""Per cent of rapidfuzz's `ratio`, word by word, from which an active pattern is shown beside a candidate."""

log = structlog.get_logger("learnd.librarian")


class Librarian:
    """Reads one candidate after another. Used by one thread at a time."""

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self._left: dict[str, str] = {}
        """Why nothing is asked about a pattern's version, by `id:version`: said once."""

    @property
    def wanted(self) -> bool:
        settings = self._place.settings
        return settings.patterns.librarian and settings.learning_enabled and settings.openai_api_key is not None

    def read_all(self, stopped: Callable[[], bool] = lambda: False) -> int:
        """Ask about every candidate that no model was asked about. Returns how many were."""
        if not self.wanted:
            return 0
        try:
            pack = find_pack(self._place.settings.patterns.librarian_pack, FORM)
        except PackInvalid as error:
            log.warning("no review", reason=str(error))
            return 0
        tree = written_by_agents(where(pack.name), [tree.path for tree in self._place.views().work_trees()])
        if tree is not None:
            log.warning("no review", reason=f"prompt pack {pack.name} lies in {tree}, where agents write")
            return 0
        asked = 0
        for row in self._place.views().patterns(statuses=(PatternStatus.CANDIDATE,), but_forgotten=True):
            if stopped() or FAULTS & set(self._place.door.host().faults):
                break
            asked += self._read(row, pack)
        return asked

    def settle_lost(self) -> None:
        """Count as spent what reviews of other boots reserved. Called once, by the holder of the log's lock."""
        rows = self._place.views().rows("SELECT id FROM patterns WHERE reviewing = 1")
        for (pattern_id,) in rows:
            pattern = self._place.door.pattern(str(pattern_id))
            if pattern.review is not None and pattern.review.boot_id not in (None, self._place.boot_id):
                self._settle(pattern, c.SettleReview(pattern.id, None, None, failure="crash", retried=True))

    def _read(self, row: PatternRow, pack: Pack) -> bool:
        """Whether the model was asked about this candidate."""
        key = f"{row.id}:{row.version}"
        if key in self._left:
            return False
        pattern = self._place.door.pattern(row.id)
        if pattern.review is not None and pattern.review.over:
            self._left[key] = "a model was asked about this text"
            return False
        job = self._place.door.job(pattern.job_id)
        try:
            request = estimate(
                body(pattern.text), _evidence(job), self._neighbours(pattern), pack, self._place.settings
            )
        except (UnknownPrice, NoRoom) as error:
            return self._leave(key, str(error))
        started = self._start(pattern, job, request, pack)
        if isinstance(started, Refused):
            # Money comes back with the next day; all other reasons stand until something happens to the pattern.
            return False if started.code in CAPS else self._leave(key, started.reason)
        self._ask(self._place.door.pattern(row.id), request)
        return True

    def _leave(self, key: str, reason: str) -> bool:
        self._left[key] = reason
        log.info("not reviewed", pattern=key[:8], reason=reason)
        return False

    def _start(self, pattern: Pattern, job: Job, request: Request, pack: Pack) -> object:
        """Reserve the call on the job's account and in the month's ledger, by one append."""
        at = now()
        paid = request.usd > 0
        commands: list[Command] = [
            c.StartReview(
                pattern.id, self._place.boot_id, request.model, request.usd, job.available_usd,
                canonical_digest(pattern.text), pack.name, pack.stamp, ATTEMPTS, month_of(at) if paid else None,
            )
        ]  # fmt: skip
        if paid:
            number = pattern.review_calls + 1
            commands.append(
                reservation(pattern.stream, number, request.model, request.usd, self._place.settings, at)
            )  # fmt: skip
        return self._place.door.handle_together(commands, ACTOR)

    def _ask(self, pattern: Pattern, request: Request) -> None:
        try:
            advice = call(request, self._place.settings)
        except CallFailed as error:
            again = error.fault is not None or error.transient or error.repairable or error.cause == "parameter_refused"
            failure = f"{error.cause}: {error}"
            self._settle(
                pattern, c.SettleReview(pattern.id, error.cost_usd, error.usage, failure=failure, retried=again)
            )
            if error.fault is not None:
                after = error.retry_after_s
                until = iso(parse(now()) + timedelta(seconds=after)) if after is not None else None
                self._place.door.handle(c.RaiseFault(error.fault, str(error), until), ACTOR)
            return
        self._settle(pattern, _settlement(pattern, advice))

    def _settle(self, pattern: Pattern, settled: c.SettleReview) -> None:
        """Record what was paid on both accounts, in whatever status the pattern is by now."""
        commands: list[Command] = [settled]
        review = pattern.review
        if review is not None and review.ledger is not None:
            commands.append(c.SettleSpend(review.ledger, pattern.stream, review.call, settled.cost_usd))
        outcome = self._place.door.handle_together(commands, ACTOR)
        if isinstance(outcome, Refused):
            log.warning("review not settled", pattern=pattern.id[:8], reason=outcome.reason)

    def _neighbours(self, pattern: Pattern) -> list[Neighbour]:
        """Patterns that contradict the candidate, then active ones whose text is near."""
        from rapidfuzz import fuzz, process  # noqa: PLC0415 - only where a model is asked

        door = self._place.door
        found = [Neighbour(body(door.pattern(other).text), "it advises the opposite") for other in pattern.conflicts]
        likenesses = dict(known(read_connection(door.log), pattern.repo_id, STANDING))
        own = likenesses.pop(pattern.id, None)
        texts = {other: near.text for other, near in likenesses.items() if other not in pattern.conflicts}
        near = process.extract(own.text, texts, scorer=fuzz.ratio, score_cutoff=NEAR, limit=NEIGHBOURS) if own else []
        found += [Neighbour(body(door.pattern(other).text), f"{score:.0f} % of the words") for _, score, other in near]
        return found[:NEIGHBOURS]


def _settlement(pattern: Pattern, advice: Advice) -> c.SettleReview:
    return c.SettleReview(pattern.id, advice.cost_usd, advice.usage, advice.recommendation, advice.reasons)


def _evidence(job: Job) -> str:
    if job.evidence is None:
        return "none"
    line = EvidenceLine.of(job.evidence)
    return (
        f"{line.verdict}; {line.base_replays} replays without the change, {line.snapshot_replays} with it, "
        f"{line.exercised_hunks} of {line.hunks} hunks exercised, isolation {line.isolation}"
    )
