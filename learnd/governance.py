"""A person's word about a pattern: what they saw is looked up, turned into commands, and put through the door.

The rules are in `state.pattern_rules`; here is what they need to know: which text stands in the file, whether it passes
the gates, who owns what it cites, and which patterns that are served advise the opposite. One decision at a time: of
two that contradict each other, promoted at once, the second one sees the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from learnd.door import Handled
from learnd.ids import short
from learnd.keeping.reviews import caught_up
from learnd.library.files import FOLDER_OF, PATTERNS, Edited, Library, find_edit
from learnd.library.owners import owned
from learnd.library.wanted import wanted
from learnd.publisher import Publisher
from learnd.requests import (
    DeprecatePattern,
    PromotePattern,
    RejectPattern,
    ReleasePattern,
    Reply,
    RestorePattern,
    SupersedePattern,
)
from learnd.steps.known import conflicts
from learnd.steps.stage import judge
from learnd.views.queries import PatternRow
from learnd.workplace import Workplace
from state import commands as c
from state.decide import Decided, decide
from state.pattern import Pattern, PatternStatus
from state.refusal import Refused

GovernanceRequest = (
    PromotePattern | RejectPattern | DeprecatePattern | RestorePattern | SupersedePattern | ReleasePattern
)
SERVED = (PatternStatus.ACTIVE, PatternStatus.STALE)
"""What is served, or comes back without anybody's word when its evidence holds again."""
PROMOTABLE = (PatternStatus.CANDIDATE, PatternStatus.EDITED)


def answer(request: GovernanceRequest, place: Workplace, publisher: Publisher, person: c.Person) -> Reply:
    """Do as asked, or say why not. Raises NotFound, Ambiguous, and what the door raises."""
    row = place.views().pattern(request.pattern)
    publisher.repository_patterns(row.repo_id, row.repo_path)  # an edit nobody looked at yet is noticed first
    with place.library:
        reply = _Decision(place, person, place.door.pattern(row.id)).answer(request)
    if reply.ok:
        caught_up(place)
        touched = _touched(place, row, reply)
        for one in touched:
            publisher.repository_patterns(one.repo_id, one.repo_path)
            publisher.job(one.job_id)
        return reply.model_copy(update={"data": {**reply.data, "file": _file(place, touched[-1].id)}})
    return reply


def _file(place: Workplace, pattern_id: str) -> str | None:
    """Where the pattern's file stands now: who asks through the socket may not read the log."""
    known = wanted(place.door.log, place.views(), pattern_id)
    folder = FOLDER_OF.get(known.status) if known else None
    if known is None or folder is None:
        return None
    return str(Path(place.views().pattern(pattern_id).repo_path).joinpath(*PATTERNS, folder, known.file_name))


def _touched(place: Workplace, row: PatternRow, reply: Reply) -> list[PatternRow]:
    by = reply.data.get("by")
    return [row, place.views().pattern(by)] if isinstance(by, str) else [row]


