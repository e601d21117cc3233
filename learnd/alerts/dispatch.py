"""Alerts on their way: what is due is raised, what is owed is delivered, what is over is resolved.

`step` does what can be done without waiting and is called by one thread at a time: in the daemon by a thread of its
own, in `learnd once` by the loop that waits for the workers, in any other verb that held the log by `settle`.

- At least once: an alert is owed to a channel until AlertDelivered is in the log, its end until that says `resolved`.
- What was over before any channel had it is told to none.
- Without a channel (none configured that must hear of it) the journal has it: one warning, recorded as delivered there.
  While it is open, it also goes to a channel that is configured later.
- The log alone says what is owed; pauses and the reason to look before sending again are the line's (`line.py`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from events.catalog import AlertChannel
from events.log import AppendFailed, AppendOutcomeUnknown
from events.recorded import Recorded
from learnd.alerts.channel import Failed, Told, configured
from learnd.alerts.line import Known, Line, Outcome, Owed
from learnd.alerts.policy import channels_of
from learnd.alerts.raising import ACTOR, raise_due
from learnd.door import Contention, Handled
from learnd.views.alert_fold import BEGINS, FOLLOWED
from learnd.workplace import Workplace
from state import commands as c
from state.refusal import Refused

IDLE_S = 60.0
APPEND_PAUSE_S = 5.0
"""How long nothing is tried after the machine refused an append."""
GRACE_S = 3.0
"""How long the end waits for an answer that is on its way."""

log = structlog.get_logger("learnd.alerts")


class Dispatch:
    """`published` hears of each job whose alerts changed."""

    def __init__(self, place: Workplace, published: Callable[[str], None]) -> None:
        self._place = place
        self._published = published
        self._woken = threading.Event()
        self._changed = True
        self._known: list[Known] = []
        folder = place.settings.state_dir / "alerts"
        self._lines = [Line(channel, folder, self.wake) for channel in configured(place.settings.alerts)]

    def heard(self, recorded: Sequence[Recorded]) -> None:
        """Called after every append, from any thread."""
        if any(record.type in FOLLOWED or record.type in BEGINS for record in recorded):
            self._changed = True
            self.wake()

    def wake(self) -> None:
        self._woken.set()

    # --- whoever drives it ---

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set (and `wake` called), then wait a moment for what is on its way."""
        while not stop.is_set():
            self._woken.wait(self.step())
            self._woken.clear()
        end = time.monotonic() + GRACE_S
        while any(line.busy for line in self._lines) and time.monotonic() < end:
            self._woken.wait(0.1)
            self._woken.clear()
            self._record_outcomes()

    def settle(self, seconds: float, stop: Callable[[], bool] = lambda: False) -> None:
        """Deliver what can be delivered within `seconds`; what is left stands in the log for whoever comes next."""
        end = time.monotonic() + seconds
        while not stop():
            pause = self.step()
            left = end - time.monotonic()
            busy = any(line.busy for line in self._lines)
            if left <= 0 or not (busy or (pause < left and pause < IDLE_S)):
                return
            self._woken.wait(min(pause, left))
            self._woken.clear()

    def step(self) -> float:
        """Do all that can be done without waiting. Returns the seconds until there may be more, if nobody wakes us."""
        if not self._record_outcomes():
            return APPEND_PAUSE_S
        if self._changed:
            self._changed = False
            if not self._recorded(self._look):
                self._changed = True
                return APPEND_PAUSE_S
        pauses = [line.begin(line.owed(self._known)) for line in self._lines]
        return 0.0 if self._changed else min((pause for pause in pauses if pause is not None), default=IDLE_S)

    # --- the log ---

    def _recorded(self, append: Callable[[], None]) -> bool:
        """Append; False when the machine refuses, which a later step makes up for."""
        try:
            append()
        except AppendOutcomeUnknown:
            raise
        except (AppendFailed, Contention) as error:
            log.warning("alert not recorded", reason=str(error))
            return False
        return True

    def _look(self) -> None:
        """Raise what is due, tell the journal, and see anew what is owed."""
        raise_due(self._place)
        views = self._place.views().alerts
        for alert, channels in views.unsettled():
            self._tell_journal((alert, channels))
        known = views.unsettled()
        doubts = {doubt for line in self._lines for doubt in line.doubts} - {alert.id for alert, _ in known}
        self._known = [*known, *(found for doubt in doubts if (found := views.alert(doubt)) is not None)]

    def _tell_journal(self, known: Known) -> None:
        alert, channels = known
        lines = {line.channel.name for line in self._lines}
        told = channels.get("journal")
        if alert.over_at is None and told is None and not lines.intersection(channels_of(alert.kind, alert.severity)):
            log.warning("alert", alert=alert.id, severity=alert.severity, detail=" · ".join(alert.message.splitlines()))
            self._record(alert.id, alert.stream, "journal", "journal", resolve=False, outcome=Told())
        elif alert.over_at is not None and told is not None and told.resolved_at is None:
            log.info("alert is over", alert=alert.id)
            self._record(alert.id, alert.stream, "journal", "journal", resolve=True, outcome=Told())

    def _record_outcomes(self) -> bool:
        return all(self._record_outcome(line) for line in self._lines)

    def _record_outcome(self, line: Line) -> bool:
        ended = line.outcome()
        if ended is None:
            return True
        owed, outcome = ended
        if not self._recorded(lambda: self._record_attempt(line, owed, outcome)):
            return False
        line.settled(owed, outcome)
        self._changed = True
        return True

    def _record_attempt(self, line: Line, owed: Owed, outcome: Outcome) -> None:
        name, target = line.channel.name, line.channel.target
        if not self._record(owed.notice.id, owed.stream, name, target, resolve=owed.resolve, outcome=outcome):
            return
        if isinstance(outcome, Failed):
            log.warning("alert not delivered", alert=owed.notice.id, channel=name, reason=outcome.error)
        else:
            log.info("alert resolved" if owed.resolve else "alert delivered", alert=owed.notice.id, channel=name)

    def _record(
        self, alert_id: str, stream: str, channel: AlertChannel, target: str, *, resolve: bool, outcome: Outcome
    ) -> bool:
        """Whether it was news."""
        error = outcome.error if isinstance(outcome, Failed) else None
        receipt = outcome.receipt if isinstance(outcome, Told) else ""
        job_id = stream.removeprefix("job-")
        if job_id == stream:
            machine = c.RecordFaultAlertDelivery(alert_id, channel, target, resolve, error, receipt)
            return self._was_news(self._place.door.handle(machine, ACTOR))
        news = self._was_news(
            self._place.door.handle(
                c.RecordAlertDelivery(job_id, alert_id, channel, target, resolve, error, receipt), ACTOR
            )
        )
        if news:
            self._published(job_id)
        return news

    def _was_news(self, answer: Handled | Refused) -> bool:
        if isinstance(answer, Refused):
            log.debug("not recorded", code=answer.code, reason=answer.reason)
        return isinstance(answer, Handled)
