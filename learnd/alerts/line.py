"""One channel's line: what is owed to it, one attempt at a time, and the pauses between.

- An attempt runs in a thread that never touches the log and may be left behind: one that hangs holds up neither the
  other channel nor the end of the process. A line has at most one outstanding; while that hangs no other begins.
- Before an attempt begins, a file names the alert. It is gone again once the outcome is recorded, so whoever finds it
  after a crash knows that this alert may have arrived: the line is *in doubt* about it. The file is a hint, not a fact:
  without it an alert may come twice, never not at all.
- Pauses grow from `FIRST_PAUSE_S` to `LONGEST_PAUSE_S` while a channel fails, or are as long as it asks. They are not
  kept: a new process tries at once.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from learnd.alerts.channel import Channel, Failed, Notice, Told
from learnd.alerts.policy import channels_of
from learnd.views.alerts import AlertRow, ChannelRow

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 600.0
STUBBORN = 3
DEADLINE_S = 25.0
"""An attempt that goes on for longer has failed, whatever becomes of it: each of its answers may come drop by drop."""

Known = tuple[AlertRow, dict[str, ChannelRow]]
Outcome = Told | Failed

UNFORESEEN = Failed("the attempt ended with an error that nobody foresaw; the journal has it", unknown=True)


class Attempt:
    """A piece of work in a thread of its own. `outcome` counts once `finished` is set."""

    def __init__(self, name: str, work: Callable[[], Outcome], done: Callable[[], None]) -> None:
        self.outcome: Outcome = UNFORESEEN
        self.finished = threading.Event()
        self.began = time.monotonic()
        self._work = work
        self._done = done
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        try:
            self.outcome = self._work()
        finally:
            self.finished.set()
            self._done()


@dataclass(frozen=True, slots=True)
class Owed:
    """An alert that the channel must hear of or, with `resolve`, of its end."""

    notice: Notice
    stream: str
    resolve: bool
    in_doubt: bool


@dataclass
class Pause:
    """How long nothing is tried, and how often in a row it failed."""

    failures: int = 0
    until: float = 0.0

    def longer(self, asked_s: float | None) -> None:
        own = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self.failures)
        self.failures += 1
        self.until = time.monotonic() + (own if asked_s is None else asked_s)


@dataclass
class Line:
    """`folder` is where the file lies that names the alert on its way."""

    channel: Channel
    folder: Path
    woken: Callable[[], None]
    pause: Pause = field(default_factory=Pause)
    _pauses: dict[str, Pause] = field(default_factory=dict)
    _attempt: Attempt | None = None
    _owed: Owed | None = None
    _overdue: bool = False
    _told: set[tuple[str, bool]] = field(default_factory=set)
    doubts: set[str] = field(default_factory=set)
    """Ids of alerts that the channel may have although the log does not say so."""

    def __post_init__(self) -> None:
        self._note = self.folder / f"{self.channel.name}.attempt"
        with contextlib.suppress(OSError):
            self.doubts.add(self._note.read_text())

    @property
    def busy(self) -> bool:
        return self._attempt is not None

    def owed(self, known: Iterable[Known]) -> list[Owed]:
        """What the channel must hear, in the order in which it shall: doubts first, then the worst, then the oldest.

        One that failed `STUBBORN` times lets the others go first: perhaps it alone is what the channel stumbles over.
        """
        found = [owed for alert, channels in known if (owed := self._owed_of(alert, channels.get(self.channel.name)))]
        return sorted(
            found,
            key=lambda owed: (
                self._of(owed).failures // STUBBORN, not owed.in_doubt, owed.notice.severity, owed.notice.raised_at,
            ),
        )  # fmt: skip

    def _owed_of(self, alert: AlertRow, told: ChannelRow | None) -> Owed | None:
        if (alert.id, alert.over_at is not None) in self._told:
            return None  # whatever became of the record of it: nobody is told the same twice by one process
        doubted = alert.id in self.doubts
        if alert.over_at is None:
            wanted = self.channel.name in channels_of(alert.kind, alert.severity)
            if not wanted or (told is not None and told.delivered_at):
                return None
        elif told.resolved_at if told is not None else not doubted:
            return None  # it has heard of the end, or never had it
        failed_before = told is not None and told.error is not None and alert.id not in self._pauses
        return Owed(_notice(alert, told), alert.stream, alert.over_at is not None, doubted or failed_before)

    # --- attempts ---

    def begin(self, owed: list[Owed]) -> float | None:
        """Begin the next attempt if it may begin now. Returns the seconds until one may; None when nothing is owed."""
        if not owed:
            return None
        if self._attempt is not None:
            return max(0.0, DEADLINE_S - (time.monotonic() - self._attempt.began)) if not self._overdue else DEADLINE_S
        moment = time.monotonic()
        ready = [(max(self.pause.until, self._of(item).until), item) for item in owed]
        at, item = next(((at, item) for at, item in ready if at <= moment), min(ready, key=lambda pair: pair[0]))
        if at > moment:
            return at - moment
        self._start(item)
        return DEADLINE_S

    def _of(self, item: Owed) -> Pause:
        return self._pauses.get(item.notice.id, Pause())

    def _start(self, item: Owed) -> None:
        with contextlib.suppress(OSError):  # no room for a hint
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self._note.write_text(item.notice.id)
        channel, notice = self.channel, item.notice
        self._owed, self._overdue = item, False
        self.doubts.add(notice.id)
        work = (lambda: channel.end(notice)) if item.resolve else (lambda: channel.tell(notice, in_doubt=item.in_doubt))
        self._attempt = Attempt(f"alert-{channel.name}", work, self.woken)

    def outcome(self) -> tuple[Owed, Outcome] | None:
        """What the attempt came to, again and again until it is `settled`; a failure already when it is overdue."""
        if self._attempt is None or self._owed is None:
            return None
        if self._attempt.finished.is_set():
            return self._owed, self._attempt.outcome
        if not self._overdue and time.monotonic() - self._attempt.began > DEADLINE_S:
            return self._owed, Failed(f"no end within {DEADLINE_S:.0f} s", unknown=True)
        return None

    def settled(self, item: Owed, outcome: Outcome) -> None:
        """The outcome is in the log."""
        if self._attempt is not None and not self._attempt.finished.is_set():
            self._overdue = True
            return
        self._attempt = self._owed = None
        if isinstance(outcome, Told):
            self.pause = Pause()
            self._pauses.pop(item.notice.id, None)
            self._told.add((item.notice.id, item.resolve))
        else:
            mine = self._pauses.setdefault(item.notice.id, Pause())
            if outcome.whole:
                self.pause.longer(outcome.retry_after_s)
                mine.failures += 1
            else:
                mine.longer(outcome.retry_after_s)
        # That this attempt brought nothing settles no doubt about an earlier one.
        if isinstance(outcome, Told) or not (outcome.unknown or item.in_doubt):
            self.doubts.discard(item.notice.id)
            with contextlib.suppress(OSError):
                self._note.unlink(missing_ok=True)


def _notice(alert: AlertRow, told: ChannelRow | None) -> Notice:
    # Every machine's faults are counted from one: the event's own id tells them apart where machines share a key.
    key = alert.id if alert.job else f"{alert.id}-{alert.event_id[:8]}"
    return Notice(
        alert.id, key, alert.kind, alert.severity, alert.message, alert.raised_at, alert.over_at,
        told.receipt if told else "",
    )  # fmt: skip
