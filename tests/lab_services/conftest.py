"""The real sandbox, a tree to run in, and programs that serve."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from lab_sandbox.sandbox_place import PYTHON, Place

from events.values import Service
from learnd.lab.sandbox import Sandbox
from learnd.lab.services import Served, Step, run_served

Serve = Callable[..., Served]

ECHO = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    print("echo is here", flush=True)
    while True:
        one, _ = server.accept()
        while part := one.recv(100):
            one.sendall(part)
"""


@pytest.fixture(scope="session")
def served_sandbox() -> Sandbox:
    found = Sandbox("bubblewrap")
    report = found.self_test()
    if not report.ok:
        sentence = f"no sandbox here: {report.reason}. Next: {report.mend}"
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)
    return found


@pytest.fixture
def served_place(tmp_path: Path) -> Place:
    folders = [tmp_path / name for name in ("restored", "report", "origin", "outside")]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "notes.txt").write_text("two\n")
    (folders[0] / "echo.py").write_text(ECHO)
    return Place(*folders)


@pytest.fixture
def serve(served_sandbox: Sandbox, served_place: Place) -> Serve:
    """Run Python programs beside services."""

    def start(
        services: list[Service], *programs: str, timeout_s: float = 30, must: bool = False, **changes: object
    ) -> Served:
        steps = [Step((PYTHON, "-c", program), ".", {}, timeout_s, must) for program in programs]
        spec = served_place.spec(**changes)
        return run_served(served_sandbox, spec, services, steps, threading.Event())

    return start
