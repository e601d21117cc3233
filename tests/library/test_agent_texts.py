"""The texts that learnd ships name only verbs, files, gates and statuses that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from learnd.cli import app
from learnd.library.files import FOLDER_OF, FOLDERS
from learnd.library.gates import GATES, MAX_TEXT, MAX_TITLE
from learnd.library.index import render_index
from state.job import JobStatus
from state.pattern import PatternStatus

ROOT = Path(__file__).resolve().parents[2]
AGENT = ROOT / ".agent"
TEXTS = sorted(
    path for folder in ("patterns", "SOPs", "commands") for path in (AGENT / folder).rglob("*.md")
)  # fmt: skip
VERBS = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
BLOCKED = (
    "snapshot_failed", "stalled_snapshot", "needs_manual_scenario", "validation_failed", "over_budget",
    "crystalization_failed", "awaiting_approval",
)  # fmt: skip


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(AGENT)))
def test_only_verbs_that_exist_are_named(path: Path) -> None:
    text = path.read_text()
    named = set(re.findall(r"(?:`|^ {4,})learnd ([a-z]+)", text, re.MULTILINE))
    assert named <= VERBS, named - VERBS


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(AGENT)))
def test_links_between_the_texts_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert (path.parent / target).is_file(), target


def test_every_blocked_status_has_its_way_out() -> None:
    text = (AGENT / "SOPs/incident-response.md").read_text()
    for status in BLOCKED:
        assert status in set(JobStatus)
        (row,) = [line for line in text.split("\n") if line.startswith(f"| `{status}`")]
        assert "learnd approve JOB" in row
    assert "never capture again" in text.lower()


def test_governance_names_every_status_and_its_folder() -> None:
    text = (AGENT / "SOPs/pattern-governance.md").read_text()
    for status in PatternStatus:
        if status is PatternStatus.NEW:
            continue
        (row,) = [line for line in text.split("\n") if line.startswith(f"| {status.value} |")]
        assert (f"`{FOLDER_OF[status]}/`" if status in FOLDER_OF else "none") in row


def test_governance_names_the_gates_and_their_bounds() -> None:
    text = (AGENT / "SOPs/pattern-governance.md").read_text()
    assert tuple(re.findall(r"^\| (format|size|hidden|redaction|danger|grounding) \|", text, re.MULTILINE)) == GATES
    assert f"{MAX_TEXT // 1024} KiB" in text
    assert f"{MAX_TITLE} characters" in text


def test_every_pattern_folder_says_what_it_is_for() -> None:
    for folder in FOLDERS:
        assert (AGENT / "patterns" / folder / "README.md").is_file()


def test_the_index_of_this_repository_is_generated() -> None:
    assert not [path for path in (AGENT / "patterns/active").glob("*.md") if path.name != "README.md"]
    assert (ROOT / "docs/patterns/README.md").read_text() == render_index([])
