"""A change of lock files brings its environment: installed once, and read-only to replays without a network."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prove_project import Project, command

from events.values import Installation
from learnd.assets import agent_dir
from learnd.lab import templates
from learnd.lab.environments import sweep_environments
from learnd.lab.installing import installations

pytestmark = pytest.mark.sandbox
STACKS = templates.load(agent_dir() / "task/templates").stacks


@dataclass
class Index:
    """A package index on this machine's loopback. `files` are its answers by path, `asked` what was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def wheel(self, version: str, text: str) -> None:
        name = f"learnd_demo-{version}-py3-none-any.whl"
        file = io.BytesIO()
        info = f"learnd_demo-{version}.dist-info"
        with zipfile.ZipFile(file, "w") as wheel:
            wheel.writestr("learnd_demo.py", text)
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: learnd-demo\nVersion: {version}\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", f"learnd_demo.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
        self.files[f"/{name}"] = file.getvalue()
        names = [path for path in self.files if path.endswith(".whl")]
        self.files["/simple/learnd-demo/"] = "".join(f'<a href="{path}">{path[1:]}</a>' for path in names).encode()

    def tarball(self, version: str, text: str) -> None:
        file = io.BytesIO()
        manifest = json.dumps({"name": "learnd-demo", "version": version, "main": "index.js"})
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, content in (("package/package.json", manifest), ("package/index.js", text)):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content.encode()))
        self.files[f"/learnd-demo-{version}.tgz"] = file.getvalue()
        dist = {"tarball": f"{self.url}/learnd-demo-{version}.tgz"}
        versions = {version: {"name": "learnd-demo", "version": version, "dist": dist}}
        about = {"name": "learnd-demo", "dist-tags": {"latest": version}, "versions": versions}
        self.files["/learnd-demo"] = json.dumps(about).encode()


