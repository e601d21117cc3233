"""What is added to a command so that its runner reports, and to which commands nothing can be added."""

from __future__ import annotations

import pytest

from events.values import CommandClass, ScenarioCommand
from learnd.lab.outcomes import instrument, reporter_dir, source_of


def command(line: str, runner: str, cls: CommandClass = "test", **env: str) -> ScenarioCommand:
    return ScenarioCommand(argv=tuple(line.split()), cls=cls, runner=runner, env=env)


JEST = "--json --outputFile=/r/node.json"
VITEST = "--reporter=default --reporter=json --outputFile.json=/r/node.json"


@pytest.mark.parametrize(
    ("line", "runner", "expected"),
    [
        ("npx jest t", "jest", f"npx jest t {JEST}"),
        ("jest t -- x", "jest", f"jest t {JEST} -- x"),
        ("npx -- jest t", "jest", f"npx -- jest t {JEST}"),
        ("npm test", "jest", f"npm test -- {JEST}"),
        ("npm test -- -t name", "jest", f"npm test -- -t name {JEST}"),
        ("pnpm test", "jest", f"pnpm test {JEST}"),
        ("yarn run test", "vitest", f"yarn run test {VITEST}"),
        ("corepack pnpm test", "vitest", f"corepack pnpm test {VITEST}"),
        ("vitest run", "vitest", f"vitest run {VITEST}"),
        ("node node_modules/vitest/vitest.mjs run", "vitest", f"node node_modules/vitest/vitest.mjs run {VITEST}"),
        ("pytest -q", "pytest", "pytest -q"),
        ("make test", "make", "make test"),
    ],
)
def test_the_flags_stand_where_the_runner_reads_them(line: str, runner: str, expected: str) -> None:
    assert instrument(command(line, runner), "/r").argv == tuple(expected.split())


@pytest.mark.parametrize(
    ("line", "runner", "expected"),
    [
        ("go test ./...", "go", "go test -json -count=1 ./..."),
        ("go test -count=3 -json ./a", "go", "go test -count=3 -json ./a"),
        ("cargo test --workspace", "cargo", "cargo test --workspace"),
    ],
)
def test_standard_output_goes_to_a_file_of_its_own(line: str, runner: str, expected: str) -> None:
    argv = instrument(command(line, runner), "/r").argv
    assert argv[:3] == ("sh", "-c", 'exec "$@" >"$0"')
    assert argv[3].startswith(f"/r/{runner}.")
    assert argv[4:] == tuple(expected.split())


@pytest.mark.parametrize(
    ("line", "runner", "cls"),
    [
        ("python -I -m pytest", "pytest", "test"),
        ("python3 -ES -m unittest", "unittest", "test"),
        ("npx jest --json", "jest", "test"),
        ("npx vitest run --outputFile=x", "vitest", "test"),
        ("cargo clippy", "cargo", "lint"),
        ("go vet ./...", "go", "lint"),
        ("cargo nextest run", "nextest", "test"),
        ("make test", "make", "test"),
        ("bash -c x", "shell", "test"),
    ],
)
def test_the_exit_code_speaks_where_no_report_can_be_had(line: str, runner: str, cls: CommandClass) -> None:
    given = command(line, runner, cls)
    assert source_of(given) == "exit_code"
    assert instrument(given, "/r").argv == given.argv


def test_flags_of_the_runner_are_not_taken_for_python_s() -> None:
    assert source_of(command("python -m pytest -S -E", "pytest")) == "pytest"


def test_the_environment_extends_what_the_replay_has() -> None:
    env = instrument(command("pytest", "pytest", PYTHONPATH="src"), "/r", env={"PYTHONPATH": "lib"}).env
    assert env["PYTHONPATH"] == "/learnd/reporter:src"
    assert env["LEARND_REPORT_DIR"] == "/r"
    assert (
        instrument(command("pytest", "pytest"), "/r", env={"PYTHONPATH": "lib"}).env["PYTHONPATH"]
        == "/learnd/reporter:lib"
    )


def test_node_runners_neither_wait_nor_write_snapshots() -> None:
    assert instrument(command("npm test", "npm"), "/r").env["CI"] == "1"
    assert instrument(command("npm test", "jest", CI="false"), "/r").env["CI"] == "false"
    assert "CI" not in instrument(command("pytest", "pytest"), "/r").env


def test_uv_stays_off_the_network() -> None:
    env = instrument(command("uv run pytest", "pytest"), "/r").env
    assert (env["UV_OFFLINE"], env["UV_NO_SYNC"]) == ("1", "1")


def test_the_reporter_is_shipped() -> None:
    assert {"sitecustomize.py", "learnd_reporter.py"} <= {file.name for file in reporter_dir().iterdir()}
