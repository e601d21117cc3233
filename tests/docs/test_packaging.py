"""What is built is what is here: every package, every shipped file, locks that name versions and no host."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TOOL = PROJECT["tool"]["setuptools"]
LOCKS = ("requirements.lock", "requirements-dev.lock")


def test_every_package_is_listed() -> None:
    found = {
        str(file.parent.relative_to(ROOT)).replace("/", ".")
        for top in ("events", "state", "learnd")
        for file in (ROOT / top).rglob("__init__.py")
    }
    assert set(TOOL["packages"]) == found


def test_every_shipped_agent_file_is_installed_where_it_is_looked_for() -> None:
    installed = {
        (Path(place) / file.name, file.read_bytes())
        for place, patterns in TOOL["data-files"].items()
        for pattern in patterns
        for file in ROOT.glob(pattern)
    }
    wanted = {
        (Path("share/learnd/agent") / file.relative_to(ROOT / ".agent"), file.read_bytes())
        for file in (ROOT / ".agent").rglob("*")
        if file.is_file() and not (file.parent.name == "active" and file.name != "README.md")
    }
    assert wanted <= installed


def test_every_unit_is_installed_with_its_readme_where_doctor_looks_for_it() -> None:
    installed = {file.name for pattern in TOOL["data-files"]["share/learnd/systemd"] for file in ROOT.glob(pattern)}
    assert installed == {"learnd.service", "learnd@.service", "README.md"}
    assert installed == {file.name for file in (ROOT / "systemd").iterdir()}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_every_package_by_hash_and_names_no_host_and_no_path(lock: str) -> None:
    text = (ROOT / lock).read_text()
    pins = re.findall(r"^([a-z0-9][a-z0-9._-]*)==\S+ \\$", text, re.MULTILINE)
    blocks = re.split(r"^(?=[a-z0-9][a-z0-9._-]*==)", text, flags=re.MULTILINE)[1:]
    assert len(pins) == len(blocks) > 20
    assert all("--hash=sha256:" in block for block in blocks)
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert not re.search(r"https?://|file:/|--(extra-)?index|--find-links", body)
    assert "WARNING" not in text


def test_what_people_install_is_what_was_tested() -> None:
    def pins(lock: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+) \\$", (ROOT / lock).read_text(), re.MULTILINE))

    runtime, dev = (pins(lock) for lock in LOCKS)
    assert runtime.items() <= dev.items()
