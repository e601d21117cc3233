"""Given: a machine with a systemd of its own, as its PID 1, in namespaces of this one.

Its root is a tmpfs with this machine's programs read-only in it, and it has a user, anna. Nothing of the real machine's
systemd is touched: units, journal, users, cgroups (a subtree of its own, without controllers) and network are private.
What systemd enforces through the kernel it enforces here: seccomp filters, capabilities, mounts, users, time-outs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from daemon.daemon_process import until

ROOT = Path(__file__).resolve().parents[2]
SYSTEMD = Path("/lib/systemd/systemd")
CGROUPS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
USER, UID = "anna", 1234
HOME = Path("/home/anna")
NEEDS = ("unshare", "nsenter", "pivot_root", "setpriv", "dbus-daemon", "systemctl", "ps", "ip", "ss")

BOOT = r"""
set -eu
root=$1; shift
mount --make-rprivate /
mount -t tmpfs -o mode=755 machine "$root"
cd "$root"
mkdir -p etc/systemd/system etc/systemd/user home/anna/.local/bin opt/learnd/bin
mkdir -p proc sys dev run tmp var/lib var/log var/tmp old
chmod 1777 tmp var/tmp
for name in bin sbin lib lib32 lib64 libx32; do if [ -L "/$name" ]; then cp -P "/$name" "$name"; fi; done
for place in "$@"; do
    mkdir -p "$root$place"
    mount --rbind "$place" "$root$place"
    mount -o remount,bind,ro "$root$place"
done
for name in ld.so.cache ld.so.conf ld.so.conf.d nsswitch.conf alternatives security dbus-1 login.defs; do
    if [ -e "/etc/$name" ]; then cp -r "/etc/$name" etc/; fi
done
cp /etc/passwd /etc/group etc/
echo "anna:x:1234:1234::/home/anna:/bin/sh" >> etc/passwd
echo "bert:x:1235:1235::/nonexistent:/bin/sh" >> etc/passwd
echo "anna:x:1234:" >> etc/group
: > etc/machine-id
ln -s "$LEARND" opt/learnd/bin/learnd
ln -s "$LEARND" home/anna/.local/bin/learnd
cp "$UNITS/learnd@.service" etc/systemd/system/
cp "$UNITS/learnd.service" etc/systemd/user/
cat > etc/systemd/system/machine.target <<X
[Unit]
Requires=basic.target dbus.socket systemd-logind.service systemd-user-sessions.service
After=basic.target dbus.socket systemd-logind.service systemd-user-sessions.service
X
# A session without PAM, whose configuration differs from one distribution to the next.
session=etc/systemd/system/user@.service.d
mkdir "$session"
printf '[Service]\nPAMName=\nEnvironment=XDG_RUNTIME_DIR=/run/user/%%i\n' > "$session/machine.conf"
chown -R 1234:1234 home/anna
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 dev dev
for name in null zero full random urandom tty; do : > "dev/$name"; mount --bind "/dev/$name" "dev/$name"; done
mkdir dev/shm dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 run run
ln -s /run var/run
hostname machine
pivot_root . old
umount -l old
mount --make-rshared /  # as systemd does on hardware: what it mounts in a helper (credentials) is seen by all
exec env -i container=learnd-test PATH=/usr/sbin:/usr/bin \
    /lib/systemd/systemd --system --unit=machine.target --log-target=journal --show-status=no
