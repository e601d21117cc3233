"""What a person may ask of whoever holds the log: the same words on the socket and in the process.

A request says what is wanted and the name that its sender claims; who they are is the kernel's word and
is never in a request.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

PROTOCOL = 1
"""Grows when a request changes its meaning: an old command line and a new daemon must notice."""


AbsolutePath = Annotated[str, Field(pattern=r"^/[^\x00]*$", max_length=4096)]
"""Whoever holds the log stands in another folder than whoever asks."""


class Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    claimed: str | None = None
    reason: str = ""


class ApproveJob(Request):
    verb: Literal["approve"] = "approve"
    job: str
    grant_usd: float = Field(0.0, ge=0, allow_inf_nan=False)
    accept_unproven: bool = False
    scenario: str | None = None
    """The text of a completed scenario template."""


class DismissJob(Request):
    verb: Literal["dismiss"] = "dismiss"
    job: str


class PromotePattern(Request):
    """`as_edited` promotes the file as a person left it."""

    verb: Literal["promote"] = "promote"
    pattern: str
    as_edited: bool = False


class RejectPattern(Request):
    verb: Literal["reject"] = "reject"
    pattern: str


class DeprecatePattern(Request):
    verb: Literal["deprecate"] = "deprecate"
    pattern: str


class RestorePattern(Request):
    verb: Literal["restore"] = "restore"
    pattern: str


class RegisterRepo(Request):
    verb: Literal["register"] = "register"
    path: AbsolutePath


class LearnRun(Request):
    """Learn from the run at `manifest`; asked for by hand, its age does not matter."""

    verb: Literal["learn"] = "learn"
    manifest: AbsolutePath


class RebuildModels(Request):
    verb: Literal["rebuild"] = "rebuild"


AnyRequest = Annotated[
    ApproveJob
    | DismissJob
    | PromotePattern
    | RejectPattern
    | DeprecatePattern
    | RestorePattern
    | RegisterRepo
    | LearnRun
    | RebuildModels,
    Field(discriminator="verb"),
]
REQUEST: TypeAdapter[
    ApproveJob
    | DismissJob
    | PromotePattern
    | RejectPattern
    | DeprecatePattern
    | RestorePattern
    | RegisterRepo
    | LearnRun
    | RebuildModels
] = TypeAdapter(AnyRequest)


class Reply(BaseModel):
    """`code` is `ok` or a stable word for what stood in the way; `message` is for people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    message: str
    data: dict[str, JsonValue] = {}

    @property
    def ok(self) -> bool:
        return self.code == "ok"
