"""Users of the machine who reach the socket and are neither root, nor learnd's user, nor approvers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.repos import make_repo

from learnd.engine import Engine
from learnd.requests import LearnRun, RebuildModels, RegisterRepo
from learnd.settings import Settings

STRANGER = 54_321


def answered(engine: Engine, request: RegisterRepo | LearnRun | RebuildModels, uid: int) -> str:
    return engine.desk.answer(request.model_dump_json(), uid).code


@pytest.mark.parametrize("kind", ["register", "learn", "rebuild"])
def test_a_stranger_has_learnd_read_nothing_and_do_nothing(kind: str, tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    request = {
        "register": RegisterRepo(path=str(repo)), "learn": LearnRun(manifest=str(repo / ".runs/t/cli/r/manifest.json")),
        "rebuild": RebuildModels(),
    }[kind]  # fmt: skip
    with Engine.opened(Settings(state_dir=tmp_path / "state")) as engine:
        assert answered(engine, request, STRANGER) == "not_an_approver"
        assert engine.log.head()[0] == 0
        assert answered(engine, request, os.geteuid()) != "not_an_approver"


def test_an_approver_may_register_a_repository(tmp_path: Path) -> None:
    repo = make_repo(tmp_path / "repo")
    settings = Settings(state_dir=tmp_path / "state", approvers=(f"uid:{STRANGER}",))
    with Engine.opened(settings) as engine:
        assert answered(engine, RegisterRepo(path=str(repo)), STRANGER) == "ok"
