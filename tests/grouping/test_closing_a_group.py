"""Who is validated together with whom: real trees in a real store, no replays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from group_place import RATES, TOTALS, Shop, ask, closed, held, names, opened, status, types_of, work
from support.repos import git, write

from events.catalog import JobSkipped
from learnd.engine import Engine
from learnd.repositories import register
from learnd.requests import ApproveJob, DismissJob
from learnd.settings import Validation
from learnd.steps.replay import replay
from state import commands as c

DAY = "2026-01-02T"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with opened(tmp_path / "state") as engine:
        held(engine)
        yield engine


@pytest.fixture
def shop(engine: Engine, tmp_path: Path) -> Shop:
    return Shop(engine, tmp_path / "repo")


def test_the_last_of_the_runs_within_the_window_leads_with_the_base_of_the_first(engine: Engine, shop: Shop) -> None:
    one = shop.waiting("one", RATES, f"{DAY}10:00:00.000Z")
    two = shop.waiting("two", TOTALS, f"{DAY}10:30:00.000Z")
    late = shop.waiting("late", {"api/late.py": "x = 1\n"}, f"{DAY}11:00:00.001Z")
    work(engine)
    event = closed(engine, two)
    assert (names(event), event.cause, event.apart) == (["one", "two"], "window", ())
    assert event.group.service == "api/"
    first, lead = engine.door.job(one), engine.door.job(two)
    assert event.snapshot is not None
    assert first.taken is not None
    assert lead.taken is not None
    assert (event.snapshot.base_tree, event.snapshot.tree) == (first.taken.base_tree, lead.taken.tree)
    assert set(event.snapshot.changed_paths) == {*RATES, *TOTALS}
    assert status(engine, one, two) == ["waiting_for_group", "scenario_ready"]
    assert names(closed(engine, late)) == ["late"], "it completed a millisecond after the first one's window"
    assert lead.scenario is not None
    assert len(lead.scenario.commands) >= 1


def test_work_of_others_in_other_files_is_on_both_sides_and_not_claimed(engine: Engine, shop: Shop) -> None:
    one = shop.waiting("one", RATES, f"{DAY}10:00:00.000Z")
    write(shop.repo, {"web/page.js": "module.exports = 2\n", "notes.txt": "two\n", "api/theirs.py": "y = 1\n"})
    two = shop.waiting("two", TOTALS, f"{DAY}10:30:00.000Z")
    work(engine)
    event = closed(engine, two)
    assert names(event) == ["one", "two"]
    assert event.snapshot is not None
    assert set(event.snapshot.changed_paths) == {*RATES, *TOTALS}
    store = engine.place.store(shop.tree.repo_id, shop.tree.path)
    assert store.read_file(event.snapshot.base_tree, "api/theirs.py") == b"y = 1\n"
    assert store.read_file(event.snapshot.base_tree, "api/rates.py") == b"def rate(country):\n    return 0\n"
    assert status(engine, one, two) == ["waiting_for_group", "scenario_ready"]


def test_what_somebody_else_changed_in_between_in_a_file_of_both_keeps_them_apart(engine: Engine, shop: Shop) -> None:
    one = shop.waiting("one", RATES, f"{DAY}10:00:00.000Z")
    write(shop.repo, {"api/rates.py": "def rate(country):\n    return 7\n"})
    two = shop.waiting("two", {**TOTALS, "api/rates.py": "def rate(country):\n    return 19\n"}, f"{DAY}10:30:00.000Z")
    work(engine)
    assert names(closed(engine, one)) == ["one"]
    assert names(closed(engine, two)) == ["two"]
    assert closed(engine, two).apart == (
        f"not together with job {one[:8]}: api/rates.py was changed between job {one[:8]} and it, by neither",
    )
    assert closed(engine, two).snapshot is None


def test_what_the_first_run_left_must_be_in_the_last_snapshot(engine: Engine, shop: Shop) -> None:
    one = shop.waiting("one", RATES, f"{DAY}10:00:00.000Z")
    git(shop.repo, "checkout", "-q", "--", "api")
    two = shop.waiting("two", TOTALS, f"{DAY}10:30:00.000Z")
    work(engine)
    assert names(closed(engine, two)) == ["two"]
    assert "what job" in closed(engine, one).apart[0]
    assert "is not in its snapshot" in closed(engine, one).apart[0]


def test_runs_that_began_on_another_branch_are_not_taken_together(engine: Engine, shop: Shop) -> None:
    git(shop.repo, "checkout", "-q", "-b", "feature")
    git(shop.repo, "commit", "-q", "--allow-empty", "-m", "on the branch")
    one = shop.waiting("one", RATES, f"{DAY}10:00:00.000Z")
    git(shop.repo, "checkout", "-q", "main")
    git(shop.repo, "commit", "-q", "--allow-empty", "-m", "meanwhile")
    two = shop.waiting("two", TOTALS, f"{DAY}10:30:00.000Z")
    work(engine)
    assert names(closed(engine, two)) == ["two"]
    assert "is no ancestor of where it began" in closed(engine, two).apart[0]
    assert names(closed(engine, one)) == ["one"]


def test_runs_of_a_linked_work_tree_are_not_taken_together_with_the_main_one(
    engine: Engine, shop: Shop, tmp_path: Path
) -> None:
    one = shop.waiting("one", RATES, f"{DAY}10:00:00.000Z")
    git(shop.repo, "worktree", "add", "-q", str(tmp_path / "linked"), "-b", "linked")
    main, shop.repo = shop.repo, tmp_path / "linked"
    shop.tree = register(engine.door, engine.views(), shop.repo, "anna")
    two = shop.waiting("two", TOTALS, f"{DAY}10:30:00.000Z")
    work(engine)
    assert [names(closed(engine, job)) for job in (one, two)] == [["one"], ["two"]]
    told = [*closed(engine, one).apart, *closed(engine, two).apart]
    assert any("another work tree" in line for line in told)
    assert main != shop.repo


def test_a_change_over_two_services_is_validated_alone_and_says_why(engine: Engine, shop: Shop) -> None:
    both = shop.waiting("both", {**RATES, "web/page.js": "module.exports = 3\n"}, f"{DAY}10:00:00.000Z")
    one = shop.waiting("one", TOTALS, f"{DAY}10:30:00.000Z")
    work(engine)
    event = closed(engine, both)
    assert (names(event), event.cause, event.detail) == (["both"], "several_services", "the change touches api/, web/")
    assert names(closed(engine, one)) == ["one"]


def test_a_run_of_the_group_whose_trees_are_gone_goes_on_alone_and_stalls_there(engine: Engine, shop: Shop) -> None:
    one = shop.waiting("one", RATES, f"{DAY}10:00:00.000Z")
    middle = shop.waiting("middle", {"api/other.py": "x = 1\n"}, f"{DAY}10:10:00.000Z")
    write(shop.repo, {"notes.txt": "another tree than the one that the run left\n"})
    last = shop.waiting("last", TOTALS, f"{DAY}10:20:00.000Z")
    record = engine.door.job(middle).taken
    assert record is not None
    git_dir = engine.place.store(shop.tree.repo_id, shop.tree.path).git_dir
    (git_dir / "objects" / record.tree[:2] / record.tree[2:]).unlink()
    work(engine)
    assert names(closed(engine, last)) == ["one", "last"]
    assert (names(closed(engine, middle)), closed(engine, middle).cause) == (["middle"], "unreadable")
    assert status(engine, one, middle, last) == ["waiting_for_group", "stalled_snapshot", "scenario_ready"]
    assert "api/other.py" not in set(engine.door.job(last).snapshot.changed_paths)  # type: ignore[union-attr] # led


def test_runs_that_undo_each_other_leave_nothing_to_learn(engine: Engine, shop: Shop) -> None:
    old = (shop.repo / "api/rates.py").read_text()
    one = shop.waiting("one", {"api/rates.py": RATES["api/rates.py"]}, f"{DAY}10:00:00.000Z")
    two = shop.waiting("two", {"api/rates.py": old}, f"{DAY}10:30:00.000Z")
    work(engine)
    assert status(engine, one, two) == ["skipped", "skipped"]
    assert [engine.views().job(job).cause for job in (one, two)] == ["grouped", "empty_diff"]
    skipped = engine.log.read(f"job-{one}")[-1].data
    assert isinstance(skipped, JobSkipped)
    assert two[:8] in skipped.detail


def test_a_dismissed_member_dissolves_the_group_before_it_is_validated(engine: Engine, shop: Shop) -> None:
    one = shop.waiting("one", RATES, f"{DAY}10:00:00.000Z")
    two = shop.waiting("two", {"api/other.py": "x = 1\n"}, f"{DAY}10:10:00.000Z")
    three = shop.waiting("three", TOTALS, f"{DAY}10:20:00.000Z")
    work(engine)
    assert names(closed(engine, three)) == ["one", "two", "three"]
    assert ask(engine, DismissJob(job=two, reason="not to be learned from")).ok
    lead = engine.door.job(three)
    assert engine.place.door.handle_together(replay(lead, engine.place, threading.Event()), "test")
    assert types_of(engine, one)[-1] == types_of(engine, three)[-1] == "GroupDissolved"
    work(engine)
    event = closed(engine, three)
    assert names(event) == ["one", "three"]
    assert event.snapshot is not None
    assert set(event.snapshot.changed_paths) == {*RATES, *TOTALS}, "what the dismissed run did is not claimed"
    assert status(engine, one, two, three) == ["waiting_for_group", "dismissed", "scenario_ready"]


def test_a_dismissed_lead_lets_its_group_wait_and_close_without_it(engine: Engine, shop: Shop) -> None:
    one = shop.waiting("one", RATES, f"{DAY}10:00:00.000Z")
    two = shop.waiting("two", {"api/other.py": "x = 1\n"}, f"{DAY}10:10:00.000Z")
    three = shop.waiting("three", TOTALS, f"{DAY}10:20:00.000Z")
    work(engine)
    assert ask(engine, DismissJob(job=three, reason="not to be learned from")).ok
    assert status(engine, one, two, three) == ["waiting_for_group", "scenario_ready", "dismissed"]
    event = closed(engine, two)
    assert names(event) == ["one", "two"]
    assert event.snapshot is not None
    assert set(event.snapshot.changed_paths) == {*RATES, "api/other.py"}


def test_a_person_closes_a_group_early_from_any_of_its_jobs(engine: Engine, shop: Shop) -> None:
    one = shop.run("one", RATES)
    two = shop.run("two", TOTALS, "test_totals")
    assert status(engine, one.id, two.id) == ["waiting_for_group"] * 2
    reply = ask(engine, ApproveJob(job=one.id, now=True))
    assert reply.ok
    event = closed(engine, two.id)
    assert (names(event), event.cause, event.urgent) == (["one", "two"], "expedited", True)
    assert status(engine, one.id, two.id) == ["waiting_for_group", "scenario_ready"]
    assert engine.views().job(two.id).urgent
    again = ask(engine, ApproveJob(job=one.id, now=True))
    assert (again.code, again.message) == (
        "in_a_group",
        f"job {one.id[:8]} is validated together with job {two.id[:8]}. Next: learnd why {two.id[:8]}",
    )
    assert [shlex[1] for command in engine.door.job(two.id).scenario.commands for shlex in [command.argv[-2:]]] == [
        "test_rates",
        "test_totals",
    ]  # type: ignore[union-attr] # it has one


def test_a_run_that_completed_in_time_and_is_still_being_captured_is_waited_for(engine: Engine, shop: Shop) -> None:
    one = shop.waiting("one", RATES, f"{DAY}10:00:00.000Z")
    run = c.RunRef(shop.tree.repo_id, shop.tree.path, str(shop.repo / ".runs/x/cli/y/manifest.json"), "x", "y")
    other = "ab" * 32
    coming = c.OpenJob(other, run, "cli-v1", None, f"{DAY}10:30:00.000Z", "2020-01-01T00:00:00.000Z", "completed", 0.5)
    engine.door.handle(coming, "test")
    engine.work(one)
    assert status(engine, one) == ["waiting_for_group"]
    ask(engine, DismissJob(job=other, reason="it never comes"))
    assert names(closed(engine, one)) == ["one"]


def test_jobs_that_wait_go_on_alone_when_the_mode_is_per_task_again(tmp_path: Path) -> None:
    with opened(tmp_path / "state") as engine:
        shop = Shop(engine, tmp_path / "repo")
        jobs = [shop.run("one", RATES).id, shop.run("two", TOTALS).id]
        assert status(engine, *jobs) == ["waiting_for_group"] * 2
    with opened(tmp_path / "state", Validation()) as engine:
        engine.start()
        assert [(names(closed(engine, job)), closed(engine, job).cause) for job in jobs] == [
            (["one"], "per_task"),
            (["two"], "per_task"),
        ]
        assert status(engine, *jobs) == ["queued"] * 2
