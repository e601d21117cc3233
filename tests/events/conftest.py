from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from events.log import EventLog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "events.db"


@pytest.fixture
def log(path: Path) -> Iterator[EventLog]:
    with EventLog.create_or_open(path) as opened:
        yield opened
