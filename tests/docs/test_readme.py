"""The README against the code: every status, event, setting and verb stands in it, and its parts are fresh."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from events.catalog import CATALOG
from learnd.settings import Settings
from state.job import JobStatus
from state.pattern import PatternStatus

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_the_generated_parts_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs/generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("status", [*JobStatus, *PatternStatus])
def test_every_status_is_explained(status: str) -> None:
    assert status == "new" or f"`{status}`" in README


@pytest.mark.parametrize("event", sorted(CATALOG))
def test_every_event_is_explained(event: str) -> None:
    assert f"| `{event}` | " in README


def names(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Every setting, those of a part by the part's name and theirs."""
    found = []
    for name, field in model.model_fields.items():
        part = isinstance(field.default, BaseModel)
        found += names(type(field.default), f"{prefix}{name}.") if part else [f"{prefix}{name}"]
    return found


SETTINGS = names(Settings)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_explained(setting: str) -> None:
    (row,) = [line for line in README.splitlines() if line.startswith(f"| `{setting}`")]
    assert not row.endswith("| None |")


def test_every_verb_is_explained_and_no_other() -> None:
    from learnd.cli import app

    verbs = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    shown = {line.split("`")[1].split()[1] for line in README.splitlines() if line.startswith("| `learnd ")}
    assert shown == verbs


def test_the_sentence_is_what_the_runner_does() -> None:
    """The README's sentence names the steps in the order in which `next_effect` asks for them."""
    from state.effects import WORK, Effect

    assert list(WORK.values()) == list(Effect)
    said = " ".join(README.split())
    words = ["is snapshotted", "a scenario is found", "is replayed in a sandbox", "is written up", "waits for a person"]
    positions = [said.index(word) for word in words]
    assert positions == sorted(positions)
