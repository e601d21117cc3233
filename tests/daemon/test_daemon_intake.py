"""Every run is found and none is opened twice, whatever the daemon was doing when it completed.

Failed runs stand in where only the finding matters: they are recorded and need no work. The pause between
sweeps is an hour, so that what is found was heard, or swept for a reason.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from daemon_process import Daemon, block, events, recorded, registered, until
from support.repos import git, make_repo, manifest, put_manifest, write

from events.catalog import JobOpened, JobSkipped, RunEnded, RunObserved, SnapshotTaken
from learnd.clock import now
from learnd.engine import Engine
from learnd.repositories import register
from learnd.settings import Settings

HOUR = {"LEARND_SWEEP_SECONDS": "3600"}


def failed(run: str, task: str = "task") -> dict[str, object]:
    return manifest(task, run, status="failed")


def test_a_run_that_completed_while_the_daemon_was_down_is_found_once(state: Path, repo: Path) -> None:
    with Daemon(state) as daemon:
        daemon.ready()
        assert daemon.end() == 0
    put_manifest(repo, failed("down"))
    for _ in range(2):
        with Daemon(state, **HOUR) as daemon:
            daemon.ready()
            daemon.waits_for(RunEnded)
            assert daemon.end() == 0
    assert [event.run_id for event in events(state, RunEnded)] == ["down"]


def test_a_runs_folder_that_appears_disappears_and_appears_again_is_heard_each_time(state: Path, repo: Path) -> None:
    runs = repo / ".runs"
    with Daemon(state, **HOUR) as daemon:
        daemon.ready()
        for count, way in enumerate(("made", "deleted and made", "moved in", "deleted and made"), start=1):
            if runs.exists():
                shutil.rmtree(runs)
            if way == "moved in":
                aside = make_repo(repo.parent / "aside")
                put_manifest(aside, failed(f"first-{count}"))
                (aside / ".runs").rename(runs)
            else:
                put_manifest(repo, failed(f"first-{count}"))
            daemon.waits_for(RunEnded, 2 * count - 1)
            # The first is found by the sweep that the folder's appearance asks for; the second has to be heard.
            settled(daemon)
            put_manifest(repo, failed(f"second-{count}"))
            daemon.waits_for(RunEnded, 2 * count)
        assert daemon.end() == 0
    runs_seen = [event.run_id for event in events(state, RunEnded)]
    assert len(runs_seen) == len(set(runs_seen)) == 8


def settled(daemon: Daemon) -> None:
    """The sweeps that a loss asks for are over: what comes now is heard, or missed until the next full sweep."""
    said = daemon.said().count("sweep asked for")
    while True:
        time.sleep(0.2)
        if daemon.said().count("sweep asked for") == said:
            return
        said = daemon.said().count("sweep asked for")


def test_runs_in_new_nested_folders_are_all_heard(state: Path, repo: Path) -> None:
    """Folders made faster than watches can be put up: what was in them before the watch is found all the same."""
    (repo / ".runs").mkdir()
    with Daemon(state, **HOUR) as daemon:
        daemon.ready()
        wanted = {(f"task-{n % 7}", f"run-{n}") for n in range(150)}
        for task, run in sorted(wanted):
            put_manifest(repo, failed(run, task))
        daemon.waits_for(RunEnded, len(wanted))
        assert daemon.end() == 0
    found = [(event.task_id, event.run_id) for event in events(state, RunEnded)]
    assert len(found) == len(wanted)
    assert set(found) == wanted


@pytest.mark.thorough
def test_twenty_thousand_manifests_replaced_while_the_daemon_was_stopped_are_found_once_each(
    state: Path, repo: Path
) -> None:
    """More than the kernel's queue of 16,384 holds: watchdog hears of a quarter, the sweeps find the rest."""
    runs, saves = 2_000, 10
    names = [f"run-{n:05}" for n in range(runs)]
    for name in names:
        put_manifest(repo, {**failed(name), "status": "in_progress", "started_at": None, "completed_at": None})
    with Daemon(state, **HOUR) as daemon:
        daemon.ready()
        until(lambda: watches(daemon.pid) > runs, "a watch on every folder")
        daemon.signal(signal.SIGSTOP)
        for save in range(saves):
            over = save == saves - 1
            for name in names:
                running = {**failed(name), "status": "in_progress", "completed_at": None}
                put_manifest(repo, failed(name) if over else running)
        daemon.signal(signal.SIGCONT)
        daemon.waits_for(RunEnded, runs, pause_s=0.5)
        assert "the kernel's inotify queue overflowed" in daemon.said()
        # Watches stand again, for what comes now.
        until(lambda: watches(daemon.pid) > runs, "a watch on every folder again")
        put_manifest(repo, failed("afterwards"))
        daemon.waits_for(RunEnded, runs + 1, pause_s=0.2)
        assert daemon.end() == 0
    found = [event.run_id for event in events(state, RunEnded)]
    assert sorted(found) == sorted([*names, "afterwards"])


