"""Prompt, acceptance criteria, execution history and payload."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from harvest_repos import User, request_for, settings_for

from learnd.harvest.prompt import PROMPT_MAX, Prompt, acceptance_criteria, find_prompt
from learnd.harvest.queue import enqueue
from learnd.harvest.snapshot import SnapshotError, take_snapshot
from learnd.harvest.store import SnapshotStore


@dataclass(frozen=True)
class Executed:
    argv: tuple[str, ...]
    cwd: Path
    exit_code: int | None = None


def ask(user: User, prompt_path: str | None = None, task_id: str = "task-1") -> Prompt | None:
    return find_prompt(
        repo=user.root,
        run_dir=user.root / ".runs/task-1/cli/run-1",
        task_id=task_id,
        prompt_path=prompt_path,
        commit_messages=("fix the thing",),
        titles=("Pipeline", "", "step one"),
    )


def test_sources_are_taken_in_their_order(user: User) -> None:
    run = user.root / ".runs/task-1/cli/run-1"
    user.write("given.md", "from the queue\n")
    user.write(".runs/task-1/cli/run-1/prompt.md", "beside, md\n")
    user.write(".runs/task-1/cli/run-1/prompt.txt", "beside, txt\n")
    user.write("tasks/tasks-task-1.md", "task file\n")
    user.write("tasks/tasks-task-1-notes.md", "notes\n")
    user.write(".agent/task/task-1-x.md", "agent task\n")
    seen = []
    for path in (
        user.root / "given.md", run / "prompt.md", run / "prompt.txt", user.root / "tasks/tasks-task-1.md",
        user.root / "tasks/tasks-task-1-notes.md", user.root / ".agent/task/task-1-x.md",
    ):  # fmt: skip
        found = ask(user, "given.md")
        assert found is not None
        seen.append((found.text, found.source))
        path.unlink()
    assert seen == [
        ("from the queue", "given.md"),
        ("beside, md", ".runs/task-1/cli/run-1/prompt.md"),
        ("beside, txt", ".runs/task-1/cli/run-1/prompt.txt"),
        ("task file", "tasks/tasks-task-1.md"),
        ("notes", "tasks/tasks-task-1-notes.md"),
        ("agent task", ".agent/task/task-1-x.md"),
    ]
    assert ask(user) == Prompt("fix the thing", "commit message")


def test_titles_are_the_last_source_and_nothing_is_no_prompt(user: User) -> None:
    nothing = {"repo": user.root, "run_dir": user.root, "task_id": "t", "prompt_path": None, "commit_messages": ()}
    assert find_prompt(**nothing, titles=("Pipeline", "step")) == Prompt("Pipeline\n\nstep", "titles")  # type: ignore[arg-type]
    assert find_prompt(**nothing, titles=()) is None  # type: ignore[arg-type]


def test_a_prompt_behind_a_link_that_leaves_the_repository_is_refused(user: User, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("secret\n")
    user.write("tasks/x")
    (user.root / "tasks/task-1.md").symlink_to(tmp_path / "secret.md")
    found = ask(user, "../secret.md")
    assert found is not None
    assert found.text == "fix the thing"
    assert [reason.split(": ")[0] for reason in found.refused] == [
        f"{user.root}/../secret.md", f"{user.root}/tasks/task-1.md",
    ]  # fmt: skip


def test_a_link_inside_the_repository_is_followed_and_wildcards_in_a_task_id_are_not(user: User) -> None:
    user.write("docs/real.md", "linked\n")
    user.write("tasks/other.md", "other\n")
    (user.root / "tasks/[a]*.md").symlink_to("../docs/real.md")
    found = ask(user, task_id="[a]*")
    assert found is not None
    assert found.text == "linked"


def test_a_long_prompt_is_cut_at_a_character(user: User) -> None:
    user.write("given.md", "ä" * PROMPT_MAX)
    found = ask(user, "given.md")
    assert found is not None
    assert len(found.text.encode()) == PROMPT_MAX


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Fix\nDo it.\n", None),
        ("# Fix\n## Acceptance Criteria\n- a\n- b\n## Notes\nn\n", "## Acceptance Criteria\n- a\n- b"),
        ("## Validation\n### Unit\nrun x\n# End\ny", "## Validation\n### Unit\nrun x"),
        ("Intro\n\n**Acceptance criteria:**\n- a\n\nNotes:\nn", "**Acceptance criteria:**\n- a"),
        ("## How to verify\n```\n# Acceptance\nmake\n```\n", "## How to verify\n```\n# Acceptance\nmake\n```"),
        ("## Validation\n\n## Next\nx", None),
        ("```\n## Acceptance criteria\nin code\n```\n", None),
    ],
)
def test_acceptance_criteria_are_the_sections_that_announce_them(text: str, expected: str | None) -> None:
    assert acceptance_criteria(text) == expected


def test_the_five_files_and_the_five_names(user: User, store: SnapshotStore, state: Path) -> None:
    request = request_for(user)
    user.write("a.py", "two\n")
    record = take_snapshot(request, store, settings_for(state))
    history = (Executed(("pytest", "-q"), user.root, 0), Executed(("odd \udcff",), user.root))
    queued = enqueue(request, record, store, prompt=Prompt("do it", "given.md"), history=history)
    assert sorted(file.name for file in request.learning_dir.iterdir()) == [
        "diff.patch", "execution-history.json", "prompt.md", "queue-payload.json", "run-1.tar.gz",
    ]  # fmt: skip
    here = ".runs/task-1/cli/run-1"
    assert json.loads(Path(queued.payload.path).read_text()) == {
        "snapshot_id": record.snapshot_id,
        "diff_path": f"{here}/learning/diff.patch",
        "prompt_path": f"{here}/learning/prompt.md",
        "execution_history_path": f"{here}/learning/execution-history.json",
        "manifest_path": f"{here}/manifest.json",
    }
    executed = json.loads(Path(queued.execution_history.path).read_text())
    assert executed[0] == {"argv": ["pytest", "-q"], "cwd": str(user.root), "exit_code": 0}
    assert queued.prompt_source == "given.md"
    assert enqueue(request, record, store, prompt=Prompt("do it", "given.md"), history=history) == queued


def test_without_a_prompt_none_is_written(user: User, store: SnapshotStore, state: Path) -> None:
    request = request_for(user)
    record = take_snapshot(request, store, settings_for(state))
    queued = enqueue(request, record, store, prompt=None, history=())
    assert (queued.prompt, queued.prompt_source) == (None, None)
    assert json.loads(Path(queued.payload.path).read_text())["prompt_path"] is None
    assert not (request.learning_dir / "prompt.md").exists()


def test_refused_when_the_learning_folder_became_a_link(
    user: User, store: SnapshotStore, state: Path, tmp_path: Path
) -> None:
    request = request_for(user)
    record = take_snapshot(request, store, settings_for(state))
    request.learning_dir.rename(tmp_path / "moved")
    request.learning_dir.symlink_to(tmp_path / "moved")
    with pytest.raises(SnapshotError, match="leads out of"):
        enqueue(request, record, store, prompt=None, history=())
    assert not (tmp_path / "moved/queue-payload.json").exists()
