from __future__ import annotations

import sys
from pathlib import Path

import pytest

# The daemon as a process is given by the tests of the daemon.
sys.path.append(str(Path(__file__).parent.parent / "daemon"))

from keeping_place import Keep


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    return Keep(tmp_path)