def test_after_an_overflow_with_more_folders_than_the_kernels_queue_holds_events_all_is_heard_again(
    state: Path, repo: Path
) -> None:
    """Taking so many watches down one by one fills the queue again, and again: only sweeps would find anything."""
    folders, heard = 17_000, [f"heard-{n}" for n in range(10)]
    for n in range(folders):
        (repo / f".runs/old-{n % 50}/cli/{n}").mkdir(parents=True)
    with Daemon(state, **HOUR) as daemon:
        daemon.ready()
        until(lambda: watches(daemon.pid) > folders, "a watch on every folder")
        daemon.signal(signal.SIGSTOP)
        file = repo / ".runs/old-0/cli/0/summary.md.tmp"
        for _ in range(9_000):
            file.touch()
            file.rename(file.with_suffix(""))
        daemon.signal(signal.SIGCONT)
        until(lambda: "the kernel's inotify queue overflowed" in daemon.said(), "the overflow to be noticed")
        # Found by the sweep that follows, or heard; that sweep has listed the folder by then, and finds no other in it.
        put_manifest(repo, failed("first"))
        daemon.waits_for(RunEnded)
        for count, name in enumerate(heard, start=2):
            put_manifest(repo, failed(name))
            daemon.waits_for(RunEnded, count)
        assert daemon.end() == 0
    swept = [line for line in daemon.said().splitlines() if "found by sweep" in line]
    assert [line for line in swept if "/first/" not in line] == []


def test_a_folder_that_was_made_in_one_since_renamed_is_watched(state: Path, repo: Path) -> None:
    """By the time that the daemon reads of the folder, there is nothing at the path that it was made at."""
    (repo / ".runs/draft").mkdir(parents=True)
    with Daemon(state, **HOUR) as daemon:
        daemon.ready()
        until(lambda: watches(daemon.pid) == 3, "a watch on the tree, on .runs and in it")
        daemon.signal(signal.SIGSTOP)
        (repo / ".runs/draft/cli/run-1").mkdir(parents=True)
        (repo / ".runs/draft").rename(repo / ".runs/task")
        daemon.signal(signal.SIGCONT)
        until(lambda: watches(daemon.pid) == 5, "a watch on the two new folders")
        put_manifest(repo, failed("run-1"))
        (ended,) = daemon.waits_for(RunEnded)
        assert daemon.end() == 0
    assert ended.manifest_path == str(repo / ".runs/task/cli/run-1/manifest.json")


def test_a_folder_that_the_kernel_refuses_a_watch_is_looked_at_soon(state: Path, repo: Path) -> None:
    """The limit is one for all processes of a user: others may have taken every watch that was left."""
    running = {**failed("run-1"), "status": "in_progress", "started_at": now(), "completed_at": None}
    put_manifest(repo, running)
    few = 'echo 3 > /proc/sys/user/max_inotify_watches && exec "$@"'
    namespace = ["unshare", "--user", "--map-root-user", "sh", "-c", few, "sh"]
    with Daemon(state, prefix=namespace, **HOUR) as daemon:
        daemon.ready()
        daemon.waits_for(RunObserved)
        until(lambda: daemon.said().count("sweep asked for") == 1, "the sweep that a refusal asks for")
        put_manifest(repo, {**running, "status": "failed", "completed_at": now()})
        daemon.waits_for(RunEnded)
        assert daemon.end() == 0
    assert "inotify watch limit reached" in daemon.said()


