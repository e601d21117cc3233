"""The shipped units under a real systemd: what they forbid, and that learnd and bubblewrap work all the same."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon.daemon_process import until
from systemd_machine import HOME, ROOT, UID, Machine, Service, machine, missing

REPO = HOME / "repo"
ON_THE_WAY = {
    "none yet", "observed", "opened", "snapshotted", "queued", "scenario_ready", "replaying", "validated",
    "crystalizing", "drafted",
}  # fmt: skip
LOG = "/var/lib/learnd/anna/events.db"
GIVEN = "import sys, pathlib; from support.repos import *; repo = pathlib.Path(sys.argv[1]); "


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    with machine(tmp_path_factory.mktemp("machine")) as made:
        yield made


@pytest.fixture
def service(booted: Machine) -> Iterator[Service]:
    """`learnd@anna`, as its README says, watching a repository; quick to restart."""
    found = Service(booted, "learnd@anna")
    try:
        given(booted, "make_repo(repo)")
        configure(booted, "")
        drop_in(booted, f"ReadWritePaths={REPO}\nRestartSec=100ms\n")
        found.start()
        found.learnd("init", str(REPO), "--yes")
        yield found
    finally:
        booted.ask("systemctl", "stop", found.unit)
        booted.ask("systemctl", "reset-failed", found.unit)
        booted.run("rm", "-rf", str(REPO), "/var/lib/learnd/anna", "/etc/learnd/anna")


@pytest.fixture
def own(booted: Machine) -> Iterator[Service]:
    """Anna's own unit, in her own systemd."""
    found = Service(booted, "learnd", of_user=True)
    booted.run("systemctl", "start", f"user@{UID}")
    yield found
    found.systemctl("disable", "--now", found.unit)
    booted.run("rm", "-rf", f"{HOME}/own", f"{HOME}/.local/state")


def configure(booted: Machine, text: str) -> None:
    """Root's settings for anna's learnd."""
    booted.write("/etc/learnd/anna/config.toml", f"{text}\n[lab]\ncheap_seconds = 0\n")


def drop_in(booted: Machine, text: str) -> None:
    # Where the learnd under test is: a checkout may lie below /tmp, or in a home, which the unit hides.
    installed = f"BindReadOnlyPaths={ROOT} {sys.prefix} {sys.base_prefix}\n"
    booted.write("/etc/systemd/system/learnd@anna.service.d/test.conf", f"[Service]\n{installed}{text}")
    booted.run("systemctl", "daemon-reload")


def given(booted: Machine, code: str, repo: Path = REPO) -> None:
    """Something done by anna with her repository, in her own session."""
    environ = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    booted.run(sys.executable, "-c", GIVEN + code, str(repo), user="anna", environ=environ)


def settled(service: Service, status: str) -> dict[str, object]:
    """The one job, as soon as it has the status; fails with what `learnd why` says when it comes to another end."""

    def look() -> dict[str, object] | None:
        [job] = service.jobs() or [{"status": "none yet"}]
        assert job["status"] in (status, *ON_THE_WAY), service.learnd("why", str(job["id"]))
        return job if job["status"] == status else None

    try:
        return until(look, f"a job that is {status}", 0.5)
    except AssertionError as error:
        raise AssertionError(f"{error}: {service.journal()[-3000:]}") from error


