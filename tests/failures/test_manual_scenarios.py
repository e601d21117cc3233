"""Nothing to run was found: a form that says what is known, completed by a person, held to each field, and replayed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from failures_place import House, completed
from support.repos import git, write

from events.catalog import ManualScenarioRequired, ManualScenarioSupplied

pytestmark = pytest.mark.sandbox

CHECK = """#!/bin/sh
grep -q two notes.txt
"""
ODD = {
    "scripts/verify.sh": CHECK, "notes.txt": "one\n", "calc.py": "", "test_calc.py": "", ".gitignore": "/.runs/\n",
}  # fmt: skip
RUN = {
    "index": 1, "id": "x", "title": "x", "kind": "command", "summary": None, "log_path": None, "error_file": None,
    "sub_run_id": None,
}  # fmt: skip


def command(line: str, exit_code: int = 0) -> dict[str, object]:
    return {**RUN, "command": line, "exit_code": exit_code, "status": "succeeded" if exit_code == 0 else "failed"}


def blocked(house: House, name: str, **files: str) -> str:
    """A job of a repository without any test or known runner; its run called a script, and what is no check."""
    repo = house.repo(name, {**ODD, **files})
    git(repo, "rm", "-q", "test_calc.py", "calc.py")
    git(repo, "commit", "-q", "-m", "no code")
    write(repo, {"notes.txt": "two\n"})
    job = house.run(repo, commands=[command("bash scripts/verify.sh"), command("git push origin main")])
    house.reaches(job, "needs_manual_scenario")
    return job


def test_the_form_says_what_was_tried_and_why_proposes_and_is_replayed_when_a_person_completed_it(
    house: House,
) -> None:
    job = blocked(house, "odd")
    assert house.types(job)[-2:] == ["ScenarioAttemptFailed", "ManualScenarioRequired"], "two syntheses"
    required = house.last(job, ManualScenarioRequired)
    learning = house.learning(job)
    form = learning / "manual-scenario.md"
    assert (required.template.path, required.partial.path) == (str(form), str(learning / "scenario.partial.json"))
    partial = json.loads((learning / "scenario.partial.json").read_text())
    assert partial["tried"][0]["line"] == "bash scripts/verify.sh"
    text = form.read_text()
    assert "`bash scripts/verify.sh` (execution_history):" in text
    assert "it runs a script, whose commands are not known" in text
    assert '# entrypoint = "bash scripts/verify.sh"' in text
    assert "Changed files: `notes.txt`" in text
    assert 'cwd = "."' in text
    told = house.until_told(job, "needs_manual_scenario")["scenario"]
    assert (told["status"], told["source"], told["attempts"]) == ("needs_manual_scenario", "manual", 2)
    assert str(told["manual_template"]).endswith("learning/manual-scenario.md")
    assert str(told["partial_path"]).endswith("learning/scenario.partial.json")

    said = house.learnd("why", job[:8]).out
    assert str(form) in said
    assert house.next(job) == f"learnd approve {job[:8]} --scenario {form}"
    before = house.types(job)
    unedited = house.learnd("approve", job[:8], "--scenario", form)
    assert unedited.code == 1
    assert [line.split(":")[0].strip() for line in unedited.err.splitlines()[:-1]] == ["entrypoint", "approver", "date"]
    assert "entrypoint, approver, date; nothing was changed. Next: mend the file" in unedited.err.splitlines()[-1]
    plain = house.learnd("approve", job[:8])
    assert plain.code == 1
    assert f"Next: learnd approve {job[:8]} --scenario {form}" in plain.err
    assert house.types(job) == before

    completed(form, entrypoint='"bash scripts/verify.sh"', fixtures='["scripts/verify.sh"]')
    done = house.does_next(job)
    assert "is scenario_ready now" in done.out
    supplied = house.last(job, ManualScenarioSupplied)
    assert supplied.scenario.commands[0].argv == ("bash", "-c", "bash scripts/verify.sh")
    assert supplied.scenario.reason == "written by Ada Lovelace on 2026-01-02"
    assert Path(supplied.file.path).read_text() == form.read_text()
    row = house.reaches(job, "skipped", "learned", "validation_failed")
    assert (row.status, row.scenario_source) in (("skipped", "manual"), ("learned", "manual")), row
    approval = house.block(job)["approvals"][-1]
    assert (approval["state"], approval["actor"]) == ("needs_manual_scenario", "root")


def test_a_service_with_a_command_is_started_beside_the_entrypoint_and_kept_in_the_log(house: House) -> None:
    ask = """import urllib.request
