"""Repositories that are not as learnd was told: doctor says so, whatever is the matter with them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from daemon.daemon_process import registered
from support.repos import make_repo


def checks(state: Path) -> list[dict[str, str]]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(state.parent), "LEARND_STATE_DIR": str(state)}
    argv = [sys.executable, "-P", "-m", "learnd", "doctor", "--json"]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert isinstance(found, list), done.stderr
    return found


def test_a_repository_that_was_deleted_is_named_beside_one_that_is_well(tmp_path: Path) -> None:
    state, gone, well = tmp_path / "state", make_repo(tmp_path / "gone"), make_repo(tmp_path / "well")
    registered(state, gone, well)
    shutil.rmtree(gone)
    found = [check for check in checks(state) if check["name"] == "repository"]
    assert len(found) == 2
    assert [check["state"] for check in found if str(gone) in check["found"]] == ["warn"]
    assert [check for check in found if str(well) in check["found"]]
