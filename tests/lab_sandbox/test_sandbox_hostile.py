"""Code that means harm: each attempt is made for real, says how far it came, and the host is looked at afterwards."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sandbox_place import PYTHON, Place, Run

from learnd.lab.sandbox import Sandbox

pytestmark = pytest.mark.sandbox

CAP_SYS_RESOURCE = 24
CALL = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    ctypes.set_errno(0)
    came = libc.syscall(*arguments)
    return "done" if came >= 0 else errno.errorcode[ctypes.get_errno()]
"""
ON_X86_64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of the calls are written out")

KERNEL_CALLS = {
    "mount": (165, "b'x', b'/tmp', b'tmpfs', 0, None"),
    "umount of the tree": (166, "os.getcwd().encode(), 2"),
    "a move of the root": (155, "b'/tmp', b'/tmp'"),
    "chroot": (161, "b'/tmp'"),
    "a new user namespace": (272, "0x10000000"),
    "a new mount namespace": (272, "0x20000"),
    "joining a namespace": (308, "os.open('/proc/self/ns/mnt', 0), 0"),
    "bpf": (321, "0, ctypes.create_string_buffer(b'\\1\\0\\0\\0\\4\\0\\0\\0\\4\\0\\0\\0\\1', 128), 128"),
    "a kernel module": (175, "b'x', 1, b''"),
    "kexec": (246, "0, 0, None, 0"),
    "swapoff": (168, "b'/x'"),
    "the clock": (227, "0, (ctypes.c_long * 2)(0, 0)"),
    "reboot": (169, "0xfee1dead, 672274793, 0, None"),
    "the kernel's log": (103, "5, None, 0"),
    "a file by its handle": (
        304,
        "os.open('/usr', 0), ctypes.create_string_buffer(b'\\4\\0\\0\\0\\1\\0\\0\\0\\0\\0\\0\\0', 16), 0",
    ),
    "another's keys": (250, "0, -3, 1"),
}


@ON_X86_64
def test_calls_that_change_the_machine_are_refused(python: Run) -> None:
    lines = [f"print({name!r}, call({number}, {arguments}))" for name, (number, arguments) in KERNEL_CALLS.items()]
    result = python("\n".join([CALL, *lines]))
    came = [line.rpartition(" ")[::2] for line in result.output.decode().splitlines()]
    assert [name for name, _ in came] == list(KERNEL_CALLS)
    assert {how for _, how in came} <= {"EPERM", "ENOSYS", "EINVAL", "ENOSPC", "EACCES"}, came
    assert dict(came)["mount"] == dict(came)["chroot"] == "EPERM"


def test_devices_raw_sockets_and_the_kernels_buttons_are_out_of_reach(python: Run) -> None:
    program = """
import os, socket, stat
def attempt(name, act):
    try:
        act()
        print("REACHED", name)
    except OSError as error:
        print("refused", name, error.strerror)
attempt("device", lambda: (os.mknod("disk", 0o666 | stat.S_IFBLK, os.makedev(259, 0)), open("disk", "rb")))
attempt("memory", lambda: open("/dev/mem", "rb"))
attempt("messages", lambda: open("/dev/kmsg", "wb").write(b"x"))
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
attempt("packets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3))
for file in ("/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches",
             "/sys/kernel/uevent_helper", "/sys/fs/cgroup/cgroup.procs"):
    attempt(file, lambda: open(file, "r+").write("1"))
print("end")
"""
    lines = python(program).output.decode().splitlines()
    assert lines[-1] == "end"
    assert [line for line in lines if line.startswith("REACHED")] == []


def may_keep_others_in_place() -> bool:
    held = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff"))
    return bool(int(held.split()[1], 16) >> CAP_SYS_RESOURCE & 1)


@pytest.mark.skipif(not may_keep_others_in_place(), reason="takes CAP_SYS_RESOURCE, as a root daemon has it")
def test_a_replay_cannot_leave_its_place_at_the_head_of_the_oom_killers_queue(python: Run) -> None:
    program = """
for pid in ("self", "1"):
    try:
        open(f"/proc/{pid}/oom_score_adj", "w").write("0")
    except PermissionError:
        print(open(f"/proc/{pid}/oom_score_adj").read().strip())
"""
    assert python(program).output == b"1000\n1000\n"


def test_a_setuid_program_of_the_tree_gives_no_rights(run: Run, place: Place) -> None:
    mine = place.tree / "me"
    mine.write_bytes(Path("/usr/bin/id").read_bytes())
    result = run(
        "sh", "-c", "cp me again; chmod 6755 again me 2>/dev/null; ./again -u; grep NoNewPrivs /proc/self/status"
    )
    uid, privileges = result.output.decode().splitlines()
    assert int(uid) != 0
    assert privileges.split() == ["NoNewPrivs:", "1"]


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    near, far = os.openpty()
    try:
        yield near, far
    finally:
        os.close(near)
        os.close(far)


