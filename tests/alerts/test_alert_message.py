"""What an alert says, and what of an untrusted text gets into it."""

from __future__ import annotations

import pytest
from cli.cli_place import CliPlace
from support import histories as h

from learnd.alerts.message import COMMAND, DETAIL, about_fault, about_job, plain
from learnd.verbs.reading import reading
from learnd.views.queries import JobRow
from state.job import JobStatus as S


@pytest.fixture
def job(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> JobRow:
    place = CliPlace(tmp_path)  # type: ignore[arg-type]
    ids = place.jobs_in(S.SNAPSHOT_FAILED)
    with reading(place.log) as book:
        return book.views.job(ids[S.SNAPSHOT_FAILED])


def test_a_message_says_what_where_since_when_and_what_to_type(job: JobRow) -> None:
    what, where, since, command = about_job(job, f"learnd approve {job.id[:8]}").splitlines()
    assert what == f"job {job.id[:8]} is snapshot_failed: {job.cause}: {job.detail}"
    assert where == f"task {job.task_id}, run {job.run_id}, in {h.RUN.repo_path}"
    assert since.startswith("since 20")
    assert since.endswith(" UTC")
    assert command == f"Next: learnd approve {job.id[:8]}"


def test_a_fault_says_what_to_look_at() -> None:
    text = about_fault("disk", "12 MiB left at /var", h.AT)
    assert text.startswith("machine fault disk: 12 MiB left at /var\n")
    assert text.endswith("since 2026-01-02 03:04:05 UTC\nNext: learnd doctor")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tand \x1b[31mred\u202e", "two lines and [31mred"),
        ("x" * 1000, "x" * (DETAIL - 1) + "…"),
        ("export TOKEN=ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[redacted: "),
        ("na\udcffme", "na me"),
    ],
)
def test_a_text_of_a_run_is_one_bounded_line_without_secrets_or_hidden_signs(text: str, shown: str) -> None:
    said = plain(text, DETAIL)
    assert said.startswith(shown)
    assert len(said) <= DETAIL
    assert "ghp_" not in said


def test_a_command_with_a_long_path_stays_whole(job: JobRow) -> None:
    command = f"learnd approve {job.id[:8]} --scenario /srv/{'deep/' * 100}template.md"
    assert len(command) < COMMAND
    assert about_job(job, command).endswith(f"\nNext: {command}")
