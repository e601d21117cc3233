"""Services run beside the commands, are waited for, and take the blame when they are not there."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from lab_sandbox.sandbox_place import LIMITS, PYTHON, Place
from lab_services.conftest import Serve

from events.values import Service
from learnd.lab.sandbox import RunRefused, Sandbox
from learnd.lab.services import Down, Step, run_served

pytestmark = pytest.mark.sandbox


def python(name: str, program: str, **fields: object) -> Service:
    return Service.model_validate({"name": name, "argv": (PYTHON, "-c", program), "ready_s": 20, **fields})


def echo(port: int = 7007, **fields: object) -> Service:
    return Service.model_validate({"name": "echo", "argv": (PYTHON, "echo.py", str(port)), "ports": (port,), **fields})


def alive(word: str) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            found += [folder.name] if word.encode() in line else []
    return found


ASK_BOTH = """
import socket, urllib.request
print(urllib.request.urlopen("http://localhost:8765/notes.txt").read().decode().strip())
with socket.create_connection(("localhost", 7007)) as one:
    one.sendall(b"hello")
    print(one.recv(100).decode())
"""


def test_commands_talk_to_services_that_are_up_before_they_begin(serve: Serve) -> None:
    web = Service(
        name="web",
        argv=(PYTHON, "-m", "http.server", "8765", "--bind", "127.0.0.1"),
        ports=(8765,),
        health="http://localhost:8765/notes.txt",
    )
    served = serve([web, echo()], ASK_BOTH, "print('second')", ASK_BOTH)
    assert served.down is None
    assert [(one.exit_code, one.output) for one in served.results] == [
        (0, b"two\nhello\n"),
        (0, b"second\n"),
        (0, b"two\nhello\n"),
    ]
    assert served.said["echo"] == "echo is here\n"
    assert "GET /notes.txt" in served.said["web"]
    log = "\n".join(served.paragraphs([web, echo()]))
    assert "service echo: " in log
    assert "up until the end" in log


def test_a_service_that_is_never_healthy_is_named_and_no_command_begins(serve: Serve) -> None:
    deaf = python("deaf", "import time; print('warming up', flush=True); time.sleep(60)", ports=(9000,), ready_s=0.4)
    served = serve([echo(), deaf], "print('never')")
    assert served.results == ()
    assert served.down == Down("deaf", "is not up after 0.4 s: port 9000: Connection refused")
    assert served.said["deaf"] == "warming up\n"


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("raise SystemExit(3)", "ended with 3"),
        ("import os; os.kill(os.getpid(), 11)", "was ended by signal 11"),
        ("print('gone to the background, it says')", "is not up after 0.5 s: port 9000: Connection refused"),
    ],
)
def test_a_service_that_ends_before_it_is_up_is_named_with_how_it_ended(serve: Serve, program: str, why: str) -> None:
    served = serve([python("brief", program, ports=(9000,), ready_s=0.5)], "print('never')")
    assert (served.results, served.down) == ((), Down("brief", why))


def test_a_service_that_cannot_be_started_is_named(serve: Serve) -> None:
    served = serve([Service(name="db", argv=("no-such-database",), ports=(1,))], "pass")
    assert served.down is not None
    assert (served.down.name, "cannot be started" in served.down.why) == ("db", True)


def test_a_service_that_dies_midway_ends_the_command_and_is_named(serve: Serve) -> None:
    mortal = """
import socket
server = socket.create_server(("127.0.0.1", 9001))
while True:
    one, _ = server.accept()
    if one.recv(10) == b"die":
        print("last words", flush=True)
        raise SystemExit(7)
"""
    kill = """
import socket, time
socket.create_connection(("localhost", 9001)).sendall(b"die")
print("asked", flush=True)
time.sleep(60)
"""
    began = time.monotonic()
    served = serve([python("mortal", mortal, ports=(9001,))], "print('first')", kill, "print('never')")
    assert time.monotonic() - began < 30
    assert served.down == Down("mortal", "ended with 7")
    assert [one.output for one in served.results] == [b"first\n", b"asked\n"]
    assert served.said["mortal"] == "last words\n"


FORKING = """
import os, socket, time
mark = {mark!r}
server = socket.create_server(("127.0.0.1", 9002))
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                one, _ = server.accept()
                if one.recv(10) == b"go":
                    os.kill(0, 9)
        os._exit(0)
"""


def test_a_service_that_forks_into_the_background_serves_and_leaves_nothing(serve: Serve) -> None:
    mark = secrets.token_hex(8)
    ask = "import socket; socket.create_connection(('localhost', 9002)); print('answered')"
    served = serve([python("forks", FORKING.format(mark=mark), ports=(9002,))], ask)
    assert (served.down, served.results[0].output) == (None, b"answered\n")
    assert alive(mark) == []


def test_a_service_that_vanishes_from_the_background_is_named(serve: Serve) -> None:
    quick = FORKING.format(mark="").replace("range(3)", "range(1)")
    kill = "import socket, time; socket.create_connection(('localhost', 9002)).sendall(b'go'); time.sleep(0.3)"
    served = serve([python("fades", quick, ports=(9002,))], kill, "print('never')")
    assert len(served.results) == 1
    assert served.down == Down("fades", "is no longer up: port 9002: Connection refused")


def test_health_is_an_address_that_answers_well_or_a_command_that_ends_with_0(serve: Serve) -> None:
    slow = """
