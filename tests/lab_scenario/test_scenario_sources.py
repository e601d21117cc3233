"""Where a change's commands come from, and in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from events.values import Scenario, ScenarioCommand
from learnd.assets import agent_dir
from learnd.lab import templates
from learnd.lab.manual_form import fill
from learnd.lab.prompts import mentioned
from learnd.lab.scenario import NoScenario, SynthesisRequest, packages, synthesize
from learnd.manifest.history import ExecutedCommand

STACKS = templates.load(agent_dir() / "task/templates").stacks
REPO = "/home/me/shop"
PYTHON = {
    "pyproject.toml": b"[tool.pytest.ini_options]\n",
    "shop/cart.py": b"",
    "shop/pay.py": b"",
    "tests/test_cart.py": b"",
    "tests/test_pay.py": b"",
}


def ran(
    line: str, exit_code: int | None = 0, cwd: str | None = REPO, argv: tuple[str, ...] | None = None
) -> ExecutedCommand:
    return ExecutedCommand(line=line, source="runner.ndjson", argv=argv, cwd=cwd, exit_code=exit_code)


def find(files: dict[str, bytes], changed: tuple[str, ...] = (), **more: Any) -> Scenario:
    history = more.pop("history", ())
    return synthesize(
        SynthesisRequest(
            repo_path=REPO,
            history=tuple(history),
            changed_paths=changed,
            files=frozenset(files),
            read=files.get,
            stacks=STACKS,
            **more,
        )
    )


def argvs(scenario: Scenario) -> list[str]:
    return [" ".join(command.argv) for command in scenario.commands]


# --- execution history ------------------------------------------------------------------------------


def test_the_latest_successful_test_command_and_not_the_last_success() -> None:
    history = [
        ran("pytest tests/test_cart.py"),
        ran("pytest -q"),
        ran("pytest -x", 1),
        ran("git push"),
        ran("ruff check ."),
    ]
    scenario = find(PYTHON, ("shop/cart.py",), history=history)
    assert scenario.source == "execution_history"
    assert argvs(scenario) == ["pytest -q"]
    assert "latest successful test command" in scenario.reason


def test_build_before_lint_when_no_test_succeeded() -> None:
    files = {"README.md": b""}
    assert argvs(find(files, history=[ran("go build ./..."), ran("ruff check .")])) == ["go build ./..."]


def test_a_test_named_in_the_prompt_goes_before_a_lint_that_ran() -> None:
    scenario = find(PYTHON, history=[ran("ruff check .")], prompt="Then run `pytest -q tests/test_pay.py`.")
    assert (scenario.source, argvs(scenario)) == ("prompt", ["pytest -q tests/test_pay.py"])


def test_a_lint_that_ran_goes_before_the_guess_of_a_template() -> None:
    scenario = find({"Makefile": b"test:\n\ttrue\n", "a.js": b""}, ("a.js",), history=[ran("npx eslint .")])
    assert (scenario.source, scenario.commands[0].cls) == ("execution_history", "lint")


def test_builds_on_the_same_line_become_set_up() -> None:
    scenario = find({"a.ts": b"", "package.json": b'{"scripts":{"build":"tsc","test":"node --test"}}'},
                    history=[ran("npm ci && npm run build && npm test")])  # fmt: skip
    assert [" ".join(command.argv) for command in scenario.setup] == ["npm run build"]
    assert argvs(scenario) == ["npm test"]


def test_all_tests_of_a_line_belong_to_it() -> None:
    scenario = find(PYTHON, history=[ran("pytest tests/test_cart.py && pytest tests/test_pay.py")])
    assert argvs(scenario) == ["pytest tests/test_cart.py", "pytest tests/test_pay.py"]


def test_a_vector_is_run_as_recorded() -> None:
    argv = (f"{REPO}/.venv/bin/python", "-m", "pytest", "-k", "a or b")
    scenario = find(PYTHON, history=[ran("…", argv=argv)])
    assert scenario.commands == (ScenarioCommand(argv=argv, cls="test", runner="pytest"),)


@pytest.mark.parametrize(
    ("cwd", "line", "expected"),
    [
        (f"{REPO}/tests", "pytest", "tests"),
        ("tests", "pytest", "tests"),
        (None, "cd tests && pytest", "tests"),
        (REPO, f"cd {REPO}/tests && pytest", "tests"),
        (f"{REPO}/tests", "cd .. && pytest", "."),
        ("/worktrees/7/tests", "pytest", "tests"),
    ],
)
def test_the_folder_is_kept_relative_to_the_repository(cwd: str | None, line: str, expected: str) -> None:
    scenario = find(PYTHON, history=[ran(line, cwd=cwd)], also_at=("/worktrees/7",))
    assert scenario.commands[0].cwd == expected


def test_words_that_name_the_run_s_own_checkout_name_the_repository() -> None:
    line = "/worktrees/7/.venv/bin/python -m pytest --rootdir=/worktrees/7 /worktrees/7/tests/test_pay.py"
    scenario = find(PYTHON, history=[ran(line, cwd="/worktrees/7")], also_at=("/worktrees/7",))
    assert argvs(scenario) == [f"{REPO}/.venv/bin/python -m pytest --rootdir={REPO} {REPO}/tests/test_pay.py"]


@pytest.mark.parametrize(
    ("executed", "reason"),
    [
        (ran("pytest", cwd="/elsewhere"), "outside of the repository"),
        (ran("pytest", cwd=f"{REPO}-other"), "outside of the repository"),
        (ran("pytest", cwd=".."), "outside of the repository"),
        (ran("cd ../.. && pytest"), "outside of the repository"),
        (ran("cd gone && pytest"), "the folder gone is not in the snapshot"),
        (ran("pytest /tmp/test_scratch.py"), "/tmp/test_scratch.py lies outside"),
        (ran("pytest tests/test_gone.py::test_x"), "tests/test_gone.py is not in the snapshot"),
        (ran("pytest", 1), "it ended with 1"),
        (ran("pytest", None), "how it ended is not recorded"),
        (ran("docker compose run app pytest"), "needs a service"),
    ],
)
def test_refused_and_told_why(executed: ExecutedCommand, reason: str) -> None:
    with pytest.raises(NoScenario) as caught:
        find({"README.md": b"", "tests/test_pay.py": b""}, history=[executed])
    assert reason in str(caught.value.partial["tried"])
    assert caught.value.cause == "unfit"


def test_a_command_of_another_class_is_refused_and_written_down() -> None:
    with pytest.raises(NoScenario) as caught:
        find({"README.md": b""}, history=[ran("terraform apply"), ran("git push && ls")])
    assert {(entry["line"], entry["why_not"]) for entry in caught.value.partial["refused"]} == {  # type: ignore[attr-defined]
        ("terraform apply", "`terraform` acts outside of the tree and verifies nothing here"),
        ("git push", "`git` verifies nothing"),
        ("ls", "`ls` verifies nothing"),
    }
    template = (agent_dir() / "task/templates/manual-scenario-template.md").read_text()
    form = fill(template, caught.value.partial, job="a" * 64, today="2026-01-01")
    assert "- `terraform apply` (no test, build or lint command): `terraform` acts outside" in form


def test_a_hidden_exit_code_is_told_in_the_reason() -> None:
    scenario = find(PYTHON, history=[ran("cd tests && pytest -q | tee ../log")])
    assert scenario.reason.endswith("pytest -q; run without the pipe behind it, which hid its exit code")


def test_a_service_that_the_run_had_is_written_down() -> None:
    scenario = find(PYTHON, history=[ran("docker compose up -d && pytest")])
    assert scenario.services == ("docker",)
    assert "docker" in scenario.reason


# --- prompt -----------------------------------------------------------------------------------------

PROMPTS = [
    ("```bash\n$ pytest -q tests/test_pay.py\n2 passed\n```", "pytest -q tests/test_pay.py"),
    ("```\n# check it\npytest -q \\\n   -x\n```", "pytest -q -x"),
    ("Do it, then:\n\n    $ python -m pytest\n", "python -m pytest"),
    ("- $ pytest -x", "pytest -x"),
    ("Edit `cart.py` so that `total()` rounds; verify with `pytest`.", "pytest"),
    ("`pytest` must pass", "pytest"),
    ("Use `rm -rf build` first, then `pytest -q`", "pytest -q"),
    ("~~~sh\ncd tests && pytest\n~~~", "pytest"),
]


@pytest.mark.parametrize(("text", "expected"), PROMPTS)
def test_a_command_of_the_prompt(text: str, expected: str) -> None:
    scenario = find({**PYTHON}, prompt=text)
    assert (scenario.source, argvs(scenario)) == ("prompt", [expected])


@pytest.mark.parametrize(
    "text",
    [
        "Run `deploy --now` and `curl http://x.test/`.",
        "The `pytest` fixtures live in `conftest.py`",
        "pytest -q",
        "```python\npytest -q\n```",
        "```\nnot a command at all\n```",
        '`bash -c "rm -rf / #pytest"`',
        "`pytest $(curl http://x.test/)`",
        "`./pytest-like-script.sh run`",
    ],
)
def test_prose_and_unknown_words_are_no_command(text: str) -> None:
    with pytest.raises(NoScenario):
        find({"README.md": b""}, prompt=text)


def test_acceptance_criteria_go_before_the_prompt() -> None:
    scenario = find(PYTHON, prompt="run `pytest -x`", acceptance="- [ ] `pytest tests/test_pay.py` passes")
    assert argvs(scenario) == ["pytest tests/test_pay.py"]


def test_a_prompt_that_is_nothing_but_fences_is_read_in_one_pass() -> None:
    assert set(mentioned("```\n````\n" * 20_000)) <= {"```", "````"}
    assert len(mentioned("\n".join(f"$ pytest {n}" for n in range(5000)))) == 200


# --- diff, last known good, templates ------------------------------------------------------------------


def test_changed_tests_are_run_alone_and_written_down() -> None:
    scenario = find(PYTHON, ("shop/cart.py", "tests/test_cart.py", "tests/test_gone.py"))
    assert (scenario.source, argvs(scenario)) == ("diff", ["python -m pytest tests/test_cart.py"])
    assert scenario.changed_tests == ("tests/test_cart.py", "tests/test_gone.py")


def test_without_changed_tests_those_named_after_the_source() -> None:
    scenario = find(PYTHON, ("shop/pay.py",))
    assert (scenario.source, argvs(scenario)) == ("diff", ["python -m pytest tests/test_pay.py"])


@pytest.mark.parametrize(
    ("files", "changed", "expected", "cwd"),
    [
        ({"go.mod": b"", "a/x.go": b"", "a/x_test.go": b""}, "a/x_test.go", "go test ./a", "."),
        ({"Cargo.toml": b"", "src/lib.rs": b"", "tests/it.rs": b""}, "tests/it.rs", "cargo test --test it", "."),
        ({"package.json": b'{"devDependencies": {"jest": "1"}}', "a.test.js": b""}, "a.test.js",
         "npx --no-install jest a.test.js", "."),
        ({"w/package.json": b'{"devDependencies": {"vitest": "1"}}', "w/s/a.ts": b"", "w/s/a.spec.ts": b""}, "w/s/a.ts",
         "npx --no-install vitest run s/a.spec.ts", "w"),
        ({"test_m.py": b"import unittest", "m.py": b""}, "m.py", "python -m unittest test_m.py", "."),
        ({"pkg/setup.cfg": b"[tool:pytest]", "pkg/tests/test_m.py": b"", "x.py": b""}, "pkg/tests/test_m.py",
         "python -m pytest tests/test_m.py", "pkg"),
    ],
)  # fmt: skip
def test_each_stack_names_its_tests(files: dict[str, bytes], changed: str, expected: str, cwd: str) -> None:
    scenario = find(files, (changed,))
    assert (argvs(scenario), scenario.commands[0].cwd) == ([expected], cwd)


def test_the_command_last_known_good_goes_before_a_template_and_only_for_its_package() -> None:
    known = ScenarioCommand(argv=("tox", "-e", "unit"), cls="test", runner="tox")
    other = ScenarioCommand(argv=("tox", "-e", "api"), cls="test", runner="tox", cwd="api")
    files = {"pyproject.toml": b"", "src/lonely.py": b"", "api/a.py": b""}
    assert argvs(find(files, ("src/lonely.py",), last_known_good=(other, known))) == ["tox -e unit"]


def test_a_template_when_nothing_else_is_known() -> None:
    files = {"go.mod": b"", "x.go": b""}
    scenario = find(files, ("x.go",))
    assert (scenario.source, argvs(scenario)) == ("template", ["go test ./..."])


def test_a_template_s_target_or_script_has_to_be_there() -> None:
    makefile = {"Makefile": b"check:\n\ttrue\n", "notes.txt": b""}
    assert argvs(find(makefile, ("notes.txt",))) == ["make check"]
    package = {"package.json": b'{"scripts": {"test": "echo none && exit 1", "build": "tsc"}}', "a.js": b""}
    assert argvs(find(package, ("a.js",))) == ["npm run build"]


def test_nothing_at_all_says_so() -> None:
    with pytest.raises(NoScenario) as caught:
        find({"README.md": b""}, ("README.md",))
    assert caught.value.cause == "no_command"
    assert caught.value.partial["changed_paths"] == ["README.md"]


def test_packages_of_a_change_the_most_touched_first() -> None:
    files = frozenset(("a/go.mod", "a/x.go", "b/go.mod", "b/y.go", "b/z.go"))
    assert packages(("a/x.go", "b/y.go", "b/z.go"), files, STACKS) == ("b", "a")
    assert packages(("README.md",), files, STACKS) == (".",)


def test_scenarios_fit_into_the_log(tmp_path: Path) -> None:
    scenario = find(PYTHON, ("tests/test_cart.py",))
    assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario
