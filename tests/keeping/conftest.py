from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# The daemon as a process is given by the tests of the daemon, the command line by those of the verbs.
sys.path.append(str(Path(__file__).parent.parent / "daemon"))
sys.path.append(str(Path(__file__).parent.parent / "cli"))

from cli_place import CliPlace


@pytest.fixture
def place(tmp_path: Path) -> Iterator[CliPlace]:
    made = CliPlace(tmp_path)
    yield made
    made.close()
