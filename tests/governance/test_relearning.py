"""The same again, rejected again, undone again: what a second run makes of the library, by the whole engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.repos import FIXED_CALC, FIXED_TESTS, fix, git, make_repo, manifest, put_manifest, write

from events import catalog as e
from learnd.engine import Engine
from learnd.identity import user_name
from learnd.repositories import register
from learnd.requests import PromotePattern, RejectPattern, Reply, Request, RestorePattern
from learnd.settings import Lab, Settings
from learnd.views.queries import JobRow

pytestmark = pytest.mark.sandbox
QUICK = Lab(cheap_seconds=0, hunk_seconds=0, minimal_seconds=0)
REWORDED = FIXED_CALC.replace("        return 0.0\n", "        return 0.0\n\n")
UNDONE = FIXED_CALC.replace("    if not values:\n        return 0.0\n", "")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repo(tmp_path / "repo")


@pytest.fixture
def engine(tmp_path: Path, repo: Path) -> Iterator[Engine]:
    with Engine.opened(Settings(state_dir=tmp_path / "state", lab=QUICK)) as engine:
        register(engine.door, engine.views(), repo, "anna")
        yield engine


def learned(engine: Engine, repo: Path, run: str) -> JobRow:
    """A run completes; its job at rest."""
    put_manifest(repo, manifest(run=run))
    (tree,) = engine.views().work_trees()
    for _ in engine.sweep(tree):
        pass
    while (job_id := engine.scheduler.take(0.0)) is not None:
        engine.work(job_id)
    return engine.views().jobs()[-1]


def ask(engine: Engine, request: Request) -> Reply:
    return engine.desk.answer(request.model_dump_json(), os.geteuid())


def texts(repo: Path) -> list[str]:
    return sorted(
        str(path.relative_to(repo / ".agent/patterns"))
        for path in (repo / ".agent/patterns").glob("*/*.md")
        if path.name != "README.md"
    )


def test_the_same_lesson_becomes_evidence_and_no_second_file(engine: Engine, repo: Path) -> None:
    fix(repo)
    first = learned(engine, repo, "run-1")
    assert ask(engine, PromotePattern(pattern=str(first.pattern))).ok
    before = texts(repo)
    write(repo, {"calc.py": REWORDED})
    second = learned(engine, repo, "run-2")
    assert (second.status, second.pattern, texts(repo)) == ("learned", first.pattern, before)
    (end,) = [r.data for r in engine.log.read(f"job-{second.id}") if isinstance(r.data, e.JobLearned)]
    assert end.outcome == "evidence_added"
    records = engine.log.read(f"pattern-{first.pattern}")
    (added,) = [record for record in records if isinstance(record.data, e.EvidenceAdded)]
    assert isinstance(added.data, e.EvidenceAdded)
    assert (added.data.job_id, added.data.verdict, added.data.because) == (second.id, "proven", "the same change")
    assert "## Solution" in (added.data.draft_body or ""), "the text that became no file is kept"
    row = engine.views().pattern(str(first.pattern))
    assert (row.status, row.evidence_count, row.last_seen) == ("active", 2, added.at)
    assert engine.publisher.troubles == {}


def test_what_was_rejected_is_not_learned_again_in_a_change_that_is_nearly_the_same(engine: Engine, repo: Path) -> None:
    fix(repo)
    first = learned(engine, repo, "run-1")
    assert ask(engine, RejectPattern(pattern=str(first.pattern), reason="obvious")).ok
    write(repo, {"calc.py": REWORDED})
    second = learned(engine, repo, "run-2")
    assert (second.status, second.cause, texts(repo)) == ("skipped", "tombstone", [])
    assert second.detail.endswith(f"Next: learnd restore {str(first.pattern)[:8]}, if it is wanted after all")
    assert f"was rejected by {user_name(os.geteuid())}: obvious. " in second.detail
    types = [record.type for record in engine.log.read(f"job-{second.id}")]
    assert "CrystalizationStarted" not in types, "nothing is spent on it"
    assert ask(engine, RestorePattern(pattern=str(first.pattern))).ok
    write(repo, {"calc.py": FIXED_CALC})
    assert learned(engine, repo, "run-3").pattern == first.pattern


def test_opposite_advice_goes_to_review_and_both_say_so(engine: Engine, repo: Path) -> None:
    fix(repo)
    first = learned(engine, repo, "run-1")
    assert ask(engine, PromotePattern(pattern=str(first.pattern))).ok
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "the fix")
    fails = FIXED_TESTS.replace("self.assertEqual(mean([]), 0.0)", "self.assertRaises(ZeroDivisionError, mean, [])")
    write(repo, {"calc.py": UNDONE, "test_calc.py": fails})
    second = learned(engine, repo, "run-2")
    assert second.status == "learned"
    assert second.pattern != first.pattern
    one, other = engine.door.pattern(str(first.pattern)), engine.door.pattern(str(second.pattern))
    assert (other.status, other.conflicts, one.conflicts) == ("candidate", (one.id,), (other.id,))
    refused = ask(engine, PromotePattern(pattern=other.id))
    assert (refused.code, f"learnd supersede {one.id[:8]} --by {other.id[:8]}" in refused.message) == ("conflict", True)
