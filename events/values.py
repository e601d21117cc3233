"""Values that events carry: small, frozen, closed.

A value has no identity of its own; it is what an event says. Anything unbounded (logs, diffs, tarballs)
stays in a file and appears here as a `FileRef`, so that retention can delete it and the log cannot grow
with the runs it describes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""sha256, lower-case hex."""

Verdict = Literal["proven", "pass_only", "failed", "flaky", "inconclusive"]
Isolation = Literal["bubblewrap", "none"]
ScenarioSource = Literal["execution_history", "prompt", "diff", "template", "manual"]
CommandClass = Literal["test", "build", "lint"]
HunkVerdict = Literal["exercised", "unexercised", "inseparable", "unknown"]
OutcomeSource = Literal[
    "pytest", "unittest", "jest", "vitest", "mocha", "node_test", "go", "cargo", "junit", "exit_code"
]
"""Who said what passed and failed: the runner's own report, or only the exit code."""


class Value(BaseModel):
    """Frozen and closed: an unknown field is an error, never silently dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRef(Value):
    """A file learnd wrote: absolute path and the sha256 of its bytes when it was written."""

    path: str
    sha256: Digest


class TestCounts(Value):
    """How many tests ended how in one replay."""

    __test__ = False  # pytest would otherwise try to collect this class

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0


class ReplayOutcome(Value):
    """One execution of the scenario on one tree.

    `ok` is the outcome that counts; `cause` says why when it is false (`assertion`, `missing_symbol`,
    `collection`, `setup`, `timeout`, `no_tests`, `foreign_code`, `exit_code`, `limit:<name>`, …).
    `failing` holds at most 50 test ids. `order_seed` is set where the tests ran in another order than the runner's own.
    """

    ok: bool
    cause: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    seconds: float
    hash_seed: int
    order_seed: int | None = None
    source: OutcomeSource
    counts: TestCounts | None = None
    failing: tuple[str, ...] = ()
    detail: str = ""


class HunkEvidence(Value):
    """What reverting one source hunk alone did. Lines are 1-based, in the snapshot's file.

    An `inseparable` hunk was reverted once more with those in `together` (`file:line`); `turned` are the tests that
    turned then. It still was not shown to matter alone.
    """

    file: str
    lines: tuple[int, int]
    header: str = ""
    verdict: HunkVerdict
    turned: tuple[str, ...] = ()
    together: tuple[str, ...] = ()


class Tests(Value):
    """Test ids: how many there are, and the first 50 of them in order."""

    __test__ = False

    count: int = 0
    ids: tuple[str, ...] = ()


class Transitions(Value):
    """What became of each named test from the base to the snapshot; a skipped or missing test is no pass."""

    fail_to_pass: Tests = Tests()
    pass_to_pass: Tests = Tests()
    fail_to_fail: Tests = Tests()
    pass_to_fail: Tests = Tests()


Follows = Literal["order", "hash_seed"]


class FlakyTest(Value):
    """A test that equal replays of one side disagreed about: `failed` of `runs`.

    `follows` is what its failures were seen to keep to, where that is known. `known_from` is the latest earlier job of
    the repository on whose base it flaked, too.
    """

    test: str
    side: Literal["base", "snapshot"]
    failed: int
    runs: int
    follows: Follows | None = None
    known_from: str | None = None


class Variant(Value):
    """A replay of the snapshot under another environment (a time zone, a locale): it diagnoses, it never vetoes."""

    name: str
    ok: bool
    failing: tuple[str, ...] = ()


class MinimalChange(Value):
    """The smallest part of the change that was shown to do the same, as a patch on the base.

    `hunks` are positions in the evidence's list, from 0. `complete`: taking out any one more was tried and fails
    (else the time was up). `verified`: it was replayed once more as a whole, as often as a side.
    """

    file: FileRef
    hunks: tuple[int, ...]
    lines_added: int
    lines_removed: int
    tried: int
    complete: bool
    verified: bool


class Overlay(Value):
    """An ignored generated file that the tests need, laid over the restored tree from the live one."""

    path: str
    sha256: Digest


class UnknownFile(Value):
    """A file that lay in `active/` and was no pattern of the log's. `claims` is the id that its front matter gave.

    `sha256` and `size` are of its bytes, of where it leads for a `link`; `kept` is where these are kept.
    """

    name: str
    sha256: Digest
    size: int
    kept: str
    claims: str | None = None
    link: bool = False


class GroupMember(Value):
    """A job of a group, and the run that it is about."""

    job: str
    task_id: str
    run_id: str


class Group(Value):
    """Runs of one work tree that are validated together: base of the first, snapshot of the last.

    `service` is what they all touch: the name of a path rule, or a package's folder with a slash behind it. `members`
    stand in the order in which their runs completed; a group of one is a run that is validated alone.
    """

    id: str
    service: str
    members: tuple[GroupMember, ...] = Field(min_length=1)
    window_hours: float

    @property
    def lead(self) -> str:
        """The job that validates the group: that of its last run."""
        return self.members[-1].job

    @property
    def several(self) -> bool:
        return len(self.members) > 1


class Evidence(Value):
    """What the replays showed. `cause` is set for every verdict but `proven`.

    `flake_upper_bound` is the 95 % upper bound of the flake rate that n equal replays a side leave open
    (1 - 0.05 ** (1 / n)).
    """

    verdict: Verdict
    cause: str | None = None
    detail: str = ""
    isolation: Isolation
    base: tuple[ReplayOutcome, ...] = ()
    snapshot: tuple[ReplayOutcome, ...] = ()
    hunks: tuple[HunkEvidence, ...] = ()
    flake_upper_bound: float | None = None
    environment: str | None = None
    overlays: tuple[Overlay, ...] = ()
    log: FileRef | None = None
    transitions: Transitions | None = None
    flaky_tests: tuple[FlakyTest, ...] = ()
    variants: tuple[Variant, ...] = ()
    minimal: MinimalChange | None = None
    attestations: tuple[FileRef, ...] = ()
    group: Group | None = None
    """Whose change this is about, where it is that of several runs together."""


class ScenarioCommand(Value):
    """One command of a scenario: argv is what runs; `shell` means argv is (`bash`, `-c`, line)."""

    argv: tuple[str, ...]
    cls: CommandClass
    runner: str
    cwd: str = "."
    env: dict[str, str] = {}
    timeout_s: float | None = None


class Service(Value):
    """A program that runs beside the commands of every replay, in their sandbox, on its own localhost.

    It is up once each of `ports` takes a connection and `health`, where there is one, is well: a URL that answers with
    less than 400, or a command (argv) that ends with 0. It has `ready_s` seconds for that.
    """

    name: str
    argv: tuple[str, ...]
    cwd: str = "."
    env: dict[str, str] = {}
    ports: tuple[int, ...] = ()
    health: str | tuple[str, ...] = ()
    ready_s: float = 60


class Installation(Value):
    """An environment that a change asks for: made in `folder` of `package` by `commands`, from `files` alone.

    `blank` are files whose names only are shown to the set-up; `env` are variables it and the replays get, with
    `{env}` for where the environment stands.
    """

    stack: str
    package: str
    files: tuple[str, ...]
    blank: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...]
    folder: str
    env: dict[str, str] = {}


class Scenario(Value):
    """What to execute to verify the change. Paths are relative to the repository's root.

    `changed_tests` are the test files the change touched (at most 200): those the base gets to be judged by.
    `services` says in words what the run had beside it; those in `served` are started, in this order.
    `installations` are the environments that the change's lock and requirement files ask for.
    """

    source: ScenarioSource
    setup: tuple[ScenarioCommand, ...] = ()
    commands: tuple[ScenarioCommand, ...]
    env: dict[str, str] = {}
    fixtures: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    served: tuple[Service, ...] = ()
    expected_signals: tuple[str, ...] = ()
    changed_tests: tuple[str, ...] = ()
    installations: tuple[Installation, ...] = ()
    reason: str = ""


class DroppedSentence(Value):
    """A sentence that was taken out of a draft: from which section, and what it claimed that nothing exercised."""

    section: str
    text: str
    why: str


class SnapshotRecord(Value):
    """An immutable snapshot: git identities in learnd's own repository, files on disk, attribution.

    `base_source` says where the base came from: `observed`, `recorded`, `reflog`, `head`.
    `lag_s` is capture time minus `completed_at`. `not_attributable` carries the reason, when there is one.
    `own_paths` are changed files that learnd wrote itself: they are left out of what is learned from.
    """

    snapshot_id: str
    tag: str
    commit: str
    tree: str
    base_tree: str
    base_commit: str | None = None
    base_source: Literal["observed", "recorded", "reflog", "head", "empty"]
    tarball: FileRef
    storage_copy: FileRef | None = None
    diff: FileRef
    files_changed: int
    insertions: int
    deletions: int
    changed_paths: tuple[str, ...] = ()
    own_paths: tuple[str, ...] = ()
    lag_s: float
    head_moved: bool = False
    overlapping_runs: tuple[str, ...] = ()
    not_attributable: str | None = None
    retention_days: int
    notes: tuple[str, ...] = ()


class ChangeMarks(Value):
    """What a pattern's change did, small enough to stay in the log: the paths of its exercised hunks, and a mark for
    each line that they take out or put in.

    A mark is the first 12 hex digits of the sha256 of the line without its white space; lines that say next to
    nothing (a bracket, `else:`) have none. At most 400 of each, in the order of the marks.
    """

    paths: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


class FileVersion(Value):
    """One path of a repository in one state: its git object there, None where there is no such file."""

    path: str
    object_id: str | None


class RuleMatch(Value):
    """Where a structural rule matched. Lines are 1-based, inclusive."""

    path: str
    lines: tuple[int, int]


class Usage(Value):
    """Tokens of one model call as the provider counted them."""

    input_tokens: int
    output_tokens: int


class Citations(Value):
    """What a text rests on, as its author said: files, names of code, places in the snapshot (`path:first-last`)."""

    files: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    hunks: tuple[str, ...] = ()
