"""What is taken for the environment of a command, without executing anything."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from prove_project import command

from events.values import Scenario, ScenarioCommand
from learnd.lab.environment import Environment, code_folders, discover, environment_folders


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    return folder


def write(root: Path, *names: str, text: str = "") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def found(repo: Path, *commands: ScenarioCommand, files: tuple[str, ...] = ()) -> Environment:
    scenario = Scenario(source="execution_history", commands=commands or (command("sh", "-c", "true"),))
    return discover(repo, scenario, files, repo.parent / "copies")


def test_environment_folders_of_root_command_and_packages_are_found(repo: Path) -> None:
    write(repo, ".venv/pyvenv.cfg", "node_modules/a/index.js", "packages/x/node_modules/b/index.js", "sub/vendor/c.py")
    places = environment_folders(repo, ["packages/x/package.json", "sub/m.py"], ["sub/deep"])
    assert sorted(str(place.relative_to(repo)) for place in places) == [
        ".venv",
        "node_modules",
        "packages/x/node_modules",
        "sub/vendor",
    ]


def test_a_folder_with_a_tracked_file_in_it_is_never_bound(repo: Path) -> None:
    write(repo, "vendor/dep.py", "node_modules/a.js")
    assert environment_folders(repo, ["vendor/deeper/dep.py", "node_modules"], ["."]) == {}


def test_a_link_to_tracked_files_is_not_bound(repo: Path) -> None:
    write(repo, "src/mod.py")
    (repo / "vendor").symlink_to(repo / "src")
    assert environment_folders(repo, ["src/mod.py"], ["."]) == {}


def test_a_folder_that_is_only_called_like_an_environment_is_not_bound(repo: Path, tmp_path: Path) -> None:
    write(repo, "env/settings.ini", ".env/token")
    write(tmp_path, "secrets/token")
    (repo / "node_modules").symlink_to(tmp_path / "secrets")
    (repo / ".venv").symlink_to(tmp_path / "nowhere")
    (repo / "venv").symlink_to(repo / "venv")
    assert environment_folders(repo, [], [".", "../..", "/etc"]) == {}


def test_a_linked_environment_is_bound_where_the_link_stands(repo: Path, tmp_path: Path) -> None:
    write(tmp_path, "shared/env/pyvenv.cfg")
    (repo / ".venv").symlink_to(tmp_path / "shared/env")
    assert environment_folders(repo, [], ["."]) == {repo / ".venv": tmp_path / "shared/env"}


def test_code_named_by_pth_files_and_editable_finders_is_found(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    site = venv / "lib/python3.11/site-packages"
    write(tmp_path, "one/pkg/__init__.py", "two/other/__init__.py")
    write(site, "one.pth", text=f"import os\n{tmp_path / 'one'}\n/nowhere/at/all\nrelative\n")
    mapping = f"MAPPING: dict[str, str] = {{'other': '{tmp_path / 'two/other'}'}}\n"
    write(site, "__editable___two_finder.py", text=mapping)
    write(site, "__editable___bad_finder.py", text="MAPPING = {open('/etc/passwd')}\n")
    assert set(code_folders(venv)) == {tmp_path / "one", tmp_path / "two"}


def test_generated_files_beside_sources_are_copied_with_their_digests(repo: Path, tmp_path: Path) -> None:
    built = "pkg/fast.cpython-311-x86_64-linux-gnu.so"
    catalogue = "pkg/locale/ar/LC_MESSAGES/pkg.mo"
    write(repo, "pkg/_version.py", built, catalogue, "pkg/notes.txt", "pkg/local.py", text="v")
    write(tmp_path, "secret_version.py")
    (repo / "pkg/planted_version.py").symlink_to(tmp_path / "secret_version.py")
    sources = ("pkg/__init__.py", "pkg/tracked_version.py", "pkg/locale/ar/LC_MESSAGES/pkg.po")
    environment = found(repo, files=sources)
    assert {overlay.path: overlay.sha256 for overlay in environment.declared} == dict.fromkeys(
        ("pkg/_version.py", built, catalogue), hashlib.sha256(b"v").hexdigest()
    )
    copies = {inside: host for host, inside in environment.overlays}
    (repo / "pkg/_version.py").write_text("changed later")
    assert copies[repo / "pkg/_version.py"].read_text() == "v"


def test_an_executable_that_is_nowhere_is_named(repo: Path) -> None:
    environment = found(repo, command("no-such-runner-at-all", "-q"), command(".venv/bin/python", "-m", "pytest"))
    assert environment.missing == "no-such-runner-at-all, .venv/bin/python"


def test_the_environment_beside_the_command_comes_before_the_path(repo: Path) -> None:
    write(repo, ".venv/pyvenv.cfg", "sub/.venv/pyvenv.cfg")
    for venv in (".venv", "sub/.venv"):
        write(repo, f"{venv}/bin/sh")
        (repo / venv / "bin/sh").chmod(0o755)
    environment = found(repo, command("sh", "-c", "true", cwd="sub"))
    assert f"sh = {repo / 'sub/.venv/bin/sh'}" in environment.description


def test_path_starts_with_the_environment(repo: Path) -> None:
    write(repo, ".venv/pyvenv.cfg")
    environment = found(repo)
    assert environment.env["PATH"].split(":")[0] == str(repo / ".venv/bin")
    assert environment.env["VIRTUAL_ENV"] == str(repo / ".venv")
