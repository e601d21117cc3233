"""What a look settled is not looked at again, over restarts; whatever may be otherwise is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.repos import make_repo, manifest, put_manifest

from learnd.engine import Engine
from learnd.intake import Seen
from learnd.repositories import register
from learnd.settings import Settings
from learnd.signatures import NAME
from learnd.views.queries import WorkTreeRow

OLD = {"started_at": "2020-01-01T00:00:00.000Z", "completed_at": "2020-01-01T00:00:01.000Z"}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return make_repo(tmp_path / "repo")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state")


def swept(settings: Settings, repo: Path) -> dict[str, str]:
    """Start, sweep once, stop: the manifests that were looked at, by their run, and what came of it."""
    found: dict[str, str] = {}
    with Engine.opened(settings) as engine:
        tree = register(engine.door, engine.views(), repo, "anna")

        def look(path: Path) -> Seen | None:
            seen = engine.look(path, tree)
            found[path.parent.name] = seen.what if seen else "not now"
            return seen

        for _ in engine.intake.sweep(tree, look):
            pass
    return found


def test_nothing_settled_is_looked_at_after_a_restart(settings: Settings, repo: Path) -> None:
    swept(settings, repo)
    put_manifest(repo, manifest(run="good"))
    put_manifest(repo, manifest(run="old", **OLD))
    put_manifest(repo, manifest(run="strange", version=99, runner=None))
    assert swept(settings, repo) == {"good": "run", "old": "refused", "strange": "not_a_run"}
    assert swept(settings, repo) == {}


def test_a_manifest_that_changed_while_learnd_was_down_is_looked_at(settings: Settings, repo: Path) -> None:
    put_manifest(repo, manifest(run="again", **OLD))
    put_manifest(repo, manifest(run="still", **OLD))
    swept(settings, repo)
    put_manifest(repo, manifest(run="again"))
    put_manifest(repo, manifest(run="new"))
    assert swept(settings, repo) == {"again": "run", "new": "run"}


def test_the_same_size_and_time_in_another_file_is_a_change(settings: Settings, repo: Path) -> None:
    path = put_manifest(repo, manifest(run="twin", **OLD))
    swept(settings, repo)
    twin = path.with_name("twin")
    shutil.copy2(path, twin)
    twin.rename(path)
    assert swept(settings, repo) == {"twin": "refused"}


def test_what_could_not_be_read_or_was_in_progress_is_looked_at_after_every_start(
    settings: Settings, repo: Path
) -> None:
    put_manifest(repo, manifest(run="half"), text='{"version": 1, ')
    put_manifest(repo, manifest(run="going", status="in_progress", completed_at=None, started_at=OLD["started_at"]))
    first = swept(settings, repo)
    assert first == {"half": "unreadable", "going": "waiting"}
    assert swept(settings, repo) == first


def test_a_log_that_knows_less_is_told_again(settings: Settings, repo: Path, tmp_path: Path) -> None:
    swept(settings, repo)
    backup = tmp_path / "backup.db"
    shutil.copy(settings.log_path, backup)
    put_manifest(repo, manifest(run="lost"))
    assert swept(settings, repo) == {"lost": "run"}
    shutil.copy(backup, settings.log_path)
    for side in settings.state_dir.glob("anchor*"):
        shutil.rmtree(side) if side.is_dir() else side.unlink()
    assert swept(settings, repo) == {"lost": "run"}


def test_another_registration_of_the_same_folder_looks_anew(settings: Settings, repo: Path) -> None:
    put_manifest(repo, manifest(run="old", **OLD))
    assert swept(settings, repo) == {"old": "refused"}
    shutil.rmtree(repo / ".git")
    shutil.move(make_repo(repo.parent / "other") / ".git", repo / ".git")
    (repo / "calc.py").touch()
    assert swept(settings, repo) in ({"old": "refused"}, {"old": "run"})


def test_a_work_tree_that_was_left_is_forgotten(settings: Settings, repo: Path) -> None:
    put_manifest(repo, manifest(run="old", **OLD))
    with Engine.opened(settings) as engine:
        tree: WorkTreeRow = register(engine.door, engine.views(), repo, "anna")
        seen: list[Seen] = list(engine.sweep(tree))
        engine.intake.leave_all_but(())
        seen += engine.sweep(tree)
    assert [one.what for one in seen] == ["refused", "refused"]


@pytest.mark.parametrize(
    "spoil", [lambda file: file.write_bytes(b"SQLite format 3\0" + b"x" * 5000), lambda file: file.unlink()],
    ids=["garbage", "gone"],
)  # fmt: skip
def test_the_file_can_be_lost(settings: Settings, repo: Path, spoil: Callable[[Path], None]) -> None:
    put_manifest(repo, manifest(run="old", **OLD))
    swept(settings, repo)
    spoil(settings.state_dir / NAME)
    assert swept(settings, repo) == {"old": "refused"}
    assert swept(settings, repo) == {}


def test_a_deleted_run_that_comes_back_is_looked_at(settings: Settings, repo: Path) -> None:
    path = put_manifest(repo, manifest(run="old", **OLD))
    swept(settings, repo)
    aside = repo.parent / "aside"
    path.rename(aside)
    assert swept(settings, repo) == {}
    aside.rename(path)
    assert swept(settings, repo) == {"old": "refused"}
