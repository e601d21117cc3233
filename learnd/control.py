"""The daemon's Unix socket: HTTP with JSON bodies, and the kernel's word on who is at the other end.

`POST /v1/requests` answers one request (see `requests.py`); `GET /v1/health` tells that the daemon lives.
A body is at most `LIMIT` bytes. Whoever may open the socket may ask; what they may do is for the rules.
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from pydantic import ValidationError

from learnd.requests import PROTOCOL, Reply, Request

LIMIT = 1 << 20
NAME = "control.sock"
REPLY_S = 60.0
HEALTH_S = 5.0


class NoDaemon(Exception):
    """Nobody answers at the socket."""


class Control:
    """Serves the socket beside the log until closed. `answer(body, uid)` may raise ValidationError."""

    def __init__(self, folder: Path, answer: Callable[[bytes, int], Reply], health: Callable[[], dict[str, object]]):
        self.path = folder / NAME
        self.path.unlink(missing_ok=True)  # the log's lock is held: nobody alive owns what lies here
        with _short_path(folder) as near:
            self._server = _Server(f"{near}/{NAME}", answer, health)
        self.path.chmod(0o666)  # the folder says who comes near, the rules who may do what
        self._thread = threading.Thread(target=self._server.serve_forever, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
        self.path.unlink(missing_ok=True)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, path: str, answer: Callable[[bytes, int], Reply], health: Callable[[], dict[str, object]]
    ) -> None:
        self.answer = answer
        self.health = health
        super().__init__(path, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 30
    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *args: object) -> None:
        """Requests that matter are in the event log."""

    def do_GET(self) -> None:
        if self.path != "/v1/health":
            self._send(HTTPStatus.NOT_FOUND, {"message": f"no such page: {self.path}"})
            return
        self._send(HTTPStatus.OK, {"protocol": PROTOCOL, **self.server.health()})

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != "/v1/requests":
            self._refuse(HTTPStatus.NOT_FOUND, "unknown_path", f"no such page: {self.path}")
        elif not length.isdigit() or int(length) > LIMIT:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"a request has at most {LIMIT} bytes")
        elif self.headers.get("Learnd-Protocol") != str(PROTOCOL):
            message = "the daemon is of another version. Next: restart it, or use its own learnd"
            self._refuse(HTTPStatus.CONFLICT, "other_protocol", message)
        else:
            self._answer(self.rfile.read(int(length)))

    def _answer(self, body: bytes) -> None:
        try:
            reply = self.server.answer(body, _peer_uid(self.connection))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            self._refuse(HTTPStatus.BAD_REQUEST, "bad_request", f"{where}: {first['msg']}")
            return
        self._send(HTTPStatus.OK if reply.ok else HTTPStatus.CONFLICT, reply.model_dump(mode="json"))

    def _refuse(self, status: HTTPStatus, code: str, message: str) -> None:
        self.close_connection = True
        self._send(status, Reply(code=code, message=message).model_dump(mode="json"))

    def _send(self, status: HTTPStatus, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _peer_uid(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)


@contextmanager
def _short_path(folder: Path) -> Iterator[str]:
    """`folder` by a path that fits into a socket address, which has 108 bytes, however deep it lies."""
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


class _UnixConnection(HTTPConnection):
    def __init__(self, folder: Path, timeout_s: float) -> None:
        super().__init__("learnd", timeout=timeout_s)
        self._folder = folder

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with _short_path(self._folder) as near:
            self.sock.connect(f"{near}/{NAME}")


def ask(folder: Path, request: Request) -> Reply:
    """Send `request` to the daemon whose socket is in `folder`. Raises NoDaemon."""
    body = request.model_dump_json().encode()
    headers = {"Content-Type": "application/json", "Learnd-Protocol": str(PROTOCOL)}
    status, content = _exchange(folder, "POST", "/v1/requests", body, headers, REPLY_S)
    try:
        return Reply.model_validate_json(content)
    except ValidationError as error:
        raise NoDaemon(f"{folder / NAME} answered {status} with something that is no reply") from error


def health(folder: Path) -> dict[str, object]:
    """What the daemon says of itself. Raises NoDaemon."""
    _, content = _exchange(folder, "GET", "/v1/health", b"", {}, HEALTH_S)
    answer = json.loads(content)
    return answer if isinstance(answer, dict) else {}


def _exchange(
    folder: Path, method: str, path: str, body: bytes, headers: dict[str, str], timeout_s: float
) -> tuple[int, bytes]:
    connection = _UnixConnection(folder, timeout_s)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read(4 * LIMIT)
    except (OSError, HTTPException) as error:
        raise NoDaemon(f"no daemon answers at {folder / NAME}: {error}") from error
    finally:
        connection.close()
