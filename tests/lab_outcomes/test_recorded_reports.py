"""Reports recorded from the real tools; the folder's name says which version wrote them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.values import ScenarioCommand, TestCounts
from learnd.lab.outcomes import Ended, ReadOutcome, read_outcome, source_of

SAMPLES = Path(__file__).parent / "samples"
REPORT = {"jest": "node.json", "vitest": "node.json", "go": "go.ndjson", "cargo": "cargo.txt"}
COMMANDS = {
    "jest": ("npx", "jest"),
    "vitest": ("npx", "vitest", "run"),
    "go": ("go", "test", "./..."),
    "cargo": ("cargo", "test"),
    "pytest": ("pytest",),
    "unittest": ("python", "-m", "unittest"),
}
Read = Callable[..., ReadOutcome]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """read(runner, report's bytes or None, exit code, output): what is believed."""

    def outcome(runner: str, report: bytes | None, exit_code: int, output: bytes = b"") -> ReadOutcome:
        if report is not None:
            (tmp_path / REPORT[runner]).write_bytes(report)
        command = ScenarioCommand(argv=COMMANDS[runner], cls="test", runner=runner)
        assert source_of(command) == runner
        return read_outcome(command, tmp_path, Ended(exit_code, None, output), root="/sample")

    return outcome


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def told(outcome: ReadOutcome) -> dict[str, tuple[str, str | None, tuple[str, ...]]]:
    return {name: (test.status, test.kind, test.symbols) for name, test in outcome.tests.items()}


def test_jest(read: Read) -> None:
    outcome = read("jest", sample("jest-30.5.2/failing.json"), 1)
    assert told(outcome) == {
        "t/a.test.js > add adds": ("passed", None, ()),
        "t/a.test.js > add adds wrong": ("failed", "assertion", ()),
        "t/a.test.js > add missing": ("failed", "error", ()),
        "t/a.test.js > add reference": ("failed", "missing_symbol", ("gone",)),
        "t/a.test.js > add throws": ("failed", "error", ()),
        "t/a.test.js > add skipped": ("skipped", None, ()),
        "t/a.test.js > add later": ("skipped", None, ()),
        "t/d.test.js > after a broken hook": ("error", "setup", ()),
        "t/b.test.js": ("error", "import", ("../not-there",)),
        "t/c.test.js": ("error", "collection", ()),
    }
    assert (outcome.ok, outcome.cause, outcome.ran) == (False, "assertion", 8)


def test_vitest(read: Read) -> None:
    outcome = read("vitest", sample("vitest-4.1.12/failing.json"), 1)
    assert told(outcome) == {
        "v/a.test.mjs > add adds": ("passed", None, ()),
        "v/a.test.mjs > add adds wrong": ("failed", "assertion", ()),
        "v/a.test.mjs > add missing": ("failed", "missing_symbol", ("nothing",)),
        "v/a.test.mjs > add missing member": ("failed", "missing_symbol", ("nothing",)),
        "v/a.test.mjs > add reference": ("failed", "missing_symbol", ("gone",)),
        "v/a.test.mjs > add throws": ("failed", "error", ()),
        "v/a.test.mjs > add skipped": ("skipped", None, ()),
        "v/a.test.mjs > add later": ("skipped", None, ()),
        "v/b.test.mjs": ("error", "import", ("../not-there.mjs",)),
        "v/c.test.mjs": ("error", "collection", ()),
        "v/d.test.mjs > after a broken hook": ("skipped", None, ()),
        "v/d.test.mjs": ("error", "setup", ()),
    }


def test_go(read: Read) -> None:
    outcome = read("go", sample("go-1.19.8/fail.ndjson"), 1)
    assert told(outcome) == {
        "example.test/sample.TestAdds": ("passed", None, ()),
        "example.test/sample.TestPanics": ("failed", "error", ()),
        "example.test/sample.TestSkipped": ("skipped", None, ()),
        "example.test/sample.TestWrong": ("failed", "assertion", ()),
        "example.test/sample.TestWrong/inner": ("failed", "assertion", ()),
    }  # and no TestForged, which a test printed as if it were a verdict
    assert "want 4" in outcome.tests["example.test/sample.TestWrong/inner"].message


def test_go_that_does_not_compile(read: Read) -> None:
    outcome = read("go", sample("go-1.19.8/build.ndjson"), 2, sample("go-1.19.8/build.stderr.txt"))
    assert told(outcome) == {"example.test/sample": ("error", "missing_symbol", ("Gone",))}
    other = sample("go-1.19.8/build.stderr.txt") + b"./m_test.go:12:1: syntax error: unexpected }\n"
    assert read("go", sample("go-1.19.8/build.ndjson"), 2, other).cause == "collection"


def test_cargo(read: Read) -> None:
    outcome = read("cargo", sample("cargo-1.95.0/fail.stdout.txt"), 101, sample("cargo-1.95.0/fail.stderr.txt"))
    assert told(outcome) == {
        "tests::adds": ("passed", None, ()),
        "tests::panics": ("passed", None, ()),
        "tests::adds_wrong": ("failed", "assertion", ()),
        "tests::slow": ("skipped", None, ()),
        "tests::throws": ("failed", "error", ()),
        "outside": ("passed", None, ()),
        "src/lib.rs - (line 1)": ("passed", None, ()),
    }


def test_cargo_that_does_not_compile(read: Read) -> None:
    outcome = read("cargo", b"", 101, sample("cargo-1.95.0/build.stderr.txt"))
    assert list(told(outcome).values()) == [("error", "missing_symbol", ("gone", "nothing"))]
    other = sample("cargo-1.95.0/build.stderr.txt") + b"error[E0308]: mismatched types\n"
    assert read("cargo", b"", 101, other).cause == "collection"


PASSING = [
    ("jest", "jest-30.5.2/passing.json", TestCounts(passed=1, skipped=1)),
    ("vitest", "vitest-4.1.12/passing.json", TestCounts(passed=1)),
    ("go", "go-1.19.8/pass.ndjson", TestCounts(passed=4, skipped=1)),
    ("cargo", "cargo-1.95.0/pass.stdout.txt", TestCounts(passed=6, skipped=1)),
]


@pytest.mark.parametrize(("runner", "name", "counts"), PASSING)
def test_a_green_report_and_exit_code_0_are_ok(read: Read, runner: str, name: str, counts: TestCounts) -> None:
    outcome = read(runner, sample(name), 0)
    assert (outcome.source, outcome.ok, outcome.cause, outcome.counts) == (runner, True, None, counts)


@pytest.mark.parametrize(("runner", "name", "counts"), PASSING)
def test_a_green_report_with_another_exit_code_is_not(read: Read, runner: str, name: str, counts: TestCounts) -> None:
    assert read(runner, sample(name), 1).cause == "exit_code"


FAILING = [
    "jest-30.5.2/failing.json",
    "vitest-4.1.12/failing.json",
    "go-1.19.8/fail.ndjson",
    "cargo-1.95.0/fail.stdout.txt",
]


@pytest.mark.parametrize("name", FAILING)
def test_a_red_report_with_exit_code_0_is_not_ok(read: Read, name: str) -> None:
    assert not read(name.split("-", maxsplit=1)[0], sample(name), 0).ok


@pytest.mark.parametrize("runner", sorted(COMMANDS))
def test_no_report_is_not_ok_whatever_was_printed(read: Read, runner: str) -> None:
    outcome = read(runner, None, 0, b"OK\n5 passed\ntest result: ok. 5 passed; 0 failed;\nPASS\n")
    assert (outcome.ok, outcome.cause) == (False, "no_report")


@pytest.mark.parametrize(("runner", "name"), [(row[0], row[1]) for row in PASSING])
def test_a_report_cut_short_is_not_ok(read: Read, runner: str, name: str) -> None:
    whole = sample(name)
    until = whole.index(b"test result") if runner == "cargo" else len(whole)
    assert not any(read(runner, whole[: until * part // 8], 0).ok for part in range(7))


def test_a_report_that_contradicts_itself_is_not_ok(read: Read) -> None:
    report = json.loads(sample("jest-30.5.2/passing.json"))
    assert read("jest", json.dumps({**report, "numPassedTests": 7}).encode(), 0).cause == "report_mismatch"
    assert read("jest", json.dumps({**report, "success": False}).encode(), 0).cause == "report_mismatch"


def test_no_test_is_not_ok(read: Read) -> None:
    assert read("jest", b'{"success": true, "testResults": []}', 0).cause == "no_tests"
    assert read("go", b'{"Action":"skip","Package":"p"}\n', 0).cause == "no_tests"
    assert (
        read("cargo", b"running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured\n", 0).cause
        == "no_tests"
    )


def test_cargo_tests_that_print_verdicts_name_nothing(read: Read) -> None:
    whole = sample("cargo-1.95.0/pass.stdout.txt").decode()
    forged = whole.replace("test tests::adds ... ok", "test tests::adds ... ok\ntest tests::forged ... ok")
    outcome = read("cargo", forged.encode(), 0)
    assert outcome.tests == {}
    assert outcome.counts == TestCounts(passed=6, skipped=1)
    assert read("cargo", sample("cargo-1.95.0/exits-early.stdout.txt"), 0).cause == "no_report"


def test_go_printing_a_pass_does_not_undo_a_failure(read: Read) -> None:
    extra = b'\n{"Action":"pass","Package":"example.test/sample","Test":"TestWrong"}\n'
    outcome = read("go", sample("go-1.19.8/fail.ndjson") + extra, 0)
    assert outcome.tests["example.test/sample.TestWrong"].status == "failed"


@pytest.mark.parametrize("runner", ["jest", "go", "cargo"])
def test_a_link_or_a_folder_in_the_report_s_place_is_no_report(read: Read, tmp_path: Path, runner: str) -> None:
    (tmp_path / REPORT[runner]).symlink_to(SAMPLES / "jest-30.5.2/passing.json")
    assert read(runner, None, 0).cause == "no_report"
    (tmp_path / REPORT[runner]).unlink()
    (tmp_path / REPORT[runner]).mkdir()
    assert read(runner, None, 0).cause == "no_report"


def test_a_report_that_is_too_large_is_none(read: Read) -> None:
    assert "larger than 20 MB" in read("jest", b" " * (20 * 1024 * 1024 + 1), 0).detail


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "testResults",
                    "assertionResults",
                    "status",
                    "name",
                    "message",
                    "failureMessages",
                    "fullName",
                    "Action",
                    "Package",
                    "Test",
                    "Output",
                    "t",
                    "id",
                    "phase",
                    "outcome",
                    "kind",
                    "symbol",
                    "success",
                ]
            ),
            inner | st.sampled_from(["test", "end", "start", "run", "pass", "fail", "passed", "failed", "call"]),
            max_size=6,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(
    runner=st.sampled_from(sorted(COMMANDS)),
    data=st.binary(max_size=200) | JSON.map(lambda v: json.dumps(v).encode()),
    code=st.integers(0, 5),
)
def test_garbage_is_never_ok_and_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, runner: str, data: bytes, code: int
) -> None:
    folder = tmp_path_factory.mktemp("garbage")
    (folder / REPORT.get(runner, f"{runner}-7.ndjson")).write_bytes(data)
    command = ScenarioCommand(argv=COMMANDS[runner], cls="test", runner=runner)
    outcome = read_outcome(command, folder, Ended(code, None, data * 3), root="/")
    assert outcome.ok is (outcome.cause is None)
    assert not outcome.ok or outcome.passing
