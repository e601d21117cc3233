"""An active pattern as agents get it: the text that was judged, what speaks for it, where it comes from.

The text is the log's, never the file's. The file is looked at all the same: one that a person edited, that is another
pattern's or that cannot be read is not served, even before the daemon has noticed. One that is not there (another
branch is checked out) is no edit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from learnd.library.canonical import body, canonical_digest, claimed_id, file_name
from learnd.library.folders import Folder, FolderRefused, NotText

Rows = Callable[[str, tuple[object, ...]], list[tuple[object, ...]]]

ACTIVE_FOLDER = (".agent", "patterns", "active")


@dataclass(frozen=True, slots=True)
class Proof:
    """What the replays showed, from the last event that says so. `turned`: tests that fail without the change and pass
    with it. `failed` of `base`, `passed` of `snapshot` replays. Times are ISO 8601 UTC.
    """

    verdict: str
    isolation: str
    failed: int
    base: int
    passed: int
    snapshot: int
    turned: int | None
    exercised: int
    hunks: int
    at: str


@dataclass(frozen=True, slots=True)
class Served:
    """An active pattern. `text` has front matter; `body` does not. `digest` is of the text as it was judged."""

    id: str
    title: str
    text: str
    digest: str
    file: str
    repo: str
    job: str
    run: str
    manifest: str
    proof: Proof | None
    evidence_count: int
    approver: str
    claimed: str | None
    promoted_at: str
    edited: bool

    @property
    def body(self) -> str:
        return body(self.text)

    def problem(self, most: int) -> str:
        """The problem on one line, of at most `most` characters; the title where the text has no such section."""
        return _cut(self._section("problem") or self.title, most)

    def applies_when(self, most: int) -> str:
        """When it applies, on one line of at most `most` characters; empty where the text does not say."""
        return _cut(self._section("applies_when"), most)

    def _section(self, name: str) -> str:
        from learnd.library.sections import SectionsUnreadable, one_line, split  # noqa: PLC0415 - brings pydantic

        try:
            return one_line(getattr(split(self.body)[1], name))
        except SectionsUnreadable:
            return ""

    @property
    def evidence(self) -> str:
        """In a line: verdict, replays, tests turned, when, and by whom it was promoted."""
        return f"{_proved(self.proof)}; {self._promoted()}"

    def _promoted(self) -> str:
        who = f"{self.approver} (as {self.claimed})" if self.claimed else self.approver
        own = ", text edited by hand" if self.edited else ""
        more = f", shown by {self.evidence_count} runs" if self.evidence_count > 1 else ""
        return f"promoted {self.promoted_at[:10]} by {who}{own}{more}"


@dataclass(frozen=True, slots=True)
class HeldBack:
    """An active pattern that is not served, and why."""

    id: str
    reason: str


def served(rows: Rows, events: Rows, ids: Iterable[str]) -> tuple[list[Served], list[HeldBack]]:
    """The patterns of `ids`, which are active, as agents get them, and those that they do not get.

    `rows` asks the read models, `events` the table of events. Raises sqlite3.Error.
    """
    given: list[Served] = []
    held: list[HeldBack] = []
    for pattern_id in ids:
        for row in rows(_PATTERN, (pattern_id,)):
            _, repo, job, manifest, title, count, text = (str(value) for value in row)
            name = file_name_of(rows, repo, pattern_id)
            digest = canonical_digest(text)
            reason = changed_on_disk(Path(repo), name, pattern_id, digest)
            if reason is not None:
                held.append(HeldBack(pattern_id, reason))
                continue
            run = rows("SELECT task_id, run_id FROM jobs WHERE id = ?", (job,))
            approver, claimed, at, edited = _promotion(events, pattern_id)
            given.append(
                Served(
                    pattern_id, title, text, digest, "/".join((*ACTIVE_FOLDER, name)), repo, job,
                    "/".join(map(str, run[0])) if run else "", manifest, _proof(events, job, pattern_id), int(count),
                    approver, claimed, at, edited,
                )
            )  # fmt: skip
    return given, held


def file_name_of(rows: Rows, repo_path: str, pattern_id: str) -> str:
    """The name of a pattern's file: given in order, names never change (`library/wanted.py`).

    Only patterns whose ids begin alike can want the same name, for each ends with 8 digits of the id or more.
    """
    taken: dict[str, str] = {}
    for each, slug in rows(_ALIKE, (repo_path, pattern_id[:8], f"{pattern_id[:8]}g")):
        taken[file_name(str(slug), str(each), taken)] = str(each)
    return next(name for name, each in taken.items() if each == pattern_id)


def changed_on_disk(repo: Path, name: str, pattern_id: str, digest: str) -> str | None:
    """Why the file in `active/` speaks against serving the pattern; None where it is as it was judged, or not there."""
    try:
        folder = Folder.at(repo, *ACTIVE_FOLDER)
    except FolderRefused as error:
        return None if not repo.exists() else error.reason
    if folder is None:
        return None
    with folder:
        found = folder.read(name)
    if found is None:
        return None
    if isinstance(found, NotText):
        return f"{name}: {found.reason}"
    text = found.decode("utf-8", "replace")
    if claimed_id(text) not in (pattern_id, None):
        return f"{name} is another pattern's"
    return None if canonical_digest(text) == digest else f"{name} was edited since it was promoted"


_PATTERN = (
    "SELECT patterns.id, repo_path, job_id, manifest_path, title, evidence_count, text FROM patterns "
    "JOIN pattern_texts ON pattern_texts.id = patterns.id WHERE patterns.id = ? AND status = 'active'"
)
_ALIKE = "SELECT id, slug FROM patterns WHERE repo_path = ? AND id >= ? AND id < ? ORDER BY staged_at, rowid"
_PROVED = (
    "SELECT at, json_extract(data, '$.evidence') FROM events WHERE stream IN (?, ?) "
    "AND type IN ('ChangeValidated', 'PatternReverified') ORDER BY position DESC LIMIT 1"
)
_PROMOTED = (
    "SELECT json_extract(data, '$.approver'), json_extract(data, '$.claimed'), at, "
    "json_extract(data, '$.text_body') IS NOT NULL FROM events WHERE stream = ? AND type = 'PatternPromoted' "
    "ORDER BY version DESC LIMIT 1"
)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _promotion(events: Rows, pattern_id: str) -> tuple[str, str | None, str, bool]:
    """Proven user, claimed name, when, and whether a person's own text was promoted."""
    ((approver, claimed, at, edited),) = events(_PROMOTED, (f"pattern-{pattern_id}",))
    return str(approver), str(claimed) if claimed else None, str(at), bool(edited)


