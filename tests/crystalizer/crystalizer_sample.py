"""A real repository whose fix is partly exercised, its real diff, and the evidence of its replays."""

from __future__ import annotations

import subprocess
from pathlib import Path

from events.values import Evidence, HunkEvidence, ReplayOutcome, Scenario, ScenarioCommand, TestCounts

BEFORE = '''import sqlite3


def totals(db):
    """The total of every order."""
    out = {}
    for (order_id,) in db.execute("select id from orders"):
        row = db.execute("select sum(price) from items where order_id = ?", (order_id,)).fetchone()
        out[order_id] = row[0] or 0
    return out


def unrelated():
    return 1


def padding():
    return 2


def legacy_discount():
    return "old"
'''
AFTER = BEFORE.replace(
    BEFORE[BEFORE.index("    out = {}") : BEFORE.index("\n\ndef unrelated")],
    """    rows = db.execute(
        "select orders.id, coalesce(sum(items.price), 0) from orders"
        " left join items on items.order_id = orders.id group by orders.id"
    )
    return dict(rows)
""",
).replace('"old"', '"new"')
TEST = """from shop.report import totals


def test_one_query(db, statements):
    totals(db)
    assert len(statements) == 1
"""
TEST_ID = "tests/test_report.py::test_one_query"
PROMPT = "# Make the order report fast\n\n`totals` sends one query per order. Use a single query with a join.\n"


def git(folder: Path, *arguments: str) -> bytes:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "core.quotePath=true")
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True).stdout


def diff_between(folder: Path, before: dict[str, bytes | None], after: dict[str, bytes | None]) -> bytes:
    """The real `git diff` between two states of a tree; None takes a file away."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q")
    for message, state in (("base", before), ("snapshot", after)):
        for name, content in state.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True) if content is None else path.write_bytes(content)
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git(folder, "diff", "--binary", "--full-index", "-M", "HEAD~1", "HEAD")


def failing(seed: int, detail: str = "E   assert 101 == 1") -> ReplayOutcome:
    return ReplayOutcome(
        ok=False, cause="assertion", exit_code=1, seconds=0.3, hash_seed=seed, source="pytest",
        counts=TestCounts(passed=1, failed=1), failing=(TEST_ID,), detail=detail,
    )  # fmt: skip


def passing(seed: int) -> ReplayOutcome:
    return ReplayOutcome(
        ok=True, exit_code=0, seconds=0.3, hash_seed=seed, source="pytest", counts=TestCounts(passed=2)
    )


def evidence_of(*hunks: HunkEvidence, verdict: str = "proven", detail: str = "E   assert 101 == 1") -> Evidence:
    base = tuple(failing(seed, detail) if verdict == "proven" else passing(seed) for seed in range(3))
    return Evidence(
        verdict=verdict,  # type: ignore[arg-type]
        cause=None if verdict == "proven" else "base_passes",
        isolation="bubblewrap",
        base=base,
        snapshot=tuple(passing(seed) for seed in range(5)),
        hunks=hunks,
        flake_upper_bound=0.45,
    )


SCENARIO = Scenario(
    source="execution_history",
    commands=(ScenarioCommand(argv=("python", "-m", "pytest", "-q", "tests"), cls="test", runner="pytest"),),
)
HUNKS = (
    HunkEvidence(file="shop/report.py", lines=(6, 10), verdict="exercised", turned=(TEST_ID,)),
    HunkEvidence(file="shop/report.py", lines=(22, 22), verdict="unexercised"),
    HunkEvidence(file="NOTES.md", lines=(1, 1), verdict="unexercised"),
)
