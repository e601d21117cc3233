"""A run that brings back what a pattern warns of: detected in its diff, told once, over when it is gone again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from rules_log import JOB, LOAD, PATTERN
from support import histories as h
from support.repos import git, make_repo, manifest, put_manifest, write

from learnd.engine import Engine
from learnd.repositories import register
from learnd.rules.rule import read, rule_name
from learnd.settings import Settings
from learnd.views.queries import JobRow, WorkTreeRow
from learnd.views.store import rebuild
from state import commands as c

pytestmark = pytest.mark.sandbox


class Shop:
    """A repository with one active pattern; its jobs are queued and go no further, for replays are held back."""

    def __init__(self, engine: Engine, repo: Path) -> None:
        self.engine, self.repo = engine, repo
        self.tree: WorkTreeRow = register(engine.door, engine.views(), repo, "anna")
        engine.door.handle(c.RaiseFault("sandbox", "replays are no part of this test"), "test")
        rule = read(LOAD, rule_name(PATTERN))
        origin = dataclasses.replace(h.ORIGIN, repo_id=self.tree.repo_id, repo_path=str(repo), job_id=JOB)
        at = (h.RuleMatch(path="a.py", lines=(1, 1)),)
        told = c.RecordRule(PATTERN, rule.text, rule.sha256, "Python", "author", at, 1, 1, rule.has_fix)
        for command in (c.JudgeDraft(PATTERN, origin, ("format",)), told, c.Promote(PATTERN, h.ANNA, "m", h.SHA)):
            engine.door.handle(command, "test")

    def run(self, name: str, files: dict[str, str]) -> JobRow:
        """A run that leaves these files, on top of what was committed before it."""
        git(self.repo, "add", "-A")
        git(self.repo, "commit", "-q", "--allow-empty", "-m", "before")
        write(self.repo, files)
        put_manifest(self.repo, manifest(run=name))
        list(self.engine.sweep(self.tree))
        while (job_id := self.engine.scheduler.take(0)) is not None:
            self.engine.work(job_id)
        return self.engine.views().jobs()[-1]

    def detected(self) -> list[tuple[str, str]]:
        records = self.engine.log.read(f"pattern-{PATTERN}")
        return [(r.data.job_id, r.data.detail) for r in records if r.type == "ReintroductionDetected"]  # type: ignore[union-attr]

    def alerts(self) -> list[tuple[object, ...]]:
        query = "SELECT substr(stream, 5), kind, severity, over_at IS NULL FROM alerts {} ORDER BY id"
        return self.engine.views().rows(query.format("WHERE stream LIKE 'job-%'"))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    repo = make_repo(tmp_path / "repo", {"old.py": "import yaml\n\n\ndef old(x):\n    return yaml.load(x)\n"})
    with Engine.opened(Settings(state_dir=tmp_path / "state")) as engine:
        yield Shop(engine, repo)


def test_what_a_run_brings_back_is_told_once_and_over_when_it_is_gone(shop: Shop) -> None:
    moved = (shop.repo / "old.py").read_text()
    shop.run("run-1", {"old.py": "", "moved.py": f"# moved\n{moved}"})
    assert shop.detected() == [], "code that was moved is not brought back"
    bad = shop.run(
        "run-2", {"new.py": "import yaml\n\n\ndef new(x):\n    # ast-grep-ignore\n    return yaml.load(x)\n"}
    )
    assert shop.detected() == [(bad.id, "what it warns of, at new.py:6")]
    assert shop.alerts() == [(bad.id, "reintroduction", "P3", 1)]
    message = str(shop.engine.views().rows("SELECT message FROM alerts")[0][0])
    assert f"job {bad.id[:8]} brought back at new.py:6 what pattern {PATTERN[:8]} warns of" in message

    shop.run("run-3", {"note.txt": "1\n"})
    assert len(shop.detected()) == 1, "what stood there before is not this run's"
    assert shop.alerts()[0][3] == 1
    shop.run("run-4", {"new.py": "import yaml\n\n\ndef new(x):\n    return yaml.safe_load(x)\n"})
    assert shop.alerts() == [(bad.id, "reintroduction", "P3", 0)]
    gone = [record.data for record in shop.engine.log.read(f"job-{bad.id}") if record.type == "ReintroductionGone"]
    assert [event.detail for event in gone] == ["it is in new.py no more"]  # type: ignore[union-attr]
    before = shop.engine.views().rows("SELECT * FROM alerts"), shop.engine.views().rows("SELECT * FROM rules")
    rebuild(shop.engine.log)
    assert (shop.engine.views().rows("SELECT * FROM alerts"), shop.engine.views().rows("SELECT * FROM rules")) == before


def test_a_deprecated_patterns_advice_is_detected_when_it_is_followed_again(shop: Shop) -> None:
    shop.engine.door.handle(c.Deprecate(PATTERN, h.ANNA), "test")
    shop.run("run-1", {"new.py": "import yaml\n\n\ndef new(x):\n    return yaml.load(x)\n"})
    assert shop.detected() == []
    again = shop.run("run-2", {"more.py": "import yaml\n\n\ndef more(x):\n    return yaml.safe_load(x)\n"})
    assert shop.detected() == [(again.id, "what it advised until it was deprecated, at more.py:5")]


def test_a_job_that_was_given_up_has_no_alert_left_and_a_blocked_one_has_both(shop: Shop) -> None:
    bad = shop.run("run-1", {"new.py": "import yaml\nyaml.load(1)\n"})
    shop.engine.door.handle(c.RecordStall(bad.id, "digest", "a", "b"), "test")
    assert shop.engine.views().alerts.silent_jobs() == [bad.id], "nobody was told that it is blocked"
    shop.engine.alerts.step()
    assert sorted(str(kind) for _, kind, _, standing in shop.alerts() if standing) == [
        "reintroduction", "stalled_snapshot",
    ]  # fmt: skip
    shop.engine.door.handle(c.Dismiss(bad.id, h.ANNA), "test")
    assert [standing for *_, standing in shop.alerts()] == [0, 0]
    assert shop.engine.door.job(bad.id).alerts[0].over
