"""Controls: changes that fix nothing, through the whole engine and the real sandbox. None may be called proven."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from control_place import PYTEST, Control, told
from controls_table import CONTROLS, RARE
from planted_code import FIXED
from race import expected, trial

pytestmark = pytest.mark.sandbox

CHOSEN = [name for name in CONTROLS if name not in RARE or os.environ.get("CONTROLS") == "all"]


@pytest.mark.parametrize("name", CHOSEN)
def test_a_control_is_not_proven(tmp_path: Path, name: str) -> None:
    control = CONTROLS[name]
    if control.needs and shutil.which(control.needs) is None:
        pytest.skip(f"needs {control.needs}")
    found = told(tmp_path, control)
    assert found.said in control.allowed, found.evidence and found.evidence.detail
    assert not found.said.startswith("proven")
    assert found.patterns == 0


def test_the_same_change_with_a_fix_in_it_is_proven(tmp_path: Path) -> None:
    """So that the controls fail for what was planted, not for anything else."""
    found = told(tmp_path, Control(FIXED, ("proven:",), PYTEST))
    assert (found.said, found.patterns) == ("proven:", 1)


@pytest.mark.parametrize("number", range(3))
def test_a_race_is_flaky(number: int) -> None:
    """A sample of `make controls`, which makes a hundred trials."""
    assert trial(number, seed=1, only_with_change=False).startswith("flaky:")


def test_what_ten_replays_leave_of_a_race() -> None:
    assert expected(10, only_with_change=False) == pytest.approx(0.9992, abs=1e-4)
    assert expected(10, only_with_change=True) == pytest.approx(0.9717, abs=1e-4)
    assert expected(3, only_with_change=True) == pytest.approx(0.63, abs=1e-4)
