"""A repository's worth of folders for one replay, and the real sandbox to run it in."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sandbox_place import PYTHON, Place, Run

from learnd.lab.sandbox import Sandbox, SandboxResult


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folders = [tmp_path / name for name in ("restored", "report", "origin", "outside")]
    for folder in folders:
        folder.mkdir()
    (tmp_path / "outside").chmod(0o777)
    (tmp_path / "outside/precious").write_text("untouched\n")
    (tmp_path / "outside/precious").chmod(0o666)
    (tmp_path / "restored/README").write_text("a tree\n")
    return Place(*folders)


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    found = Sandbox("bubblewrap")
    report = found.self_test()
    if not report.ok:
        sentence = f"no sandbox here: {report.reason}. Next: {report.mend}"
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)
    return found


@pytest.fixture
def run(sandbox: Sandbox, place: Place) -> Iterator[Run]:
    """Run argv in the sandbox; afterwards the host's file outside must be what it was."""

    def start(*argv: str, **changes: object) -> SandboxResult:
        return sandbox.run(place.spec(*argv, **changes), threading.Event())

    yield start
    assert (place.outside / "precious").read_text() == "untouched\n"
    assert sorted(entry.name for entry in place.outside.iterdir()) == ["precious"]


@pytest.fixture
def python(run: Run) -> Run:
    """Run a Python program in the sandbox by the interpreter these tests run under, wherever that lives."""

    def start(program: str, **changes: object) -> SandboxResult:
        return run(PYTHON, "-I", "-S", "-c", program, **changes)

    return start


@pytest.fixture
def alive() -> Callable[[str], list[int]]:
    """Processes of the whole machine whose command line holds a word."""

    def search(word: str) -> list[int]:
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                try:
                    if word.encode() in (folder / "cmdline").read_bytes():
                        found.append(int(folder.name))
                except OSError:
                    continue
        return found

    return search
