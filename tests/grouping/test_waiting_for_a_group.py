"""While a job waits: what wakes it, what keeps its trees, and what people are told."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from group_place import RATES, TOTALS, Shop, closed, held, names, opened, status, work
from support import warm

from learnd.engine import Engine
from learnd.harvest.snapshot import verify_snapshot
from learnd.settings import Validation
from state import commands as c
from state.effects import Rest, WaitUntil, next_effect

DAY = "2026-01-02T"
SHORT = Validation(mode="grouped", window_hours=0.0002)
"""Less than a second."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with opened(tmp_path / "state") as engine:
        held(engine)
        yield engine


def test_a_job_sleeps_until_its_window_is_over_and_is_woken_by_nothing_else(engine: Engine, tmp_path: Path) -> None:
    shop = Shop(engine, tmp_path / "repo")
    row = engine.views().job(shop.run("one", RATES).id)
    assert row.closes_at is not None
    assert engine.scheduler.next_wake() == row.closes_at
    job = engine.door.job(row.id)
    assert next_effect(job, "2026-01-01T00:00:00.000Z") == WaitUntil("more runs of api/ may come", at=row.closes_at)


def test_the_scheduler_hands_the_job_out_when_its_window_is_over(tmp_path: Path) -> None:
    with opened(tmp_path / "state", SHORT) as engine:
        held(engine)
        shop = Shop(engine, tmp_path / "repo")
        job = shop.run("one", RATES).id
        while not closed_yet(engine, job):
            taken = engine.scheduler.take(30)
            assert taken == job
            engine.work(taken)
        assert (names(closed(engine, job)), closed(engine, job).cause) == (["one"], "window")


def closed_yet(engine: Engine, job: str) -> bool:
    return engine.views().job(job).group_id is not None


def test_who_waits_keeps_its_snapshot_and_a_group_keeps_its_base_as_long_as_the_lead_its_own(
    engine: Engine, tmp_path: Path
) -> None:
    shop = Shop(engine, tmp_path / "repo")
    one = shop.waiting("one", RATES, f"{DAY}10:00:00.000Z")
    (shop.repo / "notes.txt").write_text("somebody else's\n")
    two = shop.waiting("two", TOTALS, f"{DAY}10:30:00.000Z")
    work(engine)
    record = closed(engine, two).snapshot
    assert record is not None
    first = engine.door.job(one).taken
    assert first is not None
    assert record.base_tree != first.base_tree, "no commit holds this tree"
    store = engine.place.store(shop.tree.repo_id, shop.tree.path)
    ref = store.git_dir / "refs/learnd/held" / record.base_tree
    assert round_and_clean(engine, ref)
    verify_snapshot(record, store)
    verify_snapshot(first, store)
    assert status(engine, one, two) == ["waiting_for_group", "scenario_ready"]

    person = c.Person("anna", frozenset({"anna"}), reason="enough")
    engine.door.handle(c.Dismiss(two, person), "test")
    engine.door.handle(c.RecordSnapshotPruned(two, 1), "test")
    assert not round_and_clean(engine, ref)


def round_and_clean(engine: Engine, ref: Path) -> bool:
    """One round of retention, two days after the tree was held; whether it still is."""
    os.utime(ref, (time.time() - 2 * 86_400,) * 2)
    engine.prune(lambda: False)
    return ref.exists()


def learnd(root: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": os.environ["PATH"], "HOME": str(root), "XDG_CONFIG_HOME": str(root / "config"), "TZ": "UTC",
        "LEARND_STATE_DIR": str(root / "state"), "LEARND_VALIDATION__MODE": "grouped", "LANG": "C.UTF-8",
    }  # fmt: skip
    return warm.run(argv, env=env, cwd=root, timeout=90)


def test_people_are_told_until_when_a_job_waits_and_with_whom(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as engine:
        shop = Shop(engine, tmp_path / "repo")
        one, two = shop.run("one", RATES), shop.run("two", TOTALS)
        closes_at = engine.views().job(one.id).closes_at
    assert closes_at is not None
    done = learnd(tmp_path, "once")
    until = closes_at[:19].replace("T", " ")
    step = f"learnd approve {one.id[:8]} --now, or learnd once, later"
    said = f"2 jobs wait for more runs of api/ until {until}. Next: {step}"
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, said)

    why = learnd(tmp_path, "why", two.id[:8]).stdout
    assert "service api/" in why
    assert f"waits until  {until}" in why, "the first one's window counts"
    assert f"learnd approve {two.id[:8]} --now" in why
    shown = json.loads(learnd(tmp_path, "show", two.id[:8], "--json").stdout)
    assert shown["job"]["waits_until"] == closes_at
    assert shown["group"] == {
        "id": None, "service": "api/", "lead": None, "closed": False, "closes_at": closes_at,
        "members": [one.id, two.id],
    }  # fmt: skip


def test_a_member_rests_and_names_its_lead(engine: Engine, tmp_path: Path) -> None:
    shop = Shop(engine, tmp_path / "repo")
    one = shop.waiting("one", RATES, f"{DAY}10:00:00.000Z")
    two = shop.waiting("two", TOTALS, f"{DAY}10:30:00.000Z")
    work(engine)
    assert next_effect(engine.door.job(one), DAY) == Rest(f"validated together with job {two[:8]}")
    why = learnd(tmp_path, "why", one[:8]).stdout
    assert f"validated together with job {two[:8]}" in why
    assert why.splitlines()[-1].split() == ["next", "learnd", "why", two[:8]]
    shown = learnd(tmp_path, "show", one[:8]).stdout
    assert f"job {two[:8]} validates it" in shown
    (listed,) = [row for row in json.loads(learnd(tmp_path, "jobs", "--json").stdout) if row["id"] == one]
    assert (listed["service"], listed["lead"], listed["group"]) == ("api/", two, closed(engine, two).group.id)