raise SystemExit(urllib.request.urlopen("http://localhost:8765/notes.txt").read() != b"two\\n")
"""
    job = blocked(house, "served-by-learnd", **{"ask.py": ask, "scripts/verify.sh": "python3 ask.py\n"})
    web = "python3 -m http.server 8765 --bind 127.0.0.1"
    form = completed(
        house.learning(job) / "manual-scenario.md",
        entrypoint='"bash scripts/verify.sh"',
        services=f'[{{ name = "files", command = "{web}", health = "http://localhost:8765/notes.txt" }}]',
    )
    done = house.learnd("approve", job[:8], "--scenario", form)
    assert (done.code, "entrypoint has to start" in done.out) == (0, False), done
    row = house.reaches(job, "skipped", "learned", "validation_failed")
    assert (row.status, row.cause) == ("skipped", "no_proof"), row.detail
    log = (house.learning(job) / "scenario-validation.log").read_text()
    assert f"service files: bash -c '{web}'" in log
    assert '"GET /notes.txt HTTP/1.1" 200' in log


def test_a_service_that_does_not_come_up_makes_the_verdict_inconclusive_and_is_named(house: House) -> None:
    job = blocked(house, "never-up", **{"scripts/verify.sh": "true; grep -q two notes.txt\n"})
    form = completed(
        house.learning(job) / "manual-scenario.md",
        entrypoint='"bash scripts/verify.sh"',
        services='[{ name = "db", command = "echo no disk; exit 9", ports = [5432] }]',
    )
    assert house.learnd("approve", job[:8], "--scenario", form).code == 0
    row = house.reaches(job, "skipped", "learned", "validation_failed")
    assert row.status == "validation_failed", row
    why = house.learnd("why", job[:8]).out
    assert "service:db" in why
    assert "service db: ended with 9" in why
    assert "no disk" in (house.learning(job) / "scenario-validation.log").read_text()


def test_an_entrypoint_that_starts_its_own_service_is_replayed_and_the_reply_says_who_starts_it(
    house: House,
) -> None:
    serve = """import http.server
http.server.test(http.server.SimpleHTTPRequestHandler, port=8765, bind="127.0.0.1")
"""
    ask = """import time, urllib.request
for _ in range(100):
    try:
        answer = urllib.request.urlopen("http://127.0.0.1:8765/notes.txt").read()
        break
    except OSError:
        time.sleep(0.1)
raise SystemExit(answer != b"two\\n")
"""
    check = "python3 serve.py >/dev/null 2>&1 &\npython3 ask.py\n"
    job = blocked(house, "served", **{"serve.py": serve, "ask.py": ask, "scripts/verify.sh": check})
    form = completed(
        house.learning(job) / "manual-scenario.md",
        entrypoint='"bash scripts/verify.sh"',
        services='[{ name = "files", ports = [8765], health = "curl -f localhost:8765/" }]',
    )
    done = house.learnd("approve", job[:8], "--scenario", form)
    assert done.code == 0, done
    assert "without a command the entrypoint has to start files on 8765" in done.out
    assert house.last(job, ManualScenarioSupplied).scenario.services == (
        "files on 8765, healthy when: curl -f localhost:8765/",
    )
    row = house.reaches(job, "skipped", "learned", "validation_failed")
    assert row.status in ("skipped", "learned"), (row.cause, row.detail)


def test_what_cannot_be_a_form_is_refused_with_a_sentence_and_changes_nothing(house: House) -> None:
    job = blocked(house, "refusals")
    before = house.types(job)
    form = house.learning(job) / "manual-scenario.md"
    os.mkfifo(house.root / "pipe")
    (house.root / "folder").mkdir()
    (house.root / "huge.md").write_bytes(b"x" * (300 << 10))
    (house.root / "binary.md").write_bytes(b"\x7fELF\x00\xff\xfe")
    (house.root / "wide.md").write_text(form.read_text(), encoding="utf-16")
    for name, said in {
        "none.md": "is not there", "pipe": "is no file", "folder": "is no file", "huge.md": "more than",
        "binary.md": "not UTF-8", "wide.md": "not UTF-8", "/dev/zero": "is no file",
    }.items():  # fmt: skip
        done = house.learnd("approve", job[:8], "--scenario", name)
        assert (done.code, "Next: name the completed template" in done.err) == (2, True), (name, done)
        assert said in done.err, (name, done)
    completed(form, entrypoint='"bash scripts/verify.sh"', fixtures='["scripts/gone.sh"]', cwd='"nowhere"')
    done = house.learnd("approve", job[:8], "--scenario", form)
    assert "fixtures.0: `scripts/gone.sh` is not in the snapshot" in done.err
    assert "cwd: `nowhere` is no folder of the snapshot" in done.err
    both = house.learnd("approve", job[:8], "--scenario", form, "--accept-unproven")
    assert both.code == 1
    assert "a scenario is supplied by itself" in both.err
    assert house.types(job) == before


def test_the_printed_command_survives_a_path_with_a_space(house: House) -> None:
    job = blocked(house, "with a space")
    completed(house.learning(job) / "manual-scenario.md", entrypoint='"bash scripts/verify.sh"')
    house.does_next(job)
    house.learnd("dismiss", job[:8], "--reason", "seen enough")
