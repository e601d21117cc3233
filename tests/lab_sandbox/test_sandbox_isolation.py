"""What a hostile replay tries, and what comes of it. Each trap of the design has its test here."""

from __future__ import annotations

import os
import re
import secrets
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sandbox_place import Place, Run, wait_for

from learnd.lab.binds import RunRefused
from learnd.lab.sandbox import Sandbox

pytestmark = pytest.mark.sandbox


def lines(output: bytes) -> list[str]:
    return output.decode().splitlines()


def test_no_replay_has_host_uid_0(sandbox: Sandbox, place: Place, alive: Callable[[str], list[int]]) -> None:
    seconds = f"60.{secrets.randbits(32)}"
    cancel = threading.Event()
    with ThreadPoolExecutor() as pool:
        pool.submit(sandbox.run, place.spec("sh", "-c", f"touch begun; sleep {seconds}"), cancel)
        wait_for(place.tree / "begun")
        seen = [Path(f"/proc/{pid}/status").read_text() for pid in alive(seconds)]
        cancel.set()
    # As the host sees them: the launched bwrap, the sandbox's first process, the shell.
    assert len(seen) >= 3
    for status in seen:
        assert "0" not in re.findall(r"^(?:Uid|Gid):(.*)$", status, re.M)[0].split()
        assert "0" not in re.findall(r"^Groups:(.*)$", status, re.M)[0].split()
        assert re.findall(r"^CapEff:\t(\w+)$", status, re.M) == ["0" * 16]
        assert "NoNewPrivs:\t1" in status


def test_a_replay_has_no_capability_and_no_group(run: Run) -> None:
    result = run("sh", "-c", "id -u; id -G; grep -E 'Cap(Eff|Prm|Bnd|Inh|Amb)' /proc/self/status")
    uid, groups, *sets = lines(result.output)
    assert int(uid) != 0
    assert "0" not in groups.split()
    assert {line.split()[1] for line in sets} == {"0" * 16}


@pytest.mark.skipif(os.getuid() != 0, reason="only a root daemon changes its uid")
def test_a_root_daemon_runs_replays_as_the_repositorys_owner(run: Run, place: Place) -> None:
    result = run("sh", "-c", "id -u; id -g; echo mine > written", owner_uid=4321, owner_gid=1234)
    assert lines(result.output) == ["4321", "1234"]
    assert (place.tree / "written").stat().st_uid == 4321
    assert place.outside.stat().st_uid == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root has groups to give up")
