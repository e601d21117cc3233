"""Proposals for a person: from what the run executed and from what the snapshot holds, and none out of thin air."""

from __future__ import annotations

from learnd.lab.scenario import SynthesisRequest
from learnd.lab.suggestions import MOST, suggestions
from learnd.manifest.history import ExecutedCommand


def executed(line: str, exit_code: int = 0) -> ExecutedCommand:
    return ExecutedCommand(line, "manifest", exit_code=exit_code)


def request(*history: ExecutedCommand, **files: str) -> SynthesisRequest:
    named = {name.replace("__", "/"): text for name, text in files.items()}
    return SynthesisRequest(
        repo_path="/src/shop",
        history=history,
        changed_paths=(),
        files=frozenset(named),
        read=lambda path: named[path].encode() if path in named else None,
        stacks=(),
    )


def lines(asked: SynthesisRequest) -> list[str]:
    return [one.line for one in suggestions(asked)]


def test_a_failed_test_and_the_runs_own_scripts_come_first_newest_first() -> None:
    asked = request(
        executed("git push origin main"),
        executed("bash tools/probe"),
        executed("pytest -q", 1),
        executed("/src/shop/tools/probe --fast"),
        executed("./deploy.sh"),
        **{"tools__probe": "x"},
    )
    found = suggestions(asked)
    assert [one.line for one in found] == ["/src/shop/tools/probe --fast", "pytest -q", "bash tools/probe"]
    assert "ended with 1" in found[1].why


def test_scripts_and_targets_are_proposed_by_their_names_alone() -> None:
    asked = request(
        **{
            "scripts__run-tests.sh": "", "scripts__release.sh": "", "deep__down__verify.sh": "", "check.py": "",
            "Makefile": "CHECK := 1\ncheck: all\n\tx\nall:\n\ttrue\ntest:\n\ttrue\n",
        }
    )  # fmt: skip
    assert lines(asked) == ["make check", "make test", "python3 check.py", "bash scripts/run-tests.sh"]


def test_nothing_is_made_up() -> None:
    assert lines(request(executed("ls"), **{"notes.txt": "", "src__tests_data.py": ""})) == []


def test_there_are_never_more_than_a_person_reads() -> None:
    assert len(lines(request(*(executed(f"pytest -q t{number}.py") for number in range(20))))) == MOST
