"""What holds for every verb: help, exit codes, one line for an error, plain pipes, quick starts."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import typer
from cli_place import CliPlace
from rich.cells import cell_len

from learnd.cli import app
from learnd.views import diagnosis
from state.job import BLOCKED, JobStatus

VERBS = (
    "init", "daemon", "once", "learn", "demo", "status", "jobs", "show", "tail", "why", "alerts", "approve", "dismiss",
    "review", "promote", "reject", "deprecate", "restore", "regression", "metrics", "backup", "verify", "replay",
    "rebuild", "export", "forget", "diagram", "doctor", "context", "mcp", "skills", "packs",
    "diff", "supersede", "release", "restore-backup", "check", "fix",
)  # fmt: skip
READING = (
    "status", "alerts", "jobs", "show 12345678", "tail", "why 12345678", "review", "metrics", "verify",
    "context --for x", "skills x",
)  # fmt: skip
CHANGING = (
    "approve 12345678", "dismiss 12345678 --yes", "promote 12345678", "reject 12345678 --reason x",
    "supersede 12345678 --by 12345679", "release 12345678 --reason x",
    "deprecate 12345678 --reason x", "restore 12345678", "regression 12345678 --commit 4f2c81d", "rebuild", "learn .",
)  # fmt: skip
HEAVY = (
    "git",
    "openai",
    "pydantic_settings",
    "watchdog",
    "structlog",
    "detect_secrets",
    "learnd.lab",
    "learnd.crystalizer",
)


def test_every_verb_of_the_design_is_there_and_no_other() -> None:
    assert set(typer.main.get_command(app).commands) == set(VERBS)  # type: ignore[attr-defined]


@pytest.mark.parametrize("verb", VERBS)
def test_help_says_what_a_verb_is_for_and_gives_an_example(verb: str) -> None:
    command = next(
        command for command in typer.main.get_command(app).commands.values() if command.name == verb  # type: ignore[attr-defined]
    )  # fmt: skip
    first, _, rest = command.help.partition("\n\n")
    assert first
    assert "\n" not in first
    assert "\n" not in rest
    assert f"Example: learnd {verb}" in command.epilog
    assert command.rich_help_panel in {"Work", "Look", "Serve", "Decide", "Keep"}


def test_help_of_the_whole_groups_the_verbs(place: CliPlace) -> None:
    done = place.learnd("--help")
    assert done.code == 0
    assert re.findall(r"^(\w+):$", done.out, re.MULTILINE) == ["Options", "Work", "Look", "Serve", "Decide", "Keep"]
    lines = [line for line in done.lines if re.match(r"  [a-z]", line)]
    assert sorted(line.split()[0] for line in lines) == sorted(VERBS)
    assert all(re.fullmatch(r"  [a-z-]+ +\w.*[.?]", line) for line in lines), "each is told in one line"
    assert max(map(len, done.lines)) <= 80
    assert "\x1b" not in done.out


def test_one_verb_s_help_exits_0(place: CliPlace) -> None:
    done = place.learnd("jobs", "--help")
    assert (done.code, done.err) == (0, "")
    assert "--json" in done.out


@pytest.mark.parametrize(
    "line", ["", "jbos", "show", "jobs --bogus", "jobs --status bogus", "tail --type JobOpend", "tail --since never"]
)
def test_a_command_line_that_means_nothing_exits_2(place: CliPlace, line: str) -> None:
    place.record()
    done = place.learnd(*line.split())
    assert done.code == 2
    if line:
        assert done.out == ""
        assert re.fullmatch(r"learnd: .+ Next: .+\n", done.err)


@pytest.mark.parametrize("line", [*READING, *CHANGING])
def test_without_a_log_nothing_is_made_and_the_next_step_is_named(place: CliPlace, line: str) -> None:
    done = place.learnd(*line.split())
    assert (done.code, done.out) == (1, "")
    assert done.err == f"learnd: no log yet at {place.log}. Next: learnd init REPO\n"
    assert not place.state.exists()


@pytest.mark.parametrize("line", [line for line in (*READING, *CHANGING) if "1234" in line])
def test_an_id_that_nobody_has_exits_1_with_one_line(place: CliPlace, line: str) -> None:
    place.record()
    done = place.learnd(*line.split())
    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(r"learnd: there is no (job|pattern).* 12345678\. Next: .+\n", done.err)


def test_a_bad_setting_exits_2_and_names_it(place: CliPlace) -> None:
    done = place.learnd("once", env={"LEARND_WORKERS": "many"})
    assert done.code == 2
    assert "setting workers" in done.err
    assert done.err.count("\n") == 1


def test_a_broken_configuration_file_exits_2_and_names_it(place: CliPlace) -> None:
    config = place.root / "config/learnd/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("workers = \n")
    del place.env["LEARND_STATE_DIR"]
    done = place.learnd("jobs", env={"XDG_CONFIG_HOME": str(place.root / "config")})
    assert done.code == 2
    assert str(config) in done.err


def test_the_configuration_file_s_state_dir_is_found(place: CliPlace) -> None:
    place.jobs_in(JobStatus.LEARNED)
    config = place.root / "config/learnd/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'state_dir = "{place.state}"\n')
    del place.env["LEARND_STATE_DIR"]
    assert len(place.learnd("jobs", "--json", env={"XDG_CONFIG_HOME": str(place.root / "config")}).json) == 1


@pytest.mark.parametrize("given", ["folder", "file"])
def test_log_names_the_log_or_its_folder(place: CliPlace, given: str) -> None:
    place.jobs_in(JobStatus.LEARNED)
    path = place.state if given == "folder" else place.log
    done = place.learnd("jobs", "--json", "--log", path, env={"LEARND_STATE_DIR": "/nowhere"})
    assert len(done.json) == 1


def test_a_copy_of_a_log_can_be_read_and_not_written(place: CliPlace) -> None:
    ids = place.jobs_in(JobStatus.SNAPSHOT_FAILED)
    copy = place.root / "backup.db"
    copy.write_bytes(place.log.read_bytes())
    assert place.learnd("verify", "--log", copy).code == 0
    refused = place.learnd("approve", ids[JobStatus.SNAPSHOT_FAILED][:8], "--log", copy)
    assert refused.code == 2
    assert "can only be read" in refused.err


def test_a_pipe_gets_whole_plain_lines_and_a_terminal_colours(place: CliPlace) -> None:
    long = f"task-{'x' * 150}"
    run = h_run(long)
    place.record(run)
    piped = place.learnd("jobs", env={"COLUMNS": "40", "FORCE_COLOR": "", "TERM": "xterm-256color"})
    assert long in piped.out
    assert "\x1b" not in piped.out
    assert len(piped.lines) == 2
    shown = place.on_terminal("jobs", columns=80)
    assert "\x1b[" in shown.out
    assert long not in shown.out
    assert "…" in shown.out


@pytest.mark.parametrize("columns", [80, 120])
def test_a_narrow_terminal_shows_ids_and_what_to_type_whole(place: CliPlace, columns: int) -> None:
    ids = place.jobs_in(*BLOCKED)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", place.on_terminal("status", columns=columns).out)
    blocked = {item["id"]: item for item in place.learnd("status", "--json").json["blocked"]}
    assert sorted(blocked) == sorted(ids.values())
    for item in blocked.values():
        assert re.search(rf"^ +{item['id'][:8]}  {item['status']} ", shown, re.MULTILINE)
        assert item["next"] in shown


def test_a_table_is_aligned_by_what_a_terminal_takes_for_a_sign(place: CliPlace) -> None:
    place.record(h_run("請求書の合計"))
    titles, row = place.on_terminal("jobs", columns=120, env={"NO_COLOR": "1"}).out.splitlines()
    titles, row = (re.sub(r"\x1b\[[0-9;]*m", "", line) for line in (titles, row))
    assert cell_len(row[: row.index(" repo ") + 1]) == titles.index("REPOSITORY")


def test_no_color_is_honoured_on_a_terminal(place: CliPlace) -> None:
    place.jobs_in(JobStatus.LEARNED, JobStatus.SNAPSHOT_FAILED)
    shown = place.on_terminal("jobs", env={"NO_COLOR": "1"})
    assert "snapshot_failed" in shown.out
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", shown.out)


def test_control_characters_of_a_run_never_reach_the_terminal(place: CliPlace) -> None:
    place.record(h_run("evil\x1b]0;title\x07task"))
    assert "\x1b" not in place.learnd("jobs").out
    assert "\x1b]0" not in place.on_terminal("jobs").out


def test_who_stops_reading_early_sees_no_complaint(place: CliPlace) -> None:
    place.jobs_in(*(status for status in JobStatus if status is not JobStatus.NEW))
    shell = f"{sys.executable} -m learnd tail --since 0 --json | head -c 10"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, env=place.env, check=False, timeout=60)
    assert done.stderr == ""


def test_an_error_that_nobody_foresaw_is_one_line_and_a_traceback_on_request(place: CliPlace) -> None:
    place.record()
    broken = {"TZ": "UTC", "PYTHONPATH": str(place.root), "PYTHONSAFEPATH": ""}
    (place.root / "sitecustomize.py").write_text(
        "import learnd.views.queries as q\n"
        "def boom(*_, **__): raise ZeroDivisionError('by hand')\n"
        "q.Views.jobs = boom\n"
    )
    done = place.learnd("jobs", env=broken)
    assert done.code == 1
    assert done.err.startswith("learnd: ZeroDivisionError: by hand. Next: LEARND_DEBUG=1")
    assert "Traceback" in place.learnd("jobs", env={**broken, "LEARND_DEBUG": "1"}).err


def test_what_breaks_while_python_tidies_up_is_told_on_request_only(place: CliPlace) -> None:
    place.record()
    (place.root / "sitecustomize.py").write_text(
        "class Left:\n    def __del__(self): raise ZeroDivisionError('by hand')\n"
        "import learnd.views.queries as q\n"
        "found = q.Views.jobs\n"
        "def jobs(*given, **named):\n    Left()\n    return found(*given, **named)\n"
        "q.Views.jobs = jobs\n"
    )
    broken = {"PYTHONPATH": str(place.root), "PYTHONSAFEPATH": ""}
    done = place.learnd("jobs", "--json", env=broken)
    assert (done.code, done.json, done.err) == (0, [], "")
    assert "by hand" in place.learnd("jobs", env={**broken, "LEARND_DEBUG": "1"}).err


@pytest.mark.parametrize("line", ["--help", "jobs", "status"])
def test_starting_imports_nothing_heavy(place: CliPlace, line: str) -> None:
    place.jobs_in(JobStatus.OVER_BUDGET, JobStatus.NEEDS_MANUAL_SCENARIO)
    program = (
        "import sys; from learnd.cli import main; sys.argv = ['learnd', *sys.argv[1:]]\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('\\n'.join(sorted(sys.modules)), file=sys.stderr)"
    )
    asked = [sys.executable, "-c", program, *line.split()]
    done = subprocess.run(asked, capture_output=True, text=True, env=place.env, check=True)
    loaded = set(done.stderr.split())
    assert not loaded.intersection(HEAVY)
    assert not loaded.intersection({"events.catalog", "events.log", "state.job", "learnd.settings", "pydantic", "rich"})


def test_the_words_that_status_knows_are_those_of_the_state_table() -> None:
    assert set(diagnosis.BLOCKED) == {status.value for status in BLOCKED}
    assert set(diagnosis.MEANING) == {status.value for status in JobStatus} - {"new"}
    assert set(diagnosis.HIDDEN) < set(diagnosis.MEANING)


def h_run(task: str) -> object:
    import dataclasses

    from support import histories as h

    return dataclasses.replace(h.open_job(), run=dataclasses.replace(h.RUN, task_id=task))
