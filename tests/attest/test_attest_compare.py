"""What fresh evidence does not show any more, and statements that contradict the log: given both, when compared."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from support.histories import SCENARIO, snapshot

from events.values import Evidence, FileRef, HunkEvidence, ReplayOutcome, Tests, Transitions
from learnd.lab.attest import LogHead, statement
from learnd.lab.recheck import check_attestation as attestation_check
from learnd.lab.recheck import compare
from learnd.lab.verdict import Replayed

HUNK = HunkEvidence(file="a.py", lines=(3, 4), verdict="exercised", turned=("t::x",))
THEN = Evidence(
    verdict="proven",
    isolation="bubblewrap",
    hunks=(HUNK,),
    transitions=Transitions(fail_to_pass=Tests(count=1, ids=("t::x",))),
)
RECORD = snapshot()
HASH = "ab" * 32


def test_the_same_evidence_still_holds() -> None:
    assert compare(THEN, THEN) == ()


def test_more_than_was_shown_then_is_no_loss() -> None:
    more = Transitions(fail_to_pass=Tests(count=2, ids=("t::x", "t::y")))
    assert compare(THEN, THEN.model_copy(update={"transitions": more})) == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "flaky", "cause": "snapshot_disagrees"}, "was proven, is flaky"),
        ({"transitions": Transitions()}, "t::x"),
        ({"hunks": (HUNK.model_copy(update={"verdict": "unexercised"}),)}, "a.py:3-4"),
    ],
)
def test_what_is_not_shown_any_more_is_named(change: dict[str, object], said: str) -> None:
    (sentence,) = compare(THEN, THEN.model_copy(update=change))
    assert said in sentence


def written(folder: Path, *, head: str = HASH, evidence: Evidence = THEN, commit: str | None = None) -> FileRef:
    outcome = ReplayOutcome(ok=True, seconds=1, hash_seed=0, source="pytest")
    record = RECORD if commit is None else RECORD.model_copy(update={"commit": commit})
    said = statement(
        "snapshot", [Replayed(outcome, frozenset({"t::x"}))] * 3, record.tree, record=record, scenario=SCENARIO,
        evidence=evidence, head=LogHead(7, head), learnd="0",
    )  # fmt: skip
    path = folder / "attestation-snapshot.json"
    path.write_text(said.text())
    return FileRef(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_statement_as_the_log_has_it_holds(tmp_path: Path) -> None:
    assert attestation_check(written(tmp_path), RECORD, THEN, {7: HASH}.get).problem == ""


def test_a_statement_bound_to_another_log_is_found(tmp_path: Path) -> None:
    assert "another log" in attestation_check(written(tmp_path), RECORD, THEN, {7: "cd" * 32}.get).problem
    assert "another log" in attestation_check(written(tmp_path), RECORD, THEN, {}.get).problem


def test_a_statement_about_another_commit_is_found(tmp_path: Path) -> None:
    assert "commit" in attestation_check(written(tmp_path, commit="9" * 40), RECORD, THEN, {7: HASH}.get).problem


def test_a_statement_with_another_verdict_is_found(tmp_path: Path) -> None:
    ref = written(tmp_path, evidence=THEN.model_copy(update={"verdict": "failed"}))
    assert "says failed" in attestation_check(ref, RECORD, THEN, {7: HASH}.get).problem


def test_a_file_that_is_no_statement_is_found(tmp_path: Path) -> None:
    path = tmp_path / "attestation-base.json"
    path.write_bytes(b"[]")
    ref = FileRef(path=str(path), sha256=hashlib.sha256(b"[]").hexdigest())
    assert "no statement" in attestation_check(ref, RECORD, THEN, {7: HASH}.get).problem
