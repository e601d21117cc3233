"""A proven change that waits for its author, made once by the real loop, and put back in place for every test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import stamina
from model_server import Model, model
from support.repos import fix, make_repo, put_manifest

from learnd.engine import Engine
from learnd.repositories import register
from learnd.settings import Lab, Settings
from learnd.steps.model_call import TRIES
from state.commands import ClearFault

Opened = Callable[..., AbstractContextManager[Engine]]


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


def settings_in(place: Path, endpoint: Model, **changes: Any) -> Settings:
    lab = Lab(cheap_seconds=0, hunk_seconds=0, minimal_seconds=0)
    given = {"state_dir": place / "state", "lab": lab, "openai_api_key": "sk-test", "openai_base_url": endpoint.url}
    return Settings.model_validate({**given, "model_timeout_seconds": 10, **changes})


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


def put_back(proven: Path) -> None:
    shutil.rmtree(proven)
    shutil.copytree(proven.with_name("copy"), proven, symlinks=True)


@pytest.fixture
def opened(proven: Path, endpoint: Model) -> Opened:
    """Opens an engine on that job, as it stood, with other settings."""
    put_back(proven)

    @contextmanager
    def engine(**changes: Any) -> Iterator[Engine]:
        with Engine.opened(settings_in(proven, endpoint, **changes)) as made:
            yield made

    return engine
