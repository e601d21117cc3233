"""Verbs that change something: with a daemon, without one, and not at all when refused."""

from __future__ import annotations

import getpass
import json
import re
import signal
from pathlib import Path

import pytest
from cli_place import CliPlace, a_manifest, a_repository, git, until
from support import histories as h

from state.job import JobStatus
from state.pattern import PatternStatus

S, P = JobStatus, PatternStatus
ME = getpass.getuser()
APPROVED = {"LEARND_TRIGGER": "approved"}


@pytest.fixture
def repo(place: CliPlace) -> Path:
    """A registered repository with a change that is not committed."""
    made = place.registered("shop")
    (made / "shop.py").write_text("def total(prices):\n    return sum(prices)\n")
    return made


def last(place: CliPlace, kind: str) -> dict[str, object]:
    """The data of the newest event of one type."""
    event = json.loads(place.learnd("tail", "--json", "--type", kind).lines[-1])
    assert isinstance(event["data"], dict)
    return event["data"]


# --- init ---


def test_init_shows_what_it_will_do_and_does_nothing_unasked(place: CliPlace) -> None:
    repo = a_repository(place.root / "shop")
    done = place.learnd("init", repo)
    assert done.code == 2
    assert "create .agent/patterns/README.md" in done.out
    assert f"Next: learnd init {repo} --yes" in done.err
    assert not (repo / ".agent").exists()
    assert not place.state.exists()


def test_init_asks_a_person_and_takes_no_for_an_answer(place: CliPlace) -> None:
    repo = a_repository(place.root / "shop")
    assert place.on_terminal("init", str(repo), typed="n\n").code == 1
    assert not (repo / ".agent").exists()
    assert place.on_terminal("init", str(repo), typed="y\n").code == 0
    assert (repo / ".agent/patterns/README.md").exists()


def test_init_lays_out_and_registers_and_changes_nothing_the_second_time(place: CliPlace) -> None:
    repo = a_repository(place.root / "shop")
    first = place.learnd("init", repo, "--yes")
    assert (first.code, first.err) == (0, "")
    assert "learnd once" in first.out
    before = git(repo, "status", "--porcelain", "-uall")
    again = place.learnd("init", repo / ".agent", "--yes")
    assert again.code == 0
    assert "create" not in again.out
    assert git(repo, "status", "--porcelain", "-uall") == before
    assert len(place.learnd("tail", "--json").lines) == 1


def test_init_outside_of_git_exits_2(place: CliPlace) -> None:
    done = place.learnd("init", place.root, "--yes")
    assert done.code == 2
    assert "git init" in done.err


# --- who writes ---


def test_a_second_writer_is_refused_with_the_pid_of_the_first(place: CliPlace) -> None:
    daemon = place.daemon()
    for verb in ("daemon", "once"):
        done = place.learnd(verb)
        assert done.code == 1
        assert f"held by process {daemon.pid}" in done.err
        assert done.err.count("\n") == 1
    assert place.stop(daemon) == 0


def test_a_decision_goes_through_the_daemon_and_without_one_through_the_lock(place: CliPlace) -> None:
    ids = place.jobs_in(S.SNAPSHOT_FAILED, S.OVER_BUDGET)
    daemon = place.daemon(env={"LEARNING_PIPELINE_ENABLED": "0"})
    done = place.learnd("approve", ids[S.SNAPSHOT_FAILED][:8], "--approver", "Anna", "--reason", "mended the disk")
    assert (done.code, done.err) == (0, "")
    assert done.out == f"job {ids[S.SNAPSHOT_FAILED][:8]} is opened now\n"
    assert place.stop(daemon) == 0
    granted = place.learnd("approve", ids[S.OVER_BUDGET][:8], "--grant-usd", "0.25")
    assert granted.out == f"job {ids[S.OVER_BUDGET][:8]} is validated now\n"
    events = [json.loads(line) for line in place.learnd("tail", "--json", "--type", "JobRequeued").lines]
    assert [event["data"]["approver"] for event in events] == [ME, ME]
    assert [event["data"]["claimed"] for event in events] == ["Anna", None]
    assert events[1]["data"]["grant_usd"] == 0.25


