"""A fake model on loopback, spoken to through the real SDK: each call is answered with a script's next behaviour."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = {
    "title": "Answer zero for the mean of nothing",
    "problem": "`mean` divides by the number of values, which is zero when there are none.",
    "solution": "Return early in `calc.py` when there are no values: `if not values`.",
    "rationale": "The replays failed without the change and passed with it.",
    "applies_when": ["A mean is taken of values that may be none."],
    "does_not_apply_when": [],
    "cited_files": ["calc.py"],
    "cited_symbols": ["mean"],
    "cited_hunks": [],
    "tags": ["python"],
    "rule": None,
}
TOKENS = (2_000, 400)
COST = 0.009
"""US dollars of so many tokens of gpt-4o."""

Handler = BaseHTTPRequestHandler
Behaviour = Callable[["Model", Handler, str], None]
"""What is done about one call; the last argument is the API, `chat` or `responses`."""


@dataclass
class Model:
    """The endpoint. What is left of `script` is played in order, its last behaviour for ever."""

    url: str = ""
    script: list[Behaviour] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def plays(self, *behaviours: Behaviour) -> None:
        self.script[:] = behaviours
        self.requests.clear()
        self.times.clear()


@contextmanager
def model() -> Iterator[Model]:
    served = Model()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            send(self, 200, {"object": "list", "data": []})

        def do_POST(self) -> None:
            served.times.append(time.monotonic())
            served.requests.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            behave = served.script.pop(0) if len(served.script) > 1 else served.script[0]
            behave(served, self, "responses" if self.path.endswith("/responses") else "chat")

        def log_message(self, *_: object) -> None:
            return

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            return  # the SDK went away, which is what some behaviours are about

    server = Quiet(("127.0.0.1", 0), Answers)
    served.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.over.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def send(handler: Handler, status: int, body: object, headers: dict[str, str] | None = None) -> None:
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    handler.send_response(status)
    for name, value in {"content-type": "application/json", **(headers or {})}.items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


# --- behaviours -------------------------------------------------------------------------------------


def says(
    text: str | None = None, *, tokens: tuple[int, int] | None = TOKENS, stop: str = "", refusal: str = "",
    tool: bool = False, **changes: object,
) -> Behaviour:  # fmt: skip
    """A completion of GOOD with `changes`, or of `text`, in the words of the API that it is asked in."""
    said = json.dumps({**GOOD, **changes}) if text is None else text

    def answer(_: Model, handler: Handler, api: str) -> None:
        send(handler, 200, (_chat if api == "chat" else _response)(said, tokens, stop, refusal, tool))

    return answer


def _chat(text: str, tokens: tuple[int, int] | None, stop: str, refusal: str, tool: bool) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None if refusal or tool else text}
    if refusal:
        message["refusal"] = refusal
    if tool:
        message["tool_calls"] = [{"id": "c", "type": "function", "function": {"name": "rm", "arguments": "{}"}}]
    finish = "tool_calls" if tool else stop or "stop"
    usage = tokens and {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    return {
        "id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o", "usage": usage,
        "choices": [{"index": 0, "finish_reason": finish, "message": message}],
    }  # fmt: skip


def _response(text: str, tokens: tuple[int, int] | None, stop: str, refusal: str, tool: bool) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
    if refusal:
        part = {"type": "refusal", "refusal": refusal}
    item: dict[str, Any] = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}
    if tool:
        item = {"type": "function_call", "id": "f", "call_id": "c", "name": "rm", "arguments": "{}"}
    reason = {"length": "max_output_tokens"}.get(stop, stop)
    return {
        "id": "x", "object": "response", "created_at": 1, "model": "gpt-4o",
        "status": "incomplete" if stop else "completed", "incomplete_details": {"reason": reason} if stop else None,
        "output": [{"type": "reasoning", "id": "r", "summary": []}, item],
        "usage": tokens and {"input_tokens": tokens[0], "output_tokens": tokens[1], "total_tokens": sum(tokens)},
    }  # fmt: skip


def fails(status: int, message: str = "no", headers: dict[str, str] | None = None, **error: str) -> Behaviour:
    return lambda _, handler, __: send(handler, status, {"error": {"message": message, **error}}, headers)


def page(_: Model, handler: Handler, __: str) -> None:
    """A good answer from something else, a captive portal or a proxy."""
    send(handler, 200, "<html>who are you?</html>")


def hang(served: Model, _: Handler, __: str) -> None:
    served.over.wait(20)


def reset(_: Model, handler: Handler, __: str) -> None:
    """The connection breaks in the middle of the reply."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{")
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def refuses_schema(served: Model, handler: Handler, api: str) -> None:
    """A model without structured output: good as soon as no schema is asked for."""
    body = served.requests[-1]
    if "response_format" in body or "text" in body:
        param = "response_format" if api == "chat" else "text.format"
        send(handler, 400, {"error": {"message": f"Invalid parameter: '{param}'", "param": param}})
        return
    says(f"```json\n{json.dumps(GOOD)}\n```")(served, handler, api)


def refuses_old_limit(served: Model, handler: Handler, api: str) -> None:
    """A newer model behind a proxy: it takes `max_completion_tokens` only."""
    if "max_tokens" in served.requests[-1]:
        message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
        send(handler, 400, {"error": {"message": message, "param": "max_tokens", "code": "unsupported_parameter"}})
        return
    says()(served, handler, api)


def free_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


Script = Sequence[Behaviour]
