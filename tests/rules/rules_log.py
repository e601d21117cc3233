"""Given: patterns with rules in a real log, and the real command line over a tree of files."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from support import histories as h
from support import warm

from learnd.door import Door, Handled
from learnd.rules.rule import read, rule_name
from learnd.views.store import open_for_writing
from state import commands as c

LOAD = "language: Python\nrule:\n  pattern: yaml.load($A)\nfix: yaml.safe_load($A)\n"
OPEN = "language: Python\nrule:\n  pattern: open($A)\n"
PATTERN = "ab" * 32
JOB = "cd" * 32
TEXT = "---\nid: {id}\nstatus: candidate\n---\n# text\n"


@dataclasses.dataclass
class Done:
    code: int
    out: str
    err: str


class RulesLog:
    """A log below `root/state`, a tree at `root/tree`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / "state"
        self.tree = root / "tree"
        self.tree.mkdir()

    def pattern(self, rule: str = LOAD, identity: str = PATTERN, title: str = "Load YAML safely") -> None:
        """An active pattern with this rule."""
        verified = read(rule, rule_name(identity))
        text = TEXT.format(id=identity)
        origin = dataclasses.replace(
            h.ORIGIN, repo_path=str(self.tree), job_id=JOB, title=title, slug="load", body=text
        )
        self.tell(c.JudgeDraft(identity, origin, ("format",)))
        self.tell(
            c.RecordRule(
                identity, verified.text, verified.sha256, verified.language, "extractive",
                (h.RuleMatch(path="a.py", lines=(1, 1)),), 1, 1, verified.has_fix,
            )
        )  # fmt: skip
        self.tell(c.Promote(identity, h.ANNA, "/repo/manifest.json", h.SHA))

    def tell(self, *commands: c.PatternCommand) -> None:
        self.state.mkdir(exist_ok=True)
        log = open_for_writing(self.state / "events.db")
        try:
            outcome = Door(log).handle_together(commands, "test")
        finally:
            log.close()
        assert isinstance(outcome, Handled), outcome

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            file = self.tree / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def learnd(self, *argv: str | Path, cwd: Path | None = None) -> Done:
        env = {"PATH": os.environ["PATH"], "HOME": str(self.root), "LEARND_STATE_DIR": str(self.state), "TZ": "UTC"}
        done = warm.run(argv, env=env, cwd=cwd or self.tree, timeout=120)
        return Done(done.returncode, done.stdout, done.stderr)
