"""How a command is asked to report: words and variables added to it, nothing written into the tree.

Python runners are reached through the environment (a reporter on PYTHONPATH), so that they report from behind `make`,
`npm`, `uv run` too; the others take the flags of their own reporters. go and cargo report on standard output, which is
sent to a file of its own, away from what compilers and tests print on the other stream.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from events.values import OutcomeSource, ScenarioCommand
from learnd.lab.outcomes.order import shuffling

REPORTER_AT = "/learnd/reporter"
"""Where `reporter_dir()` is to be bound, read-only, inside the sandbox."""

NODE_REPORT = "node.json"
GO_REPORT = "go.ndjson"
CARGO_REPORT = "cargo.txt"
JUNIT_REPORT = "junit.xml"
_COPY_JUNIT = (
    '"$@"; code=$?; n=0; find . -type f \\( -path "*-reports/TEST-*.xml" -o -path "*/test-results/*/TEST-*.xml" \\) '
    '| while read -r file; do n=$((n + 1)); cp -- "$file" "$0/junit-$n.xml"; done; exit $code'
)
"""Runs a command and copies what Surefire, Failsafe or Gradle reported: they write nowhere but below their build."""
_TO_FILE = 'exec "$@" >"$0"'
_ISOLATED = re.compile(r"-[A-Za-z]*[IES][A-Za-z]*")
_PASSED_THROUGH = ("LEARND_REPORT_DIR", "LEARND_ORDER_SEED", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED")
"""What tox has to hand on to the runner inside, which it starts with an environment of its own; nox hands on all."""

_NODE_RUNNERS = frozenset(("jest", "vitest", "mocha", "node_test", "npm", "ava", "tsc", "eslint"))


@dataclass(frozen=True)
class Instrumented:
    """What to run in the command's stead. `env` comes over all other variables of the replay."""

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)


def reporter_dir() -> Path:
    """The folder of the Python reporter on this machine."""
    return Path(__file__).resolve().parent / "reporter"


def source_of(command: ScenarioCommand) -> OutcomeSource:
    """Who is to say what passed: the runner's own report, or the exit code where it has none that can be trusted."""
    program = posixpath.basename(command.argv[0])
    match command.runner:
        case "pytest" | "unittest" if not _isolated(command.argv):
            return "pytest" if command.runner == "pytest" else "unittest"
        case "jest" if not _reports_elsewhere(command.argv):
            return "jest"
        case "vitest" if not _reports_elsewhere(command.argv):
            return "vitest"
        case "mocha" if not _reporter_chosen(command.argv):
            return "mocha"
        case "node_test" if not _reporter_chosen(command.argv):
            return "node_test"
        case "maven" | "gradle" if command.cls == "test":
            return "junit"
        case "go" if command.cls == "test" and program == "go":
            return "go"
        case "cargo" if command.cls == "test" and program == "cargo":
            return "cargo"
    return "exit_code"


def instrument(
    command: ScenarioCommand,
    report_dir_inside: str,
    *,
    env: Mapping[str, str] | None = None,
    reporter_dir_inside: str = REPORTER_AT,
    order_seed: int | None = None,
    shufflers: Collection[str] = (),
) -> Instrumented:
    """The command with its runner told to report into `report_dir_inside`, an empty folder for each execution.

    `env` is the environment the command would get; variables that are extended (PYTHONPATH) are taken from it.
    `order_seed` asks runners that can for another order of their tests: the Python ones, and `shufflers`.
    """
    given = {**(env or {}), **command.env}
    python_path = ":".join(filter(None, (reporter_dir_inside, given.get("PYTHONPATH"))))
    added = {"LEARND_REPORT_DIR": report_dir_inside, "PYTHONPATH": python_path, "PYTHONDONTWRITEBYTECODE": "1"}
    if order_seed is not None:
        added["LEARND_ORDER_SEED"] = str(order_seed)
    if command.runner in _NODE_RUNNERS:
        added["CI"] = given.get("CI", "1")  # without it they wait for edits, or write snapshots instead of comparing
    if source_of(command) == "node_test":  # by variable, so that it reaches behind `npm test`
        report = f"--test-reporter=junit --test-reporter-destination={report_dir_inside}/{JUNIT_REPORT}"
        added["NODE_OPTIONS"] = " ".join(filter(None, (given.get("NODE_OPTIONS"), report)))
    if command.runner == "tox":
        added["TOX_OVERRIDE"] = f"testenv.pass_env+={','.join(_PASSED_THROUGH)}"
    if posixpath.basename(command.argv[0]) == "uv":
        added.update(UV_OFFLINE="1", UV_NO_SYNC="1")
    source = source_of(command)
    order = shuffling(source, command.argv, order_seed) if order_seed is not None and source in shufflers else ()
    return Instrumented(_argv(command, report_dir_inside, order), added)


