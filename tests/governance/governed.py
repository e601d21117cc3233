"""Given: a real log and a real repository with patterns in them, made without a replay, and people who decide."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from library.pattern_samples import front_matter, pattern_id
from support.histories import FILE, RUN, SHA, TO_VALIDATED, crystalize, settled, snapshot
from support.repos import make_repo

from events.values import ChangeMarks
from learnd import governance
from learnd.engine import Engine
from learnd.library.likeness import marks_of
from learnd.library.patterns import render
from learnd.library.sections import Sections
from learnd.repositories import register
from learnd.requests import Reply
from learnd.settings import Settings
from state import commands as c
from state.pattern import Pattern
from state.refusal import Refused

APPROVERS = frozenset({"anna", "berta", "carl"})


class Governed:
    """One repository, its engine, and what people ask for; `Person`s are taken at their word, as behind the socket."""

    def __init__(self, engine: Engine, repo: Path) -> None:
        self.engine = engine
        self.repo = repo
        self.tree = register(engine.door, engine.views(), repo, "anna")

    def job(self, seed: str) -> str:
        """A job that drafted the pattern `seed`; its snapshot lies nowhere."""
        job = pattern_id(f"job {seed}")
        run = dataclasses.replace(
            RUN, repo_id=self.tree.repo_id, repo_path=str(self.repo), task_id=seed,
            manifest_path=str(self.repo / f".runs/{seed}/manifest.json"),
        )  # fmt: skip
        draft = c.RecordDraft(job, pattern_id(seed), "Title", "title", "openai", "m", "p", SHA, 0.1, FILE, 0)
        commands: list[c.JobCommand] = []
        for command in (*TO_VALIDATED, crystalize, settled, draft):
            changed = dataclasses.replace(command, job_id=job)
            if isinstance(changed, c.OpenJob):
                changed = dataclasses.replace(changed, run=run)
            if isinstance(changed, c.RecordSnapshot):
                changed = dataclasses.replace(changed, snapshot=snapshot())
            commands.append(changed)
        assert not isinstance(outcome := self.engine.door.handle_together(commands, "test"), Refused), outcome
        return job

    def draft(self, seed: str, solution: str, change: ChangeMarks | None = None, failed_gate: str | None = None) -> str:
        """A pattern that came out of the gates: a candidate, or one that `failed_gate` stopped. Returns its id."""
        job, own = self.job(seed), pattern_id(seed)
        sections = Sections(problem="It is slow for a reason.", solution=solution, rationale="It is quick after that.")
        text = render(sections, front_matter(own, title=f"Pattern {seed}"))
        origin = c.Origin(
            self.tree.repo_id, str(self.repo), job, str(self.repo / f".runs/{seed}/manifest.json"), f"Pattern {seed}",
            f"pattern-{seed}", "proven", FILE, text, change or marks_of([("+", solution)], (f"{seed}.py",)),
        )  # fmt: skip
        outcome = self.engine.door.handle(c.JudgeDraft(own, origin, ("format",), failed_gate, "why"), "test")
        assert not isinstance(outcome, Refused), outcome
        self.publish()
        return own

    def contradict(self, one: str, other: str) -> None:
        found = [
            c.RecordConflict(one, other, "reverse", "its change is the reverse"),
            c.RecordConflict(other, one, "reverse", "its change is the reverse"),
        ]
        assert not isinstance(outcome := self.engine.door.handle_together(found, "test"), Refused), outcome

    def publish(self) -> None:
        self.engine.publisher.repository_patterns(self.tree.repo_id, str(self.repo))

    def ask(self, request: governance.GovernanceRequest, user: str = "anna") -> Reply:
        person = c.Person(user, APPROVERS, request.claimed, request.reason)
        return governance.answer(request, self.engine.place, self.engine.publisher, person)

    def pattern(self, own: str) -> Pattern:
        return self.engine.door.pattern(own)

    def file(self, own: str) -> Path | None:
        """The pattern's file in the repository."""
        found = list((self.repo / ".agent/patterns").glob(f"*/*-{own[:8]}.md"))
        assert len(found) <= 1, found
        return found[0] if found else None

    def types(self, own: str) -> list[str]:
        return [record.type for record in self.engine.log.read(f"pattern-{own}")]


@contextmanager
def governed(root: Path, **settings: object) -> Iterator[Governed]:
    repo = root / "repo"
    if not repo.exists():
        make_repo(repo)
    with Engine.opened(Settings(state_dir=root / "state", **settings)) as engine:  # type: ignore[arg-type] # a test's
        yield Governed(engine, repo)