def status_of(booted: Machine, pid: int) -> dict[str, str]:
    lines = booted.run("cat", f"/proc/{pid}/status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_a_run_is_proven_under_all_that_the_template_forbids_and_only_a_named_approver_lets_it_go(
    booted: Machine, service: Service
) -> None:
    configure(booted, 'trigger = "approved"\napprovers = ["bert"]')
    service.systemctl("reload", service.unit)
    given(booted, "fix(repo); put_manifest(repo)")
    job = str(settled(service, "awaiting_approval")["id"])
    assert "bert" in booted.ask("learnd", "approve", job, user="anna")
    booted.run("learnd", "approve", job, "--reason", "go", "--log", LOG, user="bert")
    settled(service, "learned")
    shown = json.loads(service.learnd("show", job, "--json"))
    assert "proven" in json.dumps(shown)
    candidates = ("find", f"{REPO}/.agent/patterns/candidates", "-name", "*-*.md", "-user", "anna")
    [pattern] = booted.run(*candidates).split()

    daemon = status_of(booted, service.pid())
    assert daemon["Uid"].split() == [str(UID)] * 4
    assert (daemon["NoNewPrivs"], daemon["Seccomp"]) == ("1", "2")
    assert {int(daemon[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert "proven" in booted.run("cat", pattern).lower()


def test_a_user_who_is_no_approver_reaches_the_socket_and_moves_nothing(booted: Machine, service: Service) -> None:
    given(booted, "make_repo(repo)", HOME / "private")
    booted.run("chmod", "755", str(HOME))
    asked = "; ".join(
        (
            "import sys, pathlib; from learnd.control import ask; from learnd.requests import *",
            "there = pathlib.Path('/run/learnd/anna')",
            "wishes = [RegisterRepo(path=sys.argv[1]), LearnRun(manifest='/etc/passwd'), RebuildModels()]",
            "print(*(ask(there, wish).code for wish in wishes))",
        )
    )
    said = booted.run(sys.executable, "-c", asked, f"{HOME}/private", user="bert")
    assert said.split() == ["not_an_approver"] * 3
    assert f"{HOME}/private" not in service.learnd("status")


def test_the_daemon_can_write_where_a_drop_in_says_and_nowhere_else(booted: Machine, service: Service) -> None:
    inside = ("nsenter", "--mount", "--target", str(service.pid()), "touch")
    booted.run(*inside, f"{REPO}/named")
    for place in (HOME, Path("/etc/learnd/anna"), Path("/opt"), Path("/var/lib")):
        assert "Read-only file system" in booted.ask(*inside, str(place / "planted"))
    booted.run(*inside, "/tmp/its-own")
    assert "No such file" in booted.ask("ls", "/tmp/its-own")


def test_a_killed_daemon_is_started_again_and_goes_on_from_its_log(booted: Machine, service: Service) -> None:
    before = service.pid()
    booted.run("kill", "-9", str(before))
    until(lambda: service.show("NRestarts") == "1", "a restart")
    service.becomes("active")
    assert service.pid() not in (0, before)
    assert str(REPO) in service.learnd("status")


def test_a_daemon_that_stands_still_is_noticed_by_the_watchdog_and_started_again(
    booted: Machine, service: Service
) -> None:
    drop_in(booted, f"ReadWritePaths={REPO}\nRestartSec=100ms\nWatchdogSec=2\n")
    service.systemctl("restart", service.unit)
    before = service.pid()
    booted.run("kill", "-STOP", str(before))
    until(lambda: service.show("NRestarts") == "1", "a restart")
    service.becomes("active")
    assert "Watchdog timeout" in service.journal()
    assert service.pid() not in (0, before)


def test_a_stop_interrupts_a_replay_leaves_no_process_and_the_job_goes_on_later(
    booted: Machine, service: Service
) -> None:
    slow = (
        "fix(repo); write(repo, {'test_calc.py': 'import time; time.sleep(1000)\\n' + FIXED_TESTS}); put_manifest(repo)"
    )
    given(booted, slow)
    settled(service, "replaying")
    group = service.show("ControlGroup")
    until(lambda: "bwrap" in booted.run("systemd-cgls", "--no-pager", group), "a replay")
    service.systemctl("stop", service.unit)
    assert (service.show("Result"), service.show("ActiveState")) == ("success", "inactive")
    assert "time.sleep" not in booted.run("ps", "-e", "-o", "args")
    assert "bwrap" not in booted.run("ps", "-e", "-o", "args")
    [job] = service.jobs()
    assert job["status"] == "scenario_ready"
    assert "drain" in service.learnd("show", str(job["id"]), "--json")


@pytest.mark.thorough
def test_a_drain_that_outlasts_the_units_patience_asks_for_more_and_gets_it(booted: Machine, service: Service) -> None:
    booted.run("ip", "link", "set", "lo", "up")
    mute = (
        "import pathlib, socket, time; server = socket.create_server(('127.0.0.1', 8765)); call = server.accept()\n"
        "while not pathlib.Path('/run/speak').exists(): time.sleep(0.1)"
    )
    booted.run("systemd-run", "--unit=model", "/usr/bin/python3", "-c", mute)
    configure(booted, 'openai_api_key = "sk-x"\nopenai_base_url = "http://127.0.0.1:8765/v1"')
    drop_in(booted, f"ReadWritePaths={REPO}\nTimeoutStopSec=2\n")
    service.systemctl("restart", service.unit)
    given(booted, "fix(repo); put_manifest(repo)")
    settled(service, "crystalizing")
    until(lambda: ":8765" in booted.run("ss", "-Htn", "state", "established"), "a call of the model", 0.2)
    service.systemctl("stop", "--no-block", service.unit)
    time.sleep(5)  # more than twice the unit's TimeoutStopSec: a daemon that asked for nothing is killed by now
    assert service.show("ActiveState") == "deactivating"
    booted.write("/run/speak", "")
    service.becomes("inactive")
    assert service.show("Result") == "success"


def test_a_secret_that_systemd_hands_over_is_the_models_key(booted: Machine) -> None:
    booted.write("/root/key", "sk-of-the-operator\n")
    asked = (
        "systemd-run", "--quiet", "--wait", "--pipe", "--property=User=anna", "--property=StateDirectory=learnd/anna",
        "--setenv=PATH=/opt/learnd/bin:/usr/bin", "--property=LoadCredential=openai_api_key:/root/key",
    )  # fmt: skip
    said = booted.ask(*asked, "learnd", "doctor")
    assert "model key         set (not shown)" in said
    assert "sk-of-the-operator" not in said


def test_the_user_unit_proves_a_run_drains_and_comes_back(booted: Machine, own: Service) -> None:
    repo = HOME / "own"
    given(booted, "make_repo(repo)", repo)
    own.learnd("init", str(repo), "--yes")
    own.start()
    assert own.show("StatusText") == "watching"
    given(booted, "fix(repo); put_manifest(repo)", repo)
    settled(own, "learned")
    daemon = status_of(booted, own.pid())
    assert (daemon["NoNewPrivs"], daemon["Seccomp"]) == ("1", "2")
    own.systemctl("reload", own.unit)
    own.becomes("active")
    assert own.journal().count('"event": "ready"') == 2
    own.systemctl("stop", own.unit)
    assert own.show("Result") == "success"
    own.systemctl("enable", "--now", own.unit)
    own.becomes("active")


@pytest.mark.thorough
def test_doctor_knows_the_unit_in_use_and_each_way_in_which_it_is_not_what_it_should_be(
    booted: Machine, service: Service
) -> None:
    unit = "/etc/systemd/system/learnd@.service"
    assert "not enabled" in checks(booted)["service"]
    service.systemctl("enable", service.unit)
    assert checks(booted)["service"] == "ok: learnd@anna is the shipped unit, enabled and active"
    assert checks(booted)["repository"] == f"ok: {REPO}"

    drop_in(booted, "RestartSec=100ms\n")
    service.systemctl("restart", service.unit)
    assert checks(booted)["repository"] == f"warn: {REPO} is read-only for the daemon"
    drop_in(booted, "ProtectHome=tmpfs\n")
    service.systemctl("restart", service.unit)
    assert checks(booted)["repository"] == f"warn: {REPO} is hidden from the daemon"

    shipped = booted.run("cat", unit)
    booted.write(unit, shipped + "# mine\n")
    assert "learnd@anna was changed after systemd read it" in checks(booted)["service"]
    service.systemctl("daemon-reload")
    assert checks(booted)["service"] == f"warn: {unit} is not the unit that this learnd ships"
    booted.write(unit, shipped)
    service.systemctl("daemon-reload")
    service.systemctl("stop", service.unit)
    assert checks(booted)["service"] == "warn: learnd@anna is enabled and not running"
    service.systemctl("disable", service.unit)


def test_doctor_says_that_a_user_unit_ends_with_the_session_until_lingering_is_on(
    booted: Machine, own: Service
) -> None:
    own.systemctl("enable", "--now", own.unit)
    assert checks(booted)["lingering"] == "warn: the user service stops when anna logs out"
    booted.run("loginctl", "enable-linger", "anna")
    assert checks(booted)["lingering"] == "ok: the user service of anna outlives the session"
    booted.run("systemctl", "enable", "learnd@anna")
    assert checks(booted)["service"] == "warn: learnd and learnd@anna are both on: two logs, or one that waits"
    booted.run("systemctl", "disable", "learnd@anna")
    own.systemctl("disable", "--now", own.unit)
    assert checks(booted)["lingering"] == "ok: no user service of anna is on"


def checks(booted: Machine) -> dict[str, str]:
    """What anna's doctor found, by the name of the check; of several of a name the first that is not well."""
    said = booted.ask("learnd", "doctor", "--json", user="anna", environ={"XDG_RUNTIME_DIR": f"/run/user/{UID}"})
    found: dict[str, str] = {}
    for check in json.loads(said):
        if check["name"] not in found or (check["state"] != "ok" and found[check["name"]].startswith("ok")):
            found[check["name"]] = f"{check['state']}: {check['found']}"
    return found