def _argv(command: ScenarioCommand, folder: str, order: tuple[str, ...]) -> tuple[str, ...]:
    match source_of(command):
        case "jest":
            return _appended(command.argv, "jest", ("--json", f"--outputFile={folder}/{NODE_REPORT}", *order))
        case "vitest":
            flags = ("--reporter=default", "--reporter=json", f"--outputFile.json={folder}/{NODE_REPORT}", *order)
            return _appended(command.argv, "vitest", flags)
        case "mocha":
            report = ("--reporter", "xunit", "--reporter-option", f"output={folder}/{JUNIT_REPORT}")
            return _appended(command.argv, "mocha", report)
        case "junit":
            return ("sh", "-c", _COPY_JUNIT, folder, *command.argv)
        case "go":
            return ("sh", "-c", _TO_FILE, f"{folder}/{GO_REPORT}", *_go(command.argv, order))
        case "cargo":
            return ("sh", "-c", _TO_FILE, f"{folder}/{CARGO_REPORT}", *command.argv)
    return command.argv


def _go(argv: tuple[str, ...], order: tuple[str, ...]) -> tuple[str, ...]:
    verb = argv.index("test") + 1
    flags = [] if "-json" in argv or "--json" in argv else ["-json"]
    if not any(re.match(r"--?count\b", word) for word in argv):
        flags.append("-count=1")  # a cached result is no execution
    return (*argv[:verb], *flags, *order, *argv[verb:])


def _appended(argv: tuple[str, ...], tool: str, flags: tuple[str, ...]) -> tuple[str, ...]:
    """The flags where the tool reads them: at the end, before its own `--`, and for npm scripts behind npm's."""
    words = argv[1:] if posixpath.basename(argv[0]) == "corepack" else argv
    named = next((at for at, word in enumerate(argv) if re.search(rf"(^|/){tool}\b", word)), None)
    if named is None and posixpath.basename(words[0]) == "npm":
        return (*argv, *flags) if "--" in argv else (*argv, "--", *flags)
    if named is not None and "--" in argv[named:]:
        end = argv.index("--", named)
        return (*argv[:end], *flags, *argv[end:])
    return (*argv, *flags)


def _isolated(argv: tuple[str, ...]) -> bool:
    """Whether Python is told to ignore the environment (`-I`, `-E`) or sitecustomize (`-S`): it cannot report then."""
    for at, word in enumerate(argv):
        if re.fullmatch(r"(python|pypy)[\d.]*t?", posixpath.basename(word)):
            for flag in argv[at + 1 :]:
                if not flag.startswith("-") or flag in ("-m", "-c"):
                    break
                if _ISOLATED.fullmatch(flag):
                    return True
    return False


def _reporter_chosen(argv: tuple[str, ...]) -> bool:
    return any(re.match(r"(--reporter|-R|--test-reporter)", word) for word in argv)


def _reports_elsewhere(argv: tuple[str, ...]) -> bool:
    return any(re.match(r"--(json|outputFile)\b", word) for word in argv)
