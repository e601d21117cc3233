"""`learnd init`: shown first, done once, nothing overwritten, nothing behind a link."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnd import layout
from learnd.assets import agent_dir
from learnd.layout import AppendLines, CreateFile
from learnd.library.files import FOLDERS
from learnd.library.folders import FolderRefused


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    path = tmp_path / "repo"
    path.mkdir()
    return path


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_planning_changes_nothing_and_says_all(repo: Path) -> None:
    planned = layout.plan(repo)
    assert not list(repo.iterdir())
    lines = planned.describe()
    assert "create .agent/patterns/active/README.md" in lines
    assert "create .agent/SOPs/incident-response.md" in lines
    assert "create .agent/commands/learn.md" in lines
    assert "append to .gitignore: /.runs/ /learning-snapshots/ /out/*/state.json" in lines


def test_what_was_planned_is_what_is_done(repo: Path) -> None:
    planned = layout.plan(repo)
    applied = layout.apply(planned)
    assert applied.done == planned.steps
    assert not applied.left
    assert set(contents(repo)) == {str(step.path) for step in planned.steps}
    for name in FOLDERS:
        assert (repo / ".agent/patterns" / name).is_dir()


def test_a_second_time_there_is_nothing_to_do(repo: Path) -> None:
    layout.apply(layout.plan(repo))
    before = contents(repo)
    again = layout.plan(repo)
    assert again.describe() == ()
    layout.apply(again)
    assert contents(repo) == before


def test_an_old_plan_applied_late_overwrites_nothing(repo: Path) -> None:
    planned = layout.plan(repo)
    layout.apply(planned)
    own = repo / ".agent/SOPs/incident-response.md"
    own.write_text("ours")
    before = contents(repo)
    applied = layout.apply(planned)
    assert contents(repo) == before
    assert {step.path.name for step in applied.done} <= {".gitignore"}
    assert all("meanwhile" in left.reason for left in applied.left)


def test_a_persons_file_is_kept_and_named(repo: Path) -> None:
    own = repo / ".agent/SOPs/incident-response.md"
    own.parent.mkdir(parents=True)
    own.write_text("ours")
    planned = layout.plan(repo)
    assert "leave .agent/SOPs/incident-response.md: it is there and differs from the shipped one" in planned.describe()
    layout.apply(planned)
    assert own.read_text() == "ours"


def test_neither_templates_nor_packs_nor_foreign_patterns_are_laid_out(repo: Path) -> None:
    paths = {step.path.parts for step in layout.plan(repo).steps}
    assert all(parts[1] in ("patterns", "SOPs", "commands") for parts in paths if parts[0] == ".agent")
    assert all(parts[-1] == "README.md" for parts in paths if parts[:2] == (".agent", "patterns"))


@pytest.mark.parametrize("part", [".agent", ".agent/patterns", ".agent/patterns/active", ".agent/SOPs"])
def test_nothing_is_written_behind_a_planted_link(repo: Path, tmp_path: Path, part: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (repo / part).parent.mkdir(parents=True, exist_ok=True)
    (repo / part).symlink_to(outside)
    planned = layout.plan(repo)
    assert any(str(left.path).startswith(part) and "is a link" in left.reason for left in planned.left)
    layout.apply(planned)
    assert not list(outside.iterdir())


def test_a_link_planted_after_the_plan_is_not_followed_either(repo: Path, tmp_path: Path) -> None:
    planned = layout.plan(repo)
    outside = tmp_path / "outside"
    outside.mkdir()
    (repo / ".agent").symlink_to(outside)
    applied = layout.apply(planned)
    assert [step.path.name for step in applied.done] == [".gitignore"]
    assert all("is a link" in left.reason for left in applied.left)
    assert not list(outside.iterdir())


def test_a_gitignore_that_is_a_link_is_left(repo: Path, tmp_path: Path) -> None:
    outside = tmp_path / "ignore"
    outside.write_text("x\n")
    (repo / ".gitignore").symlink_to(outside)
    layout.apply(layout.plan(repo))
    assert outside.read_text() == "x\n"
    assert (repo / ".gitignore").is_symlink()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderRefused, match="no such folder"):
        layout.plan(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "line", [".runs", ".runs/", "/.runs", "/.runs/", ".runs/*", ".runs/**", "**/.runs/", "!.runs/", " .runs/ "]
)
def test_a_line_that_is_there_in_any_form_is_not_added(repo: Path, line: str) -> None:
    (repo / ".gitignore").write_text(f"{line}\nout/\n")
    (step,) = [step for step in layout.plan(repo).steps if isinstance(step, AppendLines)]
    assert step.lines == ("/learning-snapshots/",)


@given(st.binary(max_size=60))
def test_every_byte_of_a_gitignore_stays(tmp_path_factory: pytest.TempPathFactory, before: bytes) -> None:
    repo = tmp_path_factory.mktemp("repo")
    (repo / ".gitignore").write_bytes(before)
    layout.apply(layout.plan(repo))
    after = (repo / ".gitignore").read_bytes()
    assert after.startswith(before)
    assert layout.plan(repo).steps == ()


def test_git_ignores_what_runs_leave_and_nothing_else(repo: Path) -> None:
    (repo / ".gitignore").write_bytes(b"*.pyc\r\n*.o")
    (repo / ".gitignore").chmod(0o600)
    layout.apply(layout.plan(repo))
    assert (repo / ".gitignore").stat().st_mode & 0o777 == 0o600
    subprocess.run(["git", "init", "-q", str(repo)], check=True)
    ignored = [".runs/t/cli/r/manifest.json", "learning-snapshots/t/r.tar.gz", "out/t/state.json", "a.pyc", "a.o"]
    kept = ["out/page.html", "src/.runs/x", ".agent/patterns/active/README.md", "a.py"]
    found = subprocess.run(
        ["git", "-C", str(repo), "check-ignore", *ignored, *kept], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert found == ignored


def test_shipped_files_are_the_ones_in_the_assets(repo: Path) -> None:
    for step in layout.plan(repo).steps:
        if isinstance(step, CreateFile):
            assert step.content == agent_dir().joinpath(*step.path.parts[1:]).read_bytes()