def test_daemon_says_what_it_does_as_json_lines_on_stderr(place: CliPlace) -> None:
    daemon = place.daemon()
    assert place.stop(daemon) == 0
    out, err = daemon.communicate()
    assert out == ""
    lines = [json.loads(line) for line in err.splitlines()]
    assert {"ready", "stopped"} <= {line["event"] for line in lines}


# --- decisions ---


@pytest.mark.parametrize(
    ("verb", "status", "more", "after", "then"),
    [
        ("promote", P.CANDIDATE, (), "active", ""),
        ("reject", P.CANDIDATE, ("--reason", "too narrow"), "rejected", ""),
        ("deprecate", P.ACTIVE, ("--reason", "outlived"), "deprecated", ""),
        ("restore", P.REJECTED, (), "candidate", "; its rule is looked for: learnd review {id}"),
    ],
)
def test_a_person_moves_a_pattern(
    place: CliPlace, verb: str, status: PatternStatus, more: tuple[str, ...], after: str, then: str
) -> None:
    identity = place.patterns_in(status)[status]
    done = place.learnd(verb, identity[:8], *more)
    assert (done.code, done.err) == (0, "")
    assert done.lines[0] == f"pattern {identity[:8]} is {after} now{then.format(id=identity[:8])}"
    (row,) = place.learnd("review", identity, "--json").json
    assert (row["status"], row["approver"]) == (after, ME)


@pytest.mark.parametrize(("verb", "status"), [("reject", P.CANDIDATE), ("deprecate", P.ACTIVE)])
def test_a_reason_is_required_where_something_is_taken_away(place: CliPlace, verb: str, status: PatternStatus) -> None:
    done = place.learnd(verb, place.patterns_in(status)[status][:8])
    assert done.code == 1
    assert "--reason" in done.err


def test_who_is_no_approver_is_refused(place: CliPlace) -> None:
    identity = place.patterns_in(P.CANDIDATE)[P.CANDIDATE]
    done = place.learnd("promote", identity[:8], env={"LEARND_APPROVERS": '["nobody-of-this-name"]'})
    assert done.code == 1
    assert "not an approver" in done.err
    assert place.learnd("review", "--json").json[0]["status"] == "candidate"


def test_a_blocked_job_says_what_its_approval_lacks(place: CliPlace) -> None:
    ids = place.jobs_in(S.OVER_BUDGET, S.NEEDS_MANUAL_SCENARIO, S.LEARNED)
    assert "--grant-usd" in place.learnd("approve", ids[S.OVER_BUDGET]).err
    assert "--scenario" in place.learnd("approve", ids[S.NEEDS_MANUAL_SCENARIO]).err
    assert place.learnd("approve", ids[S.LEARNED]).code == 1


def test_dollars_that_are_no_number_exit_2(place: CliPlace) -> None:
    identity = place.jobs_in(S.OVER_BUDGET)[S.OVER_BUDGET]
    done = place.learnd("approve", identity, "--grant-usd", "inf")
    assert done.code == 2
    assert "grant_usd" in done.err


def test_a_template_that_cannot_be_read_exits_2(place: CliPlace) -> None:
    identity = place.jobs_in(S.NEEDS_MANUAL_SCENARIO)[S.NEEDS_MANUAL_SCENARIO]
    done = place.learnd("approve", identity, "--scenario", place.root / "none.md")
    assert done.code == 2
    assert "none.md" in done.err


