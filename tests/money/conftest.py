"""A proven change that waits for its author, made once by the real loop, and put back in place for every test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import stamina
from model_server import Model, model
from money_place import Opened, put_back, settings_in
from support.repos import fix, make_repo, put_manifest

from learnd.engine import Engine
from learnd.repositories import register
from learnd.steps.model_call import TRIES
from state.commands import ClearFault


@pytest.fixture(scope="session")
def endpoint() -> Iterator[Model]:
    with model() as served:
        yield served


@pytest.fixture
def no_pauses() -> Iterator[None]:
    """stamina's pauses are for politeness; here nobody is hurt by none."""
    stamina.set_testing(True, attempts=TRIES)
    yield
    stamina.set_testing(False)


@pytest.fixture(scope="session")
def proven(tmp_path_factory: pytest.TempPathFactory, endpoint: Model) -> Path:
    """A folder with a repository and a state directory whose one job is `validated`; a copy lies beside it."""
    place = tmp_path_factory.mktemp("money") / "place"
    place.mkdir()
    settings = settings_in(place, endpoint, model="nobody-knows-its-price")
    with Engine.opened(settings) as engine:
        repo = make_repo(place / "repo")
        tree = register(engine.door, engine.views(), repo, "anna")
        fix(repo)
        put_manifest(repo)
        list(engine.sweep(tree))
        while (job_id := engine.scheduler.take(0)) is not None:
            engine.work(job_id)
        assert [row.status for row in engine.views().jobs()] == ["validated"]
        engine.door.handle(ClearFault("model"), "test")
    shutil.copytree(place, place.with_name("copy"), symlinks=True)
    return place


@pytest.fixture
def opened(proven: Path, endpoint: Model) -> Opened:
    """Opens an engine on that job, as it stood, with other settings."""
    put_back(proven)

    @contextmanager
    def engine(**changes: Any) -> Iterator[Engine]:
        with Engine.opened(settings_in(proven, endpoint, **changes)) as made:
            yield made

    return engine
