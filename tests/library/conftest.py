"""A repository and learnd's private folder for it, both real folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from learnd.library.files import Library


@pytest.fixture
def library(tmp_path: Path) -> Library:
    repo = tmp_path / "repo"
    repo.mkdir()
    return Library(repo, tmp_path / "state" / "quarantine")
