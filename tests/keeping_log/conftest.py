from __future__ import annotations

from pathlib import Path

import pytest
from keeping_place import Keep


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    return Keep(tmp_path)
