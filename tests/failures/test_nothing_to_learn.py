"""Skipped, for each cause: what a person may accept, and what nothing moves, which the reply says."""

from __future__ import annotations

from pathlib import Path

import pytest
from failures_place import House
from support.cases import thorough
from support.repos import CALC, fix, git, write

from events.catalog import JobRequeued, JobSkipped, PatternStaged
from learnd.clock import iso, now, parse
from learnd.requests import RejectPattern

pytestmark = pytest.mark.sandbox


def no_change(house: House) -> str:
    return house.run(house.repo("empty"))


def own_work(house: House) -> str:
    repo = house.repo("own")
    write(repo, {".agent/patterns/active/a.md": "# a pattern\n"})
    return house.run(repo)


def not_attributable(house: House) -> str:
    from datetime import timedelta

    repo = house.repo("theirs")
    fix(repo)
    began, ended = now(), iso(parse(now()) + timedelta(seconds=2))
    house.run(repo, run_id="run-2", started_at=began, completed_at=ended, status="succeeded")
    return house.run(repo, run_id="run-1", started_at=began, completed_at=ended)


def tombstone(house: House) -> str:
    """The same change again, after its pattern was rejected."""
    job = house.fixed("again")
    house.reaches(job, "learned")
    assert house.daemon is not None
    pattern = house.job(job).pattern
    assert pattern is not None
    assert house.daemon.ask(RejectPattern(pattern=pattern, reason="true of this file only")).ok
    return house.run(Path(house.job(job).repo_path), run_id="run-2", started_at=now(), completed_at=now())


@pytest.mark.parametrize(
    ("run", "cause"),
    [
        (own_work, "own_work"), (tombstone, "tombstone"),
        *thorough((no_change, "empty_diff"), (not_attributable, "not_attributable")),
    ],
)  # fmt: skip
def test_what_has_nothing_to_teach_is_moved_by_nothing_and_the_reply_says_so(house: House, run, cause: str) -> None:  # type: ignore[no-untyped-def] # one of the functions above
    job = run(house)
    row = house.reaches(job, "skipped")
    assert row.cause == cause
    assert house.next(job) == "nothing"
    before = house.types(job)
    for more in ((), ("--accept-unproven",)):
        done = house.learnd("approve", job[:8], *more)
        assert done.code == 1
        assert f"was skipped ({cause}). Next: nothing moves it on" in done.err
    assert house.types(job) == before


def test_a_change_without_proof_is_learned_from_when_a_person_accepts_it_and_says_so_for_ever(house: House) -> None:
    repo = house.repo("refactored")
    write(repo, {"calc.py": CALC.replace("return value * value\n", "return value**2\n", 1)})
    job = house.run(repo)
    row = house.reaches(job, "skipped")
    assert (row.cause, row.evidence, row.spent_usd) == ("no_proof", "pass_only", 0)
    assert house.last(job, JobSkipped).cause == "no_proof"
    assert house.learnd("approve", job[:8]).code == 1
    assert house.next(job) == f"learnd approve {job[:8]} --accept-unproven"
    house.does_next(job)
    row = house.reaches(job, "learned", "crystalization_failed")
    assert house.last(job, JobRequeued).accept_unproven
    assert row.status == "learned", (row.cause, row.detail)
    with_pattern = [r.data for r in house.pattern_records(row.pattern or "") if isinstance(r.data, PatternStaged)]
    assert with_pattern[0].verdict == "unproven"
    assert git(repo, "status", "--porcelain")
