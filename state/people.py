"""What every decision of a person has in common: who may decide, and how that is written down."""

from __future__ import annotations

from state.commands import Person
from state.refusal import Refused


def not_an_approver(about: str, person: Person) -> Refused | None:
    """Why `person` may not decide `about`, if they may not."""
    if person.user in person.approvers:
        return None
    allowed = ", ".join(sorted(person.approvers)) or "nobody"
    return Refused(
        "not_an_approver",
        f"{about}: user {person.user} is not an approver (approvers: {allowed}). "
        "Next: an approver does it, or the operator adds the user to the setting approvers",
    )


def signed(person: Person) -> dict[str, str | None]:
    """The fields of an `Approval` event."""
    return {"approver": person.user, "claimed": person.claimed, "reason": person.reason}
