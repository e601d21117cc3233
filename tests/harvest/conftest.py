from __future__ import annotations

from pathlib import Path

import pytest
from harvest_repos import User, new_user

from learnd.harvest.store import SnapshotStore


@pytest.fixture
def user(tmp_path: Path) -> User:
    """A work tree with one commit of one file."""
    user = new_user(tmp_path / "repo")
    user.write("a.py", "one = 1\n")
    user.commit("first")
    return user


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(user: User, state: Path) -> SnapshotStore:
    return SnapshotStore(state, "repo-1", user.root)
