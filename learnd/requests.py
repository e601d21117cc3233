"""What a person may ask of whoever holds the log: the same words on the socket and in the process.

A request says what is wanted and the name that its sender claims; who they are is the kernel's word and
is never in a request.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from events.catalog import UseOutcome
from events.values import Digest

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
    now: bool = False
    """Let the job go first, and not wait for its next attempt."""


class DismissJob(Request):
    verb: Literal["dismiss"] = "dismiss"
    job: str


class PromotePattern(Request):
    """`as_edited` promotes the file as a person left it, `as_judged` what the gates judged although it was edited."""

    verb: Literal["promote"] = "promote"
    pattern: str
    as_edited: bool = False
    as_judged: bool = False


class RejectPattern(Request):
    verb: Literal["reject"] = "reject"
    pattern: str


class DeprecatePattern(Request):
    verb: Literal["deprecate"] = "deprecate"
    pattern: str


class RestorePattern(Request):
    verb: Literal["restore"] = "restore"
    pattern: str


class SupersedePattern(Request):
    """The pattern `by` takes the place of `pattern`; where it is not served yet, it is promoted with the same word."""

    verb: Literal["supersede"] = "supersede"
    pattern: str
    by: str
    as_edited: bool = False


class ReleasePattern(Request):
    """The gate that quarantined the text was wrong about it."""

    verb: Literal["release"] = "release"
    pattern: str


class ReportRegression(Request):
    """The change behind a promoted pattern came undone at `commit`, an object id or its beginning."""

    verb: Literal["regression"] = "regression"
    pattern: str
    commit: str
    detail: str = ""


class RegisterRepo(Request):
    verb: Literal["register"] = "register"
    path: AbsolutePath


class LearnRun(Request):
    """Learn from the run at `manifest`; asked for by hand, its age does not matter."""

    verb: Literal["learn"] = "learn"
    manifest: AbsolutePath


class ReportUse(Request):
    """What came of using a pattern, by the word of whoever used it; `run` is the one that did, as `task/run`."""

    verb: Literal["report_use"] = "report_use"
    pattern: str
    run: str | None = Field(None, min_length=1, max_length=200)
    outcome: UseOutcome
    note: str = Field("", max_length=4000)


class NoteServed(Request):
    """These patterns, by their whole ids, were served; from whoever cannot note it beside the log themselves."""

    verb: Literal["note_served"] = "note_served"
    patterns: tuple[Digest, ...] = Field(max_length=20)
    run: str | None = Field(None, max_length=200)


class RebuildModels(Request):
    verb: Literal["rebuild"] = "rebuild"


class NoteBackup(Request):
    """A backup was made at `path`, of the log up to `position`. Whoever made it wrote it with their rights."""

    verb: Literal["backup"] = "backup"
    path: AbsolutePath
    position: int = Field(ge=0)
    hash: Digest
    size_bytes: int = Field(ge=0)


class ForgetRepo(Request):
    """Watch the repository no longer, and delete what is kept of it. `repo` is its whole id."""

    verb: Literal["forget"] = "forget"
    repo: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")


class TryAlerts(Request):
    """Send a test through each configured channel, or through `channel` alone."""

    verb: Literal["try_alerts"] = "try_alerts"
    channel: Literal["slack", "pagerduty"] | None = None


AnyRequest = (
    ApproveJob
    | DismissJob
    | PromotePattern
    | RejectPattern
    | DeprecatePattern
    | RestorePattern
    | SupersedePattern
    | ReleasePattern
    | ReportRegression
    | RegisterRepo
    | ForgetRepo
    | LearnRun
    | ReportUse
    | NoteServed
    | RebuildModels
    | TryAlerts
    | NoteBackup
)
REQUEST: TypeAdapter[AnyRequest] = TypeAdapter(Annotated[AnyRequest, Field(discriminator="verb")])


class Reply(BaseModel):
    """`code` is `ok` or a stable word for what stood in the way; `message` is for people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    message: str
    data: dict[str, JsonValue] = {}

    @property
    def ok(self) -> bool:
        return self.code == "ok"
