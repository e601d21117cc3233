"""The self-test tries isolation for real and says what mends it."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pydantic
import pytest
from sandbox_place import LIMITS, PYTHON, Place

import learnd
from learnd.lab import launcher
from learnd.lab.sandbox import Sandbox, SandboxUnavailable
from learnd.lab.selftest import FINDINGS, PROBE, examine
from learnd.lab.selftest import LIMITS as PROBE_LIMITS

CHECKOUT = Path(learnd.__file__).parent.parent
EXAMINE = """
import json
from learnd.lab.sandbox import Sandbox
report = Sandbox("bubblewrap").self_test()
print(json.dumps([report.ok, report.reason, report.mend]))
"""


@pytest.mark.sandbox
def test_all_is_well_where_the_sandbox_works(sandbox: Sandbox) -> None:
    report = sandbox.self_test()
    assert (report.ok, report.isolation, report.reason, report.mend) == (True, "bubblewrap", "", "")


@pytest.fixture
def without_bwrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose system folders hold everything but bubblewrap."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("setpriv", "prlimit", "choom", "unshare", "mount", "sh", "du", "env", "xargs", "chown"):
        (tools / name).symlink_to(launcher.tool(name))
    monkeypatch.setattr(launcher, "SYSTEM_PATH", str(tools))


@pytest.mark.usefixtures("without_bwrap")
def test_a_missing_bubblewrap_is_named_with_its_package(place: Place) -> None:
    report = Sandbox("bubblewrap").self_test()
    assert not report.ok
    assert "bwrap is not installed" in report.reason
    assert "apt install bubblewrap" in report.mend
    with pytest.raises(SandboxUnavailable, match="Next: install it: apt install bubblewrap"):
        Sandbox("bubblewrap").run(place.spec("true"), threading.Event())


@pytest.mark.sandbox
def test_a_machine_without_user_namespaces_says_so(sandbox: Sandbox, place: Place) -> None:
    # The real thing: inside our own sandbox no further user namespace can be made.
    packages = Path(pydantic.__file__).parent.parent
    spec = place.spec(PYTHON, "-c", EXAMINE, limits=replace(LIMITS, memory_mb=2048))
    spec = replace(
        spec,
        env={"PYTHONPATH": f"{CHECKOUT}:{packages}"},
        read_only_binds=(
            *spec.read_only_binds,
            *((folder, folder) for folder in (CHECKOUT / "learnd", CHECKOUT / "events", packages)),
        ),
    )
    result = sandbox.run(spec, threading.Event())
    ok, reason, mend = json.loads(result.output.splitlines()[-1])
    assert not ok
    assert "bubblewrap cannot start here" in reason
    assert "namespace" in reason
    assert mend


def test_the_probe_finds_what_is_not_isolated(place: Place) -> None:
    # Run without a sandbox, the same probe must raise the alarm: a probe that cannot fail proves nothing.
    spec = place.spec("/bin/sh", "-c", PROBE, "probe", "/usr", limits=PROBE_LIMITS)
    found = set(Sandbox("none").run(spec, threading.Event()).output.decode().split("\n"))
    assert {"home", "folder", "unwritable"} <= found & set(FINDINGS)


@pytest.mark.sandbox
@pytest.mark.parametrize("home", ["/", "/usr/sbin", "relative"])
def test_a_home_that_is_a_folder_of_the_system_is_no_finding(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", home)
    assert examine("bubblewrap").ok
