"""What may be quoted of a real diff, and that the rest does not leave."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from crystalizer_sample import HUNKS, SCENARIO, diff_between, evidence_of
from hypothesis import given, settings
from hypothesis import strategies as st

from events.values import FileRef, HunkEvidence, MinimalChange, Scenario, ScenarioCommand
from learnd.crystalizer.change import DiffUnreadable, exercised_change
from learnd.lab.hunks import split


def hunk(file: str, first: int, last: int, verdict: str = "exercised") -> HunkEvidence:
    return HunkEvidence(file=file, lines=(first, last), verdict=verdict)  # type: ignore[arg-type]


def text_of(*quotes: object) -> str:
    return "\n".join(quote.text for quote in quotes)  # type: ignore[attr-defined]


def test_only_the_exercised_hunk_is_quoted(sample_diff: bytes) -> None:
    change = exercised_change(sample_diff, evidence_of(*HUNKS), SCENARIO)
    (quote,) = change.quotes
    assert (quote.path, quote.first, quote.last) == ("shop/report.py", 4, 10)
    assert quote.lines[0] == " def totals(db):"
    assert quote.lines[-1] == "+    return dict(rows)"
    assert "unrelated" not in quote.text
    assert (change.basis, change.left_out) == ("hunks", 2)


def test_the_tests_that_ran_are_kept_apart(sample_diff: bytes) -> None:
    change = exercised_change(sample_diff, evidence_of(*HUNKS), SCENARIO)
    assert [quote.path for quote in change.tests] == ["tests/test_report.py"]
    assert change.paths == ("shop/report.py",)


def test_a_test_file_that_no_replay_names_is_left_out(tmp_path: Path) -> None:
    diff = diff_between(
        tmp_path / "r", {"m.py": b"a = 1\n"},
        {"m.py": b"a = 2\n", "tests/test_m.py": b"def test_a(): ...\n", "tests/test_other.py": b"def test_b(): ...\n"},
    )  # fmt: skip
    base = evidence_of(hunk("m.py", 1, 1))
    named = tuple(replay.model_copy(update={"failing": ("tests/test_m.py::test_a",)}) for replay in base.base)
    change = exercised_change(diff, base.model_copy(update={"base": named}), SCENARIO)
    assert [quote.path for quote in change.tests] == ["tests/test_m.py"]


@pytest.mark.parametrize(
    "failing", ["tests.test_m.Case.test_a", "tests/test_m.py::Case::test_a[1]", "Case > test_a", "test_a"]
)
def test_every_runners_way_of_naming_a_test_finds_its_file(failing: str, tmp_path: Path) -> None:
    test = b"class Case:\n    def test_a(self): ...\n"
    diff = diff_between(tmp_path / "r", {"m.py": b"a = 1\n"}, {"m.py": b"a = 2\n", "tests/test_m.py": test})
    evidence = evidence_of(hunk("m.py", 1, 1))
    named = tuple(replay.model_copy(update={"failing": (failing,)}) for replay in evidence.base)
    scenario = Scenario(source="prompt", commands=(ScenarioCommand(argv=("make", "check"), cls="test", runner="make"),))
    change = exercised_change(diff, evidence.model_copy(update={"base": named}), scenario)
    assert [quote.path for quote in change.tests] == ["tests/test_m.py"]


NUMBERED = "".join(f"line_{n} = {n}\n" for n in range(1, 41))


def test_of_two_places_in_one_hunk_only_the_exercised_one_is_quoted(tmp_path: Path) -> None:
    after = NUMBERED.replace("line_10 = 10", "first_place = 10").replace("line_13 = 13", "second_place = 13")
    diff = diff_between(tmp_path / "r", {"m.py": NUMBERED.encode()}, {"m.py": after.encode()})
    assert diff.count(b"@@ -") == 1
    evidence = evidence_of(hunk("m.py", 10, 10), hunk("m.py", 13, 13, "unexercised"))
    (quote,) = exercised_change(diff, evidence, SCENARIO).quotes
    assert "first_place" in quote.text
    assert "second_place" not in quote.text
    assert "line_13" not in quote.text


def test_a_range_over_both_places_quotes_both(tmp_path: Path) -> None:
    after = NUMBERED.replace("line_10 = 10", "first_place = 10").replace("line_13 = 13", "second_place = 13")
    diff = diff_between(tmp_path / "r", {"m.py": NUMBERED.encode()}, {"m.py": after.encode()})
    text = text_of(*exercised_change(diff, evidence_of(hunk("m.py", 10, 13)), SCENARIO).quotes)
    assert "first_place" in text
    assert "second_place" in text


@pytest.mark.parametrize("at", [9, 10])
def test_a_pure_deletion_is_found_by_the_line_before_or_after(at: int, tmp_path: Path) -> None:
    after = NUMBERED.replace("line_10 = 10\n", "")
    diff = diff_between(tmp_path / "r", {"m.py": NUMBERED.encode()}, {"m.py": after.encode()})
    change = exercised_change(diff, evidence_of(hunk("m.py", at, at)), SCENARIO)
    assert "-line_10 = 10" in text_of(*change.quotes)
    assert exercised_change(diff, evidence_of(hunk("m.py", 30, 30)), SCENARIO).quotes == ()


def test_a_deleted_file_is_quoted(tmp_path: Path) -> None:
    diff = diff_between(tmp_path / "r", {"m.py": b"a = 1\n", "k.py": b"k\n"}, {"m.py": None, "k.py": b"k\n"})
    (quote,) = exercised_change(diff, evidence_of(hunk("m.py", 1, 1)), SCENARIO).quotes
    assert (quote.path, quote.text) == ("m.py", "-a = 1")


def test_a_renamed_file_is_quoted_under_its_new_name(tmp_path: Path) -> None:
    after = NUMBERED.replace("line_10 = 10", "changed = 10")
    diff = diff_between(tmp_path / "r", {"old.py": NUMBERED.encode()}, {"old.py": None, "new.py": after.encode()})
    assert b"rename from" in diff
    change = exercised_change(diff, evidence_of(hunk("new.py", 1, 40)), SCENARIO)
    assert change.paths == ("new.py",)
    assert "+changed = 10" in text_of(*change.quotes)


def test_binary_odd_and_unreadable_parts_do_not_disturb(tmp_path: Path) -> None:
    name = 'we "ird\\ n\tame é.py'
    diff = diff_between(
        tmp_path / "r",
        {name: b"a = 1\n", "b.bin": bytes(range(256)), "latin.py": b"x = '\xe9'\r\ny\x0cz = 1\n", "m.py": b"a\n"},
        {name: b"a = 2\n", "b.bin": bytes(range(255, -1, -1)), "latin.py": b"x = '\xe8'\r\ny\x0cz = 2\n", "m.py": b"b"},
    )
    assert b"GIT binary patch" in diff
    evidence = evidence_of(hunk(name, 1, 1), hunk("latin.py", 1, 2), hunk("m.py", 1, 1))
    quotes = {quote.path: quote.text for quote in exercised_change(diff, evidence, SCENARIO).quotes}
    assert quotes[name] == "-a = 1\n+a = 2"
    assert "+x = '\ufffd'" in quotes["latin.py"]
    assert quotes["m.py"].startswith("-a\n+b")


def test_mode_changes_and_empty_diffs_give_nothing() -> None:
    mode = b"diff --git a/x b/x\nold mode 100644\nnew mode 100755\n"
    assert exercised_change(mode, evidence_of(), SCENARIO).quotes == ()
    assert exercised_change(b"", evidence_of(), SCENARIO).quotes == ()


def test_a_damaged_diff_is_named() -> None:
    with pytest.raises(DiffUnreadable, match="hunk"):
        exercised_change(b"--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n a\n", evidence_of(), SCENARIO)


def test_hunks_that_cannot_be_told_apart_are_quoted_as_one(sample_diff: bytes) -> None:
    evidence = evidence_of(hunk("shop/report.py", 6, 10, "inseparable"), hunk("NOTES.md", 1, 1, "unexercised"))
    change = exercised_change(sample_diff, evidence, SCENARIO)
    assert change.basis == "as_one"
    assert change.paths == ("shop/report.py",)
    assert change.left_out == 1


def test_beside_an_exercised_hunk_an_inseparable_one_is_left_out(sample_diff: bytes) -> None:
    evidence = evidence_of(hunk("shop/report.py", 6, 10), hunk("NOTES.md", 1, 1, "inseparable"))
    change = exercised_change(sample_diff, evidence, SCENARIO)
    assert change.paths == ("shop/report.py",)
    assert change.left_out == 1


def test_an_unproven_change_is_quoted_as_unproven(sample_diff: bytes) -> None:
    change = exercised_change(sample_diff, evidence_of(verdict="pass_only"), SCENARIO)
    assert change.basis == "unproven"
    assert set(change.paths) == {"shop/report.py", "NOTES.md"}


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(1, 38), min_size=1, max_size=12), st.data())
def test_no_line_of_an_unexercised_place_is_ever_quoted(places: set[int], data: st.DataObject) -> None:
    """Places are single changed lines at least one apart; each is its own range."""
    chosen = sorted(place for place in places if place - 1 not in places)
    lines = NUMBERED.splitlines()
    for place in chosen:
        lines[place - 1] = f"changed_{place} = True"
    with tempfile.TemporaryDirectory() as folder:
        after = ("\n".join(lines) + "\n").encode()
        diff = diff_between(Path(folder) / "r", {"m.py": NUMBERED.encode()}, {"m.py": after})
    good = data.draw(st.sets(st.sampled_from(chosen), min_size=1))
    evidence = evidence_of(*(hunk("m.py", at, at, "exercised" if at in good else "unexercised") for at in chosen))
    text = text_of(*exercised_change(diff, evidence, SCENARIO).quotes)
    for place in chosen:
        assert (f"+changed_{place} = True" in text.splitlines()) == (place in good)
        assert (f"-line_{place} = {place}" in text.splitlines()) == (place in good)


def test_a_source_file_that_was_never_tried_is_counted(sample_diff: bytes) -> None:
    change = exercised_change(sample_diff, evidence_of(HUNKS[0]), SCENARIO)
    assert change.left_out == 1  # NOTES.md; the second hunk of the report has a file with verdicts, but none of its own
    assert change.paths == ("shop/report.py",)


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(1, 38), min_size=1, max_size=10), st.data())
def test_the_labs_own_hunks_are_quoted_whole_or_not_at_all(places: set[int], data: st.DataObject) -> None:
    """Lines are changed, taken away or added to at random; hunks are the lab's."""
    lines = [f"{line}\n" for line in NUMBERED.splitlines()]
    for place in places:
        way = data.draw(st.sampled_from(["change", "delete", "add"]))
        new = {"change": f"new_{place} = 1\n", "delete": "", "add": lines[place - 1] + f"more_{place} = 1\n"}
        lines[place - 1] = new[way]
    with tempfile.TemporaryDirectory() as folder:
        diff = diff_between(Path(folder) / "r", {"m.py": NUMBERED.encode()}, {"m.py": "".join(lines).encode()})
    units = split(diff, lambda path: False)
    good = data.draw(st.sets(st.sampled_from(range(len(units))), min_size=1))
    evidence = evidence_of(
        *(hunk(unit.file, *unit.lines, "exercised" if at in good else "unexercised") for at, unit in enumerate(units))
    )
    change = exercised_change(diff, evidence, SCENARIO)
    quoted = [line for quote in change.quotes for line in quote.lines if line[0] in "+-"]
    wanted = [
        f"{sign}{text}"
        for at in good
        for sign, texts in (("+", units[at].added), ("-", units[at].removed))
        for text in texts
    ]
    assert sorted(quoted) == sorted(wanted)
    assert change.left_out == len(units) - len(good)


@pytest.mark.parametrize(("verified", "quoted"), [(True, ["first_place"]), (False, ["first_place", "second_place"])])
def test_what_a_smaller_proven_change_does_without_is_not_quoted(
    tmp_path: Path, verified: bool, quoted: list[str]
) -> None:
    after = NUMBERED.replace("line_10 = 10", "first_place = 10").replace("line_30 = 30", "second_place = 30")
    diff = diff_between(tmp_path / "r", {"m.py": NUMBERED.encode()}, {"m.py": after.encode()})
    minimal = MinimalChange(
        file=FileRef(path="/m.diff", sha256="0" * 64), hunks=(0,), lines_added=1, lines_removed=1, tried=2,
        complete=True, verified=verified,
    )  # fmt: skip
    evidence = evidence_of(hunk("m.py", 10, 10), hunk("m.py", 30, 30)).model_copy(update={"minimal": minimal})
    text = text_of(*exercised_change(diff, evidence, SCENARIO).quotes)
    assert [name for name in ("first_place", "second_place") if name in text] == quoted
