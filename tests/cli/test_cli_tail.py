"""`tail`: every event once, in order, whatever happens to daemon and log meanwhile."""

from __future__ import annotations

import json
import queue
import shutil
import signal
import subprocess
import threading

import pytest
from cli_place import CliPlace, a_manifest, a_repository, until
from support import histories as h

from state.job import JobStatus

S = JobStatus


class Reader:
    """The lines of a process as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._news.put(line)

    def events(self) -> list[dict[str, object]]:
        while not self._news.empty():
            self.lines.append(self._news.get())
        return [json.loads(line) for line in self.lines]

    def positions(self) -> list[object]:
        return [event["position"] for event in self.events()]


def positions(place: CliPlace, *more: str) -> list[int]:
    return [json.loads(line)["position"] for line in place.learnd("tail", "--json", *more).lines]


def test_json_is_one_envelope_a_line(place: CliPlace) -> None:
    place.jobs_in(S.LEARNED)
    lines = [json.loads(line) for line in place.learnd("tail", "--since", "0", "--json").lines]
    assert [line["position"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[0]["data"]["manifest_path"] == h.RUN.manifest_path
    assert "type" not in lines[0]["data"]


def test_without_since_the_last_twenty_that_match(place: CliPlace) -> None:
    place.jobs_in(S.LEARNED, S.SKIPPED, S.CRYSTALIZATION_FAILED, S.OVER_BUDGET)
    head = place.learnd("verify", "--json").json["position"]
    assert positions(place) == list(range(head - 19, head + 1))
    opened = [json.loads(line)["type"] for line in place.learnd("tail", "--json", "--type", "jobopened").lines]
    assert opened == ["JobOpened"] * 4


def test_since_is_a_position_an_age_or_a_time(place: CliPlace) -> None:
    place.jobs_in(S.LEARNED)
    head = place.learnd("verify", "--json").json["position"]
    assert positions(place, "--since", str(head - 2)) == [head - 1, head]
    assert positions(place, "--since", "1h") == list(range(1, head + 1))
    assert positions(place, "--since", "2001-01-31") == list(range(1, head + 1))
    assert positions(place, "--since", "2999-01-31T12:00:00Z") == []


def test_job_chooses_the_job_and_its_pattern(place: CliPlace) -> None:
    ids = place.jobs_in(S.LEARNED, S.SKIPPED)
    place.record(h.judged, h.promote)
    lines = [json.loads(line) for line in place.learnd("tail", "--json", "--job", ids[S.LEARNED][:8]).lines]
    assert {line["stream"] for line in lines} == {f"job-{ids[S.LEARNED]}", f"pattern-{h.PATTERN}"}


def test_a_line_for_people_has_time_subject_event_and_facts(place: CliPlace) -> None:
    identity = place.jobs_in(S.SNAPSHOTTED)[S.SNAPSHOTTED]
    line = place.learnd("tail").lines[-1]
    assert line.split()[2:5] == ["job", identity[:8], "SnapshotTaken"]
    assert line.endswith("1 file, +2 -1, base observed")


def test_follow_waits_for_a_log_and_loses_nothing_over_daemon_restarts(place: CliPlace) -> None:
    reader = Reader(place.start("tail", "-f", "--since", "0", "--json"))
    repo = a_repository(place.root / "shop")
    for number in range(3):
        daemon = place.daemon(repo, env={"LEARND_TRIGGER": "approved"})
        (repo / "shop.py").write_text(f"NUMBER = {number}\n")
        a_manifest(repo, run=f"run-{number}")
        until(
            lambda count=number + 1: len(place.learnd("jobs", "--json", "--status", "awaiting_approval").json) == count  # type: ignore[misc]
        )
        if number == 1:
            place.stop(daemon, signal.SIGKILL)
        else:
            assert place.stop(daemon) == 0
    head = place.learnd("verify", "--json").json["position"]
    until(lambda: len(reader.positions()) >= head)
    assert reader.positions() == list(range(1, head + 1))
    assert place.stop(reader.process, signal.SIGINT) == 130


@pytest.mark.parametrize("longer", [True, False])
def test_follow_goes_on_behind_what_a_restored_log_still_holds(place: CliPlace, *, longer: bool) -> None:
    place.jobs_in(S.LEARNED)
    backup = place.root / "backup.db"
    shutil.copy(place.log, backup)
    if not longer:
        place.jobs_in(S.SKIPPED)
    head = place.learnd("verify", "--json").json["position"]
    reader = Reader(place.start("tail", "-f", "--since", "0", "--json"))
    until(lambda: len(reader.positions()) == head)
    part = place.root / "part.db"
    shutil.copy(backup, part)
    part.replace(place.log)
    place.jobs_in(S.OPENED)
    until(lambda: len(reader.positions()) > head)
    assert reader.positions() == [*range(1, head + 1), 11]
    reader.process.terminate()
    assert "was replaced" in reader.process.stderr.read()  # type: ignore[union-attr]


def test_follow_starts_over_in_a_log_of_another_history(place: CliPlace) -> None:
    place.jobs_in(S.LEARNED)
    reader = Reader(place.start("tail", "-f", "--since", "0", "--json"))
    until(lambda: len(reader.positions()) == 10)
    for side in place.state.iterdir():
        side.unlink()
    place.jobs_in(S.SNAPSHOTTED)
    until(lambda: len(reader.positions()) == 12 or reader.process.poll() is not None)
    assert reader.process.poll() is None, reader.process.communicate()[1]
    assert reader.positions() == [*range(1, 11), 1, 2]
