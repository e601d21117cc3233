"""The sample change of `crystalizer_sample`, as fixtures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from crystalizer_sample import AFTER, BEFORE, HUNKS, PROMPT, SCENARIO, TEST, diff_between, evidence_of

from events.values import Evidence
from learnd.crystalizer.draft import DraftRequest
from learnd.crystalizer.pack import Pack, load_pack


@pytest.fixture(scope="session")
def sample_diff(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return diff_between(
        tmp_path_factory.mktemp("sample") / "repo",
        {"shop/report.py": BEFORE.encode(), "NOTES.md": b"hello\n", "tests/__init__.py": b""},
        {"shop/report.py": AFTER.encode(), "NOTES.md": b"farewell\n", "tests/test_report.py": TEST.encode()},
    )


@pytest.fixture
def request_of(sample_diff: bytes) -> Callable[..., DraftRequest]:
    def make(prompt: str | None = PROMPT, evidence: Evidence | None = None, diff: bytes | None = None) -> DraftRequest:
        return DraftRequest(
            prompt=prompt,
            diff=sample_diff if diff is None else diff,
            scenario=SCENARIO,
            evidence=evidence_of(*HUNKS) if evidence is None else evidence,
        )

    return make


@pytest.fixture(scope="session")
def pack() -> Pack:
    return load_pack(Path(__file__).resolve().parents[2] / ".agent/prompt-packs/crystalizer-v1")
