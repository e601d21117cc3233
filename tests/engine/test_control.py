"""The daemon's socket: who asks is the kernel's word, and nothing that is sent brings it down."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from learnd import control
from learnd.control import Control, NoDaemon, ask, health
from learnd.requests import DismissJob, Reply

ASKED: list[tuple[bytes, int]] = []


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    # Deeper than a socket address can hold: 108 bytes.
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    ASKED.clear()

    def answer(body: bytes, uid: int) -> Reply:
        from learnd.requests import REQUEST

        REQUEST.validate_json(body)
        ASKED.append((body, uid))
        return Reply(code="ok", message="done", data={"uid": uid})

    server = Control(deep, answer, lambda: {"pid": os.getpid()})
    yield deep
    server.close()


def raw(folder: Path, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection, control._short_path(folder) as near:
        connection.settimeout(10)
        connection.connect(f"{near}/{control.NAME}")
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def test_a_request_is_answered_with_the_kernels_word_on_who_asks(folder: Path) -> None:
    reply = ask(folder, DismissJob(job="a" * 8, reason="no", claimed="somebody else"))
    assert reply.ok
    assert reply.data == {"uid": os.getuid()}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_is_seen_as_themselves(folder: Path) -> None:
    for parent in [folder, *folder.parents]:
        if parent.is_relative_to(tempfile.gettempdir()) and parent != Path(tempfile.gettempdir()):
            parent.chmod(0o755)
    code = (
        "import socket,os;os.setgid(65534);os.setuid(65534);"
        f"os.chdir({str(folder)!r});"
        "s=socket.socket(socket.AF_UNIX);s.connect('control.sock');b=b'{\"verb\":\"rebuild\"}';"
        "s.sendall(b'POST /v1/requests HTTP/1.1\\r\\nHost: x\\r\\nLearnd-Protocol: 1\\r\\n"
        "Connection: close\\r\\nContent-Length: '+str(len(b)).encode()+b'\\r\\n\\r\\n'+b);print(s.recv(9999))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert [uid for _, uid in ASKED] == [65534]


def test_health_tells_the_pid(folder: Path) -> None:
    assert health(folder)["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /v1/nothing HTTP/1.0\r\n\r\n", b"404"),
        (b"POST /v1/requests HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}", b"409"),
        (b"POST /v1/requests HTTP/1.0\r\nLearnd-Protocol: 1\r\nContent-Length: 2\r\n\r\n{}", b"400"),
        (b"POST /v1/requests HTTP/1.0\r\nLearnd-Protocol: 1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"POST /v1/requests HTTP/1.0\r\nLearnd-Protocol: 1\r\nContent-Length: -1\r\n\r\n", b"413"),
        (b"POST /v1/requests HTTP/1.0\r\nLearnd-Protocol: 1\r\n\r\n", b"413"),
        (b"\x00\xff garbage\r\n\r\n", b"400"),
    ],
)
def test_what_is_no_request_is_refused_and_the_next_one_answered(folder: Path, data: bytes, status: bytes) -> None:
    assert status in raw(folder, data)
    assert ask(folder, DismissJob(job="a" * 8)).ok
    assert len(ASKED) == 1


def test_nobody_at_the_socket_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NoDaemon):
        ask(tmp_path, DismissJob(job="a" * 8))
    with pytest.raises(NoDaemon):
        health(tmp_path)


def test_a_socket_that_a_killed_daemon_left_is_replaced(tmp_path: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / control.NAME))
    stale.close()
    server = Control(tmp_path, lambda _body, _uid: Reply(code="ok", message=""), lambda: {})
    assert health(tmp_path)["protocol"] == 1
    server.close()
    assert not (tmp_path / control.NAME).exists()
