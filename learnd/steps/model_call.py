"""A model writes the change up: reserve, call, settle; the loop around it, and nothing else costs money.

- Each attempt is an append that reserves the worst case, one request, and an append that says what it cost.
- What is transient (429, 5xx, a broken connection) is tried again a few times, with the pauses of stamina or those that
  the provider asks for; after that it is a fault of the machine, and the job waits without having lost an attempt.
- A reply that is no draft is sent back once, with what is wrong with it. A parameter that an endpoint refuses is said
  in another way, which costs nothing.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from learnd.clock import iso, now, parse
from learnd.crystalizer.briefing import NothingToBrief
from learnd.crystalizer.budget import UnknownPrice
from learnd.crystalizer.change import DiffUnreadable
from learnd.crystalizer.draft import Draft, DraftRequest
from learnd.crystalizer.failures import CallFailed, ParameterRefused
from learnd.crystalizer.openai_author import Reservation, call, estimate
from learnd.crystalizer.pack import Pack, PackInvalid, find_pack
from learnd.crystalizer.packs import where, written_by_agents
from learnd.spending import CAPS, month_of, no_room, reservation, settlement
from learnd.steps.faults import Cancelled, MachineFault
from learnd.workplace import Workplace
from state.commands import RecordCrystalizationFailure, StartCrystalization
from state.job import Job, JobStatus
from state.refusal import Refused

ACTOR = "learnd:crystalizer"
PAUSE_S = 5.0

TRIES: Final = 3
"""Requests in a row that transient failures may take before the machine is at fault."""
LONGEST_WAIT_S: Final = 15.0
"""Asked to wait for longer, the job waits, not its worker."""
PATIENCE_S: Final = 60.0
"""After so long no further request is begun: a call that hung was charged, and would hang again."""
FIRST_WAIT_S: Final = 0.5
CHARGED_PAUSE_S: Final = 30.0
"""First pause of the machine's fault after failures that may have cost money; it doubles, as all pauses do."""


class NotStarted(Exception):
    """The rules answered with another end than a call: it is in the log already."""


