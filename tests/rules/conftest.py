"""A log and a work tree for rules, without a replay: what replays would say is told to the door."""

from __future__ import annotations

from pathlib import Path

import pytest
from rules_log import RulesLog


@pytest.fixture
def place(tmp_path: Path) -> RulesLog:
    return RulesLog(tmp_path)
