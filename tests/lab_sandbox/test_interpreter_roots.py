"""Interpreters are found by reading links and files; the layouts are those that the tools make."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sandbox_place import LIMITS, Place

from learnd.lab.interpreters import interpreter_env, interpreter_roots
from learnd.lab.sandbox import Sandbox


def program(path: Path) -> Path:
    """An executable that leaves a trace where it was run: none of these tests may find one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ntouch {path}.ran\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def nothing_was_executed(tmp_path: Path) -> object:
    yield
    assert list(tmp_path.rglob("*.ran")) == []


def python_prefix(prefix: Path) -> Path:
    python = program(prefix / "bin/python3.12")
    (prefix / "bin/python3").symlink_to("python3.12")
    (prefix / "bin/python").symlink_to("python3.12")
    (prefix / "lib/python3.12").mkdir(parents=True)
    (prefix / "lib/python3.12/os.py").write_text("")
    return python


def venv(folder: Path, base: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\nversion = 3.12\n")
    (folder / "bin/python").symlink_to(base)
    (folder / "bin/python3").symlink_to("python")
    program(folder / "bin/pytest")
    return folder


@pytest.mark.parametrize("name", ["python", "python3", "pytest"])
def test_a_virtual_environment_leads_to_its_base(tmp_path: Path, name: str) -> None:
    base = python_prefix(tmp_path / "pyenv/versions/3.12.1")
    environment = venv(tmp_path / "repository/.venv", base)
    assert interpreter_roots(environment / "bin" / name) == (tmp_path / "pyenv/versions/3.12.1",)


def test_an_environment_made_from_another_leads_through_both(tmp_path: Path) -> None:
    base = python_prefix(tmp_path / "uv/python/cpython-3.12.1")
    (tmp_path / "uv/python/cpython-3.12").symlink_to("cpython-3.12.1")
    environment = venv(tmp_path / "repository/.venv", tmp_path / "uv/python/cpython-3.12/bin/python3.12")
    roots = interpreter_roots(environment / "bin/python")
    assert set(roots) == {base.parent.parent, tmp_path / "uv/python/cpython-3.12"}


def test_node_go_and_rust_live_in_a_prefix_of_their_own(tmp_path: Path) -> None:
    node = program(tmp_path / ".nvm/versions/node/v22.1.0/bin/node")
    (node.parent.parent / "lib/node_modules/npm/bin").mkdir(parents=True)
    program(node.parent.parent / "lib/node_modules/npm/bin/npm-cli.js")
    (node.parent / "npm").symlink_to("../lib/node_modules/npm/bin/npm-cli.js")
    go = program(tmp_path / "sdk/go1.22/bin/go")
    (tmp_path / "sdk/go1.22/src/runtime").mkdir(parents=True)
    (tmp_path / "sdk/go1.22/src/runtime/runtime.go").write_text("")
    rustc = program(tmp_path / "toolchains/stable/bin/rustc")
    (tmp_path / "toolchains/stable/lib/rustlib").mkdir(parents=True)
    for executable in (node, node.parent / "npm", go, rustc):
        assert interpreter_roots(executable) == (executable.parent.parent,)


@pytest.mark.parametrize("hard", [True, False])
def test_rustups_stand_ins_need_its_toolchains_but_not_cargos_credentials(tmp_path: Path, hard: bool) -> None:
    rustup = program(tmp_path / "me/.cargo/bin/rustup")
    cargo = rustup.parent / "cargo"
    cargo.hardlink_to(rustup) if hard else cargo.symlink_to("rustup")
    (tmp_path / "me/.cargo/registry").mkdir()
    (tmp_path / "me/.cargo/credentials.toml").write_text("token")
    (tmp_path / "me/.rustup/toolchains").mkdir(parents=True)
    wanted = {rustup.parent, tmp_path / "me/.cargo/registry", tmp_path / "me/.rustup"}
    assert set(interpreter_roots(cargo)) == wanted
    assert interpreter_env(cargo) == {
        "CARGO_HOME": str(tmp_path / "me/.cargo"),
        "RUSTUP_HOME": str(tmp_path / "me/.rustup"),
    }


def test_pyenvs_shims_need_pyenv(tmp_path: Path) -> None:
    shim = program(tmp_path / ".pyenv/shims/python")
    (tmp_path / ".pyenv/versions").mkdir()
    assert interpreter_roots(shim) == (tmp_path / ".pyenv",)
    assert interpreter_env(shim) == {"PYENV_ROOT": str(tmp_path / ".pyenv")}


def test_a_program_without_a_toolchain_is_bound_alone(tmp_path: Path) -> None:
    tool = program(tmp_path / "bin/tool")
    assert interpreter_roots(tool) == (tool,)
    assert interpreter_env(tool) == {}


def test_what_the_sandbox_sees_anyway_needs_no_bind(tmp_path: Path) -> None:
    assert interpreter_roots(Path("/usr/bin/env")) == ()
    assert interpreter_roots(Path("/bin/sh")) == ()
    assert interpreter_roots(program(tmp_path / "node_modules/jest/bin/jest.js")) == ()
    assert interpreter_roots(tmp_path / "no/such/program") == ()


def test_a_planted_configuration_cannot_bind_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "me"
    python_prefix(home)
    monkeypatch.setenv("HOME", str(home))
    environment = venv(tmp_path / "repository/.venv", home / "bin/python3.12")
    roots = interpreter_roots(environment / "bin/python")
    assert home not in roots
    assert all(root.is_file() for root in roots)


@pytest.mark.parametrize("text", ["home = /root/.ssh\n", "home = relative\n", "home\n", "\udcff\n" * 3, ""])
def test_a_configuration_that_says_nothing_useful_is_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/pyvenv.cfg").write_bytes(os.fsencode(text))
    (tmp_path / ".venv/bin/python").symlink_to(tmp_path / ".venv/bin/python")
    assert all(root.is_relative_to(tmp_path) for root in interpreter_roots(tmp_path / ".venv/bin/python"))


@pytest.mark.sandbox
@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="these tests run under no virtual environment")
def test_the_environment_of_these_tests_works_inside(sandbox: Sandbox, place: Place) -> None:
    """An environment below a folder that is closed to others (pyenv in /root) bound into the tree at its own path."""
    environment = Path(sys.prefix)
    spec = place.spec(str(place.origin / ".venv/bin/python"), "-c", "import pytest, sys; print(sys.prefix)")
    spec = replace(
        spec,
        read_only_binds=(*spec.read_only_binds, (environment, place.origin / ".venv")),
        limits=replace(LIMITS, memory_mb=2048),
    )
    result = sandbox.run(spec, threading.Event())
    assert result.output.decode().strip() == str(place.origin / ".venv")
