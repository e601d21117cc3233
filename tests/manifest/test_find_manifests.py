"""The sweep finds each manifest once, in any layout, and never leaves the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from manifest_samples import put

from learnd.manifest.find import MAX_DEPTH, find_manifests


def found_in(repo: Path) -> list[str]:
    return sorted(os.path.relpath(found.path, repo.resolve() / ".runs") for found in find_manifests(repo))


def test_every_layout_is_found(repo: Path) -> None:
    places = ["t/cli/r", "t/mcp/r", "local-mcp/r", "7/r", "t/spec-approvals/r", "r"]
    for place in places:
        put(repo, "{}", f".runs/{place}/manifest.json")
    assert found_in(repo) == sorted(f"{place}/manifest.json" for place in places)


def test_the_parts_of_a_run_are_not_looked_into_but_tasks_of_those_names_are(repo: Path) -> None:
    put(repo, "{}", ".runs/t/cli/r/manifest.json")
    for part in ("commands", "errors", "learning", "memory"):
        put(repo, "{}", f".runs/t/cli/r/{part}/manifest.json")
        put(repo, "{}", f".runs/{part}/cli/r/manifest.json")
    tasks = [f"{part}/cli/r/manifest.json" for part in ("commands", "errors", "learning", "memory")]
    assert found_in(repo) == [*tasks, "t/cli/r/manifest.json"]


def test_a_run_nested_in_a_run_is_found(repo: Path) -> None:
    put(repo, "{}", ".runs/t/manifest.json")
    put(repo, "{}", ".runs/t/cli/r/manifest.json")
    assert found_in(repo) == ["t/cli/r/manifest.json", "t/manifest.json"]


def test_depth_has_a_bound(repo: Path) -> None:
    put(repo, "{}", f".runs/{'d/' * MAX_DEPTH}manifest.json")
    put(repo, "{}", f".runs/{'e/' * (MAX_DEPTH + 1)}manifest.json")
    assert found_in(repo) == [f"{'d/' * MAX_DEPTH}manifest.json"]


def test_links_give_no_second_run_and_lead_nowhere(repo: Path, tmp_path: Path) -> None:
    real = put(repo, "{}", ".runs/t/cli/r/manifest.json")
    outside = put(tmp_path, "{}", "outside/cli/r/manifest.json")
    (repo / ".runs/inside").symlink_to(real.parent)
    (repo / ".runs/circle").symlink_to(repo / ".runs")
    (repo / ".runs/out").symlink_to(outside.parent.parent)
    (repo / ".runs/u/cli/r").mkdir(parents=True)
    (repo / ".runs/u/cli/r/manifest.json").symlink_to(real)
    assert found_in(repo) == ["t/cli/r/manifest.json"]


def test_runs_that_lie_outside_over_a_link_are_not_entered(tmp_path: Path) -> None:
    put(tmp_path, "{}", "outside/t/manifest.json")
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo/.runs").symlink_to(tmp_path / "outside")
    assert list(find_manifests(tmp_path / "repo")) == []


def test_runs_in_another_folder_of_the_repository_are_found_over_a_link(tmp_path: Path) -> None:
    put(tmp_path, "{}", "repo/var/runs/t/manifest.json")
    (tmp_path / "repo/.runs").symlink_to("var/runs")
    assert [found.path for found in find_manifests(tmp_path / "repo")] == [
        str(tmp_path / "repo/var/runs/t/manifest.json")
    ]


def test_a_repository_without_runs_has_none(tmp_path: Path) -> None:
    assert list(find_manifests(tmp_path)) == []
    (tmp_path / ".runs").write_text("a file")
    assert list(find_manifests(tmp_path)) == []


def test_a_name_that_is_not_utf8_is_left_out(repo: Path) -> None:
    put(repo, "{}", ".runs/\udcff/manifest.json")
    put(repo, "{}", ".runs/ü/manifest.json")
    assert found_in(repo) == ["ü/manifest.json"]


def test_the_signature_changes_with_every_save(repo: Path) -> None:
    path = put(repo, "{}")
    (before,) = find_manifests(repo)
    (again,) = find_manifests(repo)
    assert again == before
    other = path.with_name("other")
    other.write_text("{}")
    other.rename(path)  # same size, as producers save: a new file over the old one
    (after,) = find_manifests(repo)
    assert after.path == before.path
    assert after.signature != before.signature


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_folder_that_may_not_be_looked_into_is_found_so_that_reading_says_why(repo: Path) -> None:
    closed = put(repo, "{}").parent
    closed.chmod(0)
    try:
        (found,) = find_manifests(repo)
        assert found.signature == (0, 0, 0)
    finally:
        closed.chmod(0o755)


def test_ten_thousand_folders_are_all_seen(repo: Path) -> None:
    for task in range(100):
        for run in range(50):
            (repo / f".runs/t{task}/cli/r{run}").mkdir(parents=True)
        put(repo, "{}", f".runs/t{task}/cli/r{task % 50}/manifest.json")
    assert len(found_in(repo)) == 100