@pytest.mark.usefixtures("sandbox")
def test_a_root_daemons_groups_are_given_up(place: Place) -> None:
    daemon = """
import sys, threading
from dataclasses import replace
from pathlib import Path
from sandbox_place import Place
from learnd.lab.sandbox import Sandbox
spec = replace(Place(*map(Path, sys.argv[1:])).spec("id", "-G"), owner_uid=4321, owner_gid=1234)
print(Sandbox("bubblewrap").run(spec, threading.Event()).output.decode())
"""
    folders = map(str, (place.tree, place.report, place.origin, place.outside))
    path = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    argv = ["setpriv", "--groups", "0,27", sys.executable, "-c", daemon, *folders]
    done = subprocess.run(argv, env=path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["1234"]


def test_kernel_settings_cannot_be_written(run: Run) -> None:
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    attempt = "for f in kernel/core_pattern vm/drop_caches; do echo '|/bin/false' > /proc/sys/$f; done"
    result = run("sh", "-c", attempt)
    assert len(re.findall("Read-only file system|Permission denied", result.output.decode())) == 2
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_nothing_but_tree_report_and_temporary_files_can_be_written(run: Run, place: Place) -> None:
    program = """
for d in / /usr /usr/bin /etc /dev /proc /var /run /root /home /learnd "$1"; do
    touch "$d/planted" 2>/dev/null && echo "wrote $d"
done
for d in . /learnd/report /tmp /dev/shm "$HOME"; do touch "$d/allowed" || echo "could not write $d"; done
"""
    result = run("sh", "-c", program, "sh", str(place.outside))
    assert result.output == b""
    assert (place.tree / "allowed").exists()
    assert (place.report / "allowed").exists()
    assert not (place.origin / "allowed").exists()


def test_the_daemons_secrets_are_in_no_environ(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = secrets.token_hex(8)
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    result = run("sh", "-c", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'; env")
    assert secret not in result.output.decode()
    assert "OPENAI_API_KEY" not in result.output.decode()
    assert "HOME=/tmp/home" in result.output.decode()


def test_the_environment_asked_for_reaches_the_command_only(run: Run, place: Place) -> None:
    # Were these set for the launch itself, the loader of setpriv or bwrap would write its trace on the host.
    trace = {"LD_DEBUG": "libs", "LD_DEBUG_OUTPUT": str(place.outside / "trace"), "CHOSEN": "a\nb"}
    result = run("sh", "-c", 'printf %s "$CHOSEN"', env=trace)
    assert result.output.endswith(b"a\nb")


def test_a_preloaded_library_of_the_tree_is_loaded_inside_only(run: Run, place: Place) -> None:
    (place.tree / "evil.so").write_text("not a library\n")
    result = run("true", env={"LD_PRELOAD": str(place.origin / "evil.so")})
    complaints = [line for line in lines(result.output) if "evil.so" in line]
    assert len(complaints) == 2  # prlimit and true, both inside; setpriv and bwrap would make it more
    assert result.exit_code == 0


def test_files_of_the_host_are_not_there(run: Run, place: Place) -> None:
    looked_at = [
        str(place.outside),
        "/etc/shadow",
        "/etc/ssh",
        "/var/lib",
        "/var/log",
        "/var/spool",
        "/sys/class",
        "/boot",
    ]
    result = run("ls", "-d", *looked_at)
    assert result.exit_code == 2
    assert all("No such file" in line for line in lines(result.output))
    seen = run("sh", "-c", "ls -A /run /mnt /srv /media /home /opt 2>/dev/null | grep -v ':$' | grep .; ls /tmp")
    first_of_tmp = place.origin.relative_to("/tmp").parts[0] if place.origin.is_relative_to("/tmp") else "home"
    assert set(lines(seen.output)) <= {"home", first_of_tmp}


def test_the_tree_stands_alone_at_the_repositorys_path(run: Run, place: Place) -> None:
    (place.origin / "live").write_text("the live tree\n")
    (place.origin.parent / "beside").write_text("another repository\n")
    (place.tree / "sub").mkdir()
    result = run("sh", "-c", "pwd; ls -A; ls -A ..")
    assert lines(result.output) == [str(place.origin), "README", "sub", "origin"]
    result = run("sh", "-c", "pwd; echo new > made", cwd="sub")
    assert lines(result.output) == [str(place.origin / "sub")]
    assert (place.tree / "sub/made").read_text() == "new\n"
    assert [entry.name for entry in place.origin.iterdir()] == ["live"]


@pytest.mark.parametrize("origin", ["/root/deep/er/repository", "/home/someone/repository", "/srv/x", "/var/lib/ci/x"])
def test_a_tree_can_stand_where_the_host_has_no_such_folder(run: Run, origin: str) -> None:
    result = run("sh", "-c", "pwd; cat README", mount_at=Path(origin))
    assert lines(result.output) == [origin, "a tree"]
    assert not os.path.lexists(origin)


@pytest.mark.parametrize("origin", ["/", "/usr", "/proc/1/root", "/dev/shm", "relative", "/learnd/report", "/a/../usr"])
def test_refused_when_the_tree_would_stand_on_the_system(run: Run, origin: str) -> None:
    with pytest.raises(RunRefused, match="replay cannot be set up"):
        run("true", mount_at=Path(origin))


def test_a_link_out_of_the_tree_leads_nowhere(run: Run, place: Place) -> None:
    (place.tree / "way_out").symlink_to(place.outside)
    (place.tree / "precious").symlink_to(place.outside / "precious")
    result = run("sh", "-c", "echo broken > precious; echo broken > way_out/new; cd way_out")
    assert result.exit_code != 0
    assert len(lines(result.output)) == 3


def test_what_is_bound_can_be_read_and_not_written(run: Run, place: Place, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    environment = locked / "venv"
    environment.mkdir(parents=True)
    (environment / "package.py").write_text("ok\n")
    (locked / "_version.py").write_text("1\n")
    environment.chmod(0o777)  # its modes protect nothing here: the bind must
    for file in (environment / "package.py", locked / "_version.py"):
        file.chmod(0o666)
    locked.chmod(0o711 if os.getuid() else 0o700)  # root's own folders are closed to the uid that replays run as
    result = run(
        "sh",
        "-c",
        "cat .venv/package.py src/_version.py; echo bad > .venv/package.py; echo bad > src/_version.py; rm -r .venv",
        read_only_binds=((environment, place.origin / ".venv"),),
        overlays=((locked / "_version.py", place.origin / "src/_version.py"),),
    )
    assert lines(result.output)[:2] == ["ok", "1"]
    assert result.exit_code != 0
    assert (environment / "package.py").read_text() == "ok\n"
    assert (locked / "_version.py").read_text() == "1\n"


def test_refused_when_a_link_of_the_tree_stands_where_something_is_bound(
    run: Run, place: Place, tmp_path: Path
) -> None:
    environment = tmp_path / "environment"
    environment.mkdir()
    (place.tree / ".venv").symlink_to(place.outside)
    with pytest.raises(RunRefused, match="has a link"):
        run("true", read_only_binds=((environment, place.origin / ".venv/new"),))


def test_a_synthetic_git_folder_cannot_be_turned_against_the_host(run: Run, place: Place, tmp_path: Path) -> None:
    repository = tmp_path / "synthetic.git"
    repository.mkdir()
    (repository / "config").write_text("[core]\n")
    plant = "echo '[core] fsmonitor = /bin/false' >> .git/config; mkdir .git/hooks; mv .git gone; cat .git/config"
    result = run("sh", "-c", plant, read_only_binds=((repository, place.origin / ".git"),))
    assert lines(result.output)[-1] == "[core]"
    assert (repository / "config").read_text() == "[core]\n"
    assert list((place.tree / ".git").iterdir()) == []


def test_only_loopback_is_there_and_it_works(python: Run) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        program = f"""
import socket
print(sorted(name for _, name in socket.if_nameindex()))
try:
    socket.create_connection(("127.0.0.1", {listener.getsockname()[1]}), 2)
except ConnectionRefusedError:
    print("refused")
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname())
print("own server reached")
try:
    socket.create_connection(("192.0.2.1", 80), 2)
except OSError as error:
    print(error.strerror)
"""
        result = python(program)
    assert lines(result.output) == ["['lo']", "refused", "own server reached", "Network is unreachable"]


def test_abstract_sockets_of_the_host_are_out_of_reach(python: Run) -> None:
    name = "\0learnd-" + secrets.token_hex(4)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        with socket.socket(socket.AF_UNIX) as check:
            check.connect(name)
        result = python(f"import socket; socket.socket(socket.AF_UNIX).connect({name!r})")
    assert b"ConnectionRefusedError" in result.output


def test_processes_of_the_host_can_be_neither_seen_nor_traced_nor_killed(python: Run) -> None:
    program = f"""
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
print(sorted(int(pid) for pid in os.listdir("/proc") if pid.isdigit())[-1] < 10)
for host in ({os.getpid()}, {os.getppid()}):
    print(libc.ptrace(16, host, 0, 0), errno.errorcode[ctypes.get_errno()])
    try:
        os.kill(host, 0)
    except ProcessLookupError:
        print("no such process")
"""
    result = python(program)
    assert lines(result.output) == ["True", *["-1 ESRCH", "no such process"] * 2]


KEYRING_PROGRAM = """
import ctypes, os
add_key, keyctl = {"x86_64": (248, 250), "aarch64": (217, 219)}[os.uname().machine]
call, read, room = ctypes.CDLL(None, use_errno=True).syscall, 11, ctypes.create_string_buffer(64)
"""


@pytest.mark.skipif(os.uname().machine not in ("x86_64", "aarch64"), reason="the numbers of the calls are written out")
@pytest.mark.usefixtures("sandbox")
def test_secrets_in_the_daemons_keyring_cannot_be_read(place: Place) -> None:
    daemon = f"""{KEYRING_PROGRAM}
import sys, threading
from pathlib import Path
from dataclasses import replace
from sandbox_place import PYTHON, Place
from learnd.lab.sandbox import Sandbox
join_session, session = 1, -3
assert call(keyctl, join_session, None) > 0
key = call(add_key, b"user", b"daemon", b"hunter2", 7, session)
look = sys.argv[1] + f"print(call(keyctl, read, {{key}}, room, 64), room.value)\\n"
look += "print(call(add_key, b'user', b'x', b'y', 1, -5))"
spec = Place(*map(Path, sys.argv[2:])).spec(PYTHON, "-I", "-S", "-c", look)
assert call(keyctl, read, key, room, 64) == 7
print(Sandbox("bubblewrap").run(spec, threading.Event()).output.decode())
"""
    folders = map(str, (place.tree, place.report, place.origin, place.outside))
    path = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    argv = [sys.executable, "-c", daemon, KEYRING_PROGRAM, *folders]
    done = subprocess.run(argv, env=path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["-1", "b''", "-1"]


def test_no_new_user_namespace_no_terminal_no_setuid(run: Run) -> None:
    result = run(
        "sh", "-c", "unshare --user true; echo $?; : < /dev/tty; echo $?; su -c true; mount -t tmpfs x /tmp; echo $?"
    )
    text = result.output.decode()
    assert "unshare failed" in text
    assert "/dev/tty" in text
    assert lines(result.output)[-1] != "0"


def test_no_descriptor_of_the_daemon_is_open_inside(run: Run, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        result = run("sh", "-c", "for fd in /proc/$$/fd/*; do readlink $fd; done")
    assert lines(result.output)[0] == "/dev/null"
    assert {line.split(":")[0] for line in lines(result.output)} == {"/dev/null", "pipe"}


def test_restored_links_are_given_away_without_following_them(run: Run, place: Place) -> None:
    owner = (place.outside / "precious").stat().st_uid
    (place.tree / "link").symlink_to(place.outside / "precious")
    (place.tree / "-rf").mkdir()
    (place.tree / "-rf/with\nnewline").write_text("")
    assert run("true").exit_code == 0
    assert (place.outside / "precious").stat().st_uid == owner
    assert stat.S_ISLNK((place.tree / "link").lstat().st_mode)


@pytest.mark.parametrize("cwd", ["..", "/etc", "a/../../b"])
def test_refused_when_the_working_directory_leaves_the_tree(run: Run, cwd: str) -> None:
    with pytest.raises(RunRefused, match="working directory"):
        run("true", cwd=cwd)


def test_refused_and_not_unavailable_when_only_this_run_cannot_start(run: Run) -> None:
    with pytest.raises(RunRefused, match="no/such/folder"):
        run("true", cwd="no/such/folder")


def test_a_command_that_is_not_there_is_a_result(run: Run) -> None:
    assert run("no-such-command").exit_code == 127


def test_exit_codes_and_signals_are_told_apart(run: Run) -> None:
    left, killed = run("sh", "-c", "exit 3"), run("sh", "-c", "kill -9 $$")
    assert (left.exit_code, left.signal) == (3, None)
    assert (killed.exit_code, killed.signal) == (None, 9)


def test_the_repository_has_no_say_in_the_choice(sandbox: Sandbox, place: Place) -> None:
    (place.tree / "learnd.toml").write_text('sandbox = "none"\n')
    result = sandbox.run(place.spec("sh", "-c", "echo $HOME"), threading.Event())
    assert result.output == b"/tmp/home\n"
