"""Every claim of the threat model names code and a test, and both are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/threat-model.md").read_text()
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
MODULES = sorted(set(re.findall(r"`((?:learnd|events|state|systemd)/[\w/@.]+\.(?:py|service))`", PAGE)))
DEFENCES = [
    line
    for line in PAGE.partition("## What learnd defends")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith(("| against", "| ---"))
]


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_that_is_named_exists(module: str) -> None:
    assert (ROOT / module).is_file()


@pytest.mark.parametrize("row", DEFENCES)
def test_each_defence_names_its_code_and_its_test(row: str) -> None:
    _, _, means, shown, _ = row.split("|")
    assert any(f"`{module}`" in means for module in MODULES)
    assert any(f"`{file}::{name}`" in shown for file, name in TESTS)


def test_the_page_is_one_that_people_read_to_its_end() -> None:
    assert len(PAGE.splitlines()) <= 120
    assert len(DEFENCES) > 15
