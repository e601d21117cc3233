"""One daemon for the tests of a file that need no settings of their own; each test has repositories of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from failures_place import House


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    found = House(tmp_path_factory.mktemp("house"))
    with found.at_work():
        yield found


@pytest.fixture(scope="module")
def asking_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Its jobs wait for a person after the snapshot: time to tamper with what was stored."""
    found = House(tmp_path_factory.mktemp("asking"), LEARND_TRIGGER="approved", LEARND_SNAPSHOT_BACKOFF_SECONDS="0.1")
    with found.at_work():
        yield found
