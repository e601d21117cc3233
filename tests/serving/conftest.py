from __future__ import annotations

from pathlib import Path

import pytest
from serving_place import ServingPlace


@pytest.fixture
def place(tmp_path: Path) -> ServingPlace:
    return ServingPlace.made(tmp_path)