def test_nothing_can_be_typed_into_the_terminal_that_started_the_daemon(place: Place, sandbox: Sandbox) -> None:
    assert sandbox.isolation == "bubblewrap"
    attempt = """
import fcntl, os, termios
for fd in range(256):
    try:
        fcntl.ioctl(fd, termios.TIOCSTI, b"x")
        print("TYPED", fd)
    except OSError:
        pass
try:
    fcntl.ioctl(os.open("/dev/tty", os.O_RDWR), termios.TIOCSTI, b"x")
    print("TYPED")
except OSError as error:
    print("no terminal", os.getsid(0) != 0)
"""
    daemon = """
import fcntl, os, sys, termios, threading
from pathlib import Path
from sandbox_place import PYTHON, Place
from learnd.lab.sandbox import Sandbox
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.close(os.open("/dev/tty", os.O_RDWR))  # it is this process's own
spec = Place(*map(Path, sys.argv[2:])).spec(PYTHON, "-I", "-S", "-c", sys.argv[1])
sys.stderr.write(Sandbox("bubblewrap").run(spec, threading.Event()).output.decode())
"""
    folders = map(str, (place.tree, place.report, place.origin, place.outside))
    path = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with terminal() as (_, far):
        done = subprocess.run(
            [sys.executable, "-c", daemon, attempt, *folders], stdin=far, env=path, capture_output=True, text=True,
            timeout=60, check=True,
        )  # fmt: skip
    assert done.stderr.splitlines() == ["no terminal True"]


def test_signals_reach_nobody_outside(python: Run) -> None:
    got: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: got.append(number))
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        program = f"""
import os, signal
for pid in ({os.getpid()}, {os.getppid()}, {bystander.pid}, -{os.getpgid(0)}):
    try:
        os.kill(pid, signal.SIGUSR1)
        print("SENT", pid)
    except ProcessLookupError:
        pass
try:
    os.kill(-1, signal.SIGUSR1)
except ProcessLookupError:
    pass  # there is nobody else
os.kill(0, signal.SIGKILL)
"""
        result = python(program)
        assert (result.output, result.signal) == (b"", 9)
        time.sleep(0.05)
        assert (got, bystander.poll()) == ([], None)
    finally:
        signal.signal(signal.SIGUSR1, before)
        bystander.kill()
        bystander.wait()


def test_shared_memory_and_queues_of_the_host_are_not_there(python: Run) -> None:
    name = f"learnd-{secrets.token_hex(4)}"
    host = Path("/dev/shm", name)
    host.write_text("secret")
    host.chmod(0o666)
    made = subprocess.run(["ipcmk", "-M", "4096", "-p", "0666"], capture_output=True, text=True, check=True)
    try:
        program = f"""
import ctypes, os
print(os.path.exists("/dev/shm/{name}"), open("/proc/sysvipc/shm").read().count("\\n"))
open("/dev/shm/{name}-planted", "w").write("x")
"""
        assert python(program).output == b"False 1\n"
        assert host.read_text() == "secret"
        assert not Path(f"/dev/shm/{name}-planted").exists()
    finally:
        host.unlink()
        subprocess.run(["ipcrm", "-m", made.stdout.split()[-1]], check=True)


def test_a_socket_of_the_host_in_the_file_system_is_not_there(python: Run, place: Place) -> None:
    path = place.outside.parent / "control.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0o777)
        (place.tree / "way").symlink_to(path)
        program = f"""
import socket
for place in ({str(path)!r}, "way", "/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private"):
    try:
        socket.socket(socket.AF_UNIX).connect(place)
        print("CONNECTED", place)
    except OSError:
        pass
"""
        assert python(program).output == b""


def test_many_daemons_that_leave_session_group_and_parent_end_with_the_replay(
    python: Run, place: Place, alive: Callable[[str], list[int]]
) -> None:
    mark = secrets.token_hex(8)
    program = f"""
import os, signal, time
mark = {mark!r}
for number in range(10):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        for name in ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        os.chdir("/")
        os.closerange(0, 100)
        open(f"{place.origin}/up-{{number}}", "w").close()
        time.sleep(60)
        os._exit(0)
while len([name for name in os.listdir(".") if name.startswith("up-")]) < 10:
    time.sleep(0.01)
"""
    assert python(program).exit_code == 0
    assert alive(mark) == []


def test_after_all_that_the_next_replay_runs_as_ever(sandbox: Sandbox, place: Place) -> None:
    bomb = place.spec(PYTHON, "-c", "import os\nwhile True:\n  try: os.fork()\n  except OSError: os.kill(-1, 9)")
    sandbox.run(bomb, threading.Event())
    result = sandbox.run(place.spec("sh", "-c", "echo fine; ls /proc | grep -c '^[0-9]'"), threading.Event())
    assert result.output.split()[0] == b"fine"
    assert int(result.output.split()[1]) < 8
