"""A refusal: what stands in the way, in a word for programs and a sentence for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refused:
    """`code` is stable (`wrong_status`, `not_an_approver`, …); `reason` says what, and what next."""

    code: str
    reason: str
