"""A proven change's place: its settings, and how it is put back as it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from model_server import Model

from learnd.engine import Engine
from learnd.settings import Lab, Settings

Opened = Callable[..., AbstractContextManager[Engine]]


def settings_in(place: Path, endpoint: Model, **changes: Any) -> Settings:
    lab = Lab(cheap_seconds=0, hunk_seconds=0, minimal_seconds=0)
    given = {"state_dir": place / "state", "lab": lab, "openai_api_key": "sk-test", "openai_base_url": endpoint.url}
    return Settings.model_validate({**given, "model_timeout_seconds": 10, **changes})


def put_back(proven: Path) -> None:
    shutil.rmtree(proven)
    shutil.copytree(proven.with_name("copy"), proven, symlinks=True)
