"""What still holds when the operator chose no sandbox, and what does not."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sandbox_place import LIMITS, Place

from learnd.lab.limits import MIB
from learnd.lab.sandbox import RunRefused, Sandbox, SandboxResult
from learnd.settings import Settings

Alive = Callable[[str], list[int]]


@pytest.fixture
def plain(place: Place) -> Callable[..., SandboxResult]:
    def start(*argv: str, **changes: object) -> SandboxResult:
        return Sandbox("none").run(place.spec(*argv, **changes), threading.Event())

    return start


Plain = Callable[..., SandboxResult]


def test_only_the_operators_settings_choose_it() -> None:
    assert Sandbox.choose(Settings(sandbox="none")).isolation == "none"
    assert Sandbox.choose(Settings()).isolation == "bubblewrap"


def test_the_report_says_that_nothing_is_isolated() -> None:
    report = Sandbox("none").self_test()
    assert (report.ok, report.isolation) == (True, "none")
    assert "see the network and the files" in report.reason


def test_never_as_uid_0_and_without_the_daemons_environment(plain: Plain, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = secrets.token_hex(8)
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    result = plain("sh", "-c", "id -u; env; tr '\\0' '\\n' < /proc/self/environ", env={"CHOSEN": "yes"})
    assert int(result.output.split()[0]) != 0
    assert secret not in result.output.decode()
    assert "CHOSEN=yes" in result.output.decode()


@pytest.mark.skipif(os.getuid() != 0, reason="only root launches anything as root")
def test_the_replays_environment_is_not_that_of_what_still_runs_as_root(plain: Plain, place: Place) -> None:
    traces = place.outside / "traces"
    traces.mkdir(mode=0o755)
    plain("true", env={"LD_DEBUG": "libs", "LD_DEBUG_OUTPUT": str(traces / "trace")})
    assert list(traces.iterdir()) == []


def test_the_tree_is_where_it_was_restored(plain: Plain, place: Place) -> None:
    result = plain("sh", "-c", "pwd; echo new > made")
    assert result.output.decode().strip() == str(place.tree)
    assert (place.tree / "made").read_text() == "new\n"
    assert Sandbox("none").tree_inside(place.tree, place.origin) == place.tree
    assert Sandbox("none").report_inside(place.report) == str(place.report)


def test_binds_become_links_and_overlays_copies(plain: Plain, place: Place) -> None:
    environment = place.outside / "venv"
    environment.mkdir()
    (environment / "package.py").write_text("ok\n")
    (environment / "_version.py").write_text("1\n")
    plain(
        "true",
        read_only_binds=((environment, place.origin / ".venv"), (place.outside, Path("/elsewhere"))),
        overlays=((environment / "_version.py", place.origin / "src/_version.py"),),
    )
    assert (place.tree / ".venv").readlink() == environment
    assert (place.tree / "src/_version.py").read_text() == "1\n"
    assert not (place.tree / "src/_version.py").is_symlink()


def test_refused_when_a_link_of_the_tree_leads_an_overlay_outside(plain: Plain, place: Place) -> None:
    (place.tree / "src").symlink_to(place.outside)
    (place.tree / "precious").symlink_to(place.outside / "precious")
    for inside in ("src/precious", "precious"):
        with pytest.raises(RunRefused):
            plain("true", overlays=((place.tree / "README", place.origin / inside),))
    assert (place.outside / "precious").read_text() == "untouched\n"


def test_limits_hold(plain: Plain, place: Place) -> None:
    assert plain("sleep", "60", limits=replace(LIMITS, wall_s=0.3)).limit == "wall"
    assert plain("sh", "-c", "while :; do :; done", limits=replace(LIMITS, cpu_s=1)).limit == "cpu"
    flood = plain("yes")
    assert (flood.limit, len(flood.output)) == ("output", MIB)


def test_exit_codes_and_signals_are_told_apart(plain: Plain) -> None:
    left, killed = plain("sh", "-c", "exit 3"), plain("sh", "-c", "kill -9 $$")
    assert (left.exit_code, left.signal) == (3, None)
    assert (killed.exit_code, killed.signal) == (None, 9)


def test_background_processes_do_not_outlive_it(plain: Plain, alive: Alive) -> None:
    seconds = f"60.{secrets.randbits(32)}"
    result = plain("sh", "-c", f"sleep {seconds} & setsid sleep {seconds} & sleep 0.2; echo done")
    assert result.output == b"done\n"
    assert alive(seconds) == []


def test_refused_when_the_working_directory_is_not_there(plain: Plain) -> None:
    with pytest.raises(RunRefused, match="working directory"):
        plain("true", cwd="no/such/folder")