def test_a_run_that_could_not_be_recorded_when_it_was_heard_is_recorded_soon(state: Path, repo: Path) -> None:
    put_manifest(repo, {**failed("run-1"), "status": "in_progress", "started_at": None, "completed_at": None})
    with Daemon(state, **HOUR) as daemon:
        daemon.ready()
        until(lambda: watches(daemon.pid) == 5, "a watch on the tree and on every folder of the run")
        with closing(sqlite3.connect(state / "events.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            put_manifest(repo, failed("run-1"))
            until(lambda: "a run was not recorded" in daemon.said(), "an append that was refused")
            assert not events(state, RunEnded)
            other.execute("ROLLBACK")
        daemon.waits_for(RunEnded)
        assert daemon.end() == 0


def watches(pid: int) -> int:
    """How many inotify watches a process holds."""
    count = 0
    for file in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(OSError):  # closed meanwhile
            count += file.read_text().count("inotify wd:")
    return count


def test_a_run_that_is_saved_again_and_again_leads_to_nothing_more(state: Path, repo: Path) -> None:
    with Daemon(state, **HOUR) as daemon:
        daemon.ready()
        content = manifest()
        for _ in range(30):
            path = put_manifest(repo, content)
        daemon.waits_for(JobSkipped)
        for _ in range(30):
            content = json.loads(path.read_text())
            put_manifest(repo, content)
        put_manifest(repo, failed("last"))
        daemon.waits_for(RunEnded)
        assert daemon.end() == 0
    assert len(events(state, JobOpened)) == 1
    assert len(events(state, RunEnded)) == 1


def test_a_run_seen_when_it_begins_has_its_base_taken_and_completes_as_the_same_job(state: Path, repo: Path) -> None:
    with Daemon(state, **HOUR) as daemon:
        daemon.ready()
        write(repo, {"notes.txt": "not committed, and there before the run\n"})
        running = manifest(status="in_progress", started_at=now(), completed_at=None)
        put_manifest(repo, running)
        (observed,) = daemon.waits_for(RunObserved)
        write(repo, {"notes.txt": "the run's\n"})
        put_manifest(repo, {**running, "status": "succeeded", "completed_at": now()})
        (taken,) = daemon.waits_for(SnapshotTaken)
        assert daemon.end() == 0
    assert taken.snapshot.base_tree == observed.base_tree
    assert taken.snapshot.base_source == "observed"
    assert taken.snapshot.changed_paths == ("notes.txt",)
    streams = {r.stream for r in recorded(state) if r.type in ("RunObserved", "JobOpened", "SnapshotTaken")}
    assert len(streams) == 1


def test_our_block_comes_back_when_the_producer_saves_its_own_over_it(state: Path, repo: Path) -> None:
    with Daemon(state, **HOUR) as daemon:
        daemon.ready()
        content = manifest()
        path = put_manifest(repo, content)
        daemon.waits_for(JobSkipped)
        until(lambda: "snapshot" in block(path), "our block")
        written = block(path)
        put_manifest(repo, {**content, "summary": "a later save of the producer"})
        until(lambda: "snapshot" in block(path), "our block again")
        assert block(path) == written
        assert json.loads(path.read_text())["summary"] == "a later save of the producer"
        assert daemon.end() == 0
    assert len(events(state, JobOpened)) == 1


def test_a_manifest_that_is_written_in_place_is_taken_when_it_is_whole(state: Path, repo: Path) -> None:
    """Only its creation is heard, when it is still empty; nobody tells of its end."""
    (repo / ".runs").mkdir()
    with Daemon(state, **HOUR) as daemon:
        daemon.ready()
        folder = repo / ".runs/task/cli/slow"
        folder.mkdir(parents=True)
        text = json.dumps(failed("slow"))
        with (folder / "manifest.json").open("w") as file:
            file.write(text[:100])
            file.flush()
            time.sleep(1)
            file.write(text[100:])
        daemon.waits_for(RunEnded)
        assert daemon.end() == 0


def test_two_repositories_take_turns(state: Path, repo: Path) -> None:
    other = make_repo(repo.parent / "other")
    with Engine.opened(Settings(state_dir=state)) as engine:
        for name in (repo, other):
            tree = register(engine.door, engine.views(), name, "anna")
            for n in range(4):
                put_manifest(name, manifest(run=f"run-{n}"))
            list(engine.sweep(tree))
    with Daemon(state, **HOUR) as daemon:
        daemon.ready()
        daemon.waits_for(JobSkipped, 8)
        assert daemon.end() == 0
    path_of = {r.stream: r.data.repo_path for r in recorded(state) if isinstance(r.data, JobOpened)}
    order = [path_of[r.stream] for r in recorded(state) if r.type == "JobSkipped"]
    assert sorted(order[:2]) == sorted([str(repo), str(other)])
    assert order == order[:2] * 4


def test_a_repository_that_is_deleted_hurts_no_other_and_is_watched_again_when_it_is_back(
    state: Path, repo: Path
) -> None:
    doomed = make_repo(repo.parent / "doomed")
    with Daemon(state, [doomed], LEARND_SWEEP_SECONDS="1") as daemon:
        daemon.ready()
        put_manifest(doomed, manifest(run="skipped"))
        daemon.waits_for(JobSkipped)
        put_manifest(doomed, {**manifest(run="running"), "status": "in_progress", "started_at": now(),
                              "completed_at": None})  # fmt: skip
        daemon.waits_for(RunObserved)
        doomed.rename(repo.parent / "away")
        shutil.rmtree(repo.parent / "away")
        put_manifest(repo, failed("other"))
        daemon.waits_for(RunEnded)
        make_repo(doomed)
        put_manifest(doomed, failed("again"))
        daemon.waits_for(RunEnded, 2)
        assert daemon.end() == 0


def test_a_runs_folder_that_leads_out_of_the_repository_is_not_looked_into(state: Path, repo: Path) -> None:
    outside = make_repo(repo.parent / "outside")
    put_manifest(outside, failed("outside"))
    (repo / ".runs").symlink_to(outside / ".runs")
    other = make_repo(repo.parent / "other")
    with Daemon(state, [other], **HOUR) as daemon:
        daemon.ready()
        put_manifest(outside, failed("outside-too"))
        put_manifest(other, failed("inside"))
        daemon.waits_for(RunEnded)
        assert daemon.end() == 0
    assert [event.run_id for event in events(state, RunEnded)] == ["inside"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run the daemon as a user who may not look")
def test_folders_that_may_not_be_looked_into_hurt_no_other(tmp_path: Path) -> None:
    """Root may look anywhere, so the daemon runs as nobody: `.runs` of one, the whole tree of another are closed."""
    place = Path("/var/tmp") / f"learnd-test-{os.getpid()}-{time.monotonic_ns()}"  # tmp_path is closed to others
    place.mkdir()
    try:
        state = place / "state"
        repos = [make_repo(place / name) for name in ("closed-runs", "closed-tree", "open")]
        registered(state, *repos)
        for repo in repos[:2]:
            put_manifest(repo, failed("unseen"))
        for entry in [place, *place.rglob("*")]:
            os.chown(entry, 65534, 65534)
        (repos[0] / ".runs").chmod(0)
        repos[1].chmod(0)
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        with Daemon(state, prefix=as_nobody, LEARND_SWEEP_SECONDS="1") as daemon:
            daemon.ready()
            path = put_manifest(repos[2], failed("seen"))
            for entry in [*path.parents][:4]:
                os.chown(entry, 65534, 65534)
            daemon.waits_for(RunEnded)
            repos[1].chmod(0o755)
            daemon.waits_for(RunEnded, 2)
            (repos[0] / ".runs").chmod(0o755)
            daemon.waits_for(RunEnded, 3)
            assert daemon.end() == 0
    finally:
        shutil.rmtree(place)


def test_a_linked_work_tree_has_runs_of_its_own(state: Path, repo: Path) -> None:
    linked = repo.parent / "linked"
    git(repo, "worktree", "add", "-q", str(linked), "-b", "other")
    with Daemon(state, [linked], **HOUR) as daemon:
        daemon.ready()
        put_manifest(linked, failed("there"))
        put_manifest(repo, failed("here"))
        ended = daemon.waits_for(RunEnded, 2)
        assert daemon.end() == 0
    assert {(event.repo_path, event.run_id) for event in ended} == {(str(linked), "there"), (str(repo), "here")}
    assert len({event.repo_id for event in ended}) == 1
