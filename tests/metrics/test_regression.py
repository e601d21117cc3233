"""`learnd regression`: a real repository and a real log, through the desk, the command line and the daemon."""

from __future__ import annotations

import dataclasses
import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.cli_place import CliPlace, a_manifest, a_repository, git, until
from support import histories as h

from events.catalog import RegressionDetected
from events.log import EventLog
from events.recorded import Recorded
from learnd.door import Door
from learnd.engine import Engine
from learnd.repositories import register
from learnd.requests import Reply, ReportRegression
from learnd.settings import Settings
from learnd.views.queries import Views
from learnd.views.store import open_for_writing, read_connection
from state import commands as c
from state.job import JobStatus
from state.pattern import PatternStatus

P = PatternStatus
USER = pwd.getpwuid(os.getuid()).pw_name
NOBODY = 65534
MADE = "2026-01-05T06:07:08.000Z"
NAME = h.PATTERN[:8]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[CliPlace]:
    made = CliPlace(tmp_path)
    a_repository(made.root / "library")
    yield made
    made.close()


@pytest.fixture
def active(place: CliPlace) -> CliPlace:
    a_pattern(place, P.ACTIVE)
    return place


def a_pattern(place: CliPlace, status: PatternStatus, repo_id: str = "repo-1") -> None:
    """The pattern in a status, with the job that led to it and its run, in the repository `library`."""
    repo = place.root / "library"
    manifest = a_manifest(repo, "t", "r", completed_at=h.AT)
    run = dataclasses.replace(h.RUN, repo_id=repo_id, repo_path=str(repo), manifest_path=str(manifest))
    origin = dataclasses.replace(h.ORIGIN, repo_id=repo_id, repo_path=str(repo), body="---\nstatus: x\n---\n# text\n")
    commands = (*h.WAY_TO[JobStatus.LEARNED], *h.PATTERN_WAY_TO[status])
    for command in commands:
        changes = {name: value for name, value in (("run", run), ("origin", origin)) if hasattr(command, name)}
        place.record(dataclasses.replace(command, **changes))  # type: ignore[type-var] # every command is one


def a_commit(place: CliPlace, message: str = "Undo it") -> str:
    """A commit of that time in the repository."""
    repo = place.root / "library"
    identity = ["-c", "user.name=Boris", "-c", "user.email=b@example.org"]
    asked = ["git", "-C", str(repo), *identity, "commit", "-q", "--allow-empty", "-m", message]
    subprocess.run(asked, check=True, env={**os.environ, "GIT_COMMITTER_DATE": "2026-01-05T07:07:08 +0100"})
    return git(repo, "rev-parse", "HEAD")


def asked(place: CliPlace, commit: str, uid: int | None = None) -> Reply:
    """What whoever holds the log answers."""
    request = ReportRegression(pattern=NAME, commit=commit)
    with Engine.opened(Settings(state_dir=place.state)) as engine:
        return engine.desk.answer(request.model_dump_json(), os.getuid() if uid is None else uid)


def reported(place: CliPlace) -> list[tuple[Recorded, RegressionDetected]]:
    with EventLog.open_readonly(place.log) as log:
        return [(one, one.data) for one in log.read_all() if isinstance(one.data, RegressionDetected)]


def test_without_a_daemon_it_is_recorded_with_the_commit_s_time_and_who_said_so(active: CliPlace) -> None:
    commit = a_commit(active)
    done = active.learnd(
        "regression", NAME, "--commit", commit[:9].upper(), "--detail", "slow again", "--approver", "Boris"
    )
    assert done.code == 0, done.err
    assert f"learnd deprecate {NAME} --reason TEXT" in done.out
    ((record, event),) = reported(active)
    assert (record.stream, record.actor) == (f"job-{h.JOB}", USER)
    assert event == RegressionDetected(
        pattern_id=h.PATTERN, commit=commit, escaped=True, detail="slow again", committed_at=MADE, approver=USER,
        claimed="Boris",
    )  # fmt: skip


def test_a_daemon_does_the_same_and_tells_the_run_and_the_task(active: CliPlace) -> None:
    commit = a_commit(active)
    process = active.daemon()
    done = active.learnd("regression", NAME, "--commit", commit)
    assert done.code == 0, done.err
    assert active.learnd("metrics", "--json").json["regressions"]["escaped"] == 1
    state_file = active.root / "library/out/t/state.json"
    until(state_file.exists)
    assert active.stop(process) == 0
    manifest = json.loads((active.root / "library/.runs/t/cli/r/manifest.json").read_text())
    assert manifest["learning"]["regressions"]["detected"] == 1
    assert json.loads(state_file.read_text())["safety"]["regression_detection"] == {"detected": 1}


