"""A pack is usable or refused, and its stamp covers every byte and name in it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from learnd.crystalizer.draft import Reply, read_reply
from learnd.crystalizer.grounding import Grounding
from learnd.crystalizer.pack import Pack, PackInvalid, find_pack, load_pack
from learnd.crystalizer.packs import listed, written_by_agents

SHIPPED = Path(__file__).resolve().parents[2] / ".agent/prompt-packs/crystalizer-v1"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "crystalizer-v1"))


def test_the_shipped_pack_is_valid(pack: Pack) -> None:
    assert (pack.name, pack.version) == ("crystalizer-v1", "1.1.0")
    assert re.fullmatch(r"[0-9a-f]{64}", pack.stamp)
    assert set(pack.schema["properties"]) == set(Reply.model_fields)  # type: ignore[call-overload]
    assert pack.examples


def test_the_shipped_examples_claim_only_what_their_record_says(pack: Pack) -> None:
    for example in pack.examples:
        record = example.user
        words = frozenset(re.findall(r"[A-Za-z_$][\w$]*", record))
        paths = frozenset(re.findall(r"[\w/]+\.py", record))
        lines = {
            name: ((int(first), int(last)),)
            for name, first, last in re.findall(r"^## (\S+), lines (\d+)-(\d+)$", record, re.MULTILINE)
        }
        reply = read_reply(json.loads(example.assistant))
        said = "\n\n".join((reply.title, reply.problem, reply.solution, reply.rationale, *reply.applies_when))
        assert Grounding(paths, words, lines, record).ungrounded(said) == []
        assert set(reply.cited_files) <= paths


def test_a_copy_has_the_same_stamp(copy: Path, pack: Pack) -> None:
    assert load_pack(copy).stamp == pack.stamp


def _append(path: Path) -> None:
    path.write_text(path.read_text() + "\n")


def _swap(path: Path) -> None:
    (path.parent / "notes.md").write_text("x")


@pytest.mark.parametrize("change", [_append, _swap])
def test_any_change_changes_the_stamp(change: Callable[[Path], None], copy: Path, pack: Pack) -> None:
    change(copy / "instructions.md")
    assert load_pack(copy).stamp != pack.stamp


def test_moving_bytes_between_name_and_content_changes_the_stamp(copy: Path) -> None:
    (copy / "ab").write_text("c")
    first = load_pack(copy).stamp
    (copy / "ab").unlink()
    (copy / "a").write_text("bc")
    assert load_pack(copy).stamp != first


def _edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return edit


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "pack.toml").unlink(), "pack.toml is missing"),
        (lambda folder: (folder / "instructions.md").write_text(" \n"), "instructions.md is empty"),
        (lambda folder: (folder / "instructions.md").write_bytes(b"\xff"), "not UTF-8"),
        (lambda folder: (folder / "few-shot.json").write_text("{"), "JSON"),
        (_edit("pack.toml", 'name = "crystalizer-v1"', 'name = "other"'), "must agree"),
        (_edit("pack.toml", "1.1.0", "one"), "version"),
        (_edit("pack.toml", "version", "verzion"), "version"),
        (_edit("schema.json", '"additionalProperties": false', '"additionalProperties": true'), "additionalProperties"),
        (_edit("schema.json", '    "title",\n', ""), "required"),
        (_edit("schema.json", '"rationale": {', '"reason": {'), "properties must hold rationale"),
        (_edit("schema.json", '"rule": {', '"mood": {'), "nobody reads mood"),
        (_edit("few-shot.json", '\\"title\\"', '\\"titel\\"'), "example 1"),
        (lambda folder: (folder / "link").symlink_to("/etc/passwd"), "neither a file"),
        (lambda folder: (folder / "big").write_bytes(b"x" * 300_000), "KiB"),
    ],
)
def test_a_damaged_pack_is_refused_with_the_reason(damage: Callable[[Path], object], said: str, copy: Path) -> None:
    damage(copy)
    with pytest.raises(PackInvalid, match=said):
        load_pack(copy)


def test_a_missing_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackInvalid, match="no such folder"):
        load_pack(tmp_path / "nowhere")


def test_the_operators_own_pack_goes_before_the_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    own = tmp_path / "learnd/prompt-packs/crystalizer-v1"
    shutil.copytree(SHIPPED, own)
    _append(own / "instructions.md")
    shipped = find_pack("crystalizer-v1").stamp
    (tmp_path / "learnd/config.toml").write_text("")
    assert find_pack("crystalizer-v1").stamp == load_pack(own).stamp != shipped
    found = [(pack.source, pack.hidden) for pack in listed() if pack.name == "crystalizer-v1"]
    assert found == [("operator", False), ("learnd", True)]
    with pytest.raises(PackInvalid, match="no such folder"):
        find_pack("of-a-repository")


def test_a_pack_inside_a_watched_work_tree_is_refused(copy: Path, tmp_path: Path) -> None:
    assert written_by_agents(copy, [str(tmp_path)]) == str(tmp_path)
    assert written_by_agents(copy, [str(tmp_path / "other")]) is None
    assert written_by_agents(SHIPPED, [str(SHIPPED.parents[2])]) is None, "learnd's own code is trusted with it"
