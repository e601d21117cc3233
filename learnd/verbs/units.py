"""`doctor` on learnd as a service: is the unit that systemd has the shipped one, and will it be running tomorrow?

systemd itself is asked, not the file system: it knows which of several files counts, and whether that was read again
since it changed. Nothing is started, enabled or written.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from learnd.assets import AssetsMissing, units_dir
from learnd.verbs.check import Check, ok

ASKED = ("LoadState", "FragmentPath", "UnitFileState", "ActiveState", "NeedDaemonReload")
PATIENCE_S = 10


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of learnd and how systemd is told about it. `file` is the name it ships under."""

    name: str
    file: str
    systemctl: tuple[str, ...]

    def command(self, *argv: str) -> str:
        sudo = "" if "--user" in self.systemctl else "sudo "
        return sudo + " ".join((*self.systemctl, *argv))


def units(user: str) -> tuple[Unit, Unit]:
    """The two ways in which `user` may run learnd as a service."""
    return (
        Unit("learnd", "learnd.service", ("systemctl", "--user")),
        Unit(f"learnd@{user}", "learnd@.service", ("systemctl",)),
    )


def unit_checks(user: str) -> Iterator[Check]:
    """What is wrong with the services of `user`, each with the command that mends it; one line when nothing is."""
    if shutil.which("systemctl") is None:
        yield ok("service", "no systemd on this machine: nothing starts learnd by itself")
        yield ok("lingering", "no user service of learnd is installed")
        return
    own, system = units(user)
    found = {unit: asked for unit in (own, system) if (asked := _ask(unit))}
    wanted = {unit: asked for unit, asked in found.items() if _is_wanted(asked)}
    if wanted.keys() == {own, system}:
        mend = own.command("disable", "--now", own.name)
        yield Check("service", "warn", f"{own.name} and {system.name} are both on: two logs, or one that waits", mend)
    for unit, asked in (wanted or found).items():
        yield from _checks(unit, asked)
    if not found:
        yield _none_found()
    yield _lingering(user) if own in wanted else ok("lingering", f"no user service of {user} is on")


def _ask(unit: Unit) -> dict[str, str] | None:
    """What systemd knows of a unit; None when it has none of that name, or does not answer."""
    argv = [*unit.systemctl, "show", unit.name, *(f"--property={name}" for name in ASKED)]
    try:
        said = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    asked = dict(line.split("=", maxsplit=1) for line in said.splitlines() if "=" in line)
    return asked if asked.get("LoadState") not in (None, "not-found") else None


def _is_wanted(asked: dict[str, str]) -> bool:
    return asked.get("UnitFileState") == "enabled" or asked.get("ActiveState") not in ("inactive", None)


def _none_found() -> Check:
    """No unit of ours is loaded: because there is none, or because nobody answered."""
    mine = Path.home() / ".config/systemd/user/learnd.service"
    if mine.exists():
        mend = "log in as this user by PAM (ssh, machinectl shell), where XDG_RUNTIME_DIR is set, and ask again"
        return Check("service", "warn", f"{mine} is installed, and this user's systemd does not answer", mend)
    return ok("service", "not installed; systemd/README.md says how learnd runs as a service")


def _checks(unit: Unit, asked: dict[str, str]) -> Iterator[Check]:
    troubles = [check for check in (_loaded(unit, asked), _shipped(unit, asked), _state(unit, asked)) if check]
    yield from troubles or [ok("service", f"{unit.name} is the shipped unit, enabled and {asked['ActiveState']}")]


def _loaded(unit: Unit, asked: dict[str, str]) -> Check | None:
    if asked["LoadState"] != "loaded":
        return Check("service", "fail", f"{unit.name} is {asked['LoadState']}", unit.command("status", unit.name))
    if asked.get("NeedDaemonReload") == "yes":
        return Check("service", "warn", f"{unit.name} was changed after systemd read it", unit.command("daemon-reload"))
    return None


def _shipped(unit: Unit, asked: dict[str, str]) -> Check | None:
    """Whether the file in use is the one that came with this learnd. Own wishes belong in drop-ins, which last."""
    used = Path(asked.get("FragmentPath", ""))
    try:
        shipped = units_dir() / unit.file
        same = used.read_bytes() == shipped.read_bytes()
    except (AssetsMissing, OSError) as error:
        return Check("service", "warn", f"{unit.name} cannot be compared with the shipped unit: {error}")
    if same:
        return None
    sudo = "" if os.access(used, os.W_OK) else "sudo "
    mend = f"{sudo}cp {shipped} {used} && {unit.command('daemon-reload')}; keep what is yours by systemctl edit"
    return Check("service", "warn", f"{used} is not the unit that this learnd ships", mend)


def _state(unit: Unit, asked: dict[str, str]) -> Check | None:
    if asked.get("ActiveState") == "failed":
        journal = "journalctl " + ("--user -u " if "--user" in unit.systemctl else "-u ") + unit.name
        return Check("service", "fail", f"{unit.name} failed; {journal} says why", unit.command("restart", unit.name))
    if asked.get("UnitFileState") != "enabled":
        found = f"{unit.name} is {asked['ActiveState']} and not enabled: it does not come back by itself"
        return Check("service", "warn", found, unit.command("enable", "--now", unit.name))
    if asked.get("ActiveState") == "inactive":
        return Check("service", "warn", f"{unit.name} is enabled and not running", unit.command("start", unit.name))
    return None


def _lingering(user: str) -> Check:
    """Whether a user's daemon outlives their session: without lingering, systemd stops it at logout."""
    mend = f"loginctl enable-linger {user}"
    try:
        asked = ["loginctl", "show-user", user, "--property=Linger"]
        said = subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE_S, check=False).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        return Check("lingering", "warn", f"loginctl does not answer: {error}", mend)
    if said != "Linger=yes":
        return Check("lingering", "warn", f"the user service stops when {user} logs out", mend)
    return ok("lingering", f"the user service of {user} outlives the session")


def read_only_for_daemon(tree: Path, pid: int) -> Check | None:
    """Whether the daemon sees a repository that we see, and may write to it: its unit may forbid that."""
    seen = Path(f"/proc/{pid}/root{tree}")
    try:
        flags = os.statvfs(seen).f_flag
    except FileNotFoundError:
        found = f"{tree} is hidden from the daemon"
    except OSError:
        return None  # another user's process does not let us look through its eyes
    else:
        if not flags & os.ST_RDONLY:
            return None
        found = f"{tree} is read-only for the daemon"
    mend = f"ReadWritePaths={tree} by systemctl edit, and restart the service; systemd/README.md has an example"
    return Check("repository", "warn", found, mend)
