"""Given: Slack and PagerDuty on loopback, as far as learnd talks to them, which can be told to fail in every way.

They keep what they took, also when they then fail to answer: what a person would see is what counts.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

TOKEN = "xoxb-1234567890-abcdefghij"
KEY = "0123456789abcdef0123456789ABCDEF"
CHANNEL_ID = "C0LEARNING"
NAME = "#learning-alerts"


@dataclass
class Plan:
    """How the next requests fail, in turn: an HTTP status, `reset`, `hang`, or each of these after it was taken."""

    steps: deque[str] = field(default_factory=deque)
    always: str = ""
    released: threading.Event = field(default_factory=threading.Event)

    def next(self) -> str:
        return self.steps.popleft() if self.steps else self.always


class Server:
    """An HTTP server on a free port, `seen` in the order of arrival."""

    def __init__(self) -> None:
        self.plan = Plan()
        self.lock = threading.Lock()
        self.times: list[float] = []
        self.http = HTTPServer(host="127.0.0.1", port=0, threaded=True)
        self.http.start()
        for path in self.paths:
            self.http.expect_request(path, method="POST").respond_with_handler(self._answer)

    paths: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return self.http.url_for("/")

    def stop(self) -> None:
        self.plan.released.set()
        if self.http.is_running():
            self.http.stop()

    def _answer(self, request: Request) -> Response:
        self.times.append(time.monotonic())
        step = self.plan.next()
        taken = step == "" or step.startswith("taken")
        with self.lock:
            answer = self.take(request) if taken else None
        failure = step.removeprefix("taken ")
        if failure == "hang":
            self.plan.released.wait(60)
        if failure == "reset":
            _reset(request)
        if failure.startswith("429"):
            return Response("{}", 429, {"Retry-After": failure.partition(" ")[2]}, content_type="application/json")
        if failure.isdigit():
            return Response("<html>it broke</html>", int(failure))
        if failure == "refuse":
            return self.refuse()
        return answer or Response("", 500)

    def take(self, request: Request) -> Response:
        raise NotImplementedError

    def refuse(self) -> Response:
        raise NotImplementedError


def _reset(request: Request) -> None:
    """End the connection with RST, in the middle of the answer."""
    connection: socket.socket = request.environ["werkzeug.socket"]
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()


@dataclass
class Message:
    ts: str
    alert_id: str
    text: str
    body: dict[str, Any]
    edits: list[dict[str, Any]] = field(default_factory=list)
    thread: str | None = None

    @property
    def over(self) -> bool:
        return bool(self.edits)


class SlackServer(Server):
    """One channel. `scopes` are what the token may do."""

    paths = ("/chat.postMessage", "/chat.update", "/conversations.history", "/conversations.list")

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.calls: list[str] = []
        self.refusal = "invalid_auth"
        self.scopes = {"chat:write", "channels:read", "channels:history"}
        self.cannot_update = ""
        super().__init__()

    def env(self) -> dict[str, str]:
        return {"SLACK_BOT_TOKEN": TOKEN, "LEARND_ALERTS__SLACK__BASE_URL": self.url}

    @property
    def alerts(self) -> list[Message]:
        """What was posted about alerts, replies aside."""
        return [message for message in self.messages if message.thread is None]

    def take(self, request: Request) -> Response:
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            return _json({"ok": False, "error": "invalid_auth"})
        call = request.path.strip("/")
        self.calls.append(call)
        body = request.get_json(silent=True) or {name: _value(text) for name, text in request.form.items()}
        return {
            "chat.postMessage": self._post, "chat.update": self._update,
            "conversations.history": self._history, "conversations.list": self._list,
        }[call](body)  # fmt: skip

    def refuse(self) -> Response:
        return _json({"ok": False, "error": self.refusal})

    def _post(self, body: dict[str, Any]) -> Response:
        assert body["channel"] in (NAME, CHANNEL_ID), body
        stamp = f"{time.time():.6f}"
        alert_id = body["metadata"]["event_payload"]["alert_id"]
        self.messages.append(Message(stamp, alert_id, body["text"], body, thread=body.get("thread_ts")))
        return _json({"ok": True, "channel": CHANNEL_ID, "ts": stamp})

    def _update(self, body: dict[str, Any]) -> Response:
        if self.cannot_update:
            return _json({"ok": False, "error": self.cannot_update})
        (message,) = [message for message in self.messages if message.ts == body["ts"]]
        message.edits.append(body)
        return _json({"ok": True, "channel": CHANNEL_ID, "ts": message.ts})

    def _history(self, body: dict[str, Any]) -> Response:
        if "channels:history" not in self.scopes:
            return _json({"ok": False, "error": "missing_scope"})
        assert body["channel"] == CHANNEL_ID
        found = [m for m in reversed(self.messages) if float(m.ts) >= float(body["oldest"])]
        told = [{"ts": m.ts, "text": m.text, "metadata": m.body["metadata"]} for m in found]
        noise = [{"ts": "9999999999.000000", "text": "a person's"}]
        if not body.get("cursor"):
            return _json({"ok": True, "messages": noise, "response_metadata": {"next_cursor": "more"}})
        return _json({"ok": True, "messages": told, "response_metadata": {"next_cursor": ""}})

    def _list(self, body: dict[str, Any]) -> Response:
        needed = {"public_channel": "channels:read", "private_channel": "groups:read"}
        if not all(needed[kind] in self.scopes for kind in body["types"].split(",")):
            return _json({"ok": False, "error": "missing_scope"})
        channels = [{"id": "C0GENERAL", "name": "general"}, {"id": CHANNEL_ID, "name": NAME.lstrip("#")}]
        return _json({"ok": True, "channels": channels})


class PagerDutyServer(Server):
    """A service with its incidents, by dedup key: `triggered`, then `resolved`."""

    paths = ("/v2/enqueue",)

    def __init__(self) -> None:
        self.incidents: dict[str, str] = {}
        self.sent: list[dict[str, Any]] = []
        super().__init__()

    def env(self) -> dict[str, str]:
        return {"PAGERDUTY_ROUTING_KEY": KEY, "LEARND_ALERTS__PAGERDUTY__BASE_URL": self.url}

    def take(self, request: Request) -> Response:
        body = request.get_json()
        if body["routing_key"] != KEY:
            return self.refuse()
        self.sent.append(body)
        key = body.get("dedup_key") or f"made-{len(self.sent)}"
        if body["event_action"] == "trigger":
            self.incidents[key] = "triggered"
        elif key in self.incidents:
            self.incidents[key] = "resolved"
        return _json({"status": "success", "message": "Event processed", "dedup_key": key}, 202)

    def refuse(self) -> Response:
        return _json({"status": "invalid event", "message": "Event object is invalid"}, 400)


def _json(content: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(content), status, content_type="application/json")


def _value(text: str) -> Any:
    """A form's value; the SDK writes lists and objects as JSON."""
    return json.loads(text) if text[:1] in "[{" else text
