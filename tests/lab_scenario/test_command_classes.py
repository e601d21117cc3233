"""Lines as runs record them: what each verifies, or why it is left alone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learnd.lab.commands import classify, parts
from learnd.lab.shell import Unparseable, simple_commands

VERIFYING = [
    ("pytest", "test", "pytest", ("pytest",), "."),
    ("FOO=1 pytest", "test", "pytest", ("pytest",), "."),
    ("env FOO=1 BAR=2 pytest -q", "test", "pytest", ("pytest", "-q"), "."),
    ("cd x && ruff check . && pytest -q | tee log", "test", "pytest", ("pytest", "-q"), "x"),
    ("pytest -q 2>&1 | tail -20", "test", "pytest", ("pytest", "-q"), "."),
    ("pytest -q > out.txt 2>&1", "test", "pytest", ("pytest", "-q"), "."),
    ("pytest -x || true", "test", "pytest", ("pytest", "-x"), "."),
    (
        "bash -lc 'cd a && python -m pytest -q t/x.py'",
        "test",
        "pytest",
        ("python", "-m", "pytest", "-q", "t/x.py"),
        "a",
    ),
    ("sh -c \"pytest -k 'a and b'\"", "test", "pytest", ("pytest", "-k", "a and b"), "."),
    ("bash -o pipefail -c 'pytest | tee log'", "test", "pytest", ("pytest",), "."),
    ("python -m pytest", "test", "pytest", ("python", "-m", "pytest"), "."),
    ("python3.11 -W error -m pytest -q", "test", "pytest", ("python3.11", "-W", "error", "-m", "pytest", "-q"), "."),
    ("/abs/.venv/bin/python -m pytest", "test", "pytest", ("/abs/.venv/bin/python", "-m", "pytest"), "."),
    ("python -m unittest discover -s tests", "test", "unittest", None, "."),
    ("python -m coverage run -m pytest", "test", "pytest", None, "."),
    ("coverage run --source src -m unittest", "test", "unittest", None, "."),
    ("python manage.py test shop", "test", "django", None, "."),
    ("uv run pytest", "test", "pytest", ("uv", "run", "pytest"), "."),
    ("uv run --with hypothesis -m pytest -q", "test", "pytest", None, "."),
    ("poetry run python -m unittest", "test", "unittest", None, "."),
    ("pdm run pytest", "test", "pytest", None, "."),
    ("hatch run pytest", "test", "pytest", None, "."),
    ("hatch run dev:test", "test", "hatch", None, "."),
    ("hatch test", "test", "pytest", None, "."),
    ("pipenv run pytest", "test", "pytest", None, "."),
    ("npx jest --ci", "test", "jest", ("npx", "jest", "--ci"), "."),
    ("npx --no-install vitest run", "test", "vitest", None, "."),
    ("npx jest@29 t", "test", "jest", None, "."),
    ("jest", "test", "jest", None, "."),
    ("jest -w 2", "test", "jest", None, "."),
    ("npm test -w pkg", "test", "npm", None, "."),
    ("vitest run --coverage", "test", "vitest", None, "."),
    ("mocha", "test", "mocha", None, "."),
    ("./node_modules/.bin/mocha spec", "test", "mocha", None, "."),
    ("node node_modules/jest/bin/jest.js", "test", "jest", None, "."),
    ("node --test", "test", "node_test", None, "."),
    ("xvfb-run -a --server-args='-screen 0' npx jest", "test", "jest", ("npx", "jest"), "."),
    ("time timeout -k 5 60 env FOO=1 pytest", "test", "pytest", ("pytest",), "."),
    ("(cd a; FOO=1 pytest) | tee log", "test", "pytest", ("pytest",), "a"),
    ("(cd a && make build); pytest", "test", "pytest", ("pytest",), "."),
    ("just test", "test", "just", None, "."),
    ("mvn -B -o test", "test", "maven", None, "."),
    ("./mvnw verify", "test", "maven", ("./mvnw", "verify"), "."),
    ("mvn package -DskipTests", "build", "maven", None, "."),
    ("mvn compile", "build", "maven", None, "."),
    ("mvn checkstyle:check", "lint", "maven", None, "."),
    ("./gradlew :app:test --tests a.B", "test", "gradle", None, "."),
    ("gradle build -x test", "build", "gradle", None, "."),
    ("gradle assemble", "build", "gradle", None, "."),
    ("gradle spotlessCheck", "lint", "gradle", None, "."),
    ("hatch fmt --check", "lint", "hatch", None, "."),
    ("pnpm -F web test", "test", "npm", None, "."),
    ("npm test", "test", "npm", ("npm", "test"), "."),
    ("npm t", "test", "npm", None, "."),
    ("npm run test:unit", "test", "npm", None, "."),
    ("npm run build", "build", "npm", None, "."),
    ("npm run lint", "lint", "npm", None, "."),
    ("pnpm test", "test", "npm", None, "."),
    ("pnpm exec vitest run", "test", "vitest", None, "."),
    ("yarn jest", "test", "jest", None, "."),
    ("corepack pnpm test", "test", "npm", None, "."),
    ("cross-env NODE_ENV=test jest", "test", "jest", None, "."),
    ("go test ./...", "test", "go", None, "."),
    ("go build ./...", "build", "go", None, "."),
    ("go test -c ./x", "build", "go", None, "."),
    ("go vet ./...", "lint", "go", None, "."),
    ("cargo test", "test", "cargo", None, "."),
    ("cargo +nightly t --workspace", "test", "cargo", None, "."),
    ("cargo nextest run", "test", "nextest", None, "."),
    ("cargo test --no-run", "build", "cargo", None, "."),
    ("cargo build --release", "build", "cargo", None, "."),
    ("cargo clippy -- -D warnings", "lint", "cargo", None, "."),
    ("cargo fmt --check", "lint", "cargo", None, "."),
    ("make test", "test", "make", None, "."),
    ("make -j4 check", "test", "make", None, "."),
    ("make -C sub lint", "lint", "make", None, "."),
    ("make", "build", "make", None, "."),
    ("tox -e py311", "test", "tox", None, "."),
    ("tox -e lint", "lint", "tox", None, "."),
    ("nox -s tests", "test", "nox", None, "."),
    ("ruff check .", "lint", "ruff", None, "."),
    ("ruff format --check .", "lint", "ruff", None, "."),
    ("mypy src", "lint", "mypy", None, "."),
    ("flake8", "lint", "flake8", None, "."),
    ("npx eslint .", "lint", "eslint", None, "."),
    ("npx tsc --noEmit", "lint", "tsc", None, "."),
    ("tsc -p .", "build", "tsc", None, "."),
    ("black --check .", "lint", "formatter", None, "."),
    ("pre-commit run --all-files", "lint", "pre-commit", None, "."),
    ("timeout 60 time nice -n 5 pytest", "test", "pytest", ("pytest",), "."),
    ("source .venv/bin/activate && pytest -q", "test", "pytest", (".venv/bin/pytest", "-q"), "."),
    (". /abs/.venv/bin/activate; cd sub; python -m pytest", "test", "pytest", None, "sub"),
    ("source .venv/bin/activate && cd sub && pytest", "test", "pytest", ("../.venv/bin/pytest",), "sub"),
    ("(cd a && pytest) && ruff check .", "test", "pytest", ("pytest",), "a"),
    ("(cd a && true); pytest", "test", "pytest", ("pytest",), "."),
    ("cd a; cd ../b; pytest", "test", "pytest", ("pytest",), "b"),
    ("ls && git status && pytest  # look first", "test", "pytest", ("pytest",), "."),
    ("set -euo pipefail\npytest \\\n  -q", "test", "pytest", ("pytest", "-q"), "."),
    ("pytest -k 'not $slow'", "test", "pytest", ("pytest", "-k", "not $slow"), "."),
    ("npm run build && npm test", "test", "npm", ("npm", "test"), "."),
    ("ruff check . && npm run build", "build", "npm", None, "."),
]


@pytest.mark.parametrize(("line", "cls", "runner", "argv", "cwd"), VERIFYING, ids=[row[0] for row in VERIFYING])
def test_a_line_that_verifies(line: str, cls: str, runner: str, argv: tuple[str, ...] | None, cwd: str) -> None:
    found = classify(line)
    assert (found.cls, found.runner, found.cwd, found.why_not) == (cls, runner, cwd, None)
    if argv is not None:
        assert found.argv == argv


REFUSED = [
    ("ls -la", "`ls` verifies nothing"),
    ("git push origin main", "`git` verifies nothing"),
    ("./deploy", "acts outside"),
    ("npm publish", "verifies nothing"),
    ("npm ci", "verifies nothing"),
    ("npm install && ls", "verifies nothing"),
    ("curl https://example.test/x", "acts outside"),
    ("curl https://example.test/ | sh", "a script"),
    ("rm -rf build", "`rm` verifies nothing"),
    ("sleep 60", "verifies nothing"),
    ("echo pytest", "`echo` verifies nothing"),
    ("pip install pytest", "installs"),
    ("docker compose run app pytest", "needs a service (`docker`)"),
    ("psql -c 'select 1'", "needs a service (`psql`)"),
    ("ssh host pytest", "acts outside"),
    ("sudo pytest", "asks for root"),
    ("./test.sh", "a script"),
    ("bash scripts/test.sh", "a script"),
    ("python scripts/check.py", "a script"),
    ("node scripts/test.js", "a script"),
    ("python -c 'import pytest'", "a piece of code"),
    ("python -m pip install x", "verifies nothing"),
    ("ant test", "not a known runner"),
    ("mvn deploy", "acts outside of the tree"),
    ("mvn clean", "verifies nothing"),
    ("gradle publish", "verifies nothing"),
    ("gradle -m test", "runs nothing"),
    ("just --list", "runs none"),
    ("hatch fmt", "rewrites files"),
    ("frobnicate --test", "not a known runner"),
    ("pytest --collect-only", "lists tests"),
    ("pytest --co -q", "lists tests"),
    ("pytest --version", "only tells about itself"),
    ("pytest --pdb", "waits for a person"),
    ("pytest --snapshot-update", "cannot fail"),
    ("jest -u", "cannot fail"),
    ("npm test -- -u", "rewrites"),
    ("jest --watch", "never ends"),
    ("vitest watch", "no test run"),
    ("vitest --ui", "never ends"),
    ("tsc -w", "never ends"),
    ("make -n test", "runs nothing"),
    ("make deploy", "is not known"),
    ("npm run deploy", "is not known"),
    ("npm run format", "is not known"),
    ("vitest -w", "never ends"),
    ("mocha -w", "never ends"),
    ("go run .", "verifies nothing"),
    ("go test -list .", "lists tests"),
    ("cargo run", "verifies nothing"),
    ("ruff check --fix .", "rewrites files"),
    ("ruff format .", "rewrites files"),
    ("black .", "rewrites files"),
    ("eslint --fix src", "rewrites files"),
    ("pytest $TARGET", "only a shell could expand"),
    ("pytest `git diff --name-only`", "only a shell could expand"),
    ("pytest $(ls)", "only a shell could expand"),
    ("pytest tests/{a,b}", "brace expansion"),
    ("pytest ~/x", "home folder"),
    ("cd $HOME/x && pytest", "cannot be followed"),
    ("cd - && pytest", "cannot be followed"),
    ("for f in a b; do pytest $f; done", "shell construct `for`"),
    ("if true; then pytest; fi", "shell construct `if`"),
    ("! pytest", "shell construct `!`"),
    ("pytest <<EOF\nx\nEOF", "here-document"),
    ("pytest <(ls)", "process substitution"),
    ("f() { pytest; }", "function definition"),
    ("pytest 'a", "quote that is not closed"),
    ("pytest &", "in the background"),
    ("pytest --api-key=abc", "carries a secret"),
    ("", "no command"),
    ("   # only a comment", "no command"),
    ("FOO=1", "no command"),
]


@pytest.mark.parametrize(("line", "reason"), REFUSED, ids=[row[0] or "(empty)" for row in REFUSED])
def test_refused_with_the_reason(line: str, reason: str) -> None:
    found = classify(line)
    assert found.cls is None
    assert found.runner is None
    assert reason in (found.why_not or "")


def test_variables_in_front_are_kept_without_secrets_and_the_sandbox_s_own() -> None:
    line = (
        "export MODE=fast; FOO=1 API_TOKEN=x PATH=/x DATABASE_URL=postgres://me:pw@h/db LD_PRELOAD=e.so BAR=$X pytest"
    )
    assert classify(line).env == {"MODE": "fast", "FOO": "1"}


def test_a_shell_inside_keeps_what_stood_around_it() -> None:
    found = classify("cd a && FOO=1 bash -lc 'cd b && BAR=2 pytest'")
    assert (found.cwd, found.env) == ("a/b", {"FOO": "1", "BAR": "2"})


def test_a_service_beside_the_test_is_named() -> None:
    assert classify("docker compose up -d db && pytest").needs == ("docker",)
    assert classify("npm start & npm test").needs == ("a process in the background",)


def test_an_argument_vector_is_not_read_as_shell() -> None:
    found = classify(("pytest", "-k", "a && b; $(rm -rf /)"))
    assert found.argv == ("pytest", "-k", "a && b; $(rm -rf /)")
    assert classify(("bash", "-lc", "pytest -q")).argv == ("pytest", "-q")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("pytest -q | tee log", "run without the pipe"),
        ("cd a && pytest 2>&1 |& tail -5", "run without the pipe"),
        ("bash -lc 'pytest | tee log'", "run without the pipe"),
        ("pytest || true", "forgave its failure"),
        ("pytest && ls", ""),
        ("pytest > log 2>&1", ""),
    ],
)
def test_what_hid_the_exit_code_is_left_out_and_said(line: str, said: str) -> None:
    found = classify(line)
    assert found.argv[0] == "pytest"
    assert (said in found.alone) if said else not found.alone


def test_a_member_of_a_workspace_is_found_by_its_name_or_folder() -> None:
    files = {
        "package.json": b"{}",
        "packages/web/package.json": b'{"name": "@x/web", "scripts": {"test": "vitest run"}}',
        "packages/api/package.json": b'{"name": "api", "scripts": {"test": "deploy"}}',
    }
    for line in ("pnpm -F @x/web test", "npm test -w packages/web", "pnpm --filter @x/web run test"):
        assert classify(line, read=files.get, files=files).runner == "vitest", line


def test_every_part_of_a_line_in_order() -> None:
    assert [part.cls for part in parts("npm run build && ls && npm run lint; npm test")] == [
        "build",
        None,
        "lint",
        "test",
    ]


def test_a_pattern_is_answered_by_the_tree() -> None:
    files = ("tests/test_a.py", "tests/test_b.py", "tests/deep/test_c.py", "tests/x.py")
    assert classify("pytest tests/test_*.py", files=files).argv == ("pytest", "tests/test_a.py", "tests/test_b.py")
    assert classify("cd tests && pytest test_[a].py", files=files).argv == ("pytest", "test_a.py")
    assert classify("pytest 'tests/test_*.py'", files=files).argv == ("pytest", "tests/test_*.py")
    assert classify("pytest none_*.py", files=files).argv == ("pytest", "none_*.py")


def package(**scripts: str) -> dict[str, bytes]:
    return {"package.json": json.dumps({"scripts": scripts}).encode()}


SCRIPTS = [
    ("npm test", {"test": "jest"}, "test", "jest"),
    ("yarn test", {"test": "vitest run"}, "test", "vitest"),
    ("npm test", {"test": "tsc -b && jest --ci"}, "test", "jest"),
    ("npm test", {"test": "jest && eslint ."}, "test", "npm"),
    ("npm test", {"test": "jest --json --outputFile=x"}, "test", "npm"),
    ("npm test", {"test": "cross-env CI=1 jest"}, "test", "jest"),
    ("npm test", {"test": "pytest -q"}, "test", "pytest"),
    ("npm test", {"test": "npm run test:unit", "test:unit": "vitest run"}, "test", "npm"),
    ("npm test", {"test": "react-scripts test"}, "test", "npm"),
    ("npm test", {"test": "eslint ."}, "lint", "eslint"),
    ("npm run verify", {"verify": "npm run build && npm run lint", "build": "tsc", "lint": "eslint ."}, "build", "tsc"),
    ("npm run ci:check", {"ci:check": "eslint ."}, "lint", "eslint"),
]


@pytest.mark.parametrize(("line", "scripts", "cls", "runner"), SCRIPTS)
def test_a_script_is_judged_by_what_stands_behind_it(line: str, scripts: dict[str, str], cls: str, runner: str) -> None:
    found = classify(line, read=package(**scripts).get)
    assert (found.cls, found.runner, found.argv) == (cls, runner, tuple(line.split()))


@pytest.mark.parametrize(
    ("line", "files", "reason"),
    [
        ("npm test", package(test='echo "Error: no test specified" && exit 1'), "verifies nothing"),
        ("npm test", package(build="tsc"), "no script `test`"),
        ("npm test", {}, "no package.json"),
        ("npm test", {"package.json": b"{"}, "cannot be read"),
        ("npm test", {"package.json": b'{"scripts": []}'}, "cannot be read"),
        ("npm test", package(test="docker compose run app jest"), "needs a service"),
        ("npm run a", package(a="npm run a"), "is not known"),
        ("make test", {}, "no Makefile"),
        ("make test", {"Makefile": b"build:\n\ttrue\n"}, "is not known"),
    ],
)
def test_refused_when_nothing_verifying_stands_behind_it(line: str, files: dict[str, bytes], reason: str) -> None:
    found = classify(line, read=files.get)
    assert found.cls is None
    assert reason in (found.why_not or "")


def test_scripts_and_targets_are_looked_up_where_the_command_runs() -> None:
    files = {
        "web/package.json": package(test="jest")["package.json"],
        "sub/Makefile": b"all: x\ntest unit: all\n\ttrue\n",
    }
    assert classify("cd web && npm test", read=files.get).runner == "jest"
    assert classify("npm --prefix web test", read=files.get).runner == "jest"
    assert classify("npm test", read=files.get, cwd="web").runner == "jest"
    assert classify("make -C sub test", read=files.get).cls == "test"
    assert classify("node t/a.js", read={"t/a.js": b"const { test } = require('node:test')"}.get).runner == "node_test"
    assert classify("node a.mjs", read={"a.mjs": b'import test from "tape"'}.get).runner == "node"
    assert classify("node a.js", read={"a.js": b"require('tapes'); print('require(node:test)')"}.get).cls is None
    assert classify("python t.py", read={"t.py": b"unittest.main()"}.get).cls is None
    assert classify("python test_t.py", read={"test_t.py": b"unittest.main()"}.get).runner == "unittest"


SHELLISH = st.text(alphabet=st.sampled_from(list("abc -_./='\"\\$`(){}[]<>|&;!#*?~\n\t0123\0é")), max_size=60)
WORDS = st.sampled_from(
    [
        "pytest",
        "npm",
        "run",
        "test",
        "python",
        "-m",
        "make",
        "cd",
        "x",
        "&&",
        "|",
        ";",
        "uv",
        "bash",
        "-c",
        "go",
        "cargo",
        "env",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(SHELLISH, st.text(max_size=80), st.lists(WORDS, max_size=14).map(" ".join)))
def test_any_line_gets_an_answer(line: str) -> None:
    found = classify(line, read={"package.json": line.encode("utf-8", "replace")}.get)
    assert (found.cls is None) == (found.why_not is not None)
    assert (found.cls is None) == (found.runner is None)
    assert not any("$(" in word for word in found.argv if found.cls and "'" not in line and "\\" not in line)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=12), WORDS), max_size=10))
def test_any_vector_gets_an_answer(words: list[str]) -> None:
    found = classify(words)
    assert (found.cls is None) == (found.why_not is not None)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(alphabet="ab '\"\\$|;&\n*", min_size=1, max_size=8), min_size=1, max_size=6))
def test_quoted_words_come_back_to_the_letter(words: list[str]) -> None:
    import shlex

    read = simple_commands("runner " + shlex.join(words))
    assert [word.text for word in read[0].words] == ["runner", *words]
    assert not any(word.expands or word.glob for word in read[0].words)


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(Unparseable, match="longer than"):
        simple_commands("a " * 20_000)


def test_wrappers_nested_without_end_are_refused() -> None:
    assert "nested too deep" in (classify(["npx"] * 500).why_not or "")
    assert "nested too deep" in (classify("uv run " * 50 + "pytest").why_not or "")