def _proof(events: Rows, job: str, pattern_id: str) -> Proof | None:
    found = events(_PROVED, (f"job-{job}", f"pattern-{pattern_id}"))
    if not found:
        return None
    at, text = (str(value) for value in found[0])
    evidence = json.loads(text)
    base, snapshot, hunks = (evidence.get(name, ()) for name in ("base", "snapshot", "hunks"))
    transitions = evidence.get("transitions")
    return Proof(
        verdict=evidence["verdict"],
        isolation=evidence["isolation"],
        failed=sum(not replay["ok"] for replay in base),
        base=len(base),
        passed=sum(replay["ok"] for replay in snapshot),
        snapshot=len(snapshot),
        turned=transitions["fail_to_pass"]["count"] if transitions else None,
        exercised=sum(hunk["verdict"] == "exercised" for hunk in hunks),
        hunks=len(hunks),
        at=at,
    )


def _proved(proof: Proof | None) -> str:
    if proof is None:
        return "no evidence in the log"
    parts = [
        f"fails {proof.failed} of {proof.base} times without the change",
        f"passes {proof.passed} of {proof.snapshot} with it",
    ]
    if proof.turned is not None:
        parts.append(f"{proof.turned} test{'' if proof.turned == 1 else 's'} turned")
    if proof.hunks:
        parts.append(f"{proof.exercised} of {proof.hunks} hunks exercised")
    if proof.isolation != "bubblewrap":
        parts.append("NOT ISOLATED")
    verdict = proof.verdict if proof.verdict == "proven" else f"UNPROVEN ({proof.verdict.replace('_', ' ')})"
    return f"{verdict}: {', '.join(parts)}; replayed {proof.at[:10]}"
