"""The rule that goes with a pattern, where its change allows one: the author's, else one from the change.

Whoever wrote it, only what was run on both sides of the proven change is recorded. A pattern without a rule is a
pattern all the same: nothing here fails a job. A machine that cannot isolate, or has no room, is waited for.
"""

from __future__ import annotations

import re

import structlog

from learnd.crystalizer.redact import redact
from learnd.harvest.faults import SnapshotError, disk_faults
from learnd.harvest.gitfolder import NotARepository
from learnd.lab.binds import RunRefused
from learnd.lab.launcher import SandboxUnavailable
from learnd.lab.trees import NoRoomForTrees
from learnd.library.gates import hidden
from learnd.rules.astgrep import AstGrepFailed
from learnd.rules.bench import Bench, Side, TooLarge, Where, laid_out
from learnd.rules.generate import propose
from learnd.rules.rule import Rule, RuleRefused, named, read, rule_name, words
from learnd.rules.target import Spot, Target
from learnd.rules.verify import NotVerified, Verified, judge
from learnd.steps.enqueue import recorded_snapshot
from learnd.steps.faults import MachineFault
from learnd.steps.scenario import stacks
from learnd.workplace import Workplace
from state.commands import RecordNoRule, RecordRule
from state.job import Job

log = structlog.get_logger("learnd.rules")


def rule_of(job: Job, place: Workplace, pattern_id: str) -> list[RecordRule]:
    """The verified rule of a job's pattern, where there is one. Raises MachineFault, DiskFull."""
    found = look_for_rule(job, place, pattern_id)
    return [found] if isinstance(found, RecordRule) else []


def look_for_rule(job: Job, place: Workplace, pattern_id: str) -> RecordRule | RecordNoRule:
    """The verified rule of a job's pattern, or why there is none. Raises MachineFault, DiskFull."""
    if job.scenario is None or job.evidence is None or job.evidence.verdict != "proven":
        return RecordNoRule(pattern_id, "its change is not proven")
    try:
        with disk_faults():
            return _looked_for(job, place, pattern_id)
    except (SnapshotError, NotARepository, TooLarge, AstGrepFailed, RunRefused, OSError) as error:
        log.warning("no rule", job=job.id[:8], reason=str(error))
        return RecordNoRule(pattern_id, redact(f"it could not be looked for: {error}").text[:2000])
    except SandboxUnavailable as error:
        raise MachineFault("sandbox", str(error)) from error
    except NoRoomForTrees as error:
        raise MachineFault("disk", str(error)) from error


def _looked_for(job: Job, place: Workplace, pattern_id: str) -> RecordRule | RecordNoRule:
    assert job.scenario is not None  # noqa: S101 - the caller looked
    assert job.evidence is not None  # noqa: S101 - the caller looked
    store = place.store(job.repo_id, job.repo_path)
    record = recorded_snapshot(job)
    target = Target.of(record, job.scenario, job.evidence, stacks(store, record), store)
    for language in _languages(job, target):
        with laid_out(Where.of(place, job.repo_path, f"rule-{job.id}"), _sides(target, place, job, language)) as bench:
            spots = [spot for spot in target.spots if spot.path in bench.files["base"]]
            found = _authored(job, bench, spots, language, pattern_id) or _extracted(bench, spots, language)
        if found is not None:
            return _recorded(pattern_id, *found)
    return RecordNoRule(pattern_id, "none tells the two sides of its change apart")


Found = tuple[Verified, str]


def _languages(job: Job, target: Target) -> list[str]:
    """The author's first, then those of the change."""
    written = _written(job, "rule")
    own = [written.language] if written else []
    return [language for language in dict.fromkeys([*own, *target.languages]) if language in target.languages]


def _sides(target: Target, place: Workplace, job: Job, language: str) -> dict[Side, dict[str, bytes]]:
    base, snapshot = target.code(place.store(job.repo_id, job.repo_path), language)
    return {"base": base, "snapshot": snapshot}


def _written(job: Job, name: str) -> Rule | None:
    """The author's rule, where it wrote one that may be run and shown."""
    text = job.draft.rule if job.draft else None
    if text is None:
        return None
    try:
        rule = read(text, name)
    except RuleRefused as error:
        log.info("the author's rule is not run", job=job.id[:8], reason=str(error))
        return None
    unseen = hidden(rule.text)
    if unseen or redact(rule.text).count:
        log.info("the author's rule is not run", job=job.id[:8], reason=unseen or "it holds a secret")
        return None
    return rule


def _authored(job: Job, bench: Bench, spots: list[Spot], language: str, pattern_id: str) -> Found | None:
    rule = _written(job, rule_name(pattern_id))
    if rule is None or rule.language != language:
        return None
    known = {word for side in bench.files.values() for spot in spots for word in _words_of(side.get(spot.path, b""))}
    if not words(rule) <= known:
        # It would say more than was exercised, or something else than code.
        strange = ", ".join(sorted(words(rule) - known)[:5])
        log.info("the author's rule is not run", job=job.id[:8], reason=f"its words are not the change's: {strange}")
        return None
    try:
        return judge(rule, bench.scan([rule.text]), bench, spots), "author"
    except (NotVerified, AstGrepFailed) as error:
        log.info("the author's rule does not hold", job=job.id[:8], reason=str(error))
        return None


def _words_of(content: bytes) -> list[str]:
    return re.findall(r"[^\W\d]\w{3,}", content.decode("utf-8", "replace"))


def _extracted(bench: Bench, spots: list[Spot], language: str) -> Found | None:
    found = propose(bench, spots, language, "proposed")
    return (found, "extractive") if found is not None and not redact(found.rule.text).count else None


def _recorded(pattern_id: str, found: Verified, source: str) -> RecordRule:
    rule = named(found.rule, rule_name(pattern_id))
    return RecordRule(
        pattern_id, rule.text, rule.sha256, rule.language, "author" if source == "author" else "extractive",
        found.matches, found.base_files, found.snapshot_files, rule.has_fix, found.fix_as_tested, found.engine,
    )  # fmt: skip
