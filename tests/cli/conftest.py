from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_place import CliPlace


@pytest.fixture
def place(tmp_path: Path) -> Iterator[CliPlace]:
    made = CliPlace(tmp_path)
    yield made
    made.close()