def test_dismiss_asks_at_a_terminal(place: CliPlace) -> None:
    identity = place.jobs_in(S.OPENED)[S.OPENED]
    assert place.on_terminal("dismiss", identity[:8], typed="\n").code == 1
    assert place.learnd("jobs", "--json").json[0]["status"] == "opened"
    assert place.learnd("dismiss", identity[:8], "--reason", "an experiment").code == 0
    assert last(place, "JobDismissed")["reason"] == "an experiment"


# --- once ---


def test_once_says_a_line_a_transition_and_exits_1_for_what_is_blocked(place: CliPlace, repo: Path) -> None:
    manifest = a_manifest(repo)
    done = place.learnd("once", env=APPROVED)
    assert done.code == 1
    (job,) = place.learnd("jobs", "--json").json
    name = job["id"][:8]
    assert [line.split()[1:4] for line in done.lines[:3]] == [
        ["job", name, "opened"], ["job", name, "snapshotted"], ["job", name, "awaiting_approval"],
    ]  # fmt: skip
    assert str(manifest) in done.lines[0]
    assert done.lines[-1].endswith(f"Next: learnd approve {name}")
    (journal,) = done.err.splitlines()
    assert journal.startswith(f"warning: alert: job {name} is awaiting_approval")


def test_once_registers_what_it_is_given_and_leaves_older_runs_alone(place: CliPlace) -> None:
    repo = a_repository(place.root / "shop")
    old = a_manifest(repo, completed_at="2020-01-31T12:00:00.000Z")
    done = place.learnd("once", repo)
    assert done.code == 0
    assert done.err == f"1 run from before the registration left alone. Next: learnd learn {old}\n"
    assert place.learnd("status", "--json").json["repositories"] == [str(repo)]
    again = place.learnd("once", repo)
    assert (again.code, again.out, again.err) == (0, "", "")


def test_once_without_a_repository_makes_no_log_and_says_what_to_do(place: CliPlace) -> None:
    done = place.learnd("once")
    assert done.code == 1
    assert "learnd init" in done.err
    assert not place.state.exists()


def test_once_exits_0_when_all_is_at_rest(place: CliPlace, repo: Path) -> None:
    a_manifest(repo, status="failed")
    done = place.learnd("once")
    assert (done.code, done.err) == (0, "")
    assert [job["status"] for job in place.learnd("jobs", "--json").json] == ["recorded"]


def test_once_names_what_it_cannot_read(place: CliPlace, repo: Path) -> None:
    manifest = a_manifest(repo)
    manifest.write_text('{"version": ')
    done = place.learnd("once")
    assert done.code == 0
    assert done.err.startswith(f"{manifest} cannot be read: half-written")


def test_once_exits_1_when_a_fault_of_the_machine_holds_a_job(place: CliPlace) -> None:
    from state.commands import RaiseFault

    identity = place.jobs_in(S.VALIDATED)[S.VALIDATED]
    place.record(RaiseFault("rate_limit", "too many requests"))
    # Nobody listens there: the fault can only stand.
    done = place.learnd("once", env={"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"})
    assert done.code == 1
    assert done.out == "fault rate_limit: too many requests; 1 job waits for it. Next: learnd doctor\n"
    assert place.learnd("why", identity, "--json").json["next"] == "learnd doctor"


def test_once_does_nothing_and_says_so_while_learning_is_off(place: CliPlace, repo: Path) -> None:
    a_manifest(repo)
    done = place.learnd("once", env={"LEARNING_PIPELINE_ENABLED": "0"})
    assert (done.code, done.lines) == (0, ["learning is off (LEARNING_PIPELINE_ENABLED=0): nothing was done"])
    assert place.learnd("jobs", "--json").json == []