@pytest.fixture
def index() -> Iterator[Index]:
    found = Index()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            body = found.files.get(self.path)
            self.send_response(200 if body is not None else 404)
            kind = "application/json" if body and body.startswith(b"{") else "text/html"
            self.send_header("Content-Type", kind if not self.path.endswith((".whl", ".tgz")) else "application/zip")
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            """Say nothing: tests show what fails."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def wanted(project: Project, changed: tuple[str, ...], before: dict[str, str]) -> tuple[Installation, ...]:
    files = frozenset(str(path.relative_to(project.repo)) for path in project.repo.rglob("*") if path.is_file())
    return installations(
        changed, files, STACKS,
        lambda path: before[path].encode() if path in before else None,
        lambda path: (project.repo / path).read_bytes() if path in files else None,
    )  # fmt: skip


TEST = (
    "import unittest, mod\n\n\nclass T(unittest.TestCase):\n"
    "    def test_price(self):\n        self.assertEqual(mod.price(), {})\n"
)
OFFLINE = (
    "import socket, unittest\n\n\nclass N(unittest.TestCase):\n    def test_no_network(self):\n"
    "        self.assertRaises(OSError, socket.create_connection, ('127.0.0.1', {}), 2)\n"
)


def python_project(project: Project, index: Index) -> tuple[Installation, ...]:
    """A fix that needs version 2 of what its requirements name."""
    index.wheel("1.0", "one = 1\n")
    index.wheel("2.0", "one = 1\ntwo = 2\n")
    pinned = f"-i {index.url}/simple\nlearnd-demo=={{}}\n"
    base = {"requirements.txt": pinned.format("1.0"), "mod.py": "import learnd_demo\n\n\ndef price():\n    return 1\n",
            "test_mod.py": TEST.format(1)}  # fmt: skip
    project.base(base)
    project.write({
        "requirements.txt": pinned.format("2.0"),
        "mod.py": "import learnd_demo\n\n\ndef price():\n    return getattr(learnd_demo, 'two')\n",
        "test_mod.py": TEST.format(2), "test_net.py": OFFLINE.format(index.url.rsplit(":", 1)[-1]),
    })  # fmt: skip
    return wanted(project, ("mod.py", "requirements.txt", "test_mod.py"), base)


UNITTEST = command("python", "-m", "unittest", "test_mod", "test_net", runner="unittest")


def test_a_changed_requirement_is_installed_once_and_replays_stay_off_the_network(
    project: Project, index: Index
) -> None:
    asked_for = python_project(project, index)
    assert [(one.stack, one.package, one.files) for one in asked_for] == [("python", ".", ("requirements.txt",))]
    record, store = project.snapshot()

    off = project.prove_record(record, store, UNITTEST, installations=asked_for)
    assert (off.verdict, off.cause) == ("inconclusive", "environment"), off
    assert "lab.setup_network = true" in off.detail
    assert index.asked == []

    on = project.prove_record(record, store, UNITTEST, installations=asked_for, setup_network=True)
    assert (on.verdict, on.cause) == ("proven", None), on
    assert "made from requirements.txt" in (on.environment or "")
    assert on.transitions is not None
    assert on.transitions.fail_to_pass.ids == ("test_mod.T.test_price",)
    assert any(path.endswith("learnd_demo-2.0-py3-none-any.whl") for path in index.asked)

    index.asked.clear()
    again = project.prove_record(record, store, UNITTEST, installations=asked_for)  # from the cache: no network needed
    assert (again.verdict, index.asked) == ("proven", [])

    cache = project.place / "environments"
    assert sweep_environments(cache) == 0
    assert sweep_environments(cache, at_most=0) > 1_000_000
    assert not list(cache.glob("*/*"))


def test_the_old_environment_is_used_where_it_suffices_and_said_so(project: Project) -> None:
    base = {"requirements.txt": "six==1.0\n", "mod.py": "def price():\n    return 1\n", "test_mod.py": TEST.format(1)}
    project.base(base)
    project.write({
        "requirements.txt": "six==2.0\n", "mod.py": "def price():\n    return 2\n", "test_mod.py": TEST.format(2)
    })  # fmt: skip
    record, store = project.snapshot()
    asked_for = wanted(project, ("requirements.txt",), base)
    run = command("python3", "-m", "unittest", "test_mod", runner="unittest")
    evidence = project.prove_record(record, store, run, installations=asked_for)
    assert evidence.verdict == "proven", evidence
    assert "replayed in the one that is there" in evidence.detail


def test_a_package_that_cannot_be_had_is_an_environment_s_failure(project: Project, index: Index) -> None:
    asked_for = python_project(project, index)
    index.files.clear()
    record, store = project.snapshot()
    evidence = project.prove_record(record, store, UNITTEST, installations=asked_for, setup_network=True)
    assert (evidence.verdict, evidence.cause) == ("inconclusive", "environment"), evidence
    assert "set-up from requirements.txt failed" in evidence.detail
    assert not [path for path in (project.place / "environments").glob("*/*") if not path.name.startswith(".gone")]


def test_a_changed_package_json_is_installed(project: Project, index: Index) -> None:
    index.tarball("2.0.0", "exports.two = 2;\n")
    test = (
        "const {test} = require('node:test');\n"
        "test('price', () => require('assert').equal(require('./mod').price(), %d));\n"
    )
    base = {".npmrc": f"registry={index.url}/\n", "package.json": '{"name": "shop", "dependencies": {}}',
            "mod.js": "exports.price = () => 1;\n", "mod.test.js": test % 1}  # fmt: skip
    project.base(base)
    project.write({"package.json": '{"name": "shop", "dependencies": {"learnd-demo": "2.0.0"}}',
                   "mod.js": "exports.price = () => require('learnd-demo').two;\n",
                   "mod.test.js": test % 2})  # fmt: skip
    record, store = project.snapshot()
    asked_for = wanted(project, ("package.json", "mod.js"), base)
    assert [(one.stack, one.folder) for one in asked_for] == [("npm", "node_modules")]
    run = command("node", "--test", runner="node_test")
    evidence = project.prove_record(record, store, run, installations=asked_for, setup_network=True, memory_mb=1 << 16)
    assert evidence.verdict == "proven", evidence
    assert "/learnd-demo-2.0.0.tgz" in index.asked


def test_the_live_environment_s_place_is_taken(project: Project, index: Index) -> None:
    asked_for = python_project(project, index)
    live = project.repo / "venv"
    (live / "bin").mkdir(parents=True)
    (live / "pyvenv.cfg").write_text("home = /usr/bin\n")
    Path(live / "bin/python").symlink_to("/usr/bin/python3")
    record, store = project.snapshot()
    run = command("venv/bin/python", "-m", "unittest", "test_mod", runner="unittest")
    evidence = project.prove_record(record, store, run, installations=asked_for, setup_network=True)
    assert evidence.verdict == "proven", evidence
    assert f"environment {live} made from requirements.txt" in (evidence.environment or "")
