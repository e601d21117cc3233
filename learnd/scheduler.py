"""Which job is worked on next: repositories take turns, so that one never starves another.

Urgent jobs, those that a person let go first, come before all others, of whatever repository; among themselves in
the order in which they were woken. A job is in one place only: waiting for a worker, with a worker, or asleep until
a time. Waking a job that a worker has makes it come round once more, so that no event is missed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

from learnd.clock import now


class Scheduler:
    """Hands job ids to workers. All methods are safe to call from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queues: OrderedDict[str, deque[str]] = OrderedDict()
        self._first: deque[str] = deque()
        self._urgent: set[str] = set()
        self._repo: dict[str, str] = {}
        self._queued: set[str] = set()
        self._busy: set[str] = set()
        self._again: set[str] = set()
        self._asleep: dict[str, str] = {}
        self._closed = False

    def wake(self, job_id: str, repo_id: str, *, urgent: bool = False) -> None:
        """The job may have something to do. `urgent` is how it stands now: a job may become it, and cease to be."""
        with self._changed:
            self._repo[job_id] = repo_id
            if urgent != (job_id in self._urgent):
                self._leave_queue(job_id)
                (self._urgent.add if urgent else self._urgent.discard)(job_id)
            self._wake(job_id)
            self._changed.notify_all()

    def _leave_queue(self, job_id: str) -> None:
        """Out of the line that it waits in, to be put into the other."""
        if job_id not in self._queued:
            return
        self._queued.discard(job_id)
        if job_id in self._urgent:
            self._first.remove(job_id)
            return
        repo_id = self._repo[job_id]
        self._queues[repo_id].remove(job_id)
        if not self._queues[repo_id]:
            del self._queues[repo_id]

    def _wake(self, job_id: str) -> None:
        self._asleep.pop(job_id, None)
        if job_id in self._busy:
            self._again.add(job_id)
        elif job_id not in self._queued:
            self._queued.add(job_id)
            line = self._first if job_id in self._urgent else self._queues.setdefault(self._repo[job_id], deque())
            line.append(job_id)

    def take(self, timeout_s: float) -> str | None:
        """The next job, for a worker that then owns it until `done`. None after `timeout_s`, or when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._wake_sleepers() or bool(self._queued), timeout_s)
            if self._closed or not self._queued:
                return None
            job_id = self._first.popleft() if self._first else self._in_turn()
            self._queued.discard(job_id)
            self._busy.add(job_id)
            return job_id

    def _in_turn(self) -> str:
        repo_id, queue = self._queues.popitem(last=False)
        job_id = queue.popleft()
        if queue:
            self._queues[repo_id] = queue  # to the end of the line: the others come first
        return job_id

    def _wake_sleepers(self) -> bool:
        moment = now()
        due = [job_id for job_id, at in self._asleep.items() if at <= moment]
        for job_id in due:
            self._wake(job_id)
        return bool(due)

    def done(self, job_id: str, sleep_until: str | None = None) -> None:
        """The worker gives the job back, asleep until `sleep_until` (ISO 8601 UTC) if it must wait."""
        with self._changed:
            self._busy.discard(job_id)
            if job_id in self._again:
                self._again.discard(job_id)
                self._wake(job_id)
            elif sleep_until is not None:
                self._asleep[job_id] = sleep_until
            self._changed.notify_all()

    def has_in_hand(self, repo_id: str) -> bool:
        """Whether a worker is busy with a job of this repository."""
        with self._changed:
            return any(self._repo[job_id] == repo_id for job_id in self._busy)

    def next_wake(self) -> str | None:
        """When the first sleeping job wakes."""
        with self._changed:
            return min(self._asleep.values(), default=None)

    def idle(self) -> bool:
        """Nothing is queued and no worker is busy; jobs may be asleep."""
        with self._changed:
            return not self._queued and not self._busy

    def close(self) -> None:
        """No job is handed out any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
