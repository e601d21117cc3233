"""A pattern that holds, to be bent by the tests."""

from __future__ import annotations

import hashlib

from learnd.library.canonical import file_name
from learnd.library.files import WantedPattern
from learnd.library.patterns import EvidenceLine, FrontMatter, render
from learnd.library.sections import Sections
from state.pattern import PatternStatus

SECTIONS = Sections(
    problem="Loading orders ran one query per row, so a page of 200 orders took 201 queries.",
    solution="Fetch all rows of the page with one `IN` query and group them in memory.",
    rationale="The count of queries no longer grows with the page; the test that counts them turned.",
)


def front_matter(pattern_id: str, **changes: object) -> FrontMatter:
    given: dict[str, object] = {
        "id": pattern_id,
        "status": PatternStatus.STAGED,
        "title": "One query a page, not one a row",
        "source_job": "7f3a2c1e",
        "manifest_path": ".runs/fix-f/cli/2026/manifest.json",
        "evidence": EvidenceLine(
            verdict="proven",
            isolation="bubblewrap",
            base_replays=3,
            snapshot_replays=3,
            exercised_hunks=2,
            hunks=2,
            flake_upper_bound=0.63,
        ),
        "author": "extractive",
        "cost_usd": 0.0,
        "prompt_pack": "crystalizer-v1",
        "prompt_pack_stamp": "0" * 64,
        "snapshot_commit": "1" * 40,
        "created": "2026-01-31T12:00:00.000Z",
        "tags": ("sqlite", "python"),
    }
    return FrontMatter.model_validate(given | changes)


def pattern_id(seed: str) -> str:
    return hashlib.sha256(seed.encode()).hexdigest()


def want(status: PatternStatus = PatternStatus.STAGED, seed: str = "a", **changes: object) -> WantedPattern:
    """What the log says of the pattern `seed`, unless `changes` say otherwise."""
    own = pattern_id(seed)
    sections = SECTIONS.model_copy(update={"solution": f"{SECTIONS.solution} ({seed})"})
    given: dict[str, object] = {
        "id": own,
        "status": status,
        "file_name": file_name("one-query", own),
        "text": render(sections, front_matter(own)),
    }
    return WantedPattern(**{**given, **changes})  # type: ignore[arg-type]
