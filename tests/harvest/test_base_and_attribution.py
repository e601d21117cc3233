"""What a change is measured against, and when it is not the run's."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from harvest_repos import User, new_user, request_for, settings_for

from events.values import SnapshotRecord
from learnd import clock
from learnd.harvest.snapshot import take_snapshot
from learnd.harvest.store import SnapshotStore

T0 = 1_700_000_000


def at(seconds: int) -> str:
    return clock.iso(datetime.fromtimestamp(T0 + seconds, UTC))


def dated(seconds: int) -> str:
    return f"@{T0 + seconds} +0000"


@pytest.fixture
def user(tmp_path: Path) -> User:
    """Committed at T0; the runs of this module last from 100 to 200."""
    user = new_user(tmp_path / "repo")
    user.write("a.py", "one = 1\n")
    user.commit("first", at=dated(0))
    return user


def edit(user: User, path: str, content: str, seconds: int) -> None:
    file = user.write(path, content)
    os.utime(file, (T0 + seconds, T0 + seconds))


def snapshot(user: User, state: Path, **changes: object) -> SnapshotRecord:
    request = request_for(user, **{"started_at": at(100), "completed_at": at(200), "now": at(230), **changes})
    return take_snapshot(request, SnapshotStore(state, "repo-1", user.root), settings_for(state))


def test_the_observed_tree_is_the_base_before_anything_else(user: User, state: Path) -> None:
    edit(user, "dirty-before.py", "x\n", 50)
    observed = SnapshotStore(state, "repo-1", user.root).observe()
    head = user.git("rev-parse", "HEAD")
    edit(user, "a.py", "one = 2\n", 150)
    record = snapshot(user, state, base_tree=observed.tree, base_commit=head, recorded_base_commit="0" * 40)
    assert (record.base_source, record.base_tree, record.base_commit) == ("observed", observed.tree, head)
    assert record.changed_paths == ("a.py",)
    assert record.lag_s == 30.0


def test_the_recorded_commit_is_next_and_one_that_is_unknown_is_noted(user: User, state: Path) -> None:
    recorded = user.git("rev-parse", "HEAD")
    edit(user, "a.py", "one = 2\n", 150)
    user.commit("work", at=dated(160))
    record = snapshot(user, state, recorded_base_commit=recorded)
    assert (record.base_source, record.base_commit, record.files_changed) == ("recorded", recorded, 1)
    unknown = snapshot(user, state, job_id="22" * 32, suffix="-2", recorded_base_commit="ab" * 20)
    assert unknown.base_source == "reflog"
    assert f"the recorded base {'ab' * 20} is not in the repository" in unknown.notes


def test_a_run_that_changed_nothing_is_measured_from_the_next_base(user: User, state: Path) -> None:
    head = user.git("rev-parse", "HEAD")
    edit(user, "a.py", "one = 2\n", 50)
    observed = SnapshotStore(state, "repo-1", user.root).observe()
    record = snapshot(user, state, base_tree=observed.tree, base_commit=head)
    assert (record.base_source, record.base_commit, record.changed_paths) == ("head", head, ("a.py",))
    assert "the run changed nothing: it verified work that was done before it began" in record.notes


def test_an_observed_tree_that_is_gone_is_noted(user: User, state: Path) -> None:
    edit(user, "a.py", "one = 2\n", 150)
    record = snapshot(user, state, base_tree="cd" * 20)
    assert record.base_source == "head"
    assert f"the observed base {'cd' * 20} is no longer in the store" in record.notes


def test_work_committed_during_the_run_is_measured_from_heads_place_at_its_start(user: User, state: Path) -> None:
    before = user.git("rev-parse", "HEAD")
    edit(user, "a.py", "one = 2\n", 150)
    user.commit("work", at=dated(160))
    edit(user, "b.py", "more\n", 170)
    user.commit("more work", at=dated(180))
    record = snapshot(user, state)
    assert (record.base_source, record.base_commit) == ("reflog", before)
    assert record.changed_paths == ("a.py", "b.py")
    store = SnapshotStore(state, "repo-1", user.root)
    assert store.messages(before, store.resolve_head() or "") == ("more work", "work")
    assert (record.head_moved, record.not_attributable) == (False, None)


def test_uncommitted_work_is_measured_from_head(user: User, state: Path) -> None:
    edit(user, "a.py", "one = 2\n", 150)
    record = snapshot(user, state)
    assert (record.base_source, record.files_changed, record.not_attributable) == ("head", 1, None)


def test_a_repository_born_in_the_run_has_an_empty_base(state: Path, tmp_path: Path) -> None:
    user = new_user(tmp_path / "born")
    edit(user, "a.py", "one = 1\n", 150)
    user.commit("first", at=dated(160))
    record = snapshot(user, state)
    assert (record.base_source, record.changed_paths, record.not_attributable) == ("empty", ("a.py",), None)


def test_work_committed_after_the_run_is_still_the_runs(user: User, state: Path) -> None:
    before = user.git("rev-parse", "HEAD")
    edit(user, "a.py", "one = 2\n", 150)
    user.commit("a person commits the run's work", at=dated(220))
    record = snapshot(user, state)
    assert (record.head_moved, record.not_attributable, record.base_commit) == (True, None, before)


def test_not_attributable_when_a_changed_file_was_modified_after_the_end(user: User, state: Path) -> None:
    edit(user, "a.py", "one = 2\n", 150)
    edit(user, "b.py", "someone went on\n", 202)
    record = snapshot(user, state)
    assert record.not_attributable == f"b.py was modified after the run's end at {at(200)}"


def test_files_that_learnd_writes_itself_do_not_count_as_later_work(user: User, state: Path) -> None:
    edit(user, "a.py", "one = 2\n", 150)
    edit(user, ".agent/patterns/candidates/x.md", "pattern\n", 210)
    assert snapshot(user, state).not_attributable is None


def test_not_attributable_when_other_runs_overlapped(user: User, state: Path) -> None:
    edit(user, "a.py", "one = 2\n", 150)
    record = snapshot(user, state, overlapping_runs=("task-2/run-9",))
    assert record.overlapping_runs == ("task-2/run-9",)
    assert record.not_attributable == "other runs were at work in the same tree: task-2/run-9"


@pytest.mark.parametrize("when", [150, 220])
def test_not_attributable_when_foreign_commits_came_in(user: User, state: Path, when: int) -> None:
    user.git("checkout", "-q", "-b", "theirs", at=dated(10))
    edit(user, "theirs.py", "x\n", 20)
    user.commit("theirs", at=dated(20))
    user.git("checkout", "-q", "main", at=dated(30))
    edit(user, "a.py", "one = 2\n", 120)
    user.git("merge", "-q", "--ff-only", "theirs", at=dated(when))
    record = snapshot(user, state)
    assert record.not_attributable is not None
    assert "'merge theirs: Fast-forward'" in record.not_attributable
    assert record.head_moved is (when == 220)


def test_branching_amending_and_merging_ones_own_work_is_work(user: User, state: Path) -> None:
    before = user.git("rev-parse", "HEAD")
    user.git("checkout", "-q", "-b", "feature", at=dated(110))
    edit(user, "a.py", "one = 2\n", 120)
    user.commit("work", at=dated(120))
    user.git("commit", "-q", "--amend", "-m", "better", at=dated(130))
    user.git("checkout", "-q", "main", at=dated(140))
    user.git("merge", "-q", "--no-ff", "-m", "merged", "feature", at=dated(150))
    os.utime(user.root / "a.py", (T0 + 150, T0 + 150))
    record = snapshot(user, state)
    assert (record.not_attributable, record.base_commit, record.changed_paths) == (None, before, ("a.py",))


def test_a_switch_to_another_branch_is_not_work(user: User, state: Path) -> None:
    user.git("checkout", "-q", "-b", "other", at=dated(10))
    edit(user, "b.py", "x\n", 20)
    user.commit("other", at=dated(20))
    user.git("checkout", "-q", "main", at=dated(30))
    user.git("checkout", "-q", "other", at=dated(150))
    record = snapshot(user, state)
    assert record.not_attributable is not None
    assert "checkout: moving from main to other" in record.not_attributable


def test_without_a_reflog_head_is_the_base(user: User, state: Path) -> None:
    (user.root / ".git/logs/HEAD").unlink()
    edit(user, "a.py", "one = 2\n", 150)
    record = snapshot(user, state)
    assert (record.base_source, record.head_moved, record.not_attributable) == ("head", False, None)


def test_a_capture_right_at_the_end_is_attributable(user: User, state: Path) -> None:
    user.write("a.py", "one = 2\n")
    now = clock.now()
    record = snapshot(user, state, started_at=clock.iso(datetime.fromtimestamp(time.time() - 60, UTC)),
                      completed_at=now, now=now)  # fmt: skip
    assert record.not_attributable is None
