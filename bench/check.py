"""`learnd check` over a tree of 3,000 files, as it is typed: the whole command, from the log to the last line.

The peer is ast-grep alone on the same tree, with the same rules in a file. Both are processes of their own; one rule in
ten finds something in one file of a hundred.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench.measuring import Line, in_turns, median, scaled, shown
from events.values import FileRef, RuleMatch
from learnd.door import Door
from learnd.rules.astgrep import CONFIG, program, write_rules
from learnd.rules.rule import Rule, read, rule_name
from learnd.views.store import open_for_writing
from state import commands as c

FILES = 3_000
RULES = 20
ROUNDS = 7
AIM = 2.0
WHY = "starting Python and reading the log costs what a scan of some hundred files does"
SHA = "0" * 64


def measure(folder: Path, scale: float) -> list[Line]:
    tree, state, alone = folder / "tree", folder / "state", folder / "alone"
    files = scaled(FILES, scale, 20)
    _code(tree, files)
    rules = [_rule(number) for number in range(RULES)]
    _patterns(state, tree, rules)
    alone.mkdir()
    write_rules(alone, [rule.text for rule in rules])
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LEARND_STATE_DIR": str(state)}
    peer = [str(program()), "scan", "-c", str(alone / CONFIG), "--rule", str(alone / "rules.yml"), "--json=stream"]

    def run(argv: list[str]) -> None:
        done = subprocess.run([*argv, "."], cwd=tree, env=env, stdout=subprocess.DEVNULL, check=False)
        assert done.returncode in (0, 1), argv  # noqa: S101 - what failed was not measured

    taken = in_turns(
        {
            "learnd": lambda: run([sys.executable, "-P", "-m", "learnd", "check", "--json"]),
            "peer": lambda: run(peer),
        },
        ROUNDS,
        warm_up=1,
    )
    own, other = median(taken["learnd"]), median(taken["peer"])
    return [
        Line(
            f"check of {files:,} files by {RULES} rules",
            shown(own),
            f"ast-grep alone: {shown(other)}",
            f"{own / other:.2f} × the time",
            f"≤ {AIM:.0f} ×",
            own <= AIM * other,
            str(ROUNDS),
            WHY,
        )
    ]


def _code(tree: Path, count: int) -> None:
    """Modules of some hundred lines; in one of a hundred each tenth rule finds something."""
    plain = "".join(
        f"def f{number}(values, factor):\n    total = 0\n    for value in values:\n"
        f"        if value > {number}:\n            total += value * factor\n    return total\n\n\n"
        for number in range(15)
    )
    for number in range(count):
        file = tree / f"package{number // 50}" / f"module{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        found = "".join(f"old{rule}(1)\n" for rule in range(0, RULES, 10)) if number % 100 == 0 else ""
        file.write_text(plain + found)


def _rule(number: int) -> Rule:
    text = f"language: Python\nrule:\n  pattern: old{number}($A)\nfix: new{number}($A)\n"
    return read(text, rule_name(f"{number:064x}"[::-1]))


def _patterns(state: Path, tree: Path, rules: list[Rule]) -> None:
    """An active pattern for each rule, told to the log."""
    state.mkdir(parents=True)
    log = open_for_writing(state / "events.db")
    door = Door(log)
    text = FileRef(path="/draft.md", sha256=SHA)
    person = c.Person("bench", frozenset({"bench"}))
    for number, rule in enumerate(rules):
        identity = f"{number:064x}"[::-1]
        body = f"---\nid: {identity}\nstatus: candidate\n---\n# old{number}\n"
        origin = c.Origin("r", str(tree), "0" * 64, "m", f"Use new{number}", f"new{number}", "proven", text, body)
        at = (RuleMatch(path="a.py", lines=(1, 1)),)
        told = (
            c.JudgeDraft(identity, origin, ("format",)),
            c.RecordRule(identity, rule.text, rule.sha256, rule.language, "extractive", at, 1, 1, rule.has_fix),
            c.Promote(identity, person, "m", SHA),
        )
        door.handle_together(told, "bench")
    log.close()
