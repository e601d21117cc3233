"""The manual scenario's form: filled by learnd, completed by a person, held to each field."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.values import Scenario
from learnd.assets import agent_dir
from learnd.lab.manual import TEMPLATE, ManualInvalid, fill, parse_manual

FORM = (agent_dir() / "task/templates" / TEMPLATE).read_text()
PARTIAL: dict[str, object] = {
    "cause": "unfit",
    "detail": "1 commands turned down",
    "tried": [{"source": "execution_history", "line": "ls `x`\n```toml", "why_not": "`ls` verifies nothing"}],
    "changed_paths": ["a.py", "b`c.py"],
    "packages": ['we"ird\\pkg'],
}


def complete(**fields: str) -> str:
    """The form with fields set: `entrypoint="'pytest'"` and so on, as TOML."""
    text = fill(FORM, {"cause": "no_command"}, job="7f3a2c1e99")
    given = {"entrypoint": '"pytest -q"', "approver": '"ada"', "date": "2026-05-01", **fields}
    lines = []
    for line in text.split("\n"):
        name = line.split(" = ")[0]
        lines.append(f"{name} = {given.pop(name)}" if name in given else line)
    assert not given, "the form lacks a field"
    return "\n".join(lines)


def problems(text: str) -> dict[str, str]:
    parsed = parse_manual(text)
    assert isinstance(parsed, ManualInvalid)
    return {error.field: error.problem for error in parsed.errors}


def scenario(text: str) -> Scenario:
    parsed = parse_manual(text)
    assert isinstance(parsed, Scenario), str(parsed)
    return parsed


def test_the_form_tells_what_was_tried_and_stays_one_toml_block() -> None:
    text = fill(FORM, PARTIAL, job="7f3a2c1e99")
    assert "7f3a2c1e99" in text
    assert "learnd approve 7f3a2c1e --scenario" in text
    assert "verifies nothing" in text
    assert "`a.py`" in text
    block = text.split("```toml\n")[1].split("```")[0]
    assert tomllib.loads(block)["cwd"] == 'we"ird\\pkg'
    assert set(problems(text)) == {"entrypoint", "approver", "date"}


def test_a_filled_form_is_a_scenario() -> None:
    found = scenario(
        complete(
            setup='["make gen | tee log"]',
            cwd='"pkg"',
            env='{ MODE = "fast" }',
            fixtures='["data/a.json"]',
            services='["redis"]',
            expected_signals='["2 passed"]',
            timeout_minutes="1.5",
        )
    )
    assert (found.source, found.commands[0].cwd) == ("manual", "pkg")
    command = found.commands[0]
    assert (command.argv, command.runner, command.cls, command.timeout_s) == (("pytest", "-q"), "pytest", "test", 90.0)
    assert found.setup[0].argv == ("bash", "-c", "make gen | tee log")
    assert (found.env, found.fixtures, found.services) == ({"MODE": "fast"}, ("data/a.json",), ("redis",))
    assert found.expected_signals == ("2 passed",)
    assert found.reason == "written by ada on 2026-05-01"


@pytest.mark.parametrize(
    "line", ["./verify.sh --all", "pytest -q | tee log", "python check.py && pytest", "pytest t_*.py"]
)
def test_an_entrypoint_needs_no_known_runner(line: str) -> None:
    command = scenario(complete(entrypoint=f"'{line}'")).commands[0]
    assert (command.argv, command.cls, command.runner) == (("bash", "-c", line), "test", "shell")


def test_an_entrypoint_in_another_folder_keeps_it() -> None:
    command = scenario(complete(entrypoint="'FOO=1 pytest'", cwd="'a/b'")).commands[0]
    assert (command.argv, command.cwd, command.env) == (("pytest",), "a/b", {"FOO": "1"})


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("entrypoint", '""', "is empty"),
        ("entrypoint", '"ls -la"', "verifies nothing"),
        ("entrypoint", '"true && echo ok"', "verifies nothing"),
        ("entrypoint", '"pytest \'a"', "cannot be read"),
        ("entrypoint", "7", "valid string"),
        ("setup", '["make", ""]', "is empty"),
        ("setup", '"make"', "valid list"),
        ("cwd", '"/etc"', "inside the repository"),
        ("cwd", '"../x"', "inside the repository"),
        ("env", '{ API_TOKEN = "x" }', "looks like a secret"),
        ("env", '{ URL = "https://me:pw@host/" }', "looks like a secret"),
        ("env", '{ "A-B" = "x" }', "no variable name"),
        ("env", '{ LD_PRELOAD = "x" }', "sandbox's own"),
        ("fixtures", '["/etc/passwd"]', "inside the repository"),
        ("services", '[" "]', "empty"),
        ("timeout_minutes", "0", "greater than or equal to 0.1"),
        ("timeout_minutes", "1000", "less than or equal to 120"),
        ("approver", '" "', "must name the person"),
        ("date", '"tomorrow"', "YYYY-MM-DD"),
        ("date", '""', "YYYY-MM-DD"),
    ],
)
def test_refused_naming_the_field(field: str, value: str, problem: str) -> None:
    found = problems(complete(**{field: value}))
    assert list(found) == [field] or list(found) == [f"{field}.0"]
    assert problem in found[field]


def test_every_wrong_field_is_named_at_once() -> None:
    text = complete(entrypoint='""', cwd='"/"', approver='""').replace("services = []", "colour = 1")
    assert set(problems(text)) == {"entrypoint", "cwd", "approver", "colour"}
    assert problems(text)["colour"] == "is not a field of this form"


@pytest.mark.parametrize(
    "text", ["", "```toml\n```\n```toml\n```", "```toml\na = 1", "x" * 300_000, "```toml\na = \n```"]
)
def test_refused_when_the_block_is_missing_or_broken(text: str) -> None:
    assert all(field.startswith("(") for field in problems(text))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200), st.recursive(st.none() | st.text(max_size=9) | st.integers(), st.lists, max_leaves=5))
def test_anything_gets_an_answer(text: str, value: object) -> None:
    assert isinstance(parse_manual(text), ManualInvalid)
    assert isinstance(parse_manual(f"```toml\n{text}\n```"), ManualInvalid)
    filled = fill(
        FORM,
        {"tried": [{"line": value}], "changed_paths": value, "packages": [text], "detail": value},
        job="7f3a2c1e99",
    )
    assert set(problems(filled)) >= {"entrypoint", "approver", "date"}
