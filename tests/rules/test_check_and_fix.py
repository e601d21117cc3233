"""`learnd check` and `learnd fix` as people and CI run them: what is found, said, fixed, and left alone."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import jsonschema
import pytest
from rules_log import LOAD, OPEN, PATTERN, RulesLog
from support import histories as h

from learnd.library.files import Library, WantedPattern
from learnd.library.rule_files import place_rules
from learnd.rules.astgrep import AstGrepFailed, scan
from learnd.rules.linting import NotWritten, find, fixed, write
from learnd.views.queries import RuleRow
from state import commands as c
from state.pattern import PatternStatus

BAD = "import yaml\n\n\ndef load(path):\n    return yaml.load(path)\n"
GOOD = BAD.replace("yaml.load(", "yaml.safe_load(")
SARIF = json.loads(Path(__file__).with_name("sarif").joinpath("log.schema.json").read_text())


def test_what_is_found_is_said_as_text_json_and_sarif_and_by_the_exit_code(place: RulesLog) -> None:
    place.pattern()
    place.write({"clean.py": GOOD, "notes.txt": "yaml.load(x)\n"})
    clean = place.learnd("check")
    assert (clean.code, clean.out, clean.err) == (0, "", "nothing found by 1 rule\n")
    place.write({"src/bad.py": BAD})
    found = place.learnd("check", "src")
    assert found.code == 1
    assert found.out == (
        "bad.py:5:12: pattern abababab [fix]: Load YAML safely "
        f"(no evidence in the log; promoted {found.out.rpartition('promoted ')[2]}"
    )
    told = json.loads(place.learnd("check", "--json").out)
    (finding,) = told["findings"]
    assert (finding["pattern"], finding["title"], finding["path"]) == (PATTERN, "Load YAML safely", "src/bad.py")
    assert (finding["line"], finding["column"], finding["fix"]) == (5, 12, "yaml.safe_load(path)")
    assert "promoted" in finding["evidence"]
    sarif = json.loads(place.learnd("check", "--sarif").out)
    jsonschema.validate(sarif, SARIF)
    (result,) = sarif["runs"][0]["results"]
    region = result["locations"][0]["physicalLocation"]["region"]
    assert [region[name] for name in ("startLine", "startColumn", "endLine", "endColumn")] == [5, 12, 5, 27]
    ((replaced,),) = [change["replacements"] for change in result["fixes"][0]["artifactChanges"]]
    start, length = (replaced["deletedRegion"][name] for name in ("byteOffset", "byteLength"))
    assert BAD.encode()[start : start + length] == b"yaml.load(path)"
    assert replaced["insertedContent"] == {"text": "yaml.safe_load(path)"}
    assert sarif["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == PATTERN
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "src/bad.py"
    for word in ("abababab", "Load YAML safely", "promoted"):
        assert word in result["message"]["text"]


def test_what_cannot_be_told_is_no_finding(place: RulesLog) -> None:
    assert place.learnd("check").code == 2
    place.pattern()
    assert place.learnd("check", "nowhere").code == 2
    assert place.learnd("check", "--json", "--sarif").code == 2


def rules(place: RulesLog, *rows: tuple[str, str]) -> list[RuleRow]:
    """Rules by the ids of their patterns, as the read models give them."""
    for number, (rule, identity) in enumerate(rows):
        place.pattern(rule, identity, f"title {number}")
    from learnd.verbs.reading import reading

    with reading(place.state) as book:
        return book.views.rules()


def test_what_git_ignores_and_what_a_person_excused_is_not_found_and_a_trees_own_configuration_is_not_read(
    place: RulesLog,
) -> None:
    found = rules(place, (LOAD, PATTERN))
    (place.tree / ".git").mkdir()
    place.write(
        {
            ".gitignore": "built/\n", "built/a.py": BAD, ".hidden/b.py": BAD, "c.py": BAD,
            "d.py": BAD.replace("    return", "    # ast-grep-ignore\n    return"),
            "sgconfig.yml": "ruleDirs: [theirs]\ncustomLanguages: [broken\n", "theirs/r.yml": OPEN,
        }
    )  # fmt: skip
    assert [one.match.path for one in find(found, place.tree)] == ["c.py"]


def test_only_active_patterns_count_and_only_the_logs_text_of_their_rules(place: RulesLog) -> None:
    other = "ef" * 32
    found = rules(place, (LOAD, PATTERN), (OPEN, other))
    assert [row.pattern for row in found] == [PATTERN, other]
    place.write({"a.py": "yaml.load(x)\nopen(x)\n", ".agent/patterns/active/load-abababab.rule.yml": OPEN})
    assert place.learnd("check", "a.py").out.count("pattern ") == 2
    place.tell(c.Deprecate(other, h.ANNA))
    assert "title 1" not in place.learnd("check", "a.py").out
    place.tell(c.MarkStale(PATTERN, ("a.py",)))
    done = place.learnd("check", "a.py")
    assert (done.code, done.out) == (0, "")
    assert "no active pattern has a rule" in done.err


def test_a_pattern_whose_file_was_edited_does_not_count(place: RulesLog) -> None:
    place.pattern()
    text = f"---\nid: {PATTERN}\nstatus: active\n---\n# other text\n"
    place.write({"a.py": BAD, ".agent/patterns/active/load-abababab.md": text})
    done = place.learnd("check")
    assert (done.code, done.out) == (0, "")
    assert "was edited since it was promoted" in done.err


def test_a_fix_is_shown_first_asked_for_and_applied_where_it_was_asked_for_alone(place: RulesLog) -> None:
    place.pattern()
    place.write({"src/bad.py": BAD, "other/bad.py": BAD})
    (place.tree / "src/bad.py").chmod(0o755)
    shown = place.learnd("fix", "src", "--dry-run")
    assert shown.code == 0
    assert "-    return yaml.load(path)\n+    return yaml.safe_load(path)" in shown.out
    asked = place.learnd("fix", "src")
    assert (asked.code, "nobody is at a terminal" in asked.err) == (2, True)
    assert (place.tree / "src/bad.py").read_text() == BAD
    done = place.learnd("fix", "src", "--yes")
    assert (done.code, (place.tree / "src/bad.py").read_text()) == (0, GOOD)
    assert stat.S_IMODE((place.tree / "src/bad.py").stat().st_mode) == 0o755
    assert (place.tree / "other/bad.py").read_text() == BAD
    assert place.learnd("fix", "src", "--yes").out == "nothing to fix\n"


def test_a_file_that_changed_meanwhile_or_is_a_link_is_left_alone(place: RulesLog, tmp_path: Path) -> None:
    found = rules(place, (LOAD, PATTERN))
    outside = tmp_path / "outside.py"
    outside.write_text(BAD)
    place.write({"a.py": BAD, "b/c.py": BAD})
    (place.tree / "link.py").symlink_to(outside)
    findings = find(found, place.tree)
    assert [one.match.path for one in findings] == ["a.py", "b/c.py"]
    files, troubles = fixed(findings, place.tree)
    assert troubles == []
    place.write({"a.py": BAD + "# mine\n"})
    (place.tree / "b").rename(tmp_path / "b")
    (place.tree / "b").symlink_to(tmp_path / "b")
    for file in files:
        with pytest.raises(NotWritten):
            write(file, place.tree)
    assert (place.tree / "a.py").read_text() == BAD + "# mine\n"
    assert (tmp_path / "b/c.py").read_text() == outside.read_text() == BAD


def test_of_fixes_that_overlap_the_outer_is_applied_and_the_others_are_told(place: RulesLog) -> None:
    inner = "language: Python\nrule: {pattern: old($A)}\nfix: new($A)\n"
    found = rules(place, (inner, PATTERN))
    place.write({"a.py": "x = old(old(1)) + old(2)\n"})
    (file,), _ = fixed(find(found, place.tree), place.tree)
    assert file.content == b"x = new(old(1)) + new(2)\n"
    assert [one.match.text for one in file.left] == ["old(1)"]


def test_a_rule_that_ast_grep_refuses_or_that_takes_too_long_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(BAD)
    with pytest.raises(AstGrepFailed, match="ast-grep refused"):
        list(scan(["id: x\nlanguage: Python\nrule: {nonsense: 1}\n"], tmp_path, ["."]))
    with pytest.raises(AstGrepFailed, match="took more than"):
        list(scan(["id: x\nlanguage: Python\nrule: {pattern: $A}\n"], tmp_path, ["."], seconds=0.0))


def test_a_rules_file_follows_its_pattern_and_a_changed_one_is_kept_and_reported(tmp_path: Path) -> None:
    library = Library(tmp_path, tmp_path / "quarantine")
    name, beside = "load-abababab.md", "load-abababab.rule.yml"
    folder = tmp_path / ".agent/patterns"
    for status in ("candidates", "active", "deprecated"):
        (folder / status).mkdir(parents=True)

    def placed(status: PatternStatus) -> list[str]:
        found = place_rules(library, [WantedPattern(PATTERN, status, name, "text")], {PATTERN: LOAD})
        return [str(one) for one in found]

    assert placed(PatternStatus.CANDIDATE) == []
    assert (folder / "candidates" / beside).read_text().endswith(LOAD)
    assert placed(PatternStatus.ACTIVE) == []
    assert not (folder / "candidates" / beside).exists()
    (folder / "active" / beside).write_text("rule: mine\n")
    (trouble,) = placed(PatternStatus.ACTIVE)
    assert "it is not used" in trouble
    assert (folder / "active" / beside).read_text() == "rule: mine\n"
    assert placed(PatternStatus.DEPRECATED) == []
    assert not (folder / "active" / beside).exists()
    (aside,) = (tmp_path / "quarantine").iterdir()
    assert aside.read_text() == "rule: mine\n"
    assert placed(PatternStatus.REJECTED) == []
    assert not list(folder.rglob("*.yml"))
