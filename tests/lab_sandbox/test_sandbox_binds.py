"""What may never be bound, whatever it is called and wherever links lead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sandbox_place import Place

from learnd.lab.binds import RunRefused, admissible, make_mount_points, mounts_of
from learnd.lab.launcher import replay_user


@pytest.mark.parametrize(
    "path", ["/", "/home", "/root", "/etc", "/etc/ssl", "/proc/self", "/sys", "/dev", "/run", "/var/lib"]
)
def test_refused_when_it_is_the_system_or_everyones_home(path: str) -> None:
    with pytest.raises(RunRefused):
        admissible(Path(path))


def test_refused_when_it_is_the_daemons_own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "home/me"
    (home / ".pyenv").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for path in (home, home.parent, tmp_path):
        with pytest.raises(RunRefused, match="home directory"):
            admissible(path)
    assert admissible(home / ".pyenv") == home / ".pyenv"


@pytest.mark.parametrize("name", [".ssh", ".aws", ".gnupg", ".config/gh", ".kube/cache"])
def test_refused_when_a_link_of_the_repository_leads_to_credentials(tmp_path: Path, name: str) -> None:
    secret = tmp_path / "someone" / name
    secret.mkdir(parents=True)
    link = tmp_path / "repository-venv"
    link.symlink_to(secret)
    with pytest.raises(RunRefused, match="where credentials are kept"):
        admissible(link)


def test_refused_when_the_folder_holds_credentials(tmp_path: Path) -> None:
    (tmp_path / "looks-like-a-home/.netrc").parent.mkdir()
    (tmp_path / "looks-like-a-home/.netrc").write_text("")
    with pytest.raises(RunRefused, match="which holds credentials"):
        admissible(tmp_path / "looks-like-a-home")


def test_refused_when_it_leads_nowhere_or_round_in_circles(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for name in ("circle", "missing"):
        with pytest.raises(RunRefused, match="cannot be resolved"):
            admissible(tmp_path / name)


def test_a_folder_of_the_repository_may_be_shown_wherever_that_stands() -> None:
    folder = next(entry for entry in Path("/var/lib").iterdir() if entry.is_dir() and not entry.is_symlink())
    assert admissible(folder, Path("/var/lib")) == folder
    with pytest.raises(RunRefused):
        admissible(folder, Path("/var/lib/other"))


def test_an_interpreter_of_nvm_below_the_configuration_folder_may_be_shown(tmp_path: Path) -> None:
    prefix = tmp_path / ".config/nvm/versions/node/v22"
    prefix.mkdir(parents=True)
    assert admissible(prefix) == prefix


@pytest.mark.parametrize("inside", ["relative", "/a/../b"])
def test_refused_when_the_place_inside_is_no_plain_absolute_path(place: Place, inside: str) -> None:
    with pytest.raises(RunRefused, match="absolute path"):
        mounts_of(place.spec("true", read_only_binds=((place.tree, Path(inside)),)))


def test_refused_when_a_bind_would_cover_the_tree(place: Place) -> None:
    with pytest.raises(RunRefused, match="not the repository itself"):
        mounts_of(place.spec("true", read_only_binds=((place.outside, place.origin),)))


def test_mounts_come_outermost_first_and_overlays_last(place: Place, tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "f").write_text("")
    binds = ((tmp_path / "v", place.origin / "a/.venv"), (tmp_path / "v", place.origin.parent))
    mounts = mounts_of(place.spec("true", read_only_binds=binds, overlays=((tmp_path / "f", place.origin / "a/x.py"),)))
    order = [mount.inside for mount in mounts if mount.inside.is_relative_to(place.origin.parent)]
    assert order == [place.origin.parent, place.origin, place.origin / "a/.venv", place.origin / "a/x.py"]


def test_mount_points_are_made_as_what_is_bound_there(place: Place, tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "f").write_text("")
    binds = ((tmp_path / "v", place.origin / "deep/er/.venv"), (tmp_path / "v", Path("/elsewhere")))
    spec = place.spec("true", read_only_binds=binds, overlays=((tmp_path / "f", place.origin / "deep/version.py"),))
    user = replay_user(os.getuid(), os.getgid())
    for _ in range(2):  # a tree is used again
        make_mount_points(spec, mounts_of(spec), user)
    assert (place.tree / "deep/er/.venv").is_dir()
    assert (place.tree / "deep/version.py").read_bytes() == b""
    assert {(place.tree / name).stat().st_uid for name in ("deep", "deep/er/.venv", "deep/version.py")} == {user.uid}
    assert list(place.origin.iterdir()) == []


def test_refused_when_the_tree_has_another_kind_of_file_there(place: Place, tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (place.tree / "file").write_text("")
    (place.tree / "link").symlink_to(tmp_path / "v")
    for inside in ("file", "file/below", "link", "link/below"):
        spec = place.spec("true", read_only_binds=((tmp_path / "v", place.origin / inside),))
        with pytest.raises(RunRefused, match="a link or a file of another kind"):
            make_mount_points(spec, mounts_of(spec), replay_user(1, 1))
    (place.tree / "version.py").symlink_to(place.outside / "precious")
    spec = place.spec("true", overlays=((place.tree / "file", place.origin / "version.py"),))
    with pytest.raises(RunRefused, match="a link or a file of another kind"):
        make_mount_points(spec, mounts_of(spec), replay_user(1, 1))
    assert list((tmp_path / "v").iterdir()) == []
