"""The sandbox, and a project to prove changes of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prove_project import Project

from learnd.lab.sandbox import Sandbox
from learnd.settings import Settings


@pytest.fixture(scope="session")
def lab_sandbox() -> Sandbox:
    found = Sandbox("bubblewrap")
    report = found.self_test()
    if not report.ok:
        sentence = f"no sandbox here: {report.reason}. Next: {report.mend}"
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)
    return found


@pytest.fixture
def project(tmp_path: Path, lab_sandbox: Sandbox) -> Project:
    settings = Settings(state_dir=tmp_path / "state", learning_enabled=True)
    return Project(tmp_path, lab_sandbox, settings)