def test_once_drains_on_a_signal_and_goes_on_next_time(place: CliPlace, repo: Path) -> None:
    # No commit to compare with can be read: each attempt fails, and the next is waited for.
    a_manifest(repo)
    head = git(repo, "rev-parse", "HEAD")
    lost = repo / ".git/objects" / head[:2] / head[2:]
    kept = lost.read_bytes()
    lost.unlink()
    waiting = {**APPROVED, "LEARND_SNAPSHOT_BACKOFF_SECONDS": "30"}
    process = place.start("once", env=waiting)
    until(lambda: "SnapshotAttemptFailed" in place.learnd("tail").out)
    assert place.stop(process) == 128 + signal.SIGTERM
    lost.write_bytes(kept)
    assert last(place, "DaemonStopped")["drained"] is True


# --- learn ---


def test_learn_takes_the_latest_run_of_a_task(place: CliPlace, repo: Path) -> None:
    a_manifest(repo, run="run-1", completed_at="2020-01-31T12:00:00.000Z")
    newest = a_manifest(repo, run="run-2", completed_at="2020-02-28T12:00:00.000Z")
    a_manifest(repo, run="run-3", status="in_progress", completed_at=None)
    done = place.learnd("learn", "--task", "fix-total", "--json", cwd=repo)
    assert done.code == 0, done.err
    assert (done.json["manifest"], done.json["opened"]) == (str(newest), True)
    assert last(place, "JobOpened")["requested"] is True
    assert "tasks with runs here: fix-total" in place.learnd("learn", "--task", "other", cwd=repo).err


def test_learn_of_the_last_commit_writes_a_run_of_its_own(place: CliPlace, repo: Path) -> None:
    base = git(repo, "rev-parse", "HEAD")
    git(repo, "add", "shop.py")
    git(repo, "commit", "-q", "-m", "Count every price")
    done = place.learnd("learn", repo, "--reason", "off by one", "--command", "pytest -q tests", "--json")
    assert done.code == 0, done.err
    manifest = Path(done.json["manifest"])
    assert json.loads(manifest.read_text()).items() >= {"runner": "learnd", "base_commit": base, "commands": []}.items()
    prompt = (manifest.parent / "prompt.md").read_text()
    assert prompt.startswith("Count every price\n")
    assert "off by one" in prompt
    assert "```sh\npytest -q tests\n```" in prompt
    opened = last(place, "JobOpened")
    assert (opened["shape"], opened["base_commit"], opened["requested"]) == ("learnd", base, True)
    assert place.learnd("once", env=APPROVED).code == 1
    snapshot = last(place, "SnapshotTaken")["snapshot"]
    assert isinstance(snapshot, dict)
    assert (snapshot["base_source"], snapshot["base_commit"]) == ("recorded", base)
    assert "shop.py" in snapshot["changed_paths"]


@pytest.mark.parametrize("start", ["main~2", "first", "abbreviated"])
def test_learn_of_a_range_takes_its_start_as_the_base(place: CliPlace, repo: Path, start: str) -> None:
    base = git(repo, "rev-parse", "HEAD")
    git(repo, "tag", "first")
    for number in (1, 2):
        git(repo, "commit", "-q", "--allow-empty", "-m", f"Step {number}")
    git(repo, "commit", "-q", "-a", "--amend", "-m", "Step 2")
    word = base[:9] if start == "abbreviated" else start
    done = place.learnd("learn", repo, "--range", f"{word}..HEAD", "--json")
    assert done.code == 0, done.err
    assert last(place, "JobOpened")["base_commit"] == base
    prompt = Path(done.json["manifest"]).with_name("prompt.md").read_text()
    assert prompt == "Step 1\n\nStep 2\n"


@pytest.mark.parametrize(
    ("span", "said"),
    [
        ("HEAD~1", "is no range"),
        ("HEAD~9..HEAD", "is no commit"),
        ("--upload-pack=x..HEAD", "is no commit"),
        ("HEAD~1..HEAD~1", "what is captured is the work tree"),
    ],
)
def test_learn_refuses_a_range_that_it_cannot_capture(place: CliPlace, repo: Path, span: str, said: str) -> None:
    git(repo, "commit", "-q", "-a", "-m", "Count every price")
    done = place.learnd("learn", repo, f"--range={span}")
    assert done.code != 0
    assert said in done.err
    assert not (repo / ".runs").exists()


