"""Cases of a test that `make test` leaves to `make thorough`: of each kind it tries one or two."""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet


def thorough(*cases: object) -> list[ParameterSet]:
    """The cases, to be tried by `make thorough` alone; a tuple is one case of several parameters."""
    mark = pytest.mark.thorough
    return [
        pytest.param(*case, marks=mark) if isinstance(case, tuple) else pytest.param(case, marks=mark) for case in cases
    ]
