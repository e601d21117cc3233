"""README.md and docs/ against the code: every status, event, setting, verb and target stands there, and is fresh."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from events.catalog import CATALOG
from learnd.library.files import FOLDER_OF
from learnd.settings import Settings
from state.job import JobStatus
from state.pattern import PatternStatus

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = {page.stem: page.read_text() for page in sorted((ROOT / "docs").glob("*.md"))}
LONGEST = 260


def test_the_generated_parts_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs/generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_a_part_that_stands_nowhere_or_twice_is_named() -> None:
    module = runpy.run_path(str(ROOT / "docs/generate.py"))
    pages = [README, *PAGES.values()]
    assert module["misplaced"](pages) == []
    assert module["misplaced"]([*pages, "<!-- generated: speed -->\n<!-- end -->"]) == ["speed"]
    assert module["misplaced"]([*pages, "<!-- generated: weather -->\n<!-- end -->"]) == ["weather"]
    assert module["misplaced"]([README, *(text for page, text in PAGES.items() if page != "settings")]) == ["settings"]


def test_the_readme_is_one_that_people_read_to_its_end() -> None:
    assert len(README.splitlines()) <= LONGEST


@pytest.mark.parametrize(
    ("page", "status"),
    [*(("jobs", status) for status in JobStatus), *(("patterns", status) for status in PatternStatus)],
)
def test_every_status_has_its_row(page: str, status: str) -> None:
    rows = [line for line in PAGES[page].splitlines() if re.match(rf"\| (\*\*)?`{status}`", line)]
    assert status == "new" or rows


@pytest.mark.parametrize("status", [status for status in PatternStatus if status != "new"])
def test_a_patterns_file_is_where_its_row_says(status: PatternStatus) -> None:
    (row,) = [line for line in PAGES["patterns"].splitlines() if line.startswith(f"| `{status}` |")]
    said = re.match(r"`(\w+)/`", row.split("|")[3].strip())
    assert (said[1] if said else None) == FOLDER_OF.get(status)


@pytest.mark.parametrize("event", sorted(CATALOG))
def test_every_event_is_explained(event: str) -> None:
    assert f"| `{event}` | " in PAGES["events"]


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
    (row,) = [line for line in PAGES["settings"].splitlines() if line.startswith(f"| `{setting}`")]
    assert not row.endswith("| None |")


def test_every_verb_is_explained_and_no_other() -> None:
    from learnd.cli import app

    verbs = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    shown = {line.split("`")[1].split()[1] for line in PAGES["commands"].splitlines() if line.startswith("| `learnd ")}
    assert shown == verbs


def test_every_target_that_is_told_of_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = {
        name
        for text in (README, *PAGES.values())
        for name in re.findall(r"(?:`|^    |, )make ([a-z-]+)", text, re.MULTILINE)
    }
    assert {"demo", "test", "bench-evidence"} <= told <= targets


def test_the_sentence_is_what_the_runner_does() -> None:
    """The README's sentence names the steps in the order in which `next_effect` asks for them."""
    from state.effects import WORK, Effect

    assert list(WORK.values()) == list(Effect)
    said = " ".join(README.split())
    words = ["is snapshotted", "a scenario is found", "is replayed in a sandbox", "is written up", "waits for a person"]
    positions = [said.index(word) for word in words]
    assert positions == sorted(positions)