def test_learn_refuses_a_tree_that_holds_more_than_its_commits(place: CliPlace, repo: Path) -> None:
    git(repo, "commit", "-q", "-a", "-m", "Count every price")
    (repo / "notes.txt").write_text("not committed\n")
    done = place.learnd("learn", repo)
    assert done.code == 1
    assert "notes.txt" in done.err
    assert "git stash -u" in done.err
    assert not (repo / ".runs").exists()


def test_learn_outside_of_a_registered_repository_names_init(place: CliPlace, repo: Path) -> None:
    other = a_repository(place.root / "other")
    assert place.learnd("learn", other).err == (
        f"learnd: {other} lies in no registered repository. Next: learnd init {other}\n"
    )


# --- the whole way ---


@pytest.mark.sandbox
def test_doctor_finds_a_sound_machine_and_says_how_to_mend_the_rest(place: CliPlace, repo: Path) -> None:
    done = place.learnd("doctor", "--json", env={"OPENAI_API_KEY": "sk-planted-secret"})
    checks = {check["name"]: check for check in done.json}
    assert {"git", "sandbox", "sqlite", "file system", "disk", "log", "inotify", "model key", "lingering"} <= set(
        checks
    )
    assert done.code == int(any(check["state"] == "fail" for check in checks.values()))
    assert all(check["mend"] for check in checks.values() if check["state"] != "ok")
    assert "sk-planted" not in done.out
    assert checks["model key"]["found"].startswith("set (not shown)")


def test_a_state_folder_that_cannot_be_is_told_with_the_way_out(place: CliPlace) -> None:
    repo = a_repository(place.root / "shop")
    place.state.write_text("no folder")
    done = place.learnd("init", repo, "--yes")
    assert done.code == 1
    assert re.fullmatch(r"learnd: the log's folder .+ cannot be made: File exists\. Next: .+\n", done.err)
    looked = {check["name"]: check for check in place.learnd("doctor", "--json").json}
    assert looked["state folder"]["state"] == "fail"
    assert "set state_dir" in looked["state folder"]["mend"]


def test_doctor_fails_for_what_stops_learnd(place: CliPlace) -> None:
    done = place.learnd("doctor", "--json", env={"PATH": "/nonexistent"})
    assert done.code == 1
    assert next(check for check in done.json if check["name"] == "git")["state"] == "fail"


def test_a_skipped_job_is_taken_up_by_the_command_that_why_names(place: CliPlace) -> None:
    place.record(*h.WAY_TO[S.SKIPPED])
    assert place.learnd("why", h.JOB, "--json").json["next"] == f"learnd approve {h.JOB[:8]} --accept-unproven"
    assert place.learnd("approve", h.JOB[:8], "--accept-unproven", "--reason", "a refactoring").code == 0
    assert place.learnd("jobs", "--json").json[0]["status"] == "validated"


def test_a_refusal_names_what_to_type_next(place: CliPlace) -> None:
    job = place.jobs_in(S.LEARNED)[S.LEARNED][:8]
    patterns = place.patterns_in(P.ACTIVE, P.DEPRECATED)
    active, deprecated = patterns[P.ACTIVE][:8], patterns[P.DEPRECATED][:8]
    refused = (
        f"approve {job}", f"dismiss {job} --yes", f"promote {active}", f"reject {active} --reason x",
        f"release {active} --reason x", f"deprecate {deprecated} --reason x", f"supersede {active} --by {active}",
        "approve 12", "show 12", "review 12", "promote zzzzzzzz",
    )  # fmt: skip
    for line in refused:
        done = place.learnd(*line.split())
        assert (done.code, done.out) == (1, ""), line
        assert re.fullmatch(r"learnd: .+\. Next: .+\n", done.err), line