def test_it_is_shown_wherever_the_pattern_is_looked_at(active: CliPlace) -> None:
    commit = a_commit(active)
    active.learnd("regression", NAME, "--commit", commit, "--detail", "slow again")
    line = f"undone at {commit[:12]}, made 2026-01-05: escaped, reported by {USER}: slow again"
    step = f"learnd deprecate {NAME} --reason TEXT"
    (one,) = active.learnd("review", NAME, "--json").json
    assert one["regressions"] == 1
    for verb in (("review", NAME), ("show", h.JOB[:8])):
        shown = active.learnd(*verb).out
        assert line in shown
        assert step in shown
    for subject in (NAME, h.JOB[:8]):
        why = active.learnd("why", subject).out
        assert "its change came undone once since it was promoted" in why
        assert step in why
    assert line in active.learnd("tail", "--type", "RegressionDetected").out


def test_what_would_be_an_option_of_git_is_no_commit(active: CliPlace) -> None:
    done = active.learnd("regression", NAME, "--commit=--upload-pack=x")
    assert (done.code, "is no commit id" in done.err) == (1, True)


def test_a_promotion_after_it_begins_anew(active: CliPlace) -> None:
    assert asked(active, a_commit(active)).ok
    me = c.Person(USER, frozenset({USER}), reason="mended")
    active.record(c.Deprecate(h.PATTERN, me), c.Restore(h.PATTERN, me), h.promote)
    with open_for_writing(active.log) as log:
        assert Views(read_connection(log)).pattern(NAME).regressions == 0
    assert "undone at" in active.learnd("review", NAME).out


def test_of_a_deprecated_pattern_it_is_recorded_and_nothing_is_to_be_taken_out(place: CliPlace) -> None:
    a_pattern(place, P.DEPRECATED)
    reply = asked(place, a_commit(place))
    assert reply.ok
    assert "learnd deprecate" not in reply.message


def test_refused_when_the_same_commit_was_reported(active: CliPlace) -> None:
    commit = a_commit(active)
    assert asked(active, commit).ok
    again = asked(active, commit[:8])
    assert (again.code, len(reported(active))) == ("already_reported", 1)


def test_refused_when_nobody_knows_the_commit(active: CliPlace) -> None:
    a_commit(active)
    blob = git(active.root / "library", "rev-parse", "HEAD:shop.py")
    for commit, said in (("1234567", "has no commit 1234567"), (blob, "has no commit"), ("HEAD", "no commit id")):
        reply = asked(active, commit)
        assert reply.code == "unknown_commit"
        assert said in reply.message
        assert "Next: git -C" in reply.message
    assert reported(active) == []


@pytest.mark.parametrize("status", [P.CANDIDATE, P.REJECTED, P.QUARANTINED])
def test_refused_when_the_pattern_was_never_promoted(place: CliPlace, status: PatternStatus) -> None:
    a_pattern(place, status)
    reply = asked(place, a_commit(place))
    assert reply.code == "never_served"
    assert f"is {status}" in reply.message
    assert reported(place) == []


def test_refused_when_the_user_is_no_approver(active: CliPlace) -> None:
    assert asked(active, a_commit(active), uid=NOBODY).code == "not_an_approver"
    assert reported(active) == []


def test_of_a_gone_repository_a_whole_id_is_taken_at_its_word(active: CliPlace) -> None:
    commit = a_commit(active)
    shutil.rmtree(active.root / "library")
    short = asked(active, commit[:8])
    assert short.code == "unknown_commit"
    assert "whole id" in short.message
    assert asked(active, commit).ok
    ((_, event),) = reported(active)
    assert (event.commit, event.committed_at) == (commit, None)


def test_a_moved_repository_is_asked_where_it_stands_now(place: CliPlace) -> None:
    repo = place.root / "library"
    with open_for_writing(place.log) as log:
        tree = register(Door(log), Views(read_connection(log)), repo, "root")
    a_pattern(place, P.ACTIVE, tree.repo_id)
    commit = a_commit(place)
    repo.rename(place.root / "moved")
    with open_for_writing(place.log) as log:
        register(Door(log), Views(read_connection(log)), place.root / "moved", "root")
    assert asked(place, commit[:8]).ok
    ((_, event),) = reported(place)
    assert (event.commit, event.committed_at) == (commit, MADE)


def test_nothing_that_the_repository_configures_runs_and_its_git_folder_stays_as_it_is(active: CliPlace) -> None:
    commit = a_commit(active)
    repo, ran, trap = active.root / "library", active.root / "ran", active.root / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    trap.chmod(0o755)
    for setting in ("core.fsmonitor", "core.pager", "gpg.program", "core.sshCommand", "filter.x.clean"):
        git(repo, "config", setting, str(trap))
    for hook in ("post-index-change", "reference-transaction", "post-checkout"):
        shutil.copy(trap, repo / ".git/hooks" / hook)
    (repo / ".gitattributes").write_text("* filter=x\n")
    ran.unlink(missing_ok=True)
    before = sorted(str(path) for path in (repo / ".git").rglob("*"))
    assert asked(active, commit[:7]).ok
    assert not ran.exists()
    assert sorted(str(path) for path in (repo / ".git").rglob("*")) == before


def test_what_a_message_says_of_a_committer_is_not_believed(active: CliPlace) -> None:
    assert asked(active, a_commit(active, "Undo it\n\ncommitter Mallory <m@example.org> 1 +0000")).ok
    ((_, event),) = reported(active)
    assert event.committed_at == MADE
