from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import frontmatter
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_place import ANNA, CACHE, ServingPlace

from learnd.engine import Engine
from learnd.library.folders import FolderRefused
from learnd.requests import DeprecatePattern
from learnd.serving import pointer
from learnd.serving.servable import Served
from learnd.serving.skill_text import description, mark_of, skill_name, skill_text
from learnd.serving.skills import Kept, Left, Skills, named
from learnd.settings import Settings
from state import commands as c

NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
PATTERN = Served(
    "ab" * 32, "Title", "# Title\n", "cd" * 32, "file.md", "/repo", "ef" * 32, "t/r", "m.json", None, 1, "anna", None,
    "2026-01-31T12:00:00.000Z", edited=False,
)  # fmt: skip
ANY = st.text(max_size=2000)


def keep(place: ServingPlace, folder: Path | None = None, *, dry_run: bool = False) -> Kept:
    with place.library() as library:
        skills = Skills(folder or place.repo, (".claude", "skills"), library.has, dry_run)
        return skills.keep(library.everything()[0])


def skill(place: ServingPlace, at: int = 0) -> Path:
    (found,) = (place.repo / ".claude/skills").glob(f"*-{place.ids[at][:8]}/SKILL.md")
    return found


# --- texts ---


@given(title=ANY, identity=st.text("0123456789abcdef", min_size=16, max_size=64))
def test_a_name_is_what_the_format_allows(title: str, identity: str) -> None:
    name = skill_name(title, identity)
    assert NAME.fullmatch(name)
    assert len(name) <= 64
    assert "claude" not in name
    assert "anthropic" not in name


@given(title=ANY, identity=st.text("0123456789abcdef", min_size=60, max_size=64))
def test_two_patterns_never_share_a_name(title: str, identity: str) -> None:
    near = identity[:40] + ("1" if identity[40] == "0" else "0") + identity[41:]
    assert len(named([replace(PATTERN, id=each, title=title) for each in (identity, near)])) == 2


@given(title=ANY, problem=ANY)
def test_any_pattern_makes_a_file_that_reads_back(title: str, problem: str) -> None:
    body = f"# x\n\n## Problem\n\n{problem}\n\n## Solution\n\nx\n\n## Rationale\n\nx\n"
    pattern = replace(PATTERN, title=title, text=body)
    assert 0 < len(description(pattern)) <= 1024
    text = skill_text(pattern, "a-name")
    front, _ = frontmatter.parse(text)
    assert front["name"] == "a-name"
    assert front["description"] == description(pattern)
    assert not set(front["description"]) & {"<", ">"}
    assert all(isinstance(value, str) for value in front["metadata"].values())
    mark = mark_of(text)
    assert mark is not None
    assert (mark.pattern_id, mark.name, mark.intact) == (PATTERN.id, "a-name", True)


@given(at=st.integers(0, 10_000), sign=st.characters())
def test_any_change_is_noticed(at: int, sign: str) -> None:
    text = skill_text(PATTERN, "a-name")
    at %= len(text)
    changed = text[:at] + sign + text[at:]
    mark = mark_of(changed)
    assert mark is None or not mark.intact


@given(ANY)
def test_no_other_text_is_taken_for_learnds(text: str) -> None:
    assert mark_of(text) is None
    assert mark_of(f"---\nname: x\n---\n{text}") is None


# --- folders ---


def test_active_patterns_become_skills_and_nothing_more_happens_the_second_time(place: ServingPlace) -> None:
    first = keep(place)
    assert len(first.written) == 3
    before = {path: path.stat().st_mtime_ns for path in (place.repo / ".claude").rglob("*")}
    again = keep(place)
    assert (again.written, again.removed, again.left, again.unchanged) == ([], [], [], 3)
    assert {path: path.stat().st_mtime_ns for path in (place.repo / ".claude").rglob("*")} == before
    assert skill(place).parent.name == frontmatter.parse(skill(place).read_text())[0]["name"]


def test_a_dry_run_says_what_it_would_do_and_does_nothing(place: ServingPlace) -> None:
    assert len(keep(place, dry_run=True).written) == 3
    assert not (place.repo / ".claude").exists()
    keep(place)
    place.record(c.Deprecate(place.ids[0], ANNA))
    assert len(keep(place, dry_run=True).removed) == 1
    assert skill(place).exists()


def test_a_skill_goes_with_its_pattern_and_so_does_its_empty_folder(place: ServingPlace) -> None:
    keep(place)
    gone, kept = skill(place, 0), skill(place, 1)
    (kept.parent / "notes.txt").write_text("mine")
    place.record(c.Deprecate(place.ids[0], ANNA), c.Deprecate(place.ids[1], ANNA))
    assert len(keep(place).removed) == 2
    assert not gone.parent.exists()
    assert [path.name for path in kept.parent.iterdir()] == ["notes.txt"]


def test_a_pattern_whose_file_was_edited_has_no_skill(place: ServingPlace) -> None:
    keep(place)
    with place.file(0).open("a") as file:
        file.write("mine\n")
    assert len(keep(place).removed) == 1


@pytest.mark.parametrize("still_served", [True, False])
def test_a_skill_that_a_person_edited_is_left_and_said(place: ServingPlace, still_served: bool) -> None:
    keep(place)
    own = skill(place)
    own.write_text(own.read_text() + "Mine.\n")
    if not still_served:
        place.record(c.Deprecate(place.ids[0], ANNA))
    (left,) = keep(place).left
    assert left.path.endswith(f"{own.parent.name}/SKILL.md")
    assert "changed since learnd wrote it" in left.reason
    assert own.read_text().endswith("Mine.\n")


