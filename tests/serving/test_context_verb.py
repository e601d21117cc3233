from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from serving_place import ServingPlace

from learnd.serving import notes
from learnd.verbs.context import Wanted, context
from learnd.verbs.terminal import Stop

QUESTION = "the orders page runs a query for each row"


def asked(place: ServingPlace, question: str | None = None, run: str | None = None, **more: Any) -> int:
    wanted = Wanted(question, run, more.pop("limit", 3), more.pop("repo", place.repo))
    return context(place.state / "events.db", wanted, as_json=more.pop("as_json", False))


def noted(place: ServingPlace) -> list[tuple[str, str | None]]:
    return [(note.pattern_id, note.run) for _, path in notes.days(place.state) for note in notes.read(path)]


def a_run(place: ServingPlace, prompt: str | None, status: str = "in_progress") -> Path:
    folder = place.repo / ".runs/speed-up/cli/run-77"
    folder.mkdir(parents=True)
    document = {
        "version": 1, "runner": "codex-cli", "task_id": "speed-up", "run_id": "run-77", "status": status,
        "started_at": "2026-02-01T10:00:00.000Z", "completed_at": None, "pipeline_title": "Speed", "commands": [],
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(document))
    if prompt is not None:
        (folder / "prompt.md").write_text(prompt)
    return folder / "manifest.json"


def test_what_matters_is_printed_with_its_evidence_and_noted(
    place: ServingPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(place, QUESTION) == 0
    out = capsys.readouterr().out
    assert out.startswith("learnd: 1 of 3 active patterns of this repository share words with the question.\n")
    assert "title: One query a page, not one a row\nevidence: proven: fails 3 of 3 times" in out
    assert "## Solution" in out
    assert "front matter" not in out
    assert "stamp" not in out
    assert noted(place) == [(place.ids[0], None)]


def test_what_matches_nothing_prints_nothing_and_says_so(
    place: ServingPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(place, "brew a pot of tea for the visitors") == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "none of 3 active patterns shares enough with the question\n"
    assert noted(place) == []


def test_json_has_all_that_the_text_has(place: ServingPlace, capsys: pytest.CaptureFixture[str]) -> None:
    asked(place, QUESTION, as_json=True)
    told = json.loads(capsys.readouterr().out)
    (pattern,) = told["patterns"]
    assert pattern["id"] == place.ids[0]
    assert pattern["proof"]["turned"] == 2
    assert pattern["text"].startswith("# One query a page")
    assert (told["active"], told["held_back"], told["use"]) == (3, [], "noted")


def test_what_is_held_back_is_said_beside_the_data(place: ServingPlace, capsys: pytest.CaptureFixture[str]) -> None:
    with place.file(0).open("a") as file:
        file.write("mine\n")
    asked(place, QUESTION)
    told = capsys.readouterr()
    assert told.out == ""
    assert f"pattern {place.ids[0][:8]} is not served" in told.err


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (QUESTION, True),
        (json.dumps({"session_id": "x", "prompt": QUESTION, "hook_event_name": "UserPromptSubmit"}), True),
        (json.dumps({"prompt": "tea", "hook_event_name": QUESTION}), False),
        (json.dumps([QUESTION]), True),
        (json.dumps({"question": QUESTION}), True),
        ("", False),
    ],
)
def test_a_hook_hands_its_prompt_over_on_standard_input(
    place: ServingPlace,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    given: str,
    found: bool,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
    asked(place, "-")
    assert bool(capsys.readouterr().out) is found


@pytest.mark.parametrize("named", ["run-77", "speed-up/run-77", ".runs/speed-up/cli/run-77", "the manifest"])
def test_a_run_in_progress_is_asked_for_by_any_of_its_names(
    place: ServingPlace, capsys: pytest.CaptureFixture[str], named: str
) -> None:
    manifest = a_run(place, QUESTION)
    asked(place, run=str(manifest) if named == "the manifest" else named)
    assert "One query a page" in capsys.readouterr().out
    assert noted(place) == [(place.ids[0], "speed-up/run-77")]


def test_a_run_that_nobody_knows_is_said_to_be_none(place: ServingPlace) -> None:
    with pytest.raises(Stop, match=r"no run 'run-78' below .*Next: "):
        asked(place, run="run-78")


def test_two_questions_at_once_are_none(place: ServingPlace) -> None:
    with pytest.raises(Stop, match="do not go together"):
        asked(place, QUESTION, run="run-77")


def test_without_a_question_there_is_a_list_that_serves_nobody(
    place: ServingPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(place)
    told = capsys.readouterr()
    assert [line[:8] for line in told.out.splitlines()] == [identity[:8] for identity in place.ids]
    assert noted(place) == []


def test_a_folder_below_the_repository_is_as_good_and_any_other_is_refused(
    place: ServingPlace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place.repo / "deep/er").mkdir(parents=True)
    asked(place, QUESTION, repo=place.repo / "deep/er")
    assert capsys.readouterr().out
    with pytest.raises(Stop, match=r"lies in no repository that learnd watches. Next: learnd init"):
        asked(place, QUESTION, repo=tmp_path)


def test_a_repository_without_patterns_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = ServingPlace.made(tmp_path, ())
    asked(empty, QUESTION)
    assert capsys.readouterr().err == "this repository has no active pattern. Next: learnd review\n"


def test_use_that_nobody_can_write_down_is_said_to_be_not_recorded(
    place: ServingPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    (place.state / "usage").write_text("in the way")
    asked(place, QUESTION)
    told = capsys.readouterr()
    assert "One query a page" in told.out
    assert "this use is not recorded" in told.err


def test_it_starts_without_what_is_slow_to_import(place: ServingPlace) -> None:
    loaded = (
        "import sys; sys.argv[0] = 'learnd'; from learnd.cli import app\n"
        "import typer; code = typer.main.get_command(app).main(standalone_mode=False)\n"
        "slow = {'pydantic', 'yaml', 'mcp', 'structlog', 'git', 'openai', 'rich'}\n"
        "sys.exit(', '.join(sorted(slow & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", loaded, "context", "--for", QUESTION, "--repo", place.repo],
        env={**os.environ, "LEARND_STATE_DIR": str(place.state)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "One query a page" in done.stdout
    assert done.stderr.strip() in ("", "None")
