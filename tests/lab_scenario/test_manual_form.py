"""The manual scenario's form: filled by learnd, completed by a person, held to each field."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.values import Scenario
from learnd.assets import agent_dir
from learnd.lab.form_text import MUST
from learnd.lab.manual import ManualInvalid, parse_manual
from learnd.lab.manual_form import TEMPLATE, fill

TODAY = datetime.date(2026, 5, 2)
FILES = frozenset({"a.py", "data/a.json", "pkg/x.py", "a/b/c.py"})
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
    text = fill(FORM, {"cause": "no_command"}, job="7f3a2c1e99", today="2026-05-02")
    given = {"entrypoint": '"pytest -q"', "approver": '"ada"', "date": "2026-05-01", **fields}
    lines = []
    for line in text.split("\n"):
        name = line.split(" = ")[0]
        lines.append(f"{name} = {given.pop(name)}" if name in given else line)
    assert not given, "the form lacks a field"
    return "\n".join(lines)


def problems(text: str) -> dict[str, str]:
    parsed = parse_manual(text, FILES, TODAY)
    assert isinstance(parsed, ManualInvalid)
    return {error.field: error.problem for error in parsed.errors}


def scenario(text: str) -> Scenario:
    parsed = parse_manual(text, FILES, TODAY)
    assert isinstance(parsed, Scenario), str(parsed)
    return parsed


def test_the_form_tells_what_was_tried_and_stays_one_toml_block() -> None:
    text = fill(FORM, PARTIAL, job="7f3a2c1e99", today="2026-05-02")
    assert "7f3a2c1e99" in text
    assert "learnd approve 7f3a2c1e --scenario" in text
    assert "verifies nothing" in text
    assert "`a.py`" in text
    block = text.split("```toml\n")[1].split("```")[0]
    assert tomllib.loads(block)["cwd"] == 'we"ird\\pkg'
    assert set(problems(text)) == {"entrypoint", "approver", "date", "cwd"}


def test_a_filled_form_is_a_scenario() -> None:
    found = scenario(
        complete(
            setup='["make gen | tee log"]',
            cwd='"pkg"',
            env='{ MODE = "fast" }',
            fixtures='["data/a.json"]',
            services='[{ name = "redis", ports = [6379], health = "redis-cli ping" }]',
            expected_signals='["2 passed"]',
            timeout_minutes="1.5",
        )
    )
    assert (found.source, found.commands[0].cwd) == ("manual", "pkg")
    command = found.commands[0]
    assert (command.argv, command.runner, command.cls, command.timeout_s) == (("pytest", "-q"), "pytest", "test", 90.0)
    assert found.setup[0].argv == ("bash", "-c", "make gen | tee log")
    assert (found.env, found.fixtures, found.services) == (
        {"MODE": "fast"},
        ("data/a.json",),
        ("redis on 6379, healthy when: redis-cli ping",),
    )
    assert found.expected_signals == ("2 passed",)
    assert found.reason == "written by ada on 2026-05-01"


def test_a_service_with_a_command_is_one_to_be_started() -> None:
    db = '{ name = "db", command = "redis-server", ports = [6379], health = "redis-cli ping", ready_seconds = 5 }'
    web = '{ name = "web", command = "npm start", health = "http://localhost:3000/up" }'
    found = scenario(complete(cwd='"pkg"', services=f'[{db}, {web}, {{ name = "other", ports = [80] }}]'))
    assert [(one.name, one.argv[-1], one.cwd, one.ports, one.health, one.ready_s) for one in found.served] == [
        ("db", "redis-server", "pkg", (6379,), ("bash", "-c", "redis-cli ping"), 5.0),
        ("web", "npm start", "pkg", (), "http://localhost:3000/up", 60.0),
    ]
    assert found.services[2] == "other on 80"


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
        ("fixtures", '["data/b.json"]', "`data/b.json` is not in the snapshot"),
        ("fixtures", '["."]', "not in the snapshot"),
        ("fixtures", "[7]", "valid string"),
        ("cwd", '"nowhere"', "no folder of the snapshot"),
        ("cwd", '"a.py"', "no folder of the snapshot"),
        ("entrypoint", '"deploy --token ghp_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"', "looks like a secret"),
        ("env", '{ MODE = "ghp_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8" }', "looks like a secret"),
        ("env", "{ MODE = 7 }", "valid string"),
        ("env", '"MODE=fast"', "valid dictionary"),
        ("services", '["redis"]', "valid dictionary"),
        ("services", "[{ ports = [1] }]", "is missing"),
        ("services", '[{ name = "r", ports = [0] }]', "greater than or equal to 1"),
        ("services", '[{ name = "a b" }]', "match pattern"),
        ("services", '[{ name = "r", health = "ping \'" }]', "cannot be read"),
        ("services", '[{ name = "r" }, { name = "r" }]', "`r` stands twice"),
        ("services", '[{ name = "r", command = "serve" }]', "nothing tells when r is up"),
        ("services", '[{ name = "r", command = "serve", health = "http://example.org/" }]', "address on localhost"),
        ("services", '[{ name = "r", command = "serve", health = "https://localhost/" }]', "address on localhost"),
        ("services", '[{ name = "r", command = "serve", ports = [1], ready_seconds = 0 }]', "greater than"),
        ("services", '[{ name = "r", ports = [80] }, { name = "s", ports = [80] }]', "`80` stands twice"),
        ("expected_signals", '[" "]', "is empty"),
        ("expected_signals", '"3 passed"', "valid list"),
        ("timeout_minutes", "0", "greater than or equal to 0.1"),
        ("timeout_minutes", "1000", "less than or equal to 120"),
        ("approver", '" "', "is empty"),
        ("date", '"tomorrow"', "YYYY-MM-DD"),
        ("date", '""', "YYYY-MM-DD"),
        ("date", "20260501", "valid"),
        ("date", "2026-05-04", "that has not come"),
        ("approver", '"a\\nb"', "no name on one line"),
        ("timeout_minutes", '"10"', "valid number"),
    ],
)
def test_refused_naming_the_field(field: str, value: str, problem: str) -> None:
    found = problems(complete(**{field: value}))
    (name,) = found
    assert name.split(".")[0] == field
    assert problem in found[name]
    assert f"it must be {MUST[field]}" in found[name]


def test_every_wrong_field_is_named_at_once() -> None:
    text = complete(
        entrypoint='""', setup='["", "make", " "]', cwd='"/"', env='{ "A-B" = "x", LD_X = "y", OK = "z" }',
        approver='""', fixtures='["a.py", "gone", "../up"]',
    ).replace("services = []", "colour = 1\nservice = []")  # fmt: skip
    assert list(problems(text)) == [
        "entrypoint", "setup.0", "setup.2", "cwd", "env.A-B", "env.LD_X", "fixtures.1", "fixtures.2", "approver",
        "colour", "service",
    ]  # fmt: skip
    assert problems(text)["colour"] == "is not a field of this form"
    assert problems(text)["service"] == "is not a field of this form; did you mean services?"


def test_the_form_as_it_is_handed_out_is_refused_with_what_is_still_to_be_done() -> None:
    told = problems(fill(FORM, PARTIAL, job="7f3a2c1e99", today="2026-05-02"))
    assert told.pop("cwd").startswith('`we"ird\\pkg` is no folder')
    assert told == {
        "entrypoint": f"is empty; it must be {MUST['entrypoint']}",
        "approver": f"is empty; it must be {MUST['approver']}",
        "date": f"is empty; it must be {MUST['date']}",
    }


def indented(text: str) -> str:
    return "".join(f"    {line}" for line in text.splitlines(keepends=True))


def block_alone(text: str) -> str:
    return text.split("```toml\n")[1].split("```", maxsplit=1)[0]


@pytest.mark.parametrize(
    "mangled",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: "\ufeff" + text,
        lambda text: "\ufeff" + block_alone(text),
        block_alone,
        lambda text: f"Here it is:\n\n````markdown\n{text}\n````\n\nRegards\n",
        lambda text: text.replace("```toml", "```TOML  ").replace("```\n", "```  \n"),
        lambda text: text.replace("```", "~~~~"),
        indented,
    ],
)
def test_a_form_is_understood_whatever_an_editor_made_of_the_file_around_it(mangled: Callable[[str], str]) -> None:
    plain = complete(setup='["make gen"]', env='{ A = "b" }')
    assert scenario(mangled(plain)) == scenario(plain)


def test_what_is_no_toml_is_shown_by_its_line_in_the_file() -> None:
    text = complete(entrypoint="pytest -q")
    line = next(at for at, one in enumerate(text.split("\n"), 1) if one.startswith("entrypoint"))
    assert f"at line {line} of the file" in problems(text)["(the toml block)"]


def test_proposals_stand_in_the_form_as_comments_that_cannot_end_it() -> None:
    partial = {**PARTIAL, "suggested": [{"line": 'bash "x".sh\n```\nentrypoint = 1', "why": "a file of the snapshot"}]}
    text = fill(FORM, partial, job="7f3a2c1e99", today="2026-05-02")
    assert "a file of the snapshot" in text.split("```toml")[0]
    assert '# entrypoint = "bash \\"x\\".sh ``` entrypoint = 1"' in text.split("```toml")[1]
    assert set(problems(text)) == {"entrypoint", "approver", "date", "cwd"}


@pytest.mark.parametrize(
    "text", ["", "```toml\n```\n```toml\n```", "```toml\na = 1", "x" * 300_000, "```toml\na = \n```"]
)
def test_refused_when_the_block_is_missing_or_broken(text: str) -> None:
    assert all(field.startswith("(") for field in problems(text))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200), st.recursive(st.none() | st.text(max_size=9) | st.integers(), st.lists, max_leaves=5))
def test_anything_gets_an_answer(text: str, value: object) -> None:
    assert isinstance(parse_manual(text, FILES, TODAY), ManualInvalid)
    assert isinstance(parse_manual(f"```toml\n{text}\n```", FILES, TODAY), ManualInvalid)
    filled = fill(
        FORM,
        {"tried": [{"line": value}], "changed_paths": value, "packages": [text], "detail": value},
        job="7f3a2c1e99",
        today="2026-05-02",
    )
    assert set(problems(filled)) >= {"entrypoint", "approver", "date"}
