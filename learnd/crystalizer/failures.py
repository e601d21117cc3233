"""How a model call can fail, by name. Each failure says what it cost and whose trouble it is.

`cost_usd` is known (from usage, or 0 where the provider turned the request away before any work) or None:
nobody can say, and the reservation counts as spent. `fault` names the machine-wide fault, if it is one: the
job loses no attempt and work waits. `transient` ones are tried again at once, a few times, before that. `final`
failures would only be repeated; `repairable` ones brought a reply that can be sent back once.
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
    transient: ClassVar[bool] = False
    repairable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str,
        *,
        cost_usd: float | None,
        usage: Usage | None = None,
        retry_after_s: float | None = None,
        reply: str = "",
    ) -> None:
        super().__init__(detail)
        self.cost_usd = cost_usd
        self.usage = usage
        self.retry_after_s = retry_after_s
        """What the provider asked for, where it did."""
        self.reply = reply
        """What came instead of a draft, as it came: it is sent back, never stored."""


class DraftInvalid(CallFailed):
    """A reply came, but not the structured draft that was asked for."""

    cause = "draft_invalid"
    repairable = True


class LengthStop(CallFailed):
    """The reply was cut off at the output limit."""

    cause = "length_stop"
    repairable = True


class Refused(CallFailed):
    """The model, or the provider's content filter, declined."""

    cause = "refused"
    final = True


class BadRequest(CallFailed):
    """The endpoint does not take this request (400, 409, 422 …); it would not the next time either."""

    cause = "bad_request"
    final = True


class ParameterRefused(CallFailed):
    """The endpoint does not take one parameter that can be said in another way; `parameter` is as it was sent."""

    cause = "parameter_refused"

    def __init__(self, detail: str, parameter: str) -> None:
        super().__init__(detail, cost_usd=0.0)
        self.parameter = parameter


class RateLimited(CallFailed):
    """429: too many requests or tokens for now."""

    cause = "rate_limited"
    fault = "rate_limit"
    transient = True


class ModelUnavailable(CallFailed):
    """5xx, no connection, a time-out, a connection that broke. Only what never connected is known to be free."""

    cause = "model_unavailable"
    fault = "model"
    transient = True


class KeyRejected(CallFailed):
    """401 or 403: the operator's key does not open this endpoint or model. Or 429 for an account without credit."""

    cause = "key_rejected"
    fault = "model"


class ModelUnknown(CallFailed):
    """404: the endpoint has no such model, or is no such endpoint."""

    cause = "model_unknown"
    fault = "model"
