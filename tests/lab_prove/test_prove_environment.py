"""Whose code ran: environments found and bound around the restored tree, and foreign code told apart from it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from prove_project import Project, command

pytestmark = pytest.mark.sandbox

MOD = "def half(n):\n    return n // 2\n"
FIXED = "def half(n):\n    return n / 2\n"
TEST = "from pkg.mod import half\n\n\ndef test_half():\n    assert half(3) == 1.5\n"
SRC_BASE = {"src/pkg/__init__.py": "", "src/pkg/mod.py": MOD, "tests/test_mod.py": "def test_nothing():\n    pass\n"}


def make_venv(folder: Path, *pth: str) -> Path:
    """A real virtual environment without pip; its packages are ours, by a `.pth` file. Returns its site-packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "packages.pth").write_text("\n".join((sysconfig.get_path("purelib"), *pth)) + "\n")
    return site


def pytest_of(python: str) -> tuple[str, ...]:
    return (python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")


@pytest.mark.parametrize("recorded", ["absolute", "relative", "bare"])
def test_an_editable_install_runs_the_restored_code_not_the_live(project: Project, recorded: str) -> None:
    project.base(SRC_BASE)
    make_venv(project.repo / ".venv", str(project.repo / "src"))
    project.write({"src/pkg/mod.py": FIXED, "tests/test_mod.py": TEST})
    record, store = project.snapshot()
    # The live tree goes on: were it imported, base and snapshot would both run this.
    project.write({"src/pkg/mod.py": "def half(n):\n    return 'live'\n"})
    python = {"absolute": str(project.repo / ".venv/bin/python"), "relative": ".venv/bin/python", "bare": "python"}
    evidence = project.prove_record(record, store, command(*pytest_of(python[recorded])))
    assert (evidence.verdict, evidence.cause) == ("proven", None), evidence
    assert evidence.hunks[0].verdict == "exercised"
    assert evidence.environment is not None
    assert f"environment {project.repo / '.venv'}" in evidence.environment


def test_an_environment_outside_the_repository_is_bound_at_its_own_path(project: Project, tmp_path: Path) -> None:
    project.base(SRC_BASE)
    make_venv(tmp_path / "elsewhere/env", str(project.repo / "src"))
    run = command(*pytest_of(str(tmp_path / "elsewhere/env/bin/python")))
    evidence = project.prove({"src/pkg/mod.py": FIXED, "tests/test_mod.py": TEST}, run)
    assert evidence.verdict == "proven", evidence


def test_inconclusive_when_the_changed_module_comes_from_site_packages(project: Project) -> None:
    project.base(SRC_BASE)
    site = make_venv(project.repo / ".venv")
    (site / "pkg").mkdir()
    (site / "pkg/__init__.py").write_text("")
    (site / "pkg/mod.py").write_text(FIXED)
    run = command(*pytest_of(str(project.repo / ".venv/bin/python")))
    evidence = project.prove({"src/pkg/mod.py": FIXED, "tests/test_mod.py": TEST}, run)
    assert (evidence.verdict, evidence.cause) == ("inconclusive", "foreign_code")
    assert "src/pkg/mod.py" in evidence.detail
    assert "site-packages/pkg/mod.py" in evidence.detail


def test_foreign_code_is_seen_in_a_child_that_leaves_without_clean_up(project: Project) -> None:
    project.base(SRC_BASE)
    site = make_venv(project.repo / ".venv")
    (site / "pkg").mkdir()
    (site / "pkg/__init__.py").write_text("")
    (site / "pkg/mod.py").write_text(FIXED)
    child = "import os, pkg.mod; os._exit(0 if pkg.mod.half(3) == 1.5 else 1)"
    call = f"subprocess.call([sys.executable, '-c', {child!r}])"
    test = f"import subprocess, sys\n\n\ndef test_child():\n    assert {call} == 0\n"
    run = command(*pytest_of(str(project.repo / ".venv/bin/python")))
    evidence = project.prove({"src/pkg/mod.py": FIXED, "tests/test_mod.py": test}, run)
    assert (evidence.verdict, evidence.cause) == ("inconclusive", "foreign_code")


def test_a_generated_file_the_tests_need_is_a_declared_overlay(project: Project) -> None:
    package = {"pkg/__init__.py": "from pkg._version import version\n", "pkg/mod.py": MOD}
    project.base({**package, "tests/test_mod.py": "def test_nothing():\n    pass\n"})
    project.write({"pkg/_version.py": "version = '1.0'\n", "pkg/notes.txt": "not ignored\n"})
    evidence = project.prove({"pkg/mod.py": FIXED, "tests/test_mod.py": TEST})
    assert evidence.verdict == "proven", evidence
    assert [overlay.path for overlay in evidence.overlays] == ["pkg/_version.py"]


def test_the_environment_cannot_be_written_to(project: Project) -> None:
    project.base(SRC_BASE)
    site = make_venv(project.repo / ".venv", str(project.repo / "src"))
    test = TEST + f"\n\ndef test_write():\n    open({str(site / 'planted.py')!r}, 'w')\n"
    run = command(*pytest_of(str(project.repo / ".venv/bin/python")))
    evidence = project.prove({"src/pkg/mod.py": FIXED, "tests/test_mod.py": test}, run)
    assert evidence.verdict == "failed"
    assert not (site / "planted.py").exists()


def test_an_environment_folder_that_leads_to_no_environment_is_not_bound(project: Project, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "token").write_text("s3cret")
    project.base(SRC_BASE)
    for name in (".venv", "node_modules", "vendor"):
        (project.repo / name).symlink_to(secrets)
    (project.repo / ".git/info/exclude").write_text("node_modules\nvendor\n.venv\n")
    test = TEST + "\n\ndef test_hidden():\n    import pathlib\n    assert not list(pathlib.Path('.').glob('*/token'))\n"
    run = command(*pytest_of(sys.executable), env={"PYTHONPATH": "src"})
    evidence = project.prove({"src/pkg/mod.py": FIXED, "tests/test_mod.py": test}, run)
    assert evidence.verdict == "proven", evidence


def test_a_tracked_environment_folder_is_the_restored_one(project: Project) -> None:
    project.base({**SRC_BASE, "vendor/dep.py": "VALUE = 1\n"})
    test = TEST + "\n\ndef test_dep():\n    import dep\n    assert dep.VALUE == 1\n"
    project.write({"src/pkg/mod.py": FIXED, "tests/test_mod.py": test})
    record, store = project.snapshot()
    project.write({"vendor/dep.py": "VALUE = 2\n"})
    run = command(*pytest_of(sys.executable), env={"PYTHONPATH": "src:vendor"})
    assert project.prove_record(record, store, run).verdict == "proven"


def test_git_inside_knows_the_repository_and_nothing_of_its_history(project: Project) -> None:
    project.base(SRC_BASE)
    test = TEST + (
        "\n\ndef test_git():\n    import os, subprocess\n"
        "    top = subprocess.check_output(['git', 'rev-parse', '--show-toplevel'], text=True)\n"
        "    assert os.path.samefile(top.strip(), os.getcwd())\n"
        "    assert subprocess.run(['git', 'log'], capture_output=True).returncode != 0\n"
    )
    run = command(*pytest_of(sys.executable), env={"PYTHONPATH": "src"})
    evidence = project.prove({"src/pkg/mod.py": FIXED, "tests/test_mod.py": test}, run)
    assert evidence.verdict == "proven", evidence
