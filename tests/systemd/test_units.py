"""The shipped units and their README, as systemd itself judges them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "systemd"
UNITS = ("learnd.service", "learnd@.service")
MOST_EXPOSED = 3.0
BREAK_BUBBLEWRAP = {
    "ProtectKernelTunables", "ProtectKernelLogs", "ProcSubset", "PrivateUsers", "ProtectHostname",
    "MemoryDenyWriteExecute", "RemoveIPC", "PrivateNetwork",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _analyze() -> None:
    if shutil.which("systemd-analyze") is None:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say("units are judged by systemd-analyze, which is not here. Next: apt install systemd")


def analyze(*argv: str, runtime: Path) -> subprocess.CompletedProcess[str]:
    # What is said of the machine's own units is not ours: only the folder with the unit under test is searched.
    environ = {"PATH": os.environ["PATH"], "HOME": str(runtime), "XDG_RUNTIME_DIR": str(runtime), "SYSTEMD_COLORS": "0"}
    return subprocess.run(["systemd-analyze", *argv], env=environ, capture_output=True, text=True, check=False)


def directives(unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (FOLDER / unit).read_text().splitlines():
        name, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize(("unit", "scope"), [("learnd.service", "--user"), ("learnd@.service", "--system")])
def test_systemd_finds_nothing_wrong_with_a_unit(unit: str, scope: str, tmp_path: Path) -> None:
    judged = analyze("verify", "--man=no", scope, str(FOLDER / unit), runtime=tmp_path)
    assert (judged.returncode, [line for line in judged.stderr.splitlines() if "learnd" in line]) == (0, [])


def test_a_mistake_in_a_unit_would_be_found(tmp_path: Path) -> None:
    wrong = tmp_path / "learnd@.service"
    wrong.write_text((FOLDER / "learnd@.service").read_text().replace("/usr/bin/env", "/usr/bin/enw"))
    judged = analyze("verify", "--man=no", "--system", str(wrong), runtime=tmp_path)
    assert judged.returncode != 0
    assert "/usr/bin/enw" in judged.stderr


def test_the_template_is_exposed_by_no_more_than_three(tmp_path: Path) -> None:
    judged = analyze("security", "--offline=yes", str(FOLDER / "learnd@.service"), runtime=tmp_path)
    [level] = re.findall(r"Overall exposure level for \S+: ([\d.]+)", judged.stdout)
    assert float(level) <= MOST_EXPOSED


@pytest.mark.parametrize("unit", UNITS)
def test_nothing_that_would_stop_bubblewrap_is_on_and_the_readme_names_it(unit: str) -> None:
    found = directives(unit)
    assert not BREAK_BUBBLEWRAP & found.keys()
    assert set(found["RestrictNamespaces"][0].split()) == {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"}
    assert {"@mount", "sethostname", "seccomp"} <= set(found["SystemCallFilter"][0].split())
    assert "AF_NETLINK" in found["RestrictAddressFamilies"][0]


def test_the_template_says_of_each_setting_that_is_off_why() -> None:
    said = (FOLDER / "learnd@.service").read_text().partition("Left off")[2]
    assert all(re.search(rf"^#   [\w, ]*\b{name}\b[\w, ]*:", said, re.MULTILINE) for name in BREAK_BUBBLEWRAP)


def test_both_units_restart_watch_and_stop_alike() -> None:
    both = [directives(unit) for unit in UNITS]
    alike = (
        "Type", "NotifyAccess", "ExecStart", "ExecReload", "SyslogIdentifier", "WatchdogSec", "Restart", "RestartSec",
        "TimeoutStartSec", "TimeoutStopSec", "KillMode", "OOMPolicy", "MemoryMax", "TasksMax", "LimitNOFILE",
        "NoNewPrivileges", "RestrictNamespaces", "RestrictAddressFamilies", "SystemCallFilter", "SystemCallErrorNumber",
    )  # fmt: skip
    assert [{name: unit[name] for name in alike} for unit in both[:1]] == [{n: both[1][n] for n in alike}]


def test_a_stop_leaves_time_for_the_longest_step_by_default() -> None:
    from learnd.daemon import PROBE_SECONDS
    from learnd.settings import Settings

    assert float(directives("learnd.service")["TimeoutStopSec"][0]) >= Settings().model_timeout_seconds + PROBE_SECONDS


def test_the_drop_in_of_the_readme_is_understood(tmp_path: Path) -> None:
    [text] = re.findall(r"^    \[Service\]\n(?:    .*\n|\n)+", (FOLDER / "README.md").read_text(), re.MULTILINE)
    unit = shutil.copy(FOLDER / "learnd@.service", tmp_path / "learnd@anna.service")
    folder = tmp_path / "learnd@anna.service.d"
    folder.mkdir()
    (folder / "own.conf").write_text("\n".join(line.removeprefix("    ") for line in text.splitlines()))
    judged = analyze("verify", "--man=no", "--system", str(unit), runtime=tmp_path)
    assert (judged.returncode, judged.stderr) == (0, "")
    (folder / "own.conf").write_text("[Service]\nReadWritePath=/home\n")
    assert "ReadWritePath" in analyze("verify", "--man=no", "--system", str(unit), runtime=tmp_path).stderr
