"""Does isolation hold on this machine, tried and not assumed; and if not, why, and what mends it.

The probe is a shell script run like any replay. It looks for what must not be there (a network, the daemon's
environment, home directories, a writable /proc/sys) and prints one word for each thing it finds.
"""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path, PurePosixPath
from typing import Final

from events.values import Isolation
from learnd.lab.binds import SandboxRun
from learnd.lab.isolation import SYSTEM_LINKS, bubblewrap
from learnd.lab.launcher import LAUNCH_ENV, SandboxUnavailable, prepare, replay_user
from learnd.lab.limits import Limits
from learnd.lab.sandbox import NotStarted, SandboxReport, run_isolated

PLACE: Final = Path("/learnd-self-test/tree")
LIMITS: Final = Limits(wall_s=20, memory_mb=1024, processes=64, file_mb=16, output_mb=1)
ENV_INSIDE: Final = frozenset((*LAUNCH_ENV, "HOME", "TMPDIR", "USER", "LOGNAME", "PWD", "OLDPWD", "SHLVL", "_"))

PROBE: Final = r"""
[ "$(id -u)" != 0 ] || echo root
if tail -n +3 /proc/net/dev | grep -qv '^ *lo:'; then echo network; fi
for home in "$@"; do [ ! -e "$home/." ] || [ -z "$(ls -A "$home" 2>/dev/null)" ] || echo home; done
for folder in /run /mnt /srv /media /var/lib; do [ -z "$(ls -A "$folder" 2>/dev/null)" ] || echo folder; done
for name in sys/kernel/core_pattern sysrq-trigger; do
    if ( : >> "/proc/$name" ) 2>/dev/null; then echo proc; fi
done
for place in / /usr /etc /dev /learnd-self-test; do
    if ( : > "$place/learnd-probe" ) 2>/dev/null; then echo writable; fi
done
for place in . /learnd/report /tmp /dev/shm; do
    if ( : > "$place/learnd-probe" ) 2>/dev/null; then :; else echo unwritable; fi
done
echo environment $(cat /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' | sed 's/=.*//' | sort -u)
"""

FINDINGS: Final = {
    "root": "a replay runs as uid 0",
    "network": "a replay sees network interfaces of the host",
    "home": "a replay can look into home directories",
    "folder": "a replay can look into /run, /mnt, /srv, /media or /var/lib",
    "proc": "a replay can write to kernel settings in /proc",
    "writable": "a replay can write outside its tree",
    "unwritable": "a replay cannot write to its own tree, report folder or /tmp",
}
NEWER: Final = "upgrade bubblewrap and the kernel, and report this with the output of `bwrap --version` and `uname -r`"


def examine(isolation: Isolation) -> SandboxReport:
    """Run the probe. With `none` there is nothing to probe: the report says that replays are not isolated."""
    if isolation == "none":
        return SandboxReport(
            ok=True,
            isolation="none",
            reason='the configuration says sandbox = "none": replays see the network and the files of this machine',
            mend="install bubblewrap and take the setting out",
        )
    try:
        bubblewrap()
        found = _probe()
    except SandboxUnavailable as missing:
        return SandboxReport(ok=False, isolation="bubblewrap", reason=missing.reason, mend=missing.mend)
    except NotStarted as refused:
        reason, mend = _diagnosis(refused.said)
        return SandboxReport(ok=False, isolation="bubblewrap", reason=reason, mend=mend)
    if found:
        return SandboxReport(ok=False, isolation="bubblewrap", reason="; ".join(found), mend=NEWER)
    return SandboxReport(ok=True, isolation="bubblewrap")


def _probe() -> list[str]:
    with tempfile.TemporaryDirectory(prefix="learnd-self-test-") as folder:
        tree, report = Path(folder, "tree"), Path(folder, "report")
        tree.mkdir()
        report.mkdir()
        argv = ("/bin/sh", "-c", PROBE, "probe", "/root", "/home", *_own_home())
        uid, gid = os.geteuid(), os.getegid()
        spec = SandboxRun(argv, tree, PLACE, report, LIMITS, owner_uid=uid, owner_gid=gid)
        prepare(tree, uid, gid)
        prepare(report, uid, gid)
        result = run_isolated(spec, replay_user(uid, gid), threading.Event())
    return _findings(result.output.decode(errors="replace").splitlines(), result.exit_code)


def _own_home() -> list[str]:
    """This user's home, which replays must not look into, unless it is a folder of the system that they are shown."""
    try:
        home = PurePosixPath(os.path.normpath(Path.home()))
    except RuntimeError:  # neither HOME nor an entry in the table of users
        return []
    shown = not home.is_absolute() or not home.name or home.parts[1] in ("usr", *SYSTEM_LINKS)
    return [] if shown else [str(home)]


def _findings(lines: list[str], exit_code: int | None) -> list[str]:
    found = [FINDINGS[line] for line in dict.fromkeys(lines) if line in FINDINGS]
    names = next((line.split()[1:] for line in lines if line.startswith("environment")), None)
    if names is None or exit_code != 0:
        said = lines[-1] if lines else "nothing"
        return [*found, f"the probe did not come to its end (exit code {exit_code}, last output: {said})"]
    strange = sorted(set(names) - ENV_INSIDE)
    if strange:
        found.append(f"a replay sees variables of the daemon ({', '.join(strange[:5])})")
    return found


def _diagnosis(said: str) -> tuple[str, str]:
    """Why bwrap could not start and what mends it: the kernel's switches first, for bwrap's own words vary."""
    reason = f"bubblewrap cannot start here ({said})"
    for name, closed, mend in SWITCHES:
        if _switch(name) == closed:
            return f"{reason}: {name} is {closed}", mend
    if os.geteuid() == 0 and ("unshare" in said or "mount:" in said):
        return f"{reason}: root lacks CAP_SYS_ADMIN, as in a container", CONTAINER
    if _in_container():
        return f"{reason}: inside a container, which forbids new namespaces or a new /proc", CONTAINER
    return reason, "run `bwrap --unshare-all --ro-bind / / true` as the replay's user and mend what it says"


CONTAINER: Final = (
    "run learnd on the host, or start the container with --security-opt seccomp=unconfined "
    "--security-opt systempaths=unconfined (and --cap-add SYS_ADMIN when learnd is root in it)"
)
SWITCHES: Final = (
    (
        "kernel.apparmor_restrict_unprivileged_userns",
        "1",
        "allow bwrap alone: put `abi <abi/4.0>, include <tunables/global> profile bwrap /usr/bin/bwrap "
        "flags=(unconfined) { userns, }` into /etc/apparmor.d/bwrap and run: systemctl reload apparmor",
    ),
    (
        "kernel.unprivileged_userns_clone",
        "0",
        "sysctl -w kernel.unprivileged_userns_clone=1, and keep it in /etc/sysctl.d/90-learnd.conf",
    ),
    (
        "user.max_user_namespaces",
        "0",
        "sysctl -w user.max_user_namespaces=10000, and keep it in /etc/sysctl.d/90-learnd.conf",
    ),
)


def _switch(name: str) -> str | None:
    path = Path("/proc/sys", *name.split("."))
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _in_container() -> bool:
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists() or "container" in os.environ