@dataclass
class _Decision:
    """One request about one pattern."""

    place: Workplace
    person: c.Person
    pattern: Pattern

    def answer(self, request: GovernanceRequest) -> Reply:
        match request:
            case PromotePattern():
                promotion = self._promotion(self.pattern, request)
                return promotion if isinstance(promotion, Reply) else self._handled([promotion])
            case RejectPattern():
                return self._handled([c.Reject(self.pattern.id, self.person)])
            case DeprecatePattern():
                return self._handled([c.Deprecate(self.pattern.id, self.person)])
            case RestorePattern():
                return self._handled([c.Restore(self.pattern.id, self.person), *self._contradictions()])
            case ReleasePattern():
                return self._release()
        return self._supersede(request)

    def _handled(self, commands: list[c.PatternCommand], **data: str) -> Reply:
        outcome = self.place.door.handle_together(commands, self.person.user)
        if isinstance(outcome, Refused):
            return Reply(code=outcome.code, message=outcome.reason)
        now = self.place.door.pattern(self.pattern.id)
        return Reply(
            code="ok",
            message=f"pattern {short(now.id)} {_became(now, outcome)}",
            data={"pattern": now.id, "status": now.status.value, **data},
        )

    # --- promoting ---

    def _promotion(self, pattern: Pattern, request: PromotePattern, instead_of: str | None = None) -> c.Promote | Reply:
        """Promote what the person saw: a file that is not the judged text needs their word that it is theirs."""
        known = wanted(self.place.door.log, self.place.views(), pattern.id)
        if known is None:
            return Reply(code="unknown", message=f"there is no pattern {short(pattern.id)}")
        library = Library(Path(pattern.repo_path), self.place.quarantine_dir)
        edit = find_edit(library, known) if pattern.status in PROMOTABLE else None
        if edit is None or request.as_judged:
            return self._promote(pattern, known.digest, None, instead_of)
        if not request.as_edited:
            return _not_the_judged_text(pattern, edit)
        report = judge(self.place.door.job(pattern.job_id), self.place, edit.text, pattern.overruled)
        if report.failed is not None:
            gate, detail = report.failed
            return Reply(code="gate_failed", message=f"{edit.path} does not pass the gate {gate}: {detail}")
        return self._promote(pattern, edit.digest, edit.text, instead_of)

    def _promote(self, pattern: Pattern, digest: str, text: str | None, instead_of: str | None) -> c.Promote:
        rules = self.place.settings.patterns
        cited = owned(rules.owners, pattern.repo_path, self._cited(pattern))
        contradicted = (*pattern.conflicts, *((pattern.superseded_by,) if pattern.superseded_by else ()))
        return c.Promote(
            pattern.id, self.person, pattern.manifest_path, digest, text,
            approvals=rules.approvals,
            owned=cited.paths,
            cites_unowned=cited.others,
            opposed=tuple(
                other for other in dict.fromkeys(contradicted)
                if other != instead_of and self.place.door.pattern(other).status in SERVED
            ),
        )  # fmt: skip

    def _cited(self, pattern: Pattern) -> tuple[str, ...]:
        """The paths that the pattern's change exercised; of an old pattern, all that its run changed."""
        if pattern.change is not None:
            return pattern.change.paths
        snapshot = self.place.door.job(pattern.job_id).snapshot
        return snapshot.changed_paths if snapshot is not None else ()

    # --- superseding ---

    def _supersede(self, request: SupersedePattern) -> Reply:
        """Put `by` in the pattern's place, promoting it where it is not served yet: both at once, or neither."""
        new = self.place.door.pattern(self.place.views().pattern(request.by).id)
        if new.repo_id != self.pattern.repo_id:
            message = f"pattern {short(new.id)} is of another repository than {short(self.pattern.id)}"
            return Reply(code="other_repository", message=message)
        served = new.status not in PROMOTABLE
        old = c.Supersede(self.pattern.id, self.person, new.id, new.status if served else PatternStatus.ACTIVE)
        if served or new.id == self.pattern.id:
            return self._handled([old], by=new.id)
        refused = decide(old, self.pattern)
        if isinstance(refused, Refused):
            return Reply(code=refused.code, message=refused.reason)
        asked = PromotePattern(pattern=new.id, as_edited=request.as_edited, reason=request.reason)
        promotion = self._promotion(new, asked, instead_of=self.pattern.id)
        if isinstance(promotion, Reply):
            return promotion
        promoted = decide(promotion, new)
        if isinstance(promoted, Decided) and _pattern_of(promoted).status is not PatternStatus.ACTIVE:
            # One consent of several: the pattern is superseded by whoever gives the last.
            return _Decision(self.place, self.person, new)._handled([promotion])
        return self._handled([promotion, old], by=new.id)

    # --- quarantined, and restored ---

    def _release(self) -> Reply:
        """Overrule the gate that stopped the text, and ask all others again."""
        pattern = self.pattern
        released = c.Release(pattern.id, self.person)
        refused = decide(released, pattern)
        if isinstance(refused, Refused):
            return Reply(code=refused.code, message=refused.reason)
        overruled = _pattern_of(refused).overruled
        report = judge(self.place.door.job(pattern.job_id), self.place, pattern.text, overruled)
        failed_gate, detail = report.failed or (None, "")
        return self._handled(
            [
                released,
                c.JudgeAgain(pattern.id, report.passed, failed_gate, detail),
                *([] if failed_gate else self._contradictions()),
            ]
        )

    def _contradictions(self) -> list[c.PatternCommand]:
        """Those to patterns that came while this one did not stand."""
        pattern = self.pattern
        return [
            *conflicts(
                self.place, pattern.repo_id, pattern.id, pattern.text, pattern.change, but=pattern.conflicts
            )
        ]  # fmt: skip


def _pattern_of(decided: Decided) -> Pattern:
    assert isinstance(decided.entity, Pattern)  # noqa: S101 - what a pattern's command was decided against
    return decided.entity


def _not_the_judged_text(pattern: Pattern, edit: Edited) -> Reply:
    name = short(pattern.id)
    return Reply(
        code="edited",
        message=f"pattern {name}: {edit.path} was edited since the gates judged it. Next: learnd diff {name}; then "
        f"learnd promote {name} --as-edited, if the text is yours to vouch for, or --as-judged, to take the edit back",
    )


def _became(pattern: Pattern, outcome: Handled) -> str:
    """What is so now, and what is still missing."""
    types = [record.type for record in outcome.recorded if record.stream == pattern.stream]
    name = short(pattern.id)
    if "PatternEndorsed" in types:
        missing = next(record.data.missing for record in outcome.recorded if record.type == "PatternEndorsed")  # type: ignore[union-attr]
        return f"is {pattern.status} still: the consent of {pattern.consents[-1].user} is recorded. Needed: {missing}"
    if pattern.status is PatternStatus.QUARANTINED:
        return (
            f"is quarantined still: the gate {pattern.gate} stops it too: {pattern.detail}. "
            f"Next: learnd review {name}, then learnd release or learnd reject"
        )
    contradicts = ", ".join(short(other) for other in pattern.conflicts)
    more = f"; it contradicts {contradicts}" if "ConflictFound" in types else ""
    superseded = f", superseded by {short(pattern.superseded_by or '')}" if "PatternSuperseded" in types else ""
    rule = f"; its rule is looked for: learnd review {name}" if pattern.awaits_rule else ""
    return f"is {pattern.status} now{superseded}{more}{rule}"