"""


def missing() -> str | None:
    """Why no such machine can be started here; None where it can."""
    if os.geteuid() != 0:
        return "a machine with a systemd of its own takes root: namespaces, mounts and a cgroup"
    absent = [name for name in NEEDS if shutil.which(name) is None] + ([] if SYSTEMD.exists() else [str(SYSTEMD)])
    if absent:
        packages = "systemd dbus util-linux procps iproute2"
        return f"a machine with a systemd of its own needs {', '.join(absent)}. Next: apt install {packages}"
    if _hierarchy() is None:
        return "no writable cgroup2 hierarchy is mounted at /sys/fs/cgroup"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--cgroup", "mount", "-t", "tmpfs", "try", "/mnt"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return f"no namespaces for a systemd of its own: {tried.stderr.strip()}" if tried.returncode else None


def _hierarchy() -> Path | None:
    return next((p for p in CGROUPS if (p / "cgroup.procs").is_file() and os.access(p, os.W_OK)), None)


class Machine:
    """Runs until `halt`. `said` is where PID 1's own complaints go."""

    def __init__(self, folder: Path) -> None:
        self.said = folder / "systemd.err"
        root = folder / "root"
        root.mkdir()
        hierarchy = _hierarchy()
        assert hierarchy is not None
        self._cgroup = hierarchy / f"learnd-test-{os.getpid()}"
        self._cgroup.mkdir()
        # A prefix is where programs are linked from; the checkout may hold its own environment.
        places = dict.fromkeys(("/usr", str(ROOT), sys.prefix, sys.base_prefix))
        learnd = Path(sys.prefix, "bin/learnd")
        with self.said.open("wb") as said:
            self._process = subprocess.Popen(
                ["sh", "-c", 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"', "sh", str(self._cgroup),
                 "unshare", "--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--uts", "--ipc", "--net",
                 "sh", "-c", BOOT, "boot", str(root), *places],
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LEARND": str(learnd), "UNITS": str(ROOT / "systemd")},
                stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip
        self.init = until(self._init, "PID 1 of the machine")
        try:
            until(lambda: self.ask("systemctl", "is-active", "machine.target") == "active", "a machine that is up")
        except AssertionError as error:
            told = self.ask("systemctl", "list-units", "--failed", "--no-pager")
            self.halt()
            raise AssertionError(f"{error}: {self.said.read_text()} {told}") from error

    def _init(self) -> int | None:
        assert self._process.poll() is None, self.said.read_text()
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def argv(self, *argv: str, user: str | None = None, environ: dict[str, str] | None = None) -> list[str]:
        """How to run something inside, as root or as `user`."""
        uid = {"anna": 1234, "bert": 1235}.get(user or "")
        drop = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"] if uid else []
        fixed = {
            "PATH": "/opt/learnd/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": f"/home/{user}" if user else "/",
            "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        given = [f"{name}={value}" for name, value in {**fixed, **(environ or {})}.items()]
        return ["nsenter", "--target", str(self.init), "--all", "--wd=/", "env", "-i", *given, *drop, *argv]

    def run(self, *argv: str, user: str | None = None, environ: dict[str, str] | None = None) -> str:
        """What a program says on stdout; fails when it fails."""
        done = subprocess.run(
            self.argv(*argv, user=user, environ=environ), capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, f"{argv} ended {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def ask(self, *argv: str, user: str | None = None, environ: dict[str, str] | None = None) -> str:
        """What a program says, however it ends."""
        done = subprocess.run(
            self.argv(*argv, user=user, environ=environ), capture_output=True, text=True, check=False, timeout=120
        )
        return done.stdout.strip() or done.stderr.strip()

    def write(self, path: str, text: str) -> None:
        """A file of root's."""
        inside = Path(f"/proc/{self.init}/root{path}")
        inside.parent.mkdir(parents=True, exist_ok=True)
        inside.write_text(text)

    def halt(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.init, 9)  # the first process of its pid namespace: all others go with it
        self._process.wait(60)
        for folder, _, _ in os.walk(self._cgroup, topdown=False):
            until(lambda folder=folder: _removed(Path(folder)), f"an empty {folder}")


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    made = Machine(folder)
    try:
        yield made
    finally:
        made.halt()


class Service:
    """One unit in a machine: the system's, or `of` a user's own."""

    def __init__(self, machine: Machine, unit: str, *, of_user: bool = False) -> None:
        self.machine = machine
        self.unit = unit
        self._user = USER if of_user else None
        self._environ = {"XDG_RUNTIME_DIR": f"/run/user/{UID}"} if of_user else {}
        self._scope = ("--user",) if of_user else ()

    def systemctl(self, *argv: str) -> str:
        return self.machine.run("systemctl", *self._scope, *argv, user=self._user, environ=self._environ)

    def start(self) -> None:
        """Until it says that it is ready."""
        try:
            self.systemctl("start", self.unit)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.journal()[-3000:]}") from error

    def show(self, name: str) -> str:
        return self.systemctl("show", self.unit, f"--property={name}", "--value").strip()

    def pid(self) -> int:
        """As the machine numbers it."""
        return int(self.show("MainPID"))

    def journal(self) -> str:
        field = "_SYSTEMD_USER_UNIT" if self._user else "_SYSTEMD_UNIT"
        own = (f"{field}={self.unit}.service", "+", f"UNIT={self.unit}.service")
        return self.machine.ask("journalctl", "--no-pager", "--output=cat", *own)

    def becomes(self, state: str) -> None:
        try:
            until(lambda: self.show("ActiveState") == state, f"{self.unit} {state}", 0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.systemctl('show', self.unit)}\n{self.journal()[-3000:]}") from error

    def learnd(self, *argv: str, user: str = USER) -> str:
        return self.machine.run("learnd", *argv, user=user)

    def jobs(self) -> list[dict[str, object]]:
        found = json.loads(self.learnd("jobs", "--json"))
        assert isinstance(found, list)
        return found
