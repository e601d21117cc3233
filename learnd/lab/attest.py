"""What was executed, in words that other tools understand: an in-toto Statement for each side of a verdict.

Statement v1 with the predicate `test-result/v0.1` (github.com/in-toto/attestation). The subject is a git commit or a
tree; the configuration names what the result rests on: scenario, environment, sandbox, the replays, and the log's head
when they began. The statement is not signed. What binds it is the log: the event that has the verdict carries the
file's digest, and the file the digest of an event before it, so that neither can be made later to fit the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from events.values import Evidence, Scenario, SnapshotRecord
from learnd.lab.reading import redacted
from learnd.lab.transitions import unsteady
from learnd.lab.verdict import Replayed, always, always_failed

STATEMENT: Literal["https://in-toto.io/Statement/v1"] = "https://in-toto.io/Statement/v1"
TEST_RESULT: Literal["https://in-toto.io/attestation/test-result/v0.1"] = (
    "https://in-toto.io/attestation/test-result/v0.1"
)

Side = Literal["base", "snapshot"]
Result = Literal["PASSED", "WARNED", "FAILED"]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Resource(Part):
    """A ResourceDescriptor. Annotations are strings, whatever they count."""

    name: str
    digest: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class TestResult(Part):
    """The predicate; `warned_tests` are those that equal replays disagreed about."""

    __test__ = False

    result: Result
    configuration: tuple[Resource, ...]
    passed_tests: tuple[str, ...] = Field((), alias="passedTests")
    warned_tests: tuple[str, ...] = Field((), alias="warnedTests")
    failed_tests: tuple[str, ...] = Field((), alias="failedTests")


class Statement(Part):
    type: Literal["https://in-toto.io/Statement/v1"] = Field(STATEMENT, alias="_type")
    subject: tuple[Resource, ...]
    predicate_type: Literal["https://in-toto.io/attestation/test-result/v0.1"] = Field(
        TEST_RESULT, alias="predicateType"
    )
    predicate: TestResult

    def text(self) -> str:
        """The statement as it is written."""
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n"


@dataclass(frozen=True)
class LogHead:
    """An event of the log: its position and hash."""

    position: int
    hash: str


def statement(
    side: Side,
    replays: Sequence[Replayed],
    tree: str,
    *,
    record: SnapshotRecord,
    scenario: Scenario,
    evidence: Evidence,
    head: LogHead,
    learnd: str,
) -> Statement:
    """What the replays of one side say of `tree`. `learnd` is the version that made them."""
    return Statement(
        subject=(_subject(side, record, tree),),
        predicate=TestResult(
            result=_result(replays),
            configuration=(
                _digested("scenario", scenario.model_dump_json()),
                _digested("environment", evidence.environment or ""),
                Resource(name="sandbox", annotations={"isolation": evidence.isolation}),
                Resource(
                    name="replays",
                    annotations={
                        "count": str(len(replays)),
                        "hashSeeds": " ".join(str(replay.outcome.hash_seed) for replay in replays),
                        "verdict": evidence.verdict,
                    },
                ),
                Resource(name="log", digest={"sha256": head.hash}, annotations={"position": str(head.position)}),
                Resource(name="learnd", annotations={"version": learnd}),
            ),
            passed_tests=_ids(always(replays)),
            warned_tests=_ids(unsteady(replays)),
            failed_tests=_ids(always_failed(replays)),
        ),
    )


def _subject(side: Side, record: SnapshotRecord, tree: str) -> Resource:
    if side == "snapshot":
        return Resource(name=record.tag, digest={"gitCommit": record.commit, "gitTree": tree})
    # The base with the change's tests over it is a tree that nobody committed.
    return Resource(name="base with the change's tests", digest={"gitTree": tree})


def _result(replays: Sequence[Replayed]) -> Result:
    if all(replay.outcome.ok for replay in replays):
        return "PASSED"
    return "WARNED" if any(replay.outcome.ok for replay in replays) else "FAILED"


def _digested(name: str, text: str) -> Resource:
    return Resource(name=name, digest={"sha256": hashlib.sha256(text.encode()).hexdigest()})


def _ids(tests: frozenset[str]) -> tuple[str, ...]:
    return tuple(redacted(test) for test in sorted(tests))
