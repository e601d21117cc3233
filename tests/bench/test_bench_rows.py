"""Every row of the bench still measures: at a thousandth of its size, and without looking at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cases import thorough

from bench.__main__ import ROWS, kept_in, measure_of, page, told
from bench.measuring import Line, in_turns, quantile

SMALL = 0.001


@pytest.mark.parametrize("row", [row for row in ROWS if row not in ("detect", "start", "job", "lab", "memory")])
def test_a_row_measures_learnd_and_its_peer(tmp_path: Path, row: str) -> None:
    lines = measure_of(row)(tmp_path, SMALL)
    assert lines
    assert all(line.what and line.learnd and line.peer and line.ratio and line.n for line in lines)
    assert any(line.aim and line.met is not None for line in lines)


@pytest.mark.sandbox
@pytest.mark.parametrize("row", ["job", "memory", *thorough("detect", "start", "lab")])
def test_a_row_measures_a_real_daemon_or_real_replays(tmp_path: Path, row: str) -> None:
    lines = measure_of(row)(tmp_path, SMALL)
    assert all(line.what and line.learnd and line.peer and line.n for line in lines)
    assert any(line.aim and line.met is not None for line in lines)


def test_works_take_turns_and_each_comes_first_equally_often() -> None:
    said: list[str] = []
    taken = in_turns({"a": lambda: said.append("a"), "b": lambda: said.append("b")}, 4, warm_up=2)
    assert "".join(said) == "abbaabbaabba"
    assert [len(seconds) for seconds in taken.values()] == [4, 4]


def test_a_quantile_is_one_of_the_values() -> None:
    assert [quantile([3.0, 1.0, 2.0, 4.0], share) for share in (0.0, 0.5, 0.75, 0.99)] == [1.0, 2.0, 3.0, 4.0]


def test_measuring_one_row_anew_keeps_the_others() -> None:
    missed = Line("one append", "3 µs", "bare: 1 µs", "0.33 ×", "≥ 0.8 ×", False, "9", "it is slow")
    met = Line("a check", "1 s", "peer: 1 s", "1 ×", "< 4 s", True, "3", "never said")
    kept = {"append": told("append", [missed]), "verify": told("verify", [met])}
    assert kept_in(page(kept)) == kept
    assert "Missed: `append`: it is slow." in page(kept)
    assert "never said" not in page(kept)
