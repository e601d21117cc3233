"""What a client may send: an answer for each, from a daemon that goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_place import Place, place
from pydantic import ValidationError
from support.repos import make_repo

from learnd.repositories import RegistrationRefused, register
from learnd.requests import REQUEST, LearnRun, RegisterRepo


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    with place(tmp_path) as found:
        yield found


@pytest.mark.parametrize("path", ["", ".", "relative/manifest.json", "/with\0nul", "/" + "x" * 5000])
@pytest.mark.parametrize("verb", ["learn", "register"])
def test_a_path_that_means_nothing_to_the_daemon_is_refused_before_it_is_looked_at(verb: str, path: str) -> None:
    name = "manifest" if verb == "learn" else "path"
    with pytest.raises(ValidationError, match=name):
        REQUEST.validate_python({"verb": verb, name: path})


@pytest.mark.parametrize("at", ["loop", "loop/x/manifest.json", ".runs/loop/manifest.json", "x" * 300, ".git/config"])
def test_a_run_asked_for_at_a_place_that_holds_none_is_refused_with_the_reason(here: Place, at: str) -> None:
    (here.repo / "loop").symlink_to("loop")
    (here.repo / ".runs").mkdir()
    (here.repo / ".runs/loop").symlink_to("loop")
    reply = here.engine.desk.answer(LearnRun(manifest=str(here.repo / at)).model_dump_json(), os.getuid())
    assert not reply.ok
    assert len(reply.message) > len(str(here.repo / at))


@pytest.mark.parametrize("at", ["loop", "missing", "file", "x" * 300, "repo/.git", "repo/.git/objects"])
def test_what_is_no_work_tree_is_not_registered(here: Place, at: str) -> None:
    (here.folder / "loop").symlink_to("loop")
    (here.folder / "file").write_text("")
    reply = here.engine.desk.answer(RegisterRepo(path=str(here.folder / at)).model_dump_json(), os.getuid())
    assert (reply.ok, reply.code) == (False, "not_a_repository")
    assert len(here.engine.views().work_trees()) == 1


def test_a_repository_whose_path_the_log_cannot_hold_is_refused(here: Place) -> None:
    repo = make_repo(Path(os.fsdecode(os.fsencode(here.folder) + b"/caf\xe9")))
    with pytest.raises(RegistrationRefused, match="not UTF-8"):
        register(here.engine.door, here.engine.views(), repo, "anna")
