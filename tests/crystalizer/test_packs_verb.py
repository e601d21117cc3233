"""`learnd packs`: what may be chosen, what is, and what is wrong with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from learnd.locate import find
from learnd.settings import read_settings
from learnd.verbs.packs import pack_check, packs

SHIPPED = Path(__file__).resolve().parents[2] / ".agent/prompt-packs/crystalizer-v1"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The operator's configuration folder, with a pack of their own that is not chosen yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("LEARND_STATE_DIR", str(tmp_path / "state"))
    folder = tmp_path / "learnd"
    shutil.copytree(SHIPPED, folder / "prompt-packs/mine-v1")
    (folder / "config.toml").write_text('prompt_pack = "mine-v1"\n')
    return folder


def test_a_chosen_pack_that_cannot_be_used_is_said_so_and_ends_with_1(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert packs(None, as_json=True) == 1
    mine, *others = json.loads(capsys.readouterr().out)
    assert (mine["name"], mine["source"], mine["chosen"], mine["stamp"]) == ("mine-v1", "operator", True, None)
    assert mine["wrong"] == "pack.toml names it 'crystalizer-v1'; folder and name must agree"
    assert next((row["name"], row["source"], row["wrong"]) for row in others) == ("crystalizer-v1", "learnd", None)
    head = config / "prompt-packs/mine-v1/pack.toml"
    head.write_text(head.read_text().replace('"crystalizer-v1"', '"mine-v1"'))
    assert packs(None, as_json=False) == 0
    assert "chosen" in capsys.readouterr().out


def test_a_pack_that_is_not_there_is_named_with_its_setting(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config / "config.toml").write_text('prompt_pack = "gone-v1"\n')
    assert packs(None, as_json=False) == 1
    assert "there is no pack gone-v1, which the setting prompt_pack names. Next:" in capsys.readouterr().out


def test_doctor_fails_for_a_chosen_pack_that_cannot_be_used(config: Path) -> None:
    checked = pack_check(find(None), read_settings())
    assert (checked.state, checked.name) == ("fail", "prompt packs")
    assert "mine-v1: pack.toml names it 'crystalizer-v1'" in checked.found
    (config / "config.toml").write_text("")
    assert pack_check(find(None), read_settings()).state == "ok"
