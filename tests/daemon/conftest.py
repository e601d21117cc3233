"""A repository that learnd knows, and a place for its log."""

from __future__ import annotations

from pathlib import Path

import pytest
from daemon_process import registered
from support.repos import make_repo


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def repo(tmp_path: Path, state: Path) -> Path:
    repo = make_repo(tmp_path / "repo")
    registered(state, repo)
    return repo