def test_what_others_wrote_is_never_touched(place: ServingPlace, tmp_path: Path) -> None:
    keep(place)
    ours, name = skill(place), skill(place).parent.name
    folder = place.repo / ".claude/skills"
    copied = folder / "my-copy"
    copied.mkdir()
    (copied / "SKILL.md").write_text(ours.read_text())
    (folder / "another").mkdir()
    (folder / "another/SKILL.md").write_text("---\nname: another\ndescription: x\n---\n")
    stranger = skill_text(replace(PATTERN, id="12" * 32), "stranger")
    (folder / "stranger").mkdir()
    (folder / "stranger/SKILL.md").write_text(stranger)
    (folder / "a-file").write_text("x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/SKILL.md").write_text(ours.read_text())
    (folder / "linked").symlink_to(tmp_path / "outside")
    place.record(*(c.Deprecate(own, ANNA) for own in place.ids))
    done = keep(place)
    assert len(done.removed) == 3
    assert [left.path.split("/")[-2] for left in done.left] == ["my-copy"]
    assert {path.name for path in folder.iterdir()} == {"my-copy", "another", "stranger", "a-file", "linked"}
    assert (tmp_path / "outside/SKILL.md").exists()
    assert name not in {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("where", ["a skill", "its file"])
def test_no_link_is_written_through(place: ServingPlace, tmp_path: Path, where: str) -> None:
    keep(place)
    own = skill(place, 1)
    target = own.parent if where == "a skill" else own
    outside = target.rename(tmp_path / "outside")
    target.symlink_to(outside)
    theirs = outside if outside.is_file() else outside / "SKILL.md"
    theirs.write_text("theirs")
    (left,) = keep(place).left
    assert "link" in left.reason
    assert theirs.read_text() == "theirs"


def test_a_linked_folder_of_skills_is_refused(place: ServingPlace, tmp_path: Path) -> None:
    (place.repo / ".claude").mkdir()
    (tmp_path / "outside").mkdir()
    (place.repo / ".claude/skills").symlink_to(tmp_path / "outside")
    assert all("link" in left.reason for left in _left_or_refused(place))
    assert list((tmp_path / "outside").iterdir()) == []


def _left_or_refused(place: ServingPlace) -> list[Left]:
    try:
        return keep(place).left
    except FolderRefused as error:
        return [Left(str(error.path), error.reason)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
def test_what_root_writes_belongs_to_the_owner_of_the_repository(place: ServingPlace) -> None:
    os.chown(place.repo, 12_345, 12_346)
    keep(place)
    for path in (place.repo / ".claude").rglob("*"):
        assert (path.stat().st_uid, path.stat().st_gid) == (12_345, 12_346)


def test_a_foreign_file_under_the_very_name_is_left(place: ServingPlace) -> None:
    keep(place)
    skill(place, 1).write_text("---\nname: x\ndescription: theirs\n---\n")
    (left,) = keep(place).left
    assert left.reason == "learnd did not write it"


def test_whoever_holds_the_log_keeps_the_folders_of_the_setting(place: ServingPlace) -> None:
    settings = Settings(state_dir=place.state, skills=(".agents/skills",))
    with Engine.opened(settings) as engine:
        engine.publisher.everything()
        assert len(list((place.repo / ".agents/skills").glob("*/SKILL.md"))) == 3
        edited = next((place.repo / ".agents/skills").glob(f"*-{place.ids[1][:8]}/SKILL.md"))
        edited.write_text("mine")
        request = DeprecatePattern(pattern=place.ids[0], reason="x")
        assert engine.desk.answer(request.model_dump_json(), os.getuid()).ok
        assert len(list((place.repo / ".agents/skills").glob("*/SKILL.md"))) == 2
        assert "learnd did not write it" in engine.publisher.troubles[str(edited)]
        edited.unlink()
        engine.publisher.everything()
        assert str(edited) not in engine.publisher.troubles
        assert CACHE.title in edited.read_text()


@pytest.mark.parametrize(
    "folder", ["/etc", "../x", "a/../b", ".git/hooks", ".runs", ".agent/patterns/active", "", "a//b"]
)
def test_the_setting_takes_folders_of_the_repository_only(folder: str) -> None:
    with pytest.raises(ValueError, match="is no folder for skills"):
        Settings(skills=(folder,))


# --- the pointer ---


@pytest.mark.parametrize("before", [None, "", "# Agents\n", "# Agents", "# Agents\r\nRun the tests.\r\n"])
def test_the_pointer_is_written_once_and_nothing_else_is_changed(tmp_path: Path, before: str | None) -> None:
    file = tmp_path / pointer.FILE
    if before is not None:
        file.write_bytes(before.encode())
    assert pointer.write(tmp_path) is True
    after = file.read_bytes().decode()
    assert after.startswith(before or "")
    assert after.count(pointer.LINE) == 1
    assert pointer.write(tmp_path) is False
    assert file.read_bytes().decode() == after


def test_an_older_pointer_is_brought_up_to_date_where_it_stands(tmp_path: Path) -> None:
    file = tmp_path / pointer.FILE
    file.write_text(f"# Agents\n\nAn older line. {pointer.MARK}\n\nRun the tests.\n")
    pointer.write(tmp_path)
    assert file.read_text() == f"# Agents\n\n{pointer.LINE}\n\nRun the tests.\n"


def test_a_linked_agents_file_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "CLAUDE.md").write_text("theirs\n")
    (tmp_path / pointer.FILE).symlink_to("CLAUDE.md")
    assert pointer.write(tmp_path) == "it is a link"
    assert (tmp_path / "CLAUDE.md").read_text() == "theirs\n"
