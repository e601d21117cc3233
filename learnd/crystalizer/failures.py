"""How a model call can fail, by name. Each failure says what it cost and whose trouble it is.

`cost_usd` is known (from usage, or 0 where the provider turned the request away before any work) or None:
nobody can say, and the reservation counts as spent. `fault` names the machine-wide fault, if it is one: the
job loses no attempt and work waits. `final` failures would only be repeated.
"""

from __future__ import annotations

from typing import ClassVar

from events.catalog import FaultKind
from events.values import Usage


class CallFailed(Exception):
    """One model call that gave no draft. `str()` is redacted and fit for the log."""

    cause: ClassVar[str]
    fault: ClassVar[FaultKind | None] = None
    final: ClassVar[bool] = False

    def __init__(self, detail: str, *, cost_usd: float | None, usage: Usage | None = None) -> None:
        super().__init__(detail)
        self.cost_usd = cost_usd
        self.usage = usage
        self.retry_after_s: float | None = None


class DraftInvalid(CallFailed):
    """A reply came, but not the structured draft that was asked for."""

    cause = "draft_invalid"


class LengthStop(CallFailed):
    """The reply was cut off at the output limit."""

    cause = "length_stop"


class Refused(CallFailed):
    """The model, or the provider's content filter, declined."""

    cause = "refused"
    final = True


class BadRequest(CallFailed):
    """The endpoint does not take this request (400, 409, 422 …); it would not the next time either."""

    cause = "bad_request"
    final = True


class RateLimited(CallFailed):
    """429. `retry_after_s` is what the provider asked for, where it did."""

    cause = "rate_limited"
    fault = "rate_limit"

    def __init__(self, detail: str, *, retry_after_s: float | None) -> None:
        super().__init__(detail, cost_usd=0.0)
        self.retry_after_s = retry_after_s


class ModelUnavailable(CallFailed):
    """5xx, no connection, a time-out, a connection that broke. Only what never connected is known to be free."""

    cause = "model_unavailable"
    fault = "model"


class KeyRejected(CallFailed):
    """401 or 403: the operator's key does not open this endpoint or model."""

    cause = "key_rejected"
    fault = "model"


class ModelUnknown(CallFailed):
    """404: the endpoint has no such model, or is no such endpoint."""

    cause = "model_unknown"
    fault = "model"
