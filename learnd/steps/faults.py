"""What stops a step that is not the job's fault."""

from __future__ import annotations

from events.catalog import FaultKind


class MachineFault(Exception):
    """Something is wrong with this machine or with a service: the work waits, the job is not to blame.

    `retry_after_s` is set where the other side said when to come back, `until` (ISO 8601 UTC) where the clock says it;
    `needed_usd` with `spend`.
    """

    def __init__(
        self,
        kind: FaultKind,
        detail: str,
        retry_after_s: float | None = None,
        *,
        until: str | None = None,
        needed_usd: float | None = None,
    ) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.until = until
        self.needed_usd = needed_usd


class Cancelled(Exception):
    """The step was told to stop before it was done, and left nothing behind."""