import http.server, time
begun = time.monotonic()
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if time.monotonic() - begun > 0.4 else 503)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 9003), Answer).serve_forever()
"""
    file = "import time; time.sleep(0.3); open('/tmp/ready', 'w'); time.sleep(60)"
    served = serve(
        [python("slow", slow, health="http://localhost:9003/up?a=b"),
         python("file", file, health=("test", "-e", "/tmp/ready"))],
        "import os; print(os.path.exists('/tmp/ready'))",
    )  # fmt: skip
    assert (served.down, served.results[0].output) == (None, b"True\n")
    assert '"GET /up?a=b HTTP/1.1" 503' in served.said["slow"]
    assert '"GET /up?a=b HTTP/1.1" 200' in served.said["slow"]
    never = serve([python("slow", slow.replace("> 0.4", "> 60"), health="http://localhost:9003/", ready_s=2)], "pass")
    assert never.down == Down("slow", "is not up after 2 s: http://localhost:9003/ answers 503")
    hangs = serve([python("file", file, health=("sleep", "60"), ready_s=0.3)], "pass")
    assert hangs.down is not None
    assert hangs.down.why.endswith("its health check does not end")


def test_each_replay_has_a_localhost_of_its_own(serve: Serve, served_sandbox: Sandbox, served_place: Place) -> None:
    ask = "import socket, time; socket.create_connection(('localhost', {})); time.sleep(0.5); print('mine')"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        other = replace(served_place, tree=served_place.outside, report=served_place.origin)
        (other.tree / "echo.py").write_text((served_place.tree / "echo.py").read_text())

        def second() -> bytes:
            steps = [Step((PYTHON, "-c", ask.format(port)), ".", {}, 30, must=False)]
            spec = replace(other.spec(), mount_at=Path("/srv/second"))
            return run_served(served_sandbox, spec, [echo(port)], steps, threading.Event()).results[0].output

        with ThreadPoolExecutor() as pool:
            running = pool.submit(second)
            first = serve([echo(port)], ask.format(port))
            assert (first.results[0].output, running.result()) == (b"mine\n", b"mine\n")
        taken.setblocking(False)
        with pytest.raises(BlockingIOError):
            taken.accept()


def test_a_command_out_of_time_is_ended_and_named_and_nothing_follows(serve: Serve) -> None:
    served = serve([echo()], "import time; print('begun', flush=True); time.sleep(60)", "print(2)", timeout_s=0.5)
    assert [(one.limit, one.exit_code, one.output) for one in served.results] == [("wall", None, b"begun\n")]
    assert served.down is None


def test_a_failed_set_up_ends_the_run_a_failed_command_does_not(serve: Serve) -> None:
    assert [one.exit_code for one in serve([echo()], "raise SystemExit(4)", "pass").results] == [4, 0]
    assert [one.exit_code for one in serve([echo()], "raise SystemExit(4)", "pass", must=True).results] == [4]


def test_a_limit_of_the_whole_replay_falls_on_the_command_that_ran(serve: Serve) -> None:
    flood = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
    served = serve([echo()], "print(1)", flood)
    assert [one.limit for one in served.results] == [None, "output"]
    late = serve([python("late", "import time; time.sleep(60)", ports=(9,))], "pass", limits=replace(LIMITS, wall_s=1))
    assert late.down == Down("late", "was not up when the replay was ended by its limit (wall)")


def test_a_service_may_talk_without_end_and_its_beginning_is_kept(serve: Serve) -> None:
    chatty = """
import socket, sys, threading
threading.Thread(target=lambda: [sys.stdout.write("blah " * 1000) for _ in iter(int, 1)], daemon=True).start()
server = socket.create_server(("127.0.0.1", 9004))
while True:
    server.accept()
"""
    served = serve([python("chatty", chatty, ports=(9004,))], "import time; time.sleep(0.3); print('done')")
    assert (served.down, served.results[0].output) == (None, b"done\n")
    assert len(served.said["chatty"]) == 64 * 1024


FORGE = """
import os, sys
frame = b'{"end": 0, "code": 0, "seconds": 0.1, "limit": null}\\n'
os.write(1, frame)
tried, opened = 0, []
for pid in filter(str.isdigit, os.listdir("/proc")):
    line = open(f"/proc/{pid}/cmdline", "rb").read()
    if b"supervise" not in line or b"bwrap" in line:
        continue
    tried += 1
    for name in ("fd/1", "mem"):
        try:
            opened.append(os.open(f"/proc/{pid}/{name}", os.O_WRONLY))
        except PermissionError:
            pass
print(tried, opened)
raise SystemExit(5)
"""


def test_what_a_command_prints_is_no_word_of_the_supervisors(serve: Serve) -> None:
    (result,) = serve([echo()], FORGE).results
    assert result.exit_code == 5
    assert result.output.splitlines()[0].startswith(b'{"end": 0')
    assert result.output.splitlines()[1] == b"1 []"


def test_a_command_that_kills_everything_it_can_reach_passes_nothing(serve: Serve) -> None:
    served = serve([echo()], "import os; os.kill(-1, 9)", "print('never')")
    assert [(one.exit_code, one.signal) for one in served.results] == [(None, 9)]


def test_without_a_sandbox_no_service_is_started(served_place: Place) -> None:
    with pytest.raises(RunRefused, match=r"services \(echo\).*localhost only"):
        run_served(Sandbox("none"), served_place.spec(), [echo()], [], threading.Event())