@dataclass
class ModelCalls:
    """The calls for one job's draft. `cancel` is looked at before each."""

    job: Job
    place: Workplace
    cancel: threading.Event
    request: DraftRequest
    pack: Pack
    worst_usd: float = 0.0

    def draft(self) -> Draft:
        """A draft, reserved and paid for. Raises NotStarted, MachineFault, Cancelled."""
        failed: CallFailed | None = None
        while True:
            try:
                return self._patiently(failed)
            except ParameterRefused:
                continue
            except CallFailed as error:
                if error.fault is not None:
                    charged = CHARGED_PAUSE_S if error.cost_usd is None else None
                    pause = charged if error.retry_after_s is None else error.retry_after_s
                    raise MachineFault(error.fault, str(error), pause) from error
                failed = error if error.repairable else None

    def _patiently(self, failed: CallFailed | None) -> Draft:
        """One call, again while its failures are transient. Raises CallFailed, of the last."""
        import stamina  # noqa: PLC0415 - only where a model is called

        for attempt in stamina.retry_context(
            on=self._wait_after,
            attempts=TRIES,
            timeout=PATIENCE_S,
            wait_initial=FIRST_WAIT_S,
            wait_max=LONGEST_WAIT_S / 2,
        ):
            with attempt:
                return self._once(failed)
        raise AssertionError("stamina raises what the last attempt raised")

    def _once(self, failed: CallFailed | None) -> Draft:
        if self.cancel.is_set():
            raise Cancelled
        reserved = self._estimate(failed)
        self._reserve(reserved)
        self.worst_usd = reserved.usd
        try:
            draft = call(reserved, self.pack, self.place.settings)
        except CallFailed as error:
            self._settle(error.cost_usd, error)
            self._failed(error, reserved)
            raise
        self._settle(None if draft.cost_assumed else draft.cost_usd, draft)
        return draft

    def _wait_after(self, error: Exception) -> bool | float:
        """Whether stamina tries again: after its own pause (True), after that many seconds, or not.

        What may have been charged is not tried again at once with the budget's last: an outage would use it up.
        """
        if not isinstance(error, CallFailed) or not error.transient:
            return False
        if error.cost_usd is None and self.place.door.job(self.job.id).available_usd < 2 * self.worst_usd:
            return False
        if error.retry_after_s is None:
            return True
        return error.retry_after_s if error.retry_after_s <= LONGEST_WAIT_S else False

    def _estimate(self, failed: CallFailed | None) -> Reservation:
        try:
            return estimate(self.request, self.pack, self.place.settings, failed)
        except UnknownPrice as error:
            # The operator's settings are wrong for every job alike.
            raise MachineFault("model", str(error)) from error
        except (NothingToBrief, DiffUnreadable) as error:
            self._start(0.0, 0, now())
            self._record("nothing_to_write", str(error), final=True)
            raise NotStarted from error

    # --- the accounts ---

    def _reserve(self, reserved: Reservation) -> None:
        """Both accounts have room for the worst case, or there is no call. Raises NotStarted, MachineFault."""
        self._start(reserved.usd, reserved.redactions, now())

    def _start(self, usd: float, redactions: int, at: str) -> None:
        place, settings = self.place, self.place.settings
        ledger = month_of(at) if usd > 0 else None
        start = StartCrystalization(
            self.job.id, place.boot_id, "openai", settings.model, usd, settings.crystalize_attempts, self.pack.name,
            self.pack.stamp, redactions, ledger,
        )  # fmt: skip
        if ledger is None:
            outcome = place.door.handle(start, ACTOR)
        else:
            number = place.door.job(self.job.id).call + 1
            spend = reservation(self.job.stream, number, settings.model, usd, settings, at)
            outcome = place.door.handle_together((start, spend), ACTOR)
        if isinstance(outcome, Refused) and outcome.code in CAPS:
            raise no_room(outcome, usd, settings, at)
        if isinstance(outcome, Refused) and outcome.code == "not_started":
            place.door.handle(replace(start, ledger=None), ACTOR)
            raise NotStarted
        if isinstance(outcome, Refused) or place.door.job(self.job.id).status is not JobStatus.CRYSTALIZING:
            raise NotStarted

    def _settle(self, cost_usd: float | None, told: Draft | CallFailed) -> None:
        """Record what was paid before anything else: it stays true whatever became of the job meanwhile."""
        self.place.door.handle_together(settlement(self.place.door.job(self.job.id), cost_usd, told.usage), ACTOR)

    # --- failures ---

    def _failed(self, error: CallFailed, reserved: Reservation) -> None:
        """Record the failed attempt. Raises NotStarted when it was the last."""
        spared = error.fault is not None or isinstance(error, ParameterRefused)
        self._record(
            error.cause, str(error), fault=spared, final=error.final, repairable=error.repairable,
            after_s=error.retry_after_s, worst_usd=reserved.usd,
        )  # fmt: skip

    def _record(
        self, cause: str, detail: str, *, fault: bool = False, final: bool = False, repairable: bool = False,
        after_s: float | None = None, worst_usd: float = 0.0,
    ) -> None:  # fmt: skip
        door, settings = self.place.door, self.place.settings
        retry_at = iso(parse(now()) + timedelta(seconds=PAUSE_S if after_s is None else after_s))
        failure = RecordCrystalizationFailure(
            self.job.id, cause, detail, settings.crystalize_attempts, retry_at, worst_usd, fault, final, repairable
        )
        if isinstance(door.handle(failure, ACTOR), Refused) or door.job(self.job.id).status is not JobStatus.VALIDATED:
            raise NotStarted


def written_by_a_model(job: Job, place: Workplace, request: DraftRequest, cancel: threading.Event) -> Draft | None:
    """The draft; None when the job took another way, which the log says. Raises MachineFault, Cancelled."""
    try:
        pack = find_pack(place.settings.prompt_pack)
    except PackInvalid as error:
        raise MachineFault("model", str(error)) from error
    tree = written_by_agents(where(pack.name), [tree.path for tree in place.views().work_trees()])
    if tree is not None:
        raise MachineFault("model", f"prompt pack {where(pack.name)} lies in {tree}, which agents write. Next: move it")
    try:
        return ModelCalls(job, place, cancel, request, pack).draft()
    except NotStarted:
        return None
