"""Secrets in a prompt, in commands and in what tests print: none reaches the log or a file that learnd made."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_place import RUN, Place, changed_run, defined, place
from support.cases import thorough
from support.repos import FIXED_TESTS, git, manifest, put_manifest, write

pytestmark = pytest.mark.sandbox

GITHUB = "ghp_" + "Zx81kQ0pLmN7vB3rT5yU2wE9sD4fG6hJ1cX8"
AMAZON = "AKIA" + "Q3EGRIXJ7VN2WMZT"
SECRETS = (GITHUB, AMAZON)
CHATTY = FIXED_TESTS.replace(
    "        self.assertEqual(mean([]), 0.0)\n",
    f'        token = "{GITHUB[:12]}" + "{GITHUB[12:]}"\n'
    '        print("using", token)\n'
    f'        key = "{AMAZON[:9]}" + "{AMAZON[9:]}"\n'
    "        try:\n"
    "            found = mean([])\n"
    "        except ZeroDivisionError:\n"
    "            found = None\n"
    '        self.assertEqual(found, 0.0, "x" * 330 + key + " is refused for " + token)\n',
)
VERBATIM = ("diff.patch", "run-1.tar.gz")
"""A snapshot is what was there."""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path) as found:
        yield found


def command(line: str, number: int = 1, **changes: object) -> dict[str, object]:
    commands = manifest()["commands"]
    assert isinstance(commands, list)
    return {**commands[0], "index": number, "id": f"c{number}", "command": line, **changes}


def leaks(here: Place) -> list[str]:
    """Where a secret, or enough of one to be worth something, stands in what learnd wrote."""
    written = [path for path in (here.repo / RUN / "learning").rglob("*") if path.name not in VERBATIM]
    for folder in (here.repo / ".agent", here.repo / "docs", here.repo / "out", here.folder / "state"):
        written += [path for path in folder.rglob("*") if "store.git" not in path.parts]
    written += [here.repo / ".runs/fix-mean/metrics.json"]
    found = []
    for path in written:
        if path.is_file():
            content = path.read_bytes()
            found += [f"{path}: {secret[:4]}" for secret in SECRETS if secret[:14].encode() in content]
    assert len(written) > 5
    for record in here.engine.log.read_all():
        told = record.data.model_dump_json()
        found += [f"event {record.type}: {secret[:4]}" for secret in SECRETS if secret[:14] in told]
    return found


def test_no_secret_of_a_learned_run_is_kept(here: Place) -> None:
    test = f"{shlex.quote(sys.executable)} -m unittest -q test_calc"
    changed_run(
        here,
        pipeline_title=f"Fix the mean with {GITHUB}",
        commands=[
            command(f"curl -H 'Authorization: token {GITHUB}' https://example.org", title=f"curl with {AMAZON}"),
            command(test, 2),
            command(f"AWS_ACCESS_KEY_ID={AMAZON} {test}", 3, title=f"test as {AMAZON}"),
        ],
    )
    write(here.repo, {"test_calc.py": CHATTY})
    (here.repo / RUN / "prompt.md").write_text(
        f"The mean of nothing must be 0.0.\nLog in with {GITHUB} first.\n\n## Acceptance criteria\n\n"
        f"- `AWS_ACCESS_KEY_ID={AMAZON} python -m unittest` passes\n"
    )
    job = here.settle()
    assert (job.status, job.evidence) == ("learned", "proven")
    assert leaks(here) == []
    history = json.loads((here.repo / RUN / "learning/execution-history.json").read_text())
    assert [entry["line"] for entry in history][1] == test
    assert "mean of nothing" in (here.repo / RUN / "learning/prompt.md").read_text()


def test_no_secret_of_a_run_without_a_scenario_is_kept(here: Place) -> None:
    """What was tried and turned down is told in a form and in an event, as far as it may be told."""
    git(here.repo, "rm", "-q", "calc.py", "test_calc.py")
    git(here.repo, "commit", "-q", "-m", "no code")
    write(here.repo, {"notes.md": "new\n"})
    lines = [f"deploy --to production {GITHUB}", f"AWS_ACCESS_KEY_ID={AMAZON} make-it-so"]
    put_manifest(here.repo, manifest(commands=[command(line, at) for at, line in enumerate(lines, 1)]))
    job = here.settle()
    assert job.status == "needs_manual_scenario"
    assert leaks(here) == []
    partial = json.loads((here.repo / RUN / "learning/scenario.partial.json").read_text())
    assert "redacted" in partial["history"][0]


@pytest.mark.parametrize(
    ("line", "source"),
    [
        (f"API_TOKEN={GITHUB} {{python}} -m unittest -q test_calc", "execution_history"),
        (f"{{python}} -m unittest -q test_calc -k {GITHUB}", "diff"),
        *thorough((f"FLAVOUR={GITHUB} {{python}} -m unittest -q test_calc", "execution_history")),
    ],
)
def test_a_command_is_kept_without_its_secret_or_not_at_all(here: Place, line: str, source: str) -> None:
    """Where a word of it is the secret, the tests that the change touches are found instead, by its diff."""
    changed_run(here, commands=[command(line.format(python=shlex.quote(sys.executable)))])
    job = here.settle()
    assert defined(job.status)
    assert (job.evidence, job.scenario_source) == ("proven", source)
    assert leaks(here) == []
